"""Order and check the frames of one video, and find its objects.

Reads a folder of images or a video file, and the label maps beside it; writes the video's index.
Everything wrong with what the user brought is found here, before an hour of GPU is spent on it.
"""

import argparse
import hashlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kit.core import artifacts, images, label_maps, pictures
from kit.core.errors import DataError
from kit.core.files import sha256
from kit.core.masks import VOID
from kit.core.types import Video, VideoObject
from kit.data import extract, instead, layout, names
from kit.data.layout import Split

VERSION = 2
MAX_DIGITS = 9  # of an id in a meta file; Python refuses to read thousands of them


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--root", type=Path, required=True, help="folder in MOSE layout")
    parser.add_argument("--video", required=True, help="name of the video")
    parser.add_argument("--images", default="JPEGImages", help="below the root (%(default)s)")
    parser.add_argument("--annotations", default="Annotations", help="below the root (%(default)s)")
    parser.add_argument("--meta", help="meta file below the root, to compare with")
    parser.add_argument(
        "--names", choices=["any", "numbers"], default="any",
        help="numbers: refuse frames that the MOSEv2 server would not take (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--extracted", type=Path, help="where frames of a video file go")
    parser.add_argument("--output", type=Path, required=True, help="index to write (.json)")


def run(args: argparse.Namespace) -> None:
    """Index one video."""
    split = Split(args.root, args.images, args.annotations, args.meta)
    source = split.source(args.video)
    rate = ""
    if source.is_file():
        folder = (args.extracted or args.output.parent / "extracted") / args.video
        rate = extract.extract(source, folder)
        source = folder
    entry = split.entry(args.video)
    length = entry.get("length") if entry else None
    if args.names == "numbers":
        _check_names(source, length)
    video = index(args.video, source, split.labels(args.video), length, rate)
    _compare(video, entry, split)
    if odd := layout.unevenness([video.image(frame) for frame in video.frames]):
        print(odd, file=sys.stderr)
    artifacts.write_video(args.output, video)
    if args.output.stem != args.video:
        print(
            f"{args.output}: other stages take an index that is named like its video, "
            f"{args.output.with_name(args.video + '.json')}",
            file=sys.stderr,
        )


def index(
    name: str, source: Path, labels: Path, length: int | None = None, rate: str = ""
) -> Video:
    """Check frames and label maps of one video.

    Args:
        name: Of the video.
        source: Folder of its frames.
        labels: Folder of its label maps; one for the first frame at least.
        length: Number of its frames according to a meta file.
        rate: What is to be said of its frame rate, if it is from a video file.

    Raises:
        DataError: Whatever keeps them from being used as they are.
    """
    files = layout.frame_files(source, length)
    height, width, turned = _common_size(files)
    frames = [file.stem for file in files]
    objects, how = _objects(labels, frames, (height, width), rate)
    for word in (rate, turned, how):
        if word:
            print(f"{name}: {word}", file=sys.stderr)
    firsts = sorted({labels / f"{o.first_frame}.png" for o in objects})
    return Video(
        name=name,
        height=height,
        width=width,
        frames=tuple(frames),
        images=source,
        suffix=files[0].suffix,
        annotations=labels,
        objects=tuple(objects),
        digest=_digest([*files, *firsts], bool(turned), bool(how)),
    )


def _check_names(source: Path, length: int | None) -> None:
    """Refuse before all is tracked what the archive would be refused for."""
    flaw = names.flaw_for_server(file.stem for file in layout.frame_files(source, length))
    if flaw:
        raise DataError(
            f"{source}: the MOSEv2 server takes frames named by numbers alone, and {flaw}. Rename "
            "frames and masks (00012.jpg, 00012.png), or set `submission: false` in the config: "
            "then all is run but the archive."
        )


def _common_size(files: Sequence[Path]) -> tuple[int, int, str]:
    """Height and width of all frames, each decoded to its last byte, and a word on turned ones."""
    first = images.probe_image(files[0])
    turned = int(first.turned)
    for file in files[1:]:
        probe = images.probe_image(file)
        if probe[:2] != first[:2]:
            raise DataError(
                f"{file}: {probe.width}x{probe.height}, but {files[0].name} is {first.width}x"
                f"{first.height}. All frames of a video must have one size."
            )
        turned += probe.turned
    word = (
        f"{turned} of {len(files)} frames are turned upright, as their EXIF orientation says and "
        "viewers show them; masks must lie on the upright ones"
    )
    return first.height, first.width, word if turned else ""


