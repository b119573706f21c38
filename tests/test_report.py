"""The report: what it must say, and that nothing from outside can break it or slip in stale."""

import argparse
import base64
import hashlib
import html.parser
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit import cli
from kit.core import artifacts, label_maps, masks
from kit.core.audits import Audited, Judged, Sighting, write_audit
from kit.core.errors import ArtifactError
from kit.core.files import sha256
from kit.core.mask_archive import write_masks
from kit.core.types import Anchor, Candidate, MaskNotes, Rejected, Selection, State, Video
from kit.data import scenes, synthetic
from kit.metrics.failures import CLASSES
from kit.report import content, events, pictures, sheet
from kit.report.gather import Work
from kit.stages import report as stage

# The bindings of pycocotools are older than numpy 2 and warn when a mask is decoded.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

FIRST, MINED = "first.greedy", "sam3.dinov3.top3.greedy"
RECIPES = {"prompted once": FIRST, "prompted again": MINED}
CLIP = scenes.Config(frames=14, width=160, height=96, size_min=0.15)


# --- fixtures: ground truth shifted by hand stands in for what models would predict ---------------


def shifted(labels: masks.LabelMap, by: int) -> masks.LabelMap:
    """Labels moved to the right: a mask that is wrong by a known amount."""
    return np.roll(labels, by, axis=1)


def build(work: Path, root: Path, names: list[str], scored: bool) -> None:
    """A split as the stages before would leave it, masks made up from the ground truth."""
    for number, name in enumerate(names):
        synthetic.write_video(root, name, synthetic.seed_of("demo", number), CLIP)
        call("frames", root=root, video=name, output=work / f"frames/{name}.json")
        video = artifacts.read_video(work / f"frames/{name}.json")
        for recipe, by in ((FIRST, 3 + 2 * number), (MINED, 1)):
            mine(work, recipe, video)
            track(work, recipe, video, by)
            if scored:
                made = {p: work / f"{p}/{recipe}/{name}" for p in ("masks", "scores")}
                call(
                    "scores",
                    frames=work / f"frames/{name}.json",
                    masks=made["masks"].with_name(f"{name}.zip"),
                    output=made["scores"].with_name(f"{name}.json"),
                )
    for recipe, path in RECIPES.items():
        if scored:
            folders = {p: work / p / path for p in ("scores", "masks")}
            call("results", **folders, videos=names, output=work / f"results/{recipe}")


def mine(work: Path, recipe: str, video: Video) -> None:
    """Two anchors per object, where the recipe mines any; the masks are the true ones."""
    chosen, rejected = [], []
    for target in video.objects if recipe == MINED else ():
        for index, score in ((5, 0.91), (9, 0.83)):
            mask = truth(video, index) == target.id
            reason = f"rank {index} of 13 frames <b>& more</b>"
            frame, rle = video.frames[index], masks.encode_rle(mask)
            chosen.append(Anchor(frame, target.id, rle, score, 0.125, reason))
        for index in (6, 7):
            reason = f"neighbour of {video.frames[5]}, which is more similar"
            rejected.append(Rejected(video.frames[index], target.id, 0.5, reason))
    path = work / "anchors" / recipe.rpartition(".")[0] / f"{video.name}.json"
    artifacts.write_anchors(path, video, Selection(chosen, rejected), {"video": video.digest})


def track(work: Path, recipe: str, video: Video, by: int) -> None:
    """Masks wrong by a shift, absent on the eleventh frame."""
    ids = [o.id for o in video.objects]

    def pngs() -> Iterator[tuple[str, bytes]]:
        for index, frame in enumerate(video.frames):
            labels = truth(video, index) if index == 0 else shifted(truth(video, index), by)
            yield frame, masks.encode_png(np.where(index == 10, 0, labels).astype(np.uint8))

    states = {
        frame: State(-2.0 if index == 10 else 3.0, 0.75) for index, frame in enumerate(video.frames)
    }
    prompted = {i: [video.frames[0]] for i in ids}
    frame, claim = video.frames[3], masks.encode_rle(truth(video, 3) > 0)
    claims = {frame: dict.fromkeys(ids, claim)}
    notes = MaskNotes(dict.fromkeys(ids, states), prompted, {frame: 17}, claims)
    anchors = work / "anchors" / recipe.rpartition(".")[0] / f"{video.name}.json"
    inputs = {"video": video.digest, "anchors": sha256(anchors)}
    path = work / "masks" / recipe / f"{video.name}.zip"
    write_masks(path, video, pngs(), lambda: notes, inputs)


