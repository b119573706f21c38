"""A set of box sequences on disk, scored by the rules of LaSOT or GOT-10k in `kit.metrics.boxes`.

Ground truth: SEQUENCE/groundtruth.txt, of LaSOT with full_occlusion.txt and out_of_view.txt beside
it, of GOT-10k with cover.label and meta_info.ini. Predictions: SEQUENCE.txt, or SEQUENCE/*.txt, one
file per repetition (GOT-10k). A box is four numbers, left, top, width, height.
"""

import configparser
import re
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from kit.core.errors import DataError, KitError, SubmissionError
from kit.metrics import boxes
from kit.metrics.folders import Folder

NAMES = ("lasot", "lasot-ext", "got10k")
SOURCES = {
    "lasot": "HengLan/LaSOT_Evaluation_Toolkit @95bf38a",
    "lasot-ext": "HengLan/LaSOT_Evaluation_Toolkit @95bf38a",
    "got10k": "PyPI got10k 0.1.3",
}
T = TypeVar("T")
SEPARATORS = re.compile(r"[,;\s]+")


def score_boxes(
    name: str, truth: Folder, predictions: Folder
) -> tuple[dict[str, float | None], dict[str, dict[str, float | None]]]:
    """Score all sequences of a set.

    Args:
        name: one of `NAMES`.
        truth: folder of sequences.
        predictions: folder or archive of results.

    Returns:
        The numbers of the set, in [0, 1], and those of each sequence by itself.

    Raises:
        DataError: a file of the ground truth is missing or malformed; named with its line.
        SubmissionError: a result is.
    """
    sequences = [s for s in truth.names() if truth.is_folder(s)]
    if not sequences:
        raise DataError("no folder of a sequence. Name the folder that holds SEQUENCE/ folders.")
    if name == "got10k":
        overlaps = {s: _got10k(s, truth, predictions) for s in sequences}
        each = {s: boxes.got10k_scores([found]) for s, found in overlaps.items()}
        return boxes.got10k_scores(list(overlaps.values())), each
    curves = {s: _lasot(s, truth, predictions) for s in sequences}
    each = {s: boxes.lasot_scores({s: found}) for s, found in curves.items()}
    return boxes.lasot_scores(curves), each


def _lasot(sequence: str, truth: Folder, predictions: Folder) -> boxes.LasotCurves:
    annotated = _boxes(truth, f"{sequence}/groundtruth.txt", DataError)
    absent = np.zeros(len(annotated), bool)
    for name in ("full_occlusion.txt", "out_of_view.txt"):
        if truth.exists(f"{sequence}/{name}"):
            absent |= _flags(truth, f"{sequence}/{name}", len(annotated)) > 0
    path = next(_results(sequence, predictions))
    result = _boxes(predictions, path, SubmissionError)
    return _named(path, lambda: boxes.lasot_curves(annotated, result, absent))


def _got10k(sequence: str, truth: Folder, predictions: Folder) -> boxes.Curve:
    annotated = _boxes(truth, f"{sequence}/groundtruth.txt", DataError)
    cover = f"{sequence}/cover.label"
    visible = _flags(truth, cover, len(annotated)) if truth.exists(cover) else None
    paths = list(_results(sequence, predictions))
    results = [_boxes(predictions, path, SubmissionError) for path in paths]
    size = _resolution(truth, f"{sequence}/meta_info.ini")
    return _named(paths[0], lambda: boxes.got10k_overlaps(annotated, results, size, visible))


def _named(path: str, measure: Callable[[], T]) -> T:
    try:
        return measure()
    except SubmissionError as error:
        raise SubmissionError(f"{path}: {error}") from None


def _results(sequence: str, predictions: Folder) -> Iterator[str]:
    """Files of a sequence's results, of which there is at least one."""
    if predictions.is_folder(sequence):
        names = [n for n in predictions.names(sequence) if n.endswith(".txt")]
        found = [f"{sequence}/{n}" for n in names if not n.endswith("_time.txt")]
    else:
        found = [p for p in (f"{sequence}.txt",) if predictions.exists(p)]
    if not found:
        raise SubmissionError(
            f"{sequence}: no result. Expected is {sequence}.txt, or {sequence}/{sequence}_001.txt."
        )
    yield from found


def _boxes(folder: Folder, path: str, kind: type[KitError]) -> boxes.Boxes:
    """Boxes of a text file, float64[n, 4]; numbers may be parted by commas, tabs or spaces."""
    rows = [_numbers(path, n, line, 4, kind) for n, line in _lines(folder, path, kind)]
    return np.array(rows, dtype=np.float64).reshape(-1, 4)


def _flags(folder: Folder, path: str, length: int) -> NDArray[np.int64]:
    """Whole numbers, one a frame: one a line, or all in one line."""
    lines = _lines(folder, path, DataError)
    words = [(n, word) for n, line in lines for word in SEPARATORS.split(line) if word]
    found = [_numbers(path, n, word, 1, DataError)[0] for n, word in words]
    if len(found) != length:
        raise DataError(f"{path}: {len(found)} flags, but groundtruth.txt has {length} boxes.")
    return np.array(found, dtype=np.int64)


def _lines(folder: Folder, path: str, kind: type[KitError]) -> list[tuple[int, str]]:
    """Lines of a text file with their numbers from 1; empty ones are passed over."""
    try:
        text = folder.read(path).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise kind(f"{path}: cannot be read ({error}). It is a text file with numbers.") from None
    lines = [line.strip() for line in text.splitlines()]
    return [(n, line) for n, line in enumerate(lines, 1) if line]


def _numbers(path: str, n: int, line: str, count: int, kind: type[KitError]) -> list[float]:
    words = [word for word in SEPARATORS.split(line) if word]
    try:
        values = [float(word) for word in words]
    except ValueError:
        values = []
    if len(values) != count or np.isinf(values).any():
        raise kind(
            f"{path}, line {n}: expected {count} number{'s' * (count > 1)}, found {line[:60]!r}."
        )
    return values


def _resolution(truth: Folder, path: str) -> tuple[int, int]:
    """Width and height, from `resolution: (W, H)` of GOT-10k's meta_info.ini."""
    text = "\n".join(line for _, line in _lines(truth, path, DataError))
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text)
        told = parser["METAINFO"]["resolution"]
        width, height = (int(word) for word in re.findall(r"\d{1,6}", told))
    except (configparser.Error, KeyError, ValueError):
        raise DataError(
            f"{path}: expected `resolution: (WIDTH, HEIGHT)` under [METAINFO], found {text[:80]!r}."
        ) from None
    return width, height
