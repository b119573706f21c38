"""Each module of SAM 3.1's tracker against recorded inputs and outputs of the makers' modules."""

from collections.abc import Iterator

import pytest
import torch
from golden_sam31 import CASES, FOLDER, REASON, Case

from kit.trackers.multiplex import codes, names
from kit.trackers.multiplex.layers import resized
from kit.trackers.multiplex.memory_attention import Remembered
from kit.trackers.multiplex.network import Network
from kit.trackers.multiplex.sizes import PUBLIC, Sizes

pytestmark = pytest.mark.skipif(not CASES, reason=REASON)
TRACED = [name for name in CASES if (FOLDER / name / "trace.safetensors").is_file()]
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def plain() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.inference_mode():
        yield
    torch.set_num_threads(threads)


@pytest.fixture(params=TRACED)
def case(request: pytest.FixtureRequest) -> Case:
    return Case(request.param)


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=5e-5, rtol=1e-5)


def frames_of(case: Case, module: str) -> list[int]:
    stems = {key.split(".")[1] for key in case.trace if key.startswith(f"{module}.f")}
    return sorted(int(stem[1:]) for stem in stems)


def grid_tokens(sizes: Sizes) -> torch.Tensor:
    return codes.grid_code(sizes.grid, sizes.width, CPU).flatten(1).T[None]


def as_map(tokens: torch.Tensor, side: int) -> torch.Tensor:
    return tokens.transpose(1, 2).unflatten(2, (side, side))


def test_trunk_and_necks(case: Case) -> None:
    if "encode.trunk" not in case.trace:
        pytest.skip("this case has no trace of the vision half")
    model, trace = case.network(), case.trace
    hidden = model.vision.hidden(case.pixels(0))
    close(as_map(hidden, model.sizes.grid), trace["encode.trunk"])
    prompt, levels = model.vision.necks(hidden)
    close(prompt, trace["encode.prompt1"])
    for level, name in zip(levels, ("track4", "track2", "track1"), strict=True):
        close(level, trace[f"encode.{name}"])
    code = codes.grid_code(model.sizes.grid, model.sizes.width, CPU)
    close(code, trace["encode.position"][0])


def test_head_of_prompts(case: Case) -> None:
    model, trace = case.network(), case.trace
    prompts, decoder = model.interactive_sam_prompt_encoder, model.interactive_sam_mask_decoder
    sparse, dense = prompts(trace["prompt.hint"])
    close(sparse, trace["prompt.sparse"])
    close(dense, trace["prompt.dense"])
    places = prompts.pe_layer(model.sizes.grid)
    close(places, trace["prompt.places"][0])
    tokens = torch.cat([decoder.tokens().expand(len(sparse), -1, -1), sparse], 1)
    tokens, _ = decoder.transformer(tokens, trace["prompt.image"] + dense, places)
    close(tokens[:, 2], trace["prompt.token"])
    close(decoder.pred_obj_score_head(tokens[:, 0])[:, 0], trace["prompt.score"])


def test_memory_attention(case: Case) -> None:
    model = case.network()
    turn = codes.rotations(model.sizes.grid, model.sizes.width // model.sizes.memory_heads, CPU)
    for frame in frames_of(case, "attend"):
        part = {k: case.trace[f"attend.f{frame:02d}.{k}"] for k in (
            "image", "memory", "memory_image", "image_code", "code", "pointers", "out",
        )}  # fmt: skip
        count = int(part.pop("pointers"))
        part = {key: value.transpose(0, 1) for key, value in part.items()}
        image = torch.cat([part["memory_image"], torch.zeros(1, count, model.sizes.width)], 1)
        code = torch.cat([part["image_code"], part["code"][:, -count:]], 1)
        recalled = Remembered(part["memory"], image, code, count)
        encoder = model.transformer.encoder
        close(encoder(part["image"], grid_tokens(model.sizes), recalled, turn), part["out"])


def test_decoder(case: Case) -> None:
    model, side = case.network(), case.network().sizes.grid
    used = torch.tensor([[id_ is not None for id_ in slots] for slots in case.told["slots"]])
    for frame in frames_of(case, "decode"):
        stem = f"decode.f{frame:02d}"
        image = as_map(case.trace[f"attend.f{frame:02d}.out"].transpose(0, 1), side)
        fine = (case.trace[f"{stem}.fine4"], case.trace[f"{stem}.fine2"])
        found = model.decode(image, fine, used.float())
        close(found.iou, case.trace[f"{stem}.iou"])
        close(found.presence, case.trace[f"{stem}.score"][..., 0])
        close(found.tokens, case.trace[f"{stem}.tokens"])
        close(found.masks[used][None], case.trace[f"{stem}.masks"])


def test_memory_encoder(case: Case) -> None:
    model, side = case.network(), case.network().sizes.grid
    for frame in frames_of(case, "remember"):
        stem = f"remember.f{frame:02d}"
        if f"{stem}.maps" not in case.trace:
            continue  # too large to be kept for 16 slots
        _, levels = model.vision.necks(model.vision.hidden(case.pixels(frame)))
        maps = resized(case.trace[f"{stem}.maps"], 16 * side, antialias=True)
        close(model.maskmem_backbone(levels[2], maps), case.trace[f"{stem}.out"])


def test_names_and_shapes_are_those_of_the_public_checkpoint() -> None:
    """keys.txt: name, shape in two tiny models, public shape."""
    lines = (FOLDER / "keys.txt").read_text().splitlines()
    rows = [line.split() for line in lines if not line.startswith("#")]
    listed = {name: shape for name, *_, shape in rows if names.of_tracker(name)}
    found = {n: "x".join(map(str, s)) for n, s in names.expected(PUBLIC).items()}
    assert listed == {name: found[name] for name in listed}
    deeper = [name for name in found if name not in listed]  # the tiny trunk has fewer blocks
    assert all(".trunk.blocks." in name for name in deeper)
    assert len([name for name in found if name.startswith(names.TRACKER)]) == 457


def test_weights_come_back_under_the_same_names(case: Case) -> None:
    weights, back = case.weights, names.exported(case.network().state_dict())
    assert sorted(back) == sorted(name for name in weights if names.of_tracker(name))
    for name, value in back.items():
        if name.endswith("pos_embed"):  # the class token's row is not kept
            assert torch.equal(value[:, 1:], weights[name][:, 1:])
        else:
            assert torch.equal(value, weights[name])
    assert isinstance(case.network(), Network)
