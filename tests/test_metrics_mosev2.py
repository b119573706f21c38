"""Rules of a set: what is compared, what is refused, what is said about it."""

import io
import json
import shutil
import stat
import zipfile

import numpy as np
import pytest
import reference_evaluator as slow
from PIL import Image

from kit.core.errors import SubmissionError
from kit.metrics import folders, mosev2, report

SIZE = (48, 64)


def png(labels, mode="P"):
    image = Image.fromarray(np.asarray(labels, np.uint8))
    if mode == "P":
        image.putpalette(bytes(range(256)) * 3)
    file = io.BytesIO()
    image.convert(mode).save(file, "PNG")
    return file.getvalue()


def labels(rng, objects=2):
    picture = np.zeros(SIZE, np.uint8)
    for label in range(1, objects + 1):
        y, x = rng.integers(0, 16), rng.integers(0, 30)
        picture[y : y + rng.integers(1, 9), x : x + rng.integers(1, 12)] = label
    return picture * (rng.random() < 0.8)


class Set:
    """A set on disk: `videos[name]` is a list of (ground truth, prediction)."""

    def __init__(self, root, videos):
        self.root, self.videos = root, videos
        self.gt, self.pred, self.meta = root / "gt", root / "pred", root / "meta.json"
        info = {}
        for name, frames in videos.items():
            for side, folder in enumerate((self.gt, self.pred)):
                (folder / name).mkdir(parents=True)
                for i, pair in enumerate(frames):
                    (folder / name / f"{i:05d}.png").write_bytes(png(pair[side]))
            size = {"height": SIZE[0], "width": SIZE[1]}
            info[name] = {"length": len(frames), "objects": ["1", "2"], **size}
        self.info = info
        self.write_meta()

    def write_meta(self):
        self.meta.write_text(json.dumps({"videos": self.info}))

    def evaluate(self):
        return mosev2.evaluate(self.gt, self.pred, self.meta)

    def zipped(self):
        path = self.root / "pred.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for file in sorted(self.pred.rglob("*")):
                archive.write(file, file.relative_to(self.pred))
        return path


@pytest.fixture
def some(tmp_path):
    """Two videos of 8 and 20 frames."""
    rng = np.random.default_rng(3)
    videos = {
        name: [(labels(rng), labels(rng)) for _ in range(n)] for name, n in (("a", 8), ("b", 20))
    }
    return Set(tmp_path, videos)


def test_a_set_equals_the_definition(some):
    result = some.evaluate()
    expected = {}
    for name, frames in some.videos.items():
        for label in (1, 2):
            rows = [slow.count(gt == label, pred == label) for gt, pred in frames[1:-1]]
            j = [slow.jaccard(*r[:3]) for r in rows]
            f = [slow.boundary_f(r[3], r[4], *r[5:7]) for r in rows]
            f_new = [slow.boundary_f(r[3], r[4], *r[7:9]) for r in rows]
            expected[f"{name}_{label}"] = slow.summarise(j, f_new, f, [r[0] == 0 for r in rows])
    assert {k: list(v.values()) for k, v in result["objects"].items()} == expected
    assert result["scores"]["J"] == np.mean([v[0] for v in expected.values()])
    assert result["warnings"] == []


def test_frames_are_in_the_order_of_their_numbers(some):
    padded = some.evaluate()["objects"]
    for path in [*some.gt.rglob("*.png"), *some.pred.rglob("*.png")]:
        path.rename(path.with_name(f"{int(path.stem)}.png"))
    assert some.evaluate() | {"scores": None} == {"objects": padded, "scores": None, "warnings": []}


def test_one_video_from_bytes(some):
    frames = some.videos["b"]
    results = mosev2.evaluate_video(
        [png(g) for g, _ in frames], [png(p) for _, p in frames], [2, 1]
    )
    objects = some.evaluate()["objects"]
    assert [r.measures for r in results] == [objects["b_2"], objects["b_1"]]
    assert len(results[0].j) == len(results[0].f_new) == len(results[0].f) == 18
    assert results[0].j.mean() == objects["b_2"]["J"]


def test_one_video_refuses_unequal_lengths():
    with pytest.raises(ValueError, match="1 predicted frames, 2 in"):
        mosev2.evaluate_video([b"", b""], [b""], [1])


def test_a_short_video_counts_zero():
    result = mosev2.evaluate_video([b"", b""], [b"", b""], [1])[0]
    assert list(result.measures.values()) == [0, 0, 0, None, None, None, None]


def test_an_archive_equals_its_folder(some):
    assert mosev2.evaluate(some.gt, some.zipped(), some.meta) == some.evaluate()


def test_processes_equal_one_process(some):
    shutil.rmtree(some.pred / "a")
    (some.pred / "notes.txt").touch()
    several = mosev2.evaluate_set(some.gt, some.zipped(), some.meta, workers=2, progress=True)
    single = some.evaluate()
    assert {k: v.measures for k, v in several.objects.items()} == single["objects"]
    assert several.warnings == single["warnings"] != []


