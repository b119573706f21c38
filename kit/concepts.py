"""Phrases for objects, in a config or in a file beside it: video to object id to phrase."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from kit.core.errors import ConfigError
from kit.core.files import parse_json

MAX_BYTES = 2**24


def of_video(concepts: Any, video: str, where: str) -> dict[str, str]:
    """The phrases for one video's objects, by id as text; none if it is not named.

    A stage is handed these alone, so that another phrase searches that video's frames again and no
    other's.

    Args:
        concepts: As the config says it: the mapping, or the path of a JSON file with one.
        video: Name of the video.
        where: Of the config, for messages.

    Raises:
        ConfigError: There is no such file, or it is no such mapping.
    """
    named = _read(concepts) if isinstance(concepts, str) else concepts
    place = concepts if isinstance(concepts, str) else where
    if not isinstance(named, Mapping):
        raise ConfigError(f"{place}: expected video to object id to phrase, found {named!r:.60}.")
    phrases = named.get(video, {})
    if not isinstance(phrases, Mapping) or not all(isinstance(p, str) for p in phrases.values()):
        raise ConfigError(
            f"{place}: {video}: expected object id to phrase, such as "
            f'{{"1": "red umbrella"}}, found {phrases!r:.60}.'
        )
    return {str(object_id): phrase for object_id, phrase in phrases.items()}


@cache
def _read(path: str) -> Any:
    try:
        if Path(path).stat().st_size > MAX_BYTES:
            raise ConfigError(f"{path}: more than {MAX_BYTES} bytes of concepts.")
        return parse_json(Path(path).read_text())
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: no such file of concepts. Paths are from where snakemake is run."
        ) from None
    except ValueError as error:
        raise ConfigError(f"{path}: not valid JSON ({error}).") from None
