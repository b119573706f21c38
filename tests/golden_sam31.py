"""Recorded cases of the makers' SAM 3.1 code (see ../shared/golden/sam31), and how to read them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from kit.propagators.recall import Course, by_distance, closest
from kit.trackers.base import Context, Encoded, Hypothesis, Memory, Tracker
from kit.trackers.multiplex import names, sizes
from kit.trackers.multiplex.network import Network

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "golden" / "sam31"
CASES = sorted(path.parent.name for path in FOLDER.glob("*/case.json"))
REASON = f"no golden data at {FOLDER}"


@dataclass(frozen=True)
class Case:
    """One folder."""

    name: str

    @cached_property
    def told(self) -> dict[str, Any]:
        return json.loads((FOLDER / self.name / "case.json").read_text())

    @cached_property
    def expected(self) -> dict[str, torch.Tensor]:
        return load_file(FOLDER / self.name / "expected.safetensors")

    @cached_property
    def trace(self) -> dict[str, torch.Tensor]:
        path = FOLDER / self.name / "trace.safetensors"
        return load_file(path) if path.is_file() else {}

    @cached_property
    def clip(self) -> dict[str, np.ndarray]:
        return dict(np.load(FOLDER / self.told["clip"]))

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        """float32, in the names of the checkpoint."""
        found = load_file(FOLDER / self.told["weights"])
        if self.told["override"]:
            found |= load_file(FOLDER / self.name / self.told["override"])
        return {name: value.float() for name, value in found.items()}

    def network(self) -> Network:
        """The model of the case."""
        model = Network(sizes.from_mapping(self.told["sizes"], self.name))
        model.load_state_dict(names.imported(self.weights))
        return model.eval()

    def pixels(self, frame: int) -> torch.Tensor:
        """A frame as the trunk takes it."""
        image = torch.from_numpy(self.clip["frames"][frame])
        return image.float().permute(2, 0, 1)[None] / 127.5 - 1

    def mask(self, frame: int, object_id: int) -> np.ndarray:
        """Of an object at video size."""
        return self.clip["labels"][frame] == object_id


class Session:
    """A case replayed step by step with the four verbs and the kit's rules of recall.

    As in the makers' code a frame is one entry for all buckets: when one object is prompted, the
    frame becomes a conditioning frame of all.
    """

    def __init__(self, case: Case, tracker: Tracker) -> None:
        self.case, self.tracker = case, tracker
        self.course = Course(case.told["frames"], tracker.span)
        self.slots: list[list[int]] = []  # object ids, bucket by bucket
        self.answers: dict[int, dict[int, Hypothesis]] = {}
        self.best: dict[int, dict[int, int]] = {}
        self.anchors: dict[int, dict[int, Memory]] = {}  # by frame and bucket
        self.tracked: dict[int, dict[int, Memory]] = {}

    def run(self) -> None:
        """All steps."""
        for step in self.case.told["steps"]:
            do, frame = step["do"], step.get("frame")
            if do == "track":
                back = -1 if step["first"] > step["last"] else 1
                for frame in range(step["first"], step["last"] + back, back):
                    self.track(frame, back)
            elif do == "anchor memory":
                self.anchors[frame] = self.remembered(frame, self.given(frame, step["objects"]))
            else:
                assert do in ("prompt", "reprompt", "new objects"), do
                self.admit(step["objects"])
                self.answers.setdefault(frame, {}).update(self.given(frame, step["objects"]))
                self.tracked.pop(frame, None)
                self.anchors[frame] = self.remembered(frame, self.answers[frame])

    def admit(self, objects: Sequence[int]) -> None:
        """Give a slot to every new object."""
        size = self.tracker.span.slots
        for id_ in objects:
            if not any(id_ in bucket for bucket in self.slots):
                if not self.slots or len(self.slots[-1]) == size:
                    self.slots.append([])
                self.slots[-1].append(id_)

    def encoded(self, frame: int) -> Encoded:
        return self.tracker.encode(self.case.clip["frames"][frame])

    def given(self, frame: int, objects: Sequence[int]) -> dict[int, Hypothesis]:
        encoded = self.encoded(frame)
        return {i: self.tracker.condition(encoded, self.case.mask(frame, i)) for i in objects}

    def remembered(self, frame: int, known: Mapping[int, Hypothesis]) -> dict[int, Memory]:
        """Memories by bucket, of those of which anything is known."""
        rows = {
            number: [known.get(id_) for id_ in bucket]
            for number, bucket in enumerate(self.slots)
            if any(id_ in known for id_ in bucket)
        }
        memories = self.tracker.remember(self.encoded(frame), list(rows.values()))
        return dict(zip(rows, memories, strict=True))

    def track(self, frame: int, back: int) -> None:
        """Find all objects of before; a frame that was prompted before tracking stays as it is."""
        if frame in self.anchors and frame in self.answers:
            return
        encoded = self.encoded(frame)
        contexts = [self.context(frame, back, number) for number in range(len(self.slots))]
        every = self.tracker.decode(encoded, contexts, every=True)
        best = self.tracker.decode(encoded, contexts)
        ids = [id_ for bucket in self.slots for id_ in bucket]
        self.answers[frame] = dict(zip(ids, best, strict=True))
        self.best[frame] = {
            id_: int((all_.pointers - one.pointers).abs().sum(-1).argmin())
            for id_, all_, one in zip(ids, every, best, strict=True)
        }
        self.tracked[frame] = self.remembered(frame, self.answers[frame])

    def context(self, frame: int, back: int, bucket: int) -> Context:
        """What a bucket recalls; backwards the frames are counted from the end."""

        def turned(number: int) -> int:
            return number if back > 0 else self.course.length - 1 - number

        anchors = {f: own[bucket] for f, own in sorted(self.anchors.items()) if bucket in own}
        tracked = {turned(f): own[bucket] for f, own in self.tracked.items() if bucket in own}
        chosen = closest(anchors, frame, self.tracker.span.anchors)  # by number, also backwards
        context = by_distance(
            {turned(f): memory for f, memory in anchors.items()},
            tracked,
            turned(frame),
            self.course,
            [turned(f) for f in chosen],
        )
        return replace(context, slots=tuple(range(len(self.slots[bucket]))))