@pytest.mark.slow
def test_processes_raise_the_first_error(some):
    (some.pred / "b" / "00003.png").write_bytes(b"")
    with pytest.raises(OSError, match="cannot identify"):
        mosev2.evaluate_set(some.gt, some.pred, some.meta, workers=2)


def test_an_id_listed_twice_has_its_chunks_doubled(some):
    single = {o: some.evaluate()["objects"][f"b_{o}"] for o in (1, 2)}
    some.info["b"]["objects"] = ["1", "2", "1"]
    some.write_meta()
    objects = some.evaluate()["objects"]
    assert objects["b_2"] == single[2]
    assert objects["b_1"]["J"] == pytest.approx(single[1]["J"], rel=1e-12)
    frames = [(g == 1, p == 1) for g, p in some.videos["b"][1:-1]]
    doubled = frames[:15] * 2 + frames[15:] * 2
    rows = [slow.count(*pair) for pair in doubled]
    j = [slow.jaccard(*r[:3]) for r in rows]
    f = [slow.boundary_f(r[3], r[4], *r[5:7]) for r in rows]
    f_new = [slow.boundary_f(r[3], r[4], *r[7:9]) for r in rows]
    assert list(objects["b_1"].values()) == slow.summarise(j, f_new, f, [not r[0] for r in rows])


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (3, OSError),  # in the first chunk: met before the ids are looked at
        (17, ValueError),  # in the second one: the id is met first
    ],
)
def test_which_of_two_errors_comes_first(some, frame, error):
    (some.pred / "b" / f"{frame:05d}.png").write_bytes(b"")
    some.info["b"]["objects"] = ["1", "x"]
    some.write_meta()
    with pytest.raises(error):
        some.evaluate()


def only(folder, name):
    for path in folder.iterdir():
        if path.name != name:
            shutil.rmtree(path)


def defect_shift(pred):
    (pred / "a" / "00002.png").unlink()


def defect_missing(pred):
    shutil.rmtree(pred / "a")
    (pred / "notes.txt").touch()


def defect_alone(pred):
    shutil.rmtree(pred / "a")


def defect_wrapper(pred):
    pred.rename(pred.parent / "out")
    pred.mkdir()
    (pred.parent / "out").rename(pred / "out")
    (pred / "__MACOSX").mkdir()


def defect_colour(pred):
    for path in (pred / "a").iterdir():
        with Image.open(path) as image:
            path.write_bytes(png(image, "RGB"))


def defect_scale(pred):
    path = pred / "a" / "00003.png"
    with Image.open(path) as image:
        path.write_bytes(png(255 * (np.asarray(image) > 0)))


def defect_pixel(pred):
    (pred / "a" / "00004.png").write_bytes(png([[1]]))


@pytest.mark.parametrize(
    ("defect", "words"),
    [
        (
            defect_shift,
            ["a: 7 frames predicted of 8; scored are 00001 to 00007, meant are 00001 to"],
        ),
        (defect_missing, ["a: not predicted; its 2 objects count 0"]),
        (defect_alone, ["'b' is the only entry", "a: not predicted", "b: not predicted"]),
        (defect_wrapper, ["2 missing videos lie in 'out'", "a: not pred", "b: not pred"]),
        (defect_colour, ["a: prediction is a colour image, its ids become"]),
        (defect_scale, ["a: prediction has labels of no listed object (1 frames, first 00003)"]),
        (defect_pixel, ["a: prediction of 1x1 is stretched (1 frames, first 00004.png)"]),
    ],
)
def test_traps_are_said(tmp_path, defect, words):
    rng = np.random.default_rng(8)
    frame = labels(rng)
    frame[3, 3], frame[9, 9] = 1, 2
    some = Set(tmp_path, {"a": [(frame, frame)] * 8, "b": [(frame, frame)] * 5})
    defect(some.pred)
    warnings = some.evaluate()["warnings"]
    assert len(warnings) == len(words)
    for warning, word in zip(warnings, words, strict=True):
        assert word in warning


def test_a_short_video_is_said(some):
    frame = some.videos["a"][0]
    tiny = Set(some.root / "tiny", {"c": [frame] * 2, "d": [frame] * 3})
    assert tiny.evaluate()["warnings"] == ["c: of 2 frames none is evaluated, counts 0"]


def entry(name, **attributes):
    info = zipfile.ZipInfo(name)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([entry("../a.png")], "leads out"),
        ([entry("/a.png")], "leads out"),
        ([entry("a/../../b.png")], "leads out"),
        ([entry("c:/a.png")], "leads out"),
        ([entry("a/b.png"), entry("a/b.png")], "twice"),
        ([entry("a/b.png"), entry("a")], "twice"),
        ([entry("a"), entry("a/b.png")], "in a file"),
        ([entry("l", external_attr=(stat.S_IFLNK | 0o777) << 16)], "symbolic link"),
    ],
)
def test_unsafe_archives_are_refused(tmp_path, entries, words):
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        for info in entries:
            archive.writestr(info, b"")
    with pytest.raises(SubmissionError, match=words):
        folders.open_folder(tmp_path / "z.zip")


