"""Exemplar tokens on the tiny detector, the libraries' own numbers, and what all sources share."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from clips import frames_command, write_clip
from PIL import Image
from tiny_models import counted_passes

from kit import declared, plugins
from kit.cli import main
from kit.core import artifacts
from kit.core.types import Candidate, Video, VideoObject
from kit.detectors import base, prompting
from kit.detectors import exemplar_tokens as et
from kit.detectors.base import Exemplar, Search
from kit.runtime import models

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def detector() -> models.Detector:
    loaded: models.Detector = models.load("sam3_detector", {"source": "tiny"}, "cpu")
    return loaded


def picture(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 10, 3), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize((100, 60), Image.Resampling.BILINEAR))


def clip(frames: int) -> tuple[Video, list[np.ndarray]]:
    names = tuple(f"{i:05d}" for i in range(frames))
    objects = (VideoObject(1, "00000"), VideoObject(2, "00000"))
    video = Video("v", 60, 100, names, Path(), ".jpg", Path(), objects, "digest")
    return video, [picture(i) for i in range(frames)]


def exemplar(object_id: int, frame: int = 0) -> Exemplar:
    mask = np.zeros((60, 100), bool)
    mask[10 + 20 * (object_id - 1) :][:20, 20:50] = True
    return Exemplar(object_id, frame, mask)


def run(
    detector: models.Detector,
    video: Video,
    frames: list[np.ndarray],
    exemplars: list[Exemplar],
    config: et.Config,
    batch: int,
) -> list[Candidate]:
    return list(et.detect(Search(video, frames, exemplars, detector, batch=batch), config))


LOOSE = et.Config(threshold=0.0, nms_iou=1.0, max_per_frame=20)


def test_on_its_own_frame_it_is_the_public_call(detector: models.Detector) -> None:
    """Tokens computed once and handed back equal `input_boxes`, to the last bit."""
    box = torch.tensor([[[0.35, 0.35, 0.3, 0.3]]])
    ids, said = detector.words(models.VISUAL)
    with torch.inference_mode():
        vision = prompting.encode(detector, [picture(0)])
        ours = prompting.detect_prompted(
            detector, vision, et.exemplar_prompt(detector, [(vision, box)], LOOSE)
        )
        theirs = detector.model(
            vision_embeds=vision,
            input_ids=ids,
            attention_mask=said,
            input_boxes=box,
            input_boxes_labels=torch.ones(1, 1, dtype=torch.long),
        )
    for name in ("pred_logits", "pred_boxes", "pred_masks", "presence_logits", "semantic_seg"):
        assert torch.equal(ours[name], theirs[name]), name


def test_another_exemplar_finds_other_things(detector: models.Detector) -> None:
    """A tautology guard: the tokens do reach later frames."""
    video, frames = clip(3)
    first = run(detector, video, frames, [exemplar(1)], LOOSE, 2)
    other = run(detector, video, frames, [exemplar(2)], LOOSE, 2)
    assert [c.score for c in first] != [c.score for c in other]


def test_batches_change_nothing_that_matters(detector: models.Detector) -> None:
    video, frames = clip(5)
    exemplars = [exemplar(1), exemplar(2)]
    single = run(detector, video, frames, exemplars, LOOSE, 1)
    batched = run(detector, video, frames, exemplars, LOOSE, 3)
    key = [(c.frame, c.object_id) for c in single]
    assert sorted(key) == sorted((c.frame, c.object_id) for c in batched)
    for object_id in (1, 2):
        ones = [c.score for c in single if c.object_id == object_id]
        many = [c.score for c in batched if c.object_id == object_id]
        assert ones == pytest.approx(many, abs=1e-5)


def test_each_frame_is_encoded_once_for_all_objects(
    detector: models.Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first frame, from which both prompts are made, too."""
    seen = counted_passes(monkeypatch)
    video, frames = clip(6)
    run(detector, video, frames, [exemplar(1), exemplar(2)], LOOSE, 4)
    assert sum(seen) == 6


def test_candidates_come_after_the_exemplar_only(detector: models.Detector) -> None:
    """An object that enters at frame 2 is sought from frame 3 on."""
    video, frames = clip(5)
    found = run(detector, video, frames, [exemplar(1), exemplar(2, 2)], LOOSE, 2)
    assert {c.frame for c in found if c.object_id == 1} == {"00001", "00002", "00003", "00004"}
    assert {c.frame for c in found if c.object_id == 2} == {"00003", "00004"}


def test_stride(detector: models.Detector) -> None:
    video, frames = clip(6)
    config = et.Config(threshold=0.0, stride=2)
    found = run(detector, video, frames, [exemplar(1)], config, 2)
    assert {c.frame for c in found} == {"00001", "00003", "00005"}


