"""The engine against stored outputs of the public libraries (see ../shared/golden/tracker).

Bit-equality needs the instruction set and torch build of the recording; elsewhere the limits of the
golden README hold: few changed pixels, the same decisions.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from kit.propagators import greedy
from kit.trackers import sam2, sam3
from kit.trackers.base import FrameResult, Prompt, Tracker

GOLDEN = Path(__file__).resolve().parents[2] / "shared" / "golden" / "tracker"

pytestmark = pytest.mark.skipif(not GOLDEN.is_dir(), reason=f"no golden data at {GOLDEN}")

# case: largest share of changed mask pixels that another instruction set makes (golden README,
# its column times three and never below 1e-3)
GREEDY = {
    "sam2_plain_1obj": 1e-3,
    "sam2_plain_3obj": 1e-3,
    "sam2_plain_3obj_anchors": 1e-3,
    "tf_sam2_video_first_frame": 1e-3,
    "tf_sam2_video_anchors": 1e-3,
    "tf_sam3_tracker_first_frame": 1.6e-3,
    "tf_sam3_tracker_anchors": 1e-3,
}


class Clip:
    """Frames of a golden clip, decoded when asked for."""

    def __init__(self, name: str, length: int) -> None:
        self.folder = GOLDEN / "clips" / name
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> np.ndarray:
        with Image.open(self.folder / "frames" / f"{index:05d}.png") as image:
            return np.array(image.convert("RGB"))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def read_case(name: str) -> dict:
    return json.loads((GOLDEN / name / "case.json").read_text())


def load_tracker(case: dict, **settings: object) -> Tracker:
    """The model of a case with its weights, wrapped."""
    model = case["model"]
    weights: dict[str, torch.Tensor] = {}
    for file in model["weights"]:
        weights |= load_file(GOLDEN / file)
    if "yaml" in model:
        import sam2 as package  # noqa: F401  (initialises hydra's configuration module)
        from hydra import compose
        from hydra.utils import instantiate
        from omegaconf import OmegaConf

        config = compose(config_name=model["yaml"], overrides=model["overrides"])
        OmegaConf.resolve(config)
        network = instantiate(config.model, _recursive_=True)
        network.load_state_dict(weights)
        return sam2.build(network, sam2.Config(**settings))
    import transformers

    kind = getattr(transformers, case["library"]["class"])
    folder = GOLDEN / case["case"] / model["config_file"]
    network = kind(kind.config_class.from_dict(json.loads(folder.read_text())))
    network.load_state_dict(weights)
    return sam3.build(network, sam3.Config(resample="bicubic", **settings))


def read_prompts(case: dict) -> list[Prompt]:
    prompts = []
    for item in case["input"]["prompts"]:
        with Image.open(GOLDEN / item["mask"]) as image:
            mask = np.array(image) == item["label"]
        prompts.append(Prompt(item["frame"], item["object"], mask, item["frame"] == 0))
    return prompts


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array, dtype="<f4").tobytes()).hexdigest()


def same_kernels(digests: dict) -> bool:
    """Whether this machine computes as the recording one did."""
    there = digests["environment"]
    return (
        torch.backends.cpu.get_cpu_capability() == there["cpu_capability"]
        and torch.__version__.split("+")[0] == there["torch"]
    )


def check_masks(name: str, results: list[FrameResult], limit: float) -> None:
    """Masks of every object, bit for bit or within the limit."""
    expected = np.load(GOLDEN / name / "expected.npz")
    digests = json.loads((GOLDEN / name / "digests.json").read_text())
    for row, id_ in enumerate(results[0].object_ids):
        logits = np.stack([result.logits[row] for result in results])
        width = logits.shape[-1]
        masks = np.unpackbits(expected[f"obj{id_}.mask_bits"], axis=-1)[..., :width].astype(bool)
        changed = float(((logits > 0) != masks).mean())
        assert changed <= limit, f"{name}, object {id_}: share {changed:.2e} of the pixels changed"
        if same_kernels(digests):
            assert [digest(frame) for frame in logits] == digests[f"obj{id_}.video"]


@pytest.mark.parametrize("name", GREEDY)
def test_greedy_reproduces_the_library(name: str) -> None:
    case = read_case(name)
    clip = Clip(case["input"]["clip"], case["input"]["num_frames"])
    results = list(greedy.propagate(load_tracker(case), clip, read_prompts(case), greedy.Config()))
    assert [result.frame for result in results] == list(range(len(clip)))
    check_masks(name, results, GREEDY[name])
    expected = np.load(GOLDEN / name / "expected.npz")
    for row, id_ in enumerate(results[0].object_ids):
        iou = expected[f"obj{id_}.iou"]
        best = np.where(np.isnan(iou).any(1), 1, iou.max(1))  # NaN on prompted frames: 1
        np.testing.assert_allclose([r.iou[row] for r in results], best, atol=1e-3)
        presence = expected[f"obj{id_}.object_score"]
        np.testing.assert_allclose([r.presence[row] for r in results], presence, atol=0.05)
