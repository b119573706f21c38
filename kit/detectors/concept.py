"""Candidates from SAM 3's detector, asked for a concept by name: "red umbrella".

What SAM 3 was made for, and by public reports its best mode; but MOSEv2 names no categories. So
the phrases come from outside: from the config, or from a file that anyone or anything may have
written, a person or a language model (JSON, video to object id to phrase). Objects without a phrase
are not sought by this source.

Shares its vision pass with `exemplar_tokens`. As in transformers, and not in facebookresearch/sam3,
no geometry token goes with a phrase that stands alone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated

import torch

from kit.core.limits import PerVideo
from kit.core.types import Candidate
from kit.detectors import prompting
from kit.detectors.base import Limits, Search, searched
from kit.detectors.prompting import Asked, Views

VERSION = 1
MODEL = "sam3_detector"
SHARES_PASS = True
SOURCE = "concept"


@dataclass(frozen=True)
class Config(Limits):
    """What to ask for."""

    # object id to phrase, of this video; in a config: video to that, or a JSON file of the same
    concepts: Annotated[Mapping[str, str], PerVideo()] = field(kw_only=True)


def detect(search: Search, config: Config) -> Iterator[Candidate]:
    """Candidates of every object that has a phrase, on the frames after its exemplar."""
    views = Views(search)
    return prompting.detect(search, views, asked(search, views, config))


@torch.inference_mode()
def asked(search: Search, views: Views, config: Config) -> list[Asked]:
    """A prompt for each object that has a phrase."""
    return [
        Asked(exemplar, frames, prompting.text_prompt(search.model, phrase), config, SOURCE)
        for exemplar, frames in searched(search, config)
        if (phrase := config.concepts.get(str(exemplar.object_id)))
    ]