@pytest.mark.parametrize("switch", ["coordinates", "text"])
def test_switches_do_something(detector: models.Detector, switch: str) -> None:
    video, frames = clip(2)
    off = et.Config(threshold=0.0, nms_iou=1.0, max_per_frame=20, **{switch: False})
    with_it = [c.score for c in run(detector, video, frames, [exemplar(1)], LOOSE, 1)]
    without = [c.score for c in run(detector, video, frames, [exemplar(1)], off, 1)]
    assert with_it != without


def test_switching_coordinates_off_leaves_no_hook_behind(detector: models.Detector) -> None:
    video, frames = clip(2)
    before = [c.score for c in run(detector, video, frames, [exemplar(1)], LOOSE, 1)]
    config = et.Config(coordinates=False)
    run(detector, video, frames, [exemplar(1)], config, 1)
    after = [c.score for c in run(detector, video, frames, [exemplar(1)], LOOSE, 1)]
    assert before == after


def boxes(*spans: tuple[int, int]) -> torch.Tensor:
    masks = torch.zeros(len(spans), 1, 12, dtype=torch.bool)
    for row, (start, stop) in enumerate(spans):
        masks[row, 0, start:stop] = True
    return masks


@pytest.mark.parametrize(
    ("scores", "spans", "config", "kept"),
    [
        ([0.5, 0.9], [(0, 4), (6, 10)], {}, [1, 0]),  # best first
        ([0.9, 0.5], [(0, 10), (0, 9)], {"nms_iou": 0.7}, [0]),  # IoU 0.9: one and the same
        ([0.9, 0.5], [(0, 10), (0, 7)], {"nms_iou": 0.7}, [0, 1]),  # IoU exactly 0.7: both stay
        ([0.9, 0.2], [(0, 4), (6, 10)], {"threshold": 0.3}, [0]),
        ([0.9, 0.8, 0.7], [(0, 2), (4, 6), (8, 10)], {"max_per_frame": 2}, [0, 1]),
        ([0.9, 0.8], [(3, 3), (4, 6)], {}, [1]),  # an empty mask is no candidate
        ([0.5, 0.5], [(0, 4), (6, 10)], {}, [0, 1]),  # ties keep the detector's order
        # the second is dropped for the first, so it cannot drop the third
        ([0.9, 0.8, 0.7], [(0, 6), (1, 8), (4, 10)], {"nms_iou": 0.4}, [0, 2]),
    ],
)
def test_mask_nms(
    scores: list[float], spans: list[tuple[int, int]], config: dict[str, float], kept: list[int]
) -> None:
    settings = et.Config(**{"threshold": 0.1, **config})  # type: ignore[arg-type]
    assert prompting.keep_distinct(torch.tensor(scores), boxes(*spans), settings) == kept


def test_golden_exemplar_tokens(golden: Path) -> None:
    """transformers' own outputs on a real clip, recorded with the procedure of case.json."""
    from safetensors.torch import load_file
    from transformers import Sam3Config, Sam3Model

    folder = golden / "tracker" / "sam3_detector_exemplar"
    case = json.loads((folder / "case.json").read_text())["input"]
    model = Sam3Model(Sam3Config.from_dict(json.loads((folder / "config.json").read_text()))).eval()
    weights = golden / "tracker" / "weights" / "sam3_detector_exemplar.safetensors"
    model.load_state_dict(load_file(weights))
    ids = [i for i, said in zip(case["input_ids"], case["attention_mask"], strict=True) if said]
    detector = models.Detector(model, lambda phrase: ids)
    clip_folder = golden / "tracker" / "clips" / "dogs_jump" / "frames"

    def vision(frame: int) -> object:
        image = Image.open(clip_folder / f"{frame:05d}.png").convert("RGB").resize((112, 112))
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
        return model.get_vision_features((pixels - 0.5) / 0.5)

    expected = np.load(folder / "expected.npz")
    with torch.inference_mode():
        box = torch.tensor([case["boxes_cxcywh_normalised"]])
        shown = [(vision(case["exemplar_frame"]), box)]
        prompt = et.exemplar_prompt(detector, shown, et.Config())
        for frame in case["later_frames"]:
            out = prompting.detect_prompted(detector, vision(frame), prompt)
            for name in ("pred_logits", "pred_boxes", "presence_logits"):
                wanted = expected[f"f{frame:02d}.{name}"]
                np.testing.assert_allclose(out[name][0], wanted, atol=1e-4, err_msg=name)
            top = expected[f"f{frame:02d}.top_queries"]
            masks = out.pred_masks[0][top.tolist()]
            wanted = expected[f"f{frame:02d}.top_mask_logits"]
            np.testing.assert_allclose(masks, wanted, atol=1e-4)
    np.testing.assert_allclose(prompt.tokens[0], expected["exemplar.tokens"], atol=1e-4)
    assert (prompt.valid[0].numpy() == expected["exemplar.valid"]).all()