def _objects(
    labels: Path, frames: Sequence[str], size: tuple[int, int], rate: str
) -> tuple[list[VideoObject], str]:
    """Objects by id, each with the first frame that shows it, and a word on how ids were read."""
    if not (labels / f"{frames[0]}.png").is_file():
        raise DataError(
            f"{labels / frames[0]}.png: the mask of the first frame is missing, from which "
            f"semi-supervised segmentation starts. {instead.of_labels(labels, frames)}"
        )
    first: dict[int, str] = {}
    order = {frame: position for position, frame in enumerate(frames)}
    files = layout.label_files(labels)
    for file in files:
        if file.stem not in order:
            raise DataError(
                f"{file}: there is no frame {file.stem} among the {len(frames)} frames, which go "
                f"from {frames[0]} to {frames[-1]}. Masks are named like their frames; remove it, "
                f"or add the frame. {rate}".rstrip()
            )
    maps = _Maps()
    for file in sorted(files, key=lambda p: order[p.stem]):
        for object_id in maps.ids(file, size):
            first.setdefault(object_id, file.stem)
    if not first and maps.void:
        raise DataError(
            f"{maps.void}: has pixels of value {VOID} and no others, and no label map shows an "
            f"object. {VOID} means void. If these are 0/255 masks of one object: "
            + pictures.cure(labels, labels=True)
        )
    if not first:
        raise DataError(
            f"{labels / frames[0]}.png: empty, and no later label map shows an object either. "
            "Nothing is there to be tracked."
        )
    return [VideoObject(object_id, frame) for object_id, frame in sorted(first.items())], maps.how


class _Maps:
    """The label maps of a video, looked at one by one.

    Attributes:
        how: In words how ids were read that are not the stored values.
        void: A file with void pixels, if there was one.
    """

    def __init__(self) -> None:
        self.how = ""
        self.void: Path | None = None
        self._indices: dict[bytes, tuple[int, Path]] = {}  # of colours, where indices are ids

    def ids(self, file: Path, size: tuple[int, int]) -> list[int]:
        """Object ids in a label map; void is none.

        Raises:
            DataError: They cannot be told, or other files contradict them.
        """
        found = label_maps.meant(file, size)
        for index, colour in found.colours.items():
            known, other = self._indices.setdefault(colour, (index, file))
            if known != index:
                raise DataError(
                    f"{file}: colour {tuple(colour)} is entry {index} of the palette, and entry "
                    f"{known} in {other.name}. Some program has put the palettes in another order, "
                    "so that entries are no ids. " + pictures.cure(file.parent, labels=True)
                )
        self.how = self.how or (f"label maps ({file.name} first): {found.how}" if found.how else "")
        ids = [int(i) for i in np.flatnonzero(np.bincount(found.labels.ravel())) if i]
        if ids and ids[-1] == VOID:
            self.void = self.void or file
        return [i for i in ids if i != VOID]


def _compare(video: Video, entry: Mapping[str, Any] | None, split: Split) -> None:
    """Hold the index against the meta file's entry; a difference is an error, not a choice."""
    if entry is None:
        return
    facts = {
        "length": len(video.frames),
        "height": video.height,
        "width": video.width,
        "objects": [o.id for o in video.objects],
    }
    for what, found in facts.items():
        told = entry.get(what)
        declared = _as_ids(told) if what == "objects" else told
        if told is not None and declared != found:
            raise DataError(
                f"{video.name}: {what} is {found} on disk, but {told!r:.300} in {split.meta}. "
                "Are frames or label maps missing? Set `data.meta` to null to go by the disk alone."
            )


def _as_ids(told: object) -> list[int] | None:
    """Ids in a meta entry: a list of numbers, or of their digits, or a mapping keyed by them."""
    if not isinstance(told, (list, dict)):
        return None
    if not all(str(i).isdecimal() and len(str(i)) <= MAX_DIGITS for i in told):
        return None
    return sorted({int(i) for i in told})


def _digest(files: Sequence[Path], turned: bool, by_colour: bool) -> str:
    """Of the content of files, and of how it is read where that is not as it stands."""
    summary = hashlib.sha256(b"upright " * turned + b"ids by colour" * by_colour)
    for file in files:
        summary.update(f"{file.name} {sha256(file)}\n".encode())
    return summary.hexdigest()
