"""The frame names of one video against those expected, judged by what the scorer would open.

The scorer sorts the submitted PNGs by the number before the first dot and scores positions
1 .. length-2 of THAT list, looking the ground truth up by the submitted name (score.py,
process_video_chunk). Works on names alone: opens nothing.
"""

from collections.abc import Iterator, Sequence

from kit.data.names import listed
from kit.submission.expected import Video

Defect = tuple[str, str, str]  # code of the rules, file name or "", detail


def is_mask(name: str) -> bool:
    """Whether the scorer lists this file."""
    return name.endswith(".png") and not name.startswith(".")


def number(name: str) -> int | None:
    """The number the scorer sorts by, or None where it would stop."""
    try:
        return int(name.split(".")[0])
    except ValueError:
        return None


def judge(names: Sequence[str], video: Video) -> Iterator[Defect]:
    """Defects of a video's list of PNG names.

    Args:
        names: file names for which `is_mask` holds, in any order.
        video: what is expected.
    """
    numbers = {name: number(name) for name in names}
    yield from _name_defects(numbers, video)
    submitted = sorted(value for value in numbers.values() if value is not None)
    expected = [int(frame) for frame in video.frames]
    if len(expected) > 1 and submitted == [value + 1 for value in expected]:
        yield "first-index", "", f"frames {submitted[0]}..{submitted[-1]}, not {expected[0]}.."
        return
    yield from _extra(submitted, expected)
    yield from _missing(submitted, expected, video)


def _name_defects(numbers: dict[str, int | None], video: Video) -> Iterator[Defect]:
    by_number = {int(frame): frame for frame in video.frames}
    taken: set[int] = set()
    for name, value in sorted(numbers.items()):
        stem = name.split(".")[0]
        if value is None:
            yield "frame-name", name, f"{stem!r} is no number"
        elif name != f"{stem}.png":
            yield "frame-stem", name, f"would be opened as {stem}.png"
        elif value in taken:
            yield "frame-stray", name, f"frame {value} is there twice"
        elif value in by_number and stem != by_number[value]:
            yield "frame-padding", name, f"expected {by_number[value]}.png"
        if value is not None:
            taken.add(value)


def _extra(submitted: list[int], expected: list[int]) -> Iterator[Defect]:
    known = set(expected)
    for value in sorted(set(submitted) - known):
        if value > expected[-1]:
            # Only short lists let the scored positions reach beyond the end.
            scored = value in submitted[1 : len(expected) - 1]
            yield ("frame-stray" if scored else "frame-extra"), "", f"frame {value}"
        else:
            yield ("frame-before" if value < expected[0] else "frame-stray"), "", f"frame {value}"


def _missing(submitted: list[int], expected: list[int], video: Video) -> Iterator[Defect]:
    missing = sorted(set(expected) - set(submitted))
    if not missing:
        return
    last = len(expected) - 2  # last position the scorer opens
    if len(submitted) <= last:
        code = "frames-missing"
    elif submitted[1 : last + 1] != expected[1 : last + 1]:
        code = "frame-missing"
    else:
        code = "frame-unscored"
    told = listed([str(number) for number in missing])
    yield code, "", f"{len(missing)} of {len(video.frames)} frames missing: {told}"
