"""Killed at any moment at which a file gets its name or loses it, a run goes on as if it was not.

In a small run every renaming and removal of a file is counted: by Snakemake, by jobs, by workers.
At such a moment somebody is signalled. The same command again must leave what an undisturbed run
leaves, byte for byte; and after a setting is changed, the plan must hold all that depends on it.
"""

import itertools
import os
import random
import re
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest
from night import Night

from kit.core.files import sha256

pytestmark = pytest.mark.workflow
WHOM = ("snakemake", "job", "all")
SIGNALS = ("SIGINT", "SIGTERM", "SIGKILL")
SEED, SEEDED = 20261127, 40
UNLIKE = ("logs", "benchmarks")  # of two undisturbed runs


class Undisturbed(NamedTuple):
    """What a run leaves that nobody disturbs.

    Attributes:
        project: Data and configuration, nothing made yet.
        moments: How many there are.
        found: Digest of every file.
        again: What is planned after the setting is changed.
    """

    project: Path
    moments: int
    found: dict[str, str]
    again: list[str]


def copied(project: Path, folder: Path) -> Night:
    return Night(Path(shutil.copytree(project, folder)))


def left(night: Night) -> dict[str, str]:
    files = (f for f in sorted(night.work.rglob("*")) if f.is_file())
    named = ((f.relative_to(night.work), f) for f in files)
    return {str(name): sha256(f) for name, f in named if name.parts[0] not in UNLIKE}


def planned(night: Night) -> list[str]:
    """Jobs of each rule after a setting is changed that the masks depend on."""
    night.configure(lambda values: values["models"]["any"].update(revision="another"))
    plan = night.run("--dry-run", cores=1)
    assert plan.status == 0, plan.text
    return sorted(set(re.findall(r"^\w+ +\d+$", plan.text, re.MULTILINE)))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    folder = tmp_path_factory.mktemp("moments")
    project = Night.new(folder / "project", videos=1).folder
    night = copied(project, folder / "night")
    night.extra = {"SIMULATED_MOMENT": "0:before:job:SIGINT"}
    run = night.run(cores=1)
    assert run.status == 0, run.text
    moments = (night.machine / "moments").stat().st_size
    assert moments > 20
    found = left(night)
    assert {Path(name).suffix for name in found} >= {".zip", ".json", ".html"}
    again = planned(night)
    assert {line.split()[0] for line in again} >= {"masks", "submission", "report"}
    assert night.settled()
    return Undisturbed(project, moments, found, again)


def trials(moments: int) -> Iterator[str]:
    """Every moment, right before and right after, and who is hit by what."""
    of = itertools.product(range(1, moments + 1), ("before", "after"), WHOM, SIGNALS)
    return (":".join(map(str, trial)) for trial in of)


def go_through(undisturbed: Undisturbed, trial: str, folder: Path) -> bool:
    """One trial; False if its moment was not met, since another order of jobs has fewer."""
    night = copied(undisturbed.project, folder)
    night.extra = {"SIMULATED_MOMENT": trial}
    first = night.run(cores=1)
    if not (night.machine / "struck").exists():
        return False
    night.extra = {}
    again = night.run(cores=1)
    assert again.status == 0, f"{trial}\n{first.text}\n---\n{again.text}"
    assert left(night) == undisturbed.found, f"{trial}\n{first.text}\n---\n{again.text}"
    assert planned(night) == undisturbed.again, f"{trial}\n{first.text}\n---\n{again.text}"
    assert night.settled()
    shutil.rmtree(folder)
    return True


def go_through_all(undisturbed: Undisturbed, some: Sequence[str], folder: Path) -> None:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        places = [folder / str(number) for number in range(len(some))]
        met = [*pool.map(go_through, itertools.repeat(undisturbed), some, places)]
    assert sum(met) > 0.8 * len(some)


def test_seeded_moments(undisturbed: Undisturbed, tmp_path: Path) -> None:
    every = [*trials(undisturbed.moments)]
    go_through_all(undisturbed, random.Random(SEED).sample(every, SEEDED), tmp_path)


@pytest.mark.slow  # an hour and more
def test_all_moments(undisturbed: Undisturbed, tmp_path: Path) -> None:
    go_through_all(undisturbed, [*trials(undisturbed.moments)], tmp_path)