def test_painting_out_the_background_changes_the_prompt_alone(detector: models.Detector) -> None:
    """What lies far from the first mask no longer matters; without it, it does."""
    video, frames = clip(2)
    strange = [frames[0].copy(), frames[1]]
    strange[0][:5, :] = strange[0][:5, ::-1]  # the same pixels elsewhere: the mean stays
    for fill, same in ((True, True), (False, False)):
        config = et.Config(0.0, 1.0, 20, fill_background=fill)
        runs = [
            [c.score for c in run(detector, video, f, [exemplar(1)], config, 1)]
            for f in (frames, strange)
        ]
        assert (runs[0] == runs[1]) is same


def test_isolated_object() -> None:
    """By hand: a 10x20 object, a seam of a tenth of 20, round at the corners."""
    image = np.full((40, 50, 3), 10, np.uint8)
    image[0, 0] = 250  # 240 more over 2000 pixels: the mean rounds to 10
    image[5:38, 5:45] = 90
    mask = np.zeros((40, 50), bool)
    mask[15:25, 15:35] = True
    mean = image.reshape(-1, 3).mean(0).round().astype(np.uint8)
    alone = base.isolated(image, mask, 0.1)
    assert (alone[13:27, 15:35] == 90).all()
    assert (alone[15:25, 13:37] == 90).all()
    assert (alone[13, 13] == mean).all()  # the corner of the seam
    assert (alone[:13] == mean).all()
    assert (alone[:, 37:] == mean).all()
    assert (base.isolated(image, mask, 0.0)[~mask] == mean).all()


def test_look_alikes_leave_later_frames_alone(detector: models.Detector) -> None:
    """One more frame is searched, and on it the target is left out."""
    video, frames = clip(6)
    exemplars = [exemplar(1), exemplar(2, 2)]
    settings = {"threshold": 0.0, "nms_iou": 1.0, "max_per_frame": 20, "stride": 2}
    plain, more = (
        run(detector, video, frames, exemplars, et.Config(**settings, look_alikes=on), 1)  # type: ignore[arg-type]
        for on in (False, True)
    )
    own = [c for c in more if (c.frame, c.object_id) in {("00000", 1), ("00002", 2)}]
    assert own
    assert [c for c in more if c not in own] == plain
    shapes = {e.object_id: e for e in exemplars}
    assert not any(base.shows_target(c.mask, shapes[c.object_id]) for c in own)


@pytest.mark.parametrize(
    ("columns", "same"),
    [
        (np.s_[20:50], True),
        (np.s_[20:30], True),  # a part
        (np.s_[0:100], True),  # holds it
        (np.s_[36:66], False),  # shares 14 of 30
        (np.s_[35:65], False),  # exactly half
        (np.s_[60:90], False),
    ],
)
def test_what_is_the_target_on_its_own_frame(columns: slice, same: bool) -> None:
    mask = np.zeros((60, 100), bool)
    mask[10:30, columns] = True
    assert base.shows_target(mask, exemplar(1)) is same


def test_mask_nms_counts_pixels_exactly_in_half_precision() -> None:
    """IoU 4203/6001 is too much; rounded to 8 bits, as by autocast, it would be 4192/6012."""
    masks = boxes((0, 4), (0, 4)).new_zeros(2, 1, 7000)
    masks[0, 0, :6001] = True
    masks[1, 0, :4203] = True
    config = et.Config(nms_iou=4202.5 / 6001)
    with torch.autocast("cpu", torch.bfloat16):
        assert prompting.keep_distinct(torch.tensor([0.9, 0.5]), masks, config) == [0]


SEARCHING = [
    n for n in plugins.names("detectors") if declared.constant(f"kit.detectors.{n}", "MODEL")
]


@pytest.mark.parametrize("name", SEARCHING)
def test_every_detector_names_the_kind_of_model_it_needs(name: str) -> None:
    assert plugins.load("detectors", name).MODEL in models.tiny.NEW


@pytest.mark.parametrize("name", SEARCHING)
def test_every_detector_runs_as_a_stage_and_writes_the_same_bytes_again(
    name: str, tmp_path: Path
) -> None:
    write_clip(tmp_path / "data")
    index = tmp_path / "frames" / "clip.json"
    assert main(frames_command(tmp_path / "data", index)) == 0
    settings = {"method": name, "model": {"source": "tiny"}, "threshold": 0.0}
    if name == "concept":
        settings["concepts"] = {"1": "ball", "2": "red box"}
    for run in ("one", "two"):
        output = ["--output", str(tmp_path / run)]
        command = ["candidates", "--frames", str(index), "--settings", json.dumps(settings)]
        assert main([*command, *output]) == 0
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    found = artifacts.read_candidates(tmp_path / "one", artifacts.read_video(index))
    assert {c.object_id for c in found} == {1, 2}
    assert {c.source for c in found} == {name}