def test_a_bomb_is_refused(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "z.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(folders.MAX_ENTRY_BYTES + 1))
    with pytest.raises(SubmissionError, match="declares 67108865 bytes"):
        folders.open_folder(tmp_path / "z.zip")
    monkeypatch.setattr(folders, "MAX_ENTRIES", 0)
    with pytest.raises(SubmissionError, match="1 entries"):
        folders.open_folder(tmp_path / "z.zip")


def test_a_damaged_archive_is_refused(some):
    path = some.zipped()
    data = bytearray(path.read_bytes())
    data[data.index(b"IDAT") + 6] ^= 255
    path.write_bytes(data)
    with pytest.raises(SubmissionError, match=r"cannot unpack a/00000.png"):
        folders.open_folder(path).read("a/00000.png")
    path.write_bytes(data[:200])
    with pytest.raises(SubmissionError, match="not a readable ZIP"):
        folders.open_folder(path)


def test_archive_and_folder_raise_the_same(some):
    for root in (folders.open_folder(some.pred), folders.open_folder(some.zipped())):
        assert root.names() == ["a", "b"]
        assert root.names("a")[:2] == ["00000.png", "00001.png"]
        assert root.is_folder("a") and not root.is_folder("a/00000.png")
        assert root.exists("a/00000.png") and not root.exists("c")
        with pytest.raises(FileNotFoundError):
            root.read("a/9.png")
        with pytest.raises(IsADirectoryError):
            root.read("a")
        with pytest.raises(FileNotFoundError):
            root.names("c")
        with pytest.raises(NotADirectoryError):
            root.names("a/00000.png")


def test_files_of_a_score(some):
    shutil.rmtree(some.pred / "a")
    (some.pred / "notes.txt").touch()
    result = report.score(some.gt, some.pred, some.meta, some.root / "out")
    read = {p.name: p.read_text() for p in (some.root / "out").iterdir()}
    assert sorted(read) == [
        "curves.json",
        "details.json",
        "metrics.json",
        "raw.json",
        "scores.txt",
    ]
    raw, metrics = json.loads(read["raw.json"]), json.loads(read["metrics.json"])
    assert raw["scores"] == result.scores and raw["warnings"] == result.warnings
    assert read["scores.txt"].splitlines()[1] == f"J: {np.round(result.scores['J'] * 100, 2)}"
    assert metrics["b_1"]["J"] == np.round(raw["objects"]["b_1"]["J"] * 100, 2)
    assert '"J": 0,' in read["metrics.json"]  # an integer, as the organisers write it
    assert metrics["total_time"] > 0
    curves = json.loads(read["curves.json"])["objects"]
    assert np.mean(curves["b_1"]["J"]) == raw["objects"]["b_1"]["J"]
    assert curves["b_1"]["frames"] == [f"{i:05d}" for i in range(1, 19)]
    assert curves["a_1"]["J"] == []
    details = json.loads(read["details.json"])
    assert details["intervals"]["J"]["value"] == pytest.approx(raw["scores"]["J"], rel=1e-12)
    assert sum(b["count"] for b in details["bins"]["objects"]) == 4
    gone = [s["j"] for s in details["segments"] if (s["object"], s["kind"]) == ("b_1", "d")]
    assert np.mean(gone) == raw["objects"]["b_1"]["disappear_J"]


def test_percent_is_rounded_as_numpy_does():
    """numpy rounds 100 times the number to even; Python would give 0.01 and 0.07."""
    assert [report.percent(x) for x in (0.00015, 0.00065)] == [0.02, 0.06]
    assert report.scores_text(dict.fromkeys(mosev2.SCORE_KEYS)).splitlines()[0] == "J&F_new: nan"


@pytest.mark.parametrize(("size", "told"), [((24, 40), True), ((50, 53), True), ((50, 54), False)])
def test_toys_are_said_to_be_too_small(tmp_path, size, told):
    """The official boundary measure of equal masks is near 0 below 74 pixels of diagonal."""
    picture = np.zeros(size, np.uint8)
    picture[5:15, 5:20] = 1
    for side in ("gt", "pred"):
        for video in ("a", "b"):
            (tmp_path / side / video).mkdir(parents=True)
            for name in ("00000", "00001", "00002", "00003"):
                (tmp_path / side / video / f"{name}.png").write_bytes(png(picture))
    entry = {"length": 4, "height": size[0], "width": size[1], "objects": [1]}
    meta = tmp_path / "meta.json"
    meta.write_text(json.dumps({"videos": {"a": entry, "b": entry}}))
    found = mosev2.evaluate(tmp_path / "gt", tmp_path / "pred", meta)
    assert found["scores"]["J"] == 1.0
    assert (found["scores"]["F_new"] < 0.2) == told
    assert ["73 pixels" in w for w in found["warnings"]] == [True] * told