def truth(video: Video, index: int) -> masks.LabelMap:
    return label_maps.read_labels(video.annotation(video.frames[index]))


def call(command: str, **options: object) -> None:
    """One command of the kit that must succeed."""
    arguments = [command]
    for key, value in options.items():
        values = value if isinstance(value, list) else [value]
        arguments += [f"--{key}", *map(str, values)]
    assert cli.main(arguments) == 0


def named(recipes: dict[str, str]) -> dict[str, list[str]]:
    """What `--recipes` takes: path, and the part of it that chooses the anchors."""
    return {name: [path, path.rpartition(".")[0]] for name, path in recipes.items()}


def report(work: Path, output: Path, names: list[str], **options: object) -> str:
    recipes = json.dumps(named(RECIPES))
    call("report", work=work, split="demo", recipes=recipes, videos=names, output=output, **options)
    return output.read_text()


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two videos of two objects, with ground truth and scores; nobody may change it."""
    folder = tmp_path_factory.mktemp("split")
    build(folder / "work", folder / "data", ["a_0", "b_1"], scored=True)
    return folder / "work"


@pytest.fixture
def own(split: Path, tmp_path: Path) -> Path:
    """A copy of the split to be spoiled."""
    return Path(shutil.copytree(split, tmp_path / "work"))


class Reader(html.parser.HTMLParser):
    """Holds every start tag against its end tag; keeps attributes, text and blocks of data."""

    VOID = ("meta", "!doctype", "input", "img", "br")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.data: dict[str, dict[str, Any]] = {"data-object": {}, "data-video": {}}
        self._block: tuple[str, str] | None = None
        self.feed(page)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, key, value or "") for key, value in attrs]
        block = [(key, value or "") for key, value in attrs if key in self.data]
        self._block = block[0] if tag == "script" and block else None
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._block is not None and self.open[-1] == "script":
            kind, key = self._block
            self.data[kind][key] = json.loads(data)
        elif self.open and self.open[-1] not in ("style", "script"):
            self.text += data + "\n"

    def values(self, *keys: str) -> list[str]:
        return [value for _, key, value in self.attributes if key in keys]


# --- what the page says ---------------------------------------------------------------------------


def test_the_page_says_everything(split: Path, tmp_path: Path) -> None:
    page = report(split, tmp_path / "page.html", ["a_0", "b_1"])
    seen = Reader(page)
    results = [json.loads((split / f"results/{r}/results.json").read_text()) for r in RECIPES]
    for result in results:  # all seven numbers of both recipes
        for value in result["scores"].values():
            assert f"{value * 100:.2f}" in seen.text
    first, second = (round(result["scores"]["J&F_new"] * 100, 2) for result in results)
    assert f"+{second - first:.2f}" in seen.text
    for words in ("prompted once", MINED, "given", "cosine 0.910", "rank 5 of 13 frames", "0.830"):
        assert words in seen.text
    assert "2 × neighbour of …, which is more similar" in seen.text
    assert "All 4 objects can be played." in seen.text
    assert "other data, not comparable" in seen.text and "51.17" in seen.text
    low, high = re.search(r"([\d.]+) to ([\d.]+)", seen.text).groups()  # of the first number
    assert float(low) <= results[0]["scores"]["J&F_new"] * 100 <= float(high)


def test_an_object_can_be_played(split: Path, tmp_path: Path) -> None:
    """Frames stand once per video; outlines, curves and events are of the right frames."""
    seen = Reader(report(split, tmp_path / "page.html", ["a_0", "b_1"]))
    assert len(seen.data["data-video"]) == 2 and len(seen.data["data-object"]) == 4
    assert all(len(frames) == 14 for frames in seen.data["data-video"].values())
    one = seen.data["data-object"]["a_0/1"]
    assert one["frames"] == [f"{i:05d}" for i in range(14)] and one["measure"] == "J"
    assert [line["name"] for line in one["recipes"]] == list(RECIPES)
    again = one["recipes"][1]
    assert set(again["anchors"]) == {"5", "9"} and one["recipes"][0]["anchors"] == {}
    assert again["masks"][10] == "" and again["masks"][1].startswith("M")
    assert again["curve"][0] is None and again["curve"][13] is None  # never evaluated
    told = [what for _, what in one["events"]]
    assert told.count("anchor") == 2 and "given" in told and "largest disagreement" in told
    assert [0, "given"] in one["events"] and one["outline"].startswith("M")


def test_failures_are_counted_and_bins_drawn(split: Path, tmp_path: Path) -> None:
    seen = Reader(report(split, tmp_path / "page.html", ["a_0", "b_1"]))
    for words in ("Where it fails", "missed return", "objects in the video", "over elapsed time"):
        assert words in seen.text
    facts = [json.loads(v) for v in seen.values("data-facts")]
    assert len(facts) == 4 and all(set(f["classes"]) <= set(CLASSES) for f in facts)


def test_players_are_bounded_and_the_rest_is_named(split: Path, tmp_path: Path) -> None:
    page = report(split, tmp_path / "page.html", ["a_0", "b_1"], players=1)
    seen = Reader(page)
    assert len(seen.data["data-object"]) == len(seen.data["data-video"]) == 1
    assert "1 of 4 objects can be played here" in seen.text and "--players 4" in seen.text
    assert len(seen.values("data-facts")) == 4  # the table still knows every object


def test_what_was_mined_is_held_against_the_truth(own: Path, tmp_path: Path) -> None:
    """Four objects, each seen twice, once in a gap; two sources that find it on one frame each."""
    names = ["a_0", "b_1"]
    assert "evidence" not in report(own, tmp_path / "page.html", names)
    for name in names:
        video = artifacts.read_video(own / f"frames/{name}.json")
        anchors = own / "anchors" / "sam3.dinov3.top3" / f"{name}.json"
        one = Audited(
            [
                Sighting(1, False, {"canvas": 0.6}),
                Sighting(2, True, {"concept": 0.8, "canvas": 0.1}),
            ],
            [Judged(5, 0.9, 0.0, 2), Judged(9, 0.0, 0.7, 4)],
        )
        path = own / "audits" / "sam3.dinov3.top3" / f"{name}.json"
        made_of = {"video": video.digest, "anchors": sha256(anchors)}
        write_audit(path, video, {o.id: one for o in video.objects}, made_of)
    page = report(own, tmp_path / "page.html", names)
    assert 'href="#evidence"' in page
    text = re.sub(r"\s*\n\s*", " | ", Reader(page).text)
    assert "prompted again | all | 8 | 100.0 % | 50.0 % | 4 | 100.0 %" in text
    assert "canvas | 8 | 50.0 % | 0.0 % | 4 | 0.0 %" in text
    assert "concept | 8 | 50.0 % | 50.0 % | 4 | 100.0 %" in text
    assert "prompted again | 8 | 50.0 % | 50.0 % | 3" in text
    (own / "audits" / "sam3.dinov3.top3" / "b_1.json").unlink()
    recipes = json.dumps(named(RECIPES))
    command = ["report", "--work", str(own), "--split", "demo", "--recipes", recipes]
    assert cli.main([*command, "--videos", *names, "--output", str(tmp_path / "x.html")]) == 2


def test_each_recipe_has_its_differences(own: Path, tmp_path: Path) -> None:
    shutil.copytree(own / "results" / "prompted once", own / "results" / "prompted alike")
    recipes = json.dumps(named(RECIPES | {"prompted alike": FIRST}))
    target = tmp_path / "page.html"
    call("report", work=own, split="demo", recipes=recipes, videos=["a_0", "b_1"], output=target)
    told = Reader(target.read_text()).text
    assert "prompted again: 4 of 4 objects gain more than one point of J&Ḟ, 0 lose" in told
    assert "prompted alike: 0 of 4 objects gain more than one point of J&Ḟ, 0 lose" in told


def test_the_recipe_that_mines_nothing_is_the_one_compared_with(
    split: Path, tmp_path: Path
) -> None:
    swapped = json.dumps(dict(reversed(named(RECIPES).items())))
    target = tmp_path / "page.html"
    call("report", work=split, split="demo", recipes=swapped, videos=["a_0"], output=target)
    assert "differences to prompted once" in Reader(target.read_text()).text


def test_without_ground_truth_it_says_so(own: Path, tmp_path: Path) -> None:
    shutil.rmtree(own / "scores")
    shutil.rmtree(own / "results")
    seen = Reader(report(own, tmp_path / "page.html", ["a_0", "b_1"]))
    assert "No ground truth, hence no scores." in seen.text
    assert "data.ground_truth" in seen.text
    assert "predicted IoU" in seen.text
    assert "Where it fails" not in seen.text


def test_one_recipe_has_nothing_to_be_compared_with(split: Path, tmp_path: Path) -> None:
    recipes, target = json.dumps(named({"alone": FIRST})), tmp_path / "page.html"
    call("report", work=split, split="demo", recipes=recipes, videos=["a_0"], output=target)
    seen = Reader(target.read_text())
    assert "difference" not in seen.text
    assert "No recipe of this page mines anchors." in seen.text


# --- what it must never do ------------------------------------------------------------------------


def test_it_asks_nothing_of_any_network(split: Path, tmp_path: Path) -> None:
    page = report(split, tmp_path / "page.html", ["a_0", "b_1"])
    seen = Reader(page)
    namespace = "http://www.w3.org/2000/svg"  # a name, not an address
    text = re.sub(r'base64,[^"]*"|<script type=.*?</script>', "", page.replace(namespace, ""))
    assert not re.search(r"https?:|[^:]//[a-z]|@import|url\(", text)
    for target in seen.values("href", "src", "xlink:href"):
        assert target.startswith(("#", "data:image/")), target
    links = {v.removeprefix("#") for v in seen.values("href") if v.startswith("#")}
    inner = {link for link in links if "=" not in link}  # the others name an object to play
    ids = seen.values("id")
    assert inner <= set(ids)
    assert len(ids) == len(set(ids))


def test_same_artifacts_same_bytes(split: Path, tmp_path: Path) -> None:
    names = ["a_0", "b_1"]
    first = report(split, tmp_path / "one.html", names)
    assert first == report(split, tmp_path / "two.html", names[::-1])


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    name = "<script>alert('x')<&script>\"0"
    build(tmp_path / "work", tmp_path / "data", [name], scored=True)
    page = report(tmp_path / "work", tmp_path / "page.html", [name])
    seen = Reader(page)
    assert name in seen.text
    assert page.count("<script>") == 1 and page.count("</script>") == 1 + page.count(
        "<script type="
    )
    assert list(seen.data["data-video"]) == [name]
    assert "<b>& more</b>" in seen.text  # a reason edited by hand


# --- stale ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spoiled", "with_", "message"),
    [
        # an edited decision: the masks were not made from it
        (f"anchors/{MINED.rpartition('.')[0]}/a_0.json", b"\n", "made from anchors"),
        # masks made anew: the scores are of others
        (f"masks/{MINED}/a_0.zip", None, "made from masks"),
        # scores half gone
        (f"scores/{MINED}/a_0.json", b"", "no such file"),
        # an index made anew
        ("frames/a_0.json", b"digest", "made from video"),
        # published numbers of an older run
        ("results/prompted once/results.json", b"results", "other numbers for a_0_1"),
    ],
)
def test_nothing_stale_is_shown(
    own: Path, tmp_path: Path, spoiled: str, with_: bytes | None, message: str
) -> None:
    path = own / spoiled
    if with_ is None:  # the same masks, one more pixel contested
        video = artifacts.read_video(own / "frames/a_0.json")
        track(own, MINED, video, by=2)
    elif with_ == b"":
        path.unlink()
    elif with_ == b"digest":
        path.write_text(re.sub(r'"digest": "\w{4}', '"digest": "0000', path.read_text()))
    elif with_ == b"results":
        path.write_text(re.sub(r'"J": 0\.\d+', '"J": 0.5', path.read_text()))
    else:
        path.write_bytes(path.read_bytes() + with_)
    arguments = [
        "report",
        "--work",
        own,
        "--split",
        "demo",
        "--recipes",
        json.dumps(named(RECIPES)),
    ]
    target = tmp_path / "page.html"
    parser = argparse.ArgumentParser()
    stage.add_arguments(parser)
    parsed = parser.parse_args(
        [*map(str, arguments[1:]), "--videos", "a_0", "--output", str(target)]
    )
    with pytest.raises(ArtifactError, match=message):
        stage.run(parsed)
    assert not target.exists()


# --- parts ----------------------------------------------------------------------------------------


def test_an_outline_keeps_a_single_pixel_and_bounds_noise() -> None:
    dot = np.zeros((1080, 1920), bool)
    dot[500, 900] = True
    assert pictures.outline(dot, pictures.scale_of(dot.shape)) == "M120.1,66.7Z"
    noise = np.random.default_rng(0).random((540, 960)) > 0.5
    assert 0 < len(pictures.outline(noise, pictures.scale_of(noise.shape))) <= pictures.LONGEST
    assert pictures.outline(np.zeros((9, 9), bool), 1.0) == ""


def test_an_outline_goes_around_holes() -> None:
    ring = np.zeros((20, 20), bool)
    ring[2:18, 2:18] = True
    ring[8:12, 8:12] = False
    assert pictures.outline(ring, 1.0).count("M") == 2


def test_no_model_library_is_loaded() -> None:
    code = "import sys, kit.stages.report; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_note_comes_before_the_numbers_and_is_escaped(split: Path, tmp_path: Path) -> None:
    """Random weights must be told of before anybody reads a score."""
    text = report(split, tmp_path / "page.html", ["a_0", "b_1"], note="random & meaningless")
    assert 0 < text.index("random &amp; meaningless") < text.index('id="results"')
    assert 'role="note"' not in report(split, tmp_path / "page.html", ["a_0", "b_1"])


def test_events_of_an_object() -> None:
    there = [True, True, False, False, True]
    curves = {"a": [None, 0.9, 0.8, 0.1, None], "b": [None, 0.9, 0.2, 0.3, None]}
    assert events.of_object(0, there, curves, [4, 4]) == [
        (0, "given"),
        (2, "disappears"),
        (2, "largest disagreement"),
        (3, "worst frame"),
        (4, "anchor"),
        (4, "returns"),
    ]
    assert events.of_object(1, None, {"a": [None, None]}, []) == [(1, "given")]


def test_the_policy_allows_this_script_alone(split: Path, tmp_path: Path) -> None:
    page = report(split, tmp_path / "page.html", ["a_0"])
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page).group(1)
    script = page.rpartition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src &#39;sha256-{digest}&#39;" in policy and "unsafe" not in policy
    assert " style=" not in page  # refused by the policy


# --- anchor sheets ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mining", "folder", "known"),
    [("sam3.dinov3.top3", "sam3", True),
     ("sam3.dinov3.top3@first.greedy", "sam3", True),
     ("sam3.dinov3.top3@first.greedy", "sam3@first.greedy", True),
     ("sam3.dinov3.top3", "sam3", False)],
)  # fmt: skip
def test_a_sheet_shows_what_was_refused(
    split: Path, tmp_path: Path, mining: str, folder: str, known: bool
) -> None:
    """Outcome: from the candidates that were chosen from, wherever they lie, and no others."""
    work = tmp_path / "work"
    shutil.copytree(split, work)
    video = artifacts.read_video(work / "frames/a_0.json")
    target, frame = video.objects[0].id, video.frames[6]
    rle = masks.encode_rle(truth(video, 6) == target)
    path = work / "candidates" / folder / "a_0.jsonl.zst"
    found = [Candidate(frame, target, 0.75, rle, video.shape, "x")]
    artifacts.write_candidates(path, video, found)
    made_of = {"video": video.digest} | ({"candidates": sha256(path)} if known else {})
    selection = Selection([], [Rejected(frame, target, 0.5, "too near")])
    artifacts.write_anchors(work / f"anchors/{mining}/a_0.json", video, selection, made_of)
    recipe = content.Recipe("again", f"{mining}.greedy", mining)
    crops = sheet.refused(Work(work, [recipe], ["a_0"]), recipe, video, target, selection)
    told = "cosine 0.500, detector 0.75: too near"
    assert [(c.frame, c.text) for c in crops] == [(frame, told)] * known
