"""What the server demands of a submission, as one table.

Every defect the kit can find has one row: how bad it is, what the server would do with it, and
the fix. The rows were read off the published scorer (henghuiding/MOSE-api at 241977a,
MOSEv2/sam2_rcms/tools/score.py) and tried on it with synthetic videos; rows about archives say
what an unpacker makes of them before the scorer starts. Knows no files and no pictures.
"""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad a defect is, worst first."""

    FATAL = "fatal"  # the run stops, there is no score at all
    ZERO = "scores zero"  # some or all objects get 0, exit code 0
    WRONG = "scores wrong"  # a plausible number that is not the method's
    HARMLESS = "harmless"  # ignored by the scorer

    @property
    def rank(self) -> int:
        """0 for the worst severity, growing towards harmless."""
        return list(Severity).index(self)


@dataclass(frozen=True)
class Rule:
    """One defect: `outcome` completes the sentence "the server ..."."""

    severity: Severity
    outcome: str
    fix: str


FATAL, ZERO, WRONG, HARMLESS = Severity

RULES: dict[str, Rule] = {
    # --- the archive as a file -------------------------------------------------------------
    "not-an-archive": Rule(
        FATAL, "cannot unpack it and reports a failed submission", "upload or build it again"
    ),
    "too-many-entries": Rule(
        FATAL, "is made to unpack far more files than the split has", "pack only the PNGs"
    ),
    "too-large": Rule(
        FATAL, "is made to unpack far more bytes than masks need", "pack only palette PNGs"
    ),
    "encrypted": Rule(FATAL, "has no password and cannot unpack it", "zip without a password"),
    "compression": Rule(
        FATAL, "may not know this compression method", "store or deflate (zip -0, or kit pack)"
    ),
    "unsafe-name": Rule(
        FATAL, "refuses it or unpacks it to another place", "use plain relative names"
    ),
    "not-a-file": Rule(
        FATAL,
        "unpacks the link's text, or nothing, where a picture is to be",
        "put the file itself there",
    ),
    "name-clash": Rule(
        FATAL, "cannot unpack a file and a folder of one name", "remove the file in the way"
    ),
    "duplicate-name": Rule(
        WRONG, "keeps whichever copy was unpacked last", "keep one copy of each name"
    ),
    "unreadable-entry": Rule(
        FATAL, "fails while unpacking it", "build the archive again from the masks"
    ),
    "backslash": Rule(
        ZERO, "takes it for one long file name at the root, not for a folder", "use / in names"
    ),
    # --- layout ----------------------------------------------------------------------------
    "wrapper": Rule(
        ZERO,
        "looks for the videos in another place and gives every object 0, exit code 0",
        "zip from inside the output folder (cd out && zip -r ../sub.zip *)",
    ),
    "lone-wrapper": Rule(
        HARMLESS,
        "steps into a wrapper folder that stands alone; one more root entry and all scores are 0",
        "put the video folders at the root",
    ),
    "lone-video": Rule(
        ZERO,
        "takes the only folder for a wrapper and looks for the video inside itself",
        "add any file beside it, such as team.json",
    ),
    "video-missing": Rule(
        ZERO,
        "gives its objects 0 in J, F and F_new (and leaves them out of the disappear and"
        " reappear means)",
        "add the folder",
    ),
    "object-folders": Rule(
        FATAL,
        "looks for label maps directly in a video's folder and stops with AssertionError",
        "join the masks of all objects into one label map a frame (sam2 does so without"
        " --per_obj_png_file)",
    ),
    "all-empty": Rule(
        WRONG,
        "counts every object as absent throughout",
        "pack the masks that were meant; these may be made up, or of a run that failed",
    ),
    "video-file": Rule(
        FATAL, "stops with NotADirectoryError", "make it a folder of one PNG per frame"
    ),
    "video-extra": Rule(HARMLESS, "ignores it", "remove it"),
    "junk": Rule(HARMLESS, "ignores it while the videos are at the root", "remove it"),
    "team": Rule(
        FATAL,
        "scores it, but organisers may declare a submission with false team information invalid",
        "correct team.json",
    ),
    # --- the frames of a video -------------------------------------------------------------
    "frame-name": Rule(
        FATAL,
        "stops with ValueError: invalid literal for int()",
        "name frames by their number alone: 00001.png",
    ),
    "frame-padding": Rule(
        FATAL,
        "looks the ground truth up by the submitted name and stops with FileNotFoundError",
        "use the frame's own name, as in meta",
    ),
    "frame-stem": Rule(
        FATAL,
        "reads the name up to the first dot and stops with ValueError: Frame not found",
        "no second dot in a frame's name",
    ),
    "first-index": Rule(
        WRONG,
        "compares every mask with the ground truth of its neighbour",
        "number frames from the same first frame as the images",
    ),
    "frames-missing": Rule(
        FATAL, "stops with AssertionError: frame_idx", "write one PNG per frame, empty if absent"
    ),
    "frame-missing": Rule(
        WRONG,
        "does not notice; a frame goes unscored and the last one is scored in its place",
        "write one PNG per frame, empty if absent",
    ),
    "frame-unscored": Rule(
        HARMLESS, "never opens the first and last frame", "write one PNG per frame all the same"
    ),
    "frame-stray": Rule(
        FATAL, "finds no ground truth for it and stops with FileNotFoundError", "remove it"
    ),
    "frame-before": Rule(
        WRONG, "counts frames by position, so that the scored range moves by one", "remove it"
    ),
    "frame-extra": Rule(HARMLESS, "ignores frames beyond the end", "remove it"),
    # --- the picture -----------------------------------------------------------------------
    "unreadable": Rule(FATAL, "stops with OSError: cannot read the picture", "write it again"),
    "size": Rule(
        FATAL,
        "stops with ValueError: could not broadcast",
        "write masks in the size of the images, nearest neighbour",
    ),
    "size-broadcast": Rule(
        WRONG,
        "spreads the single row, column or pixel over the whole frame without a word",
        "write masks in the size of the images",
    ),
    "colour": Rule(
        WRONG,
        "turns colours into the web palette with dithering: the ids are others",
        "write palette PNGs (mode P) whose values are the object ids",
    ),
    "palette-order": Rule(
        WRONG,
        "reads entries of the palette, whatever their colours: the ids are others",
        "write palette PNGs whose values are the object ids, and let no editor sort the palette",
    ),
    "one-bit": Rule(
        WRONG, "reads a 1-bit picture as 0 and 255", "write palette PNGs with the object ids"
    ),
    "zero-255": Rule(
        WRONG, "knows no object 255: the mask counts for nobody", "write the id instead of 255"
    ),
    "label": Rule(
        WRONG, "counts these pixels for no object", "use the ids in meta, 0 for background"
    ),
    "not-png": Rule(
        WRONG, "reads it, but lossy pictures blur the ids", "write PNG, not another format"
    ),
    "deep": Rule(
        HARMLESS,
        "reads 16-bit values up to 255, and greater ones as 255",
        "write 8-bit palette PNGs",
    ),
}

# --- limits: far above any honest submission (MOSEv2 test: 614 videos, about 100,000 frames) ---
MAX_ENTRIES = 400_000
MAX_DIRECTORY_BYTES = 256 << 20  # the archive's table of contents, read into memory at once
MAX_ENTRY_BYTES = 64 << 20  # one PNG; a raw 4K RGBA picture has 33 MB
MAX_TOTAL_BYTES = 64 << 30  # unpacked
MAX_PIXELS = 64_000_000  # one picture, where meta gives no size
WARN_ARCHIVE_BYTES = 500_000_000  # archives of 500 to 600 MB pass, 1 GB and more hang
