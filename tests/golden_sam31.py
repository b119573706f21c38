"""Recorded cases of the makers' SAM 3.1 code (see ../shared/golden/sam31), and how to read them."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

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
