"""What every rule uses: the plan of the configuration, and functions that ask it.

What is made of what, and from which settings, stands in `kit/layers.py` and `kit/plan.py`.
"""

import os
import shlex
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

from kit import layers
from kit import snakemake_internals as internals
from kit.config import Config
from kit.core import broken
from kit.core.errors import KitError
from kit.core.files import canonical_json
from kit.plan import Plan, version_of
from kit.runtime import client, guard, reachable
from kit.runtime.claim import claim, recover


def say_set_aside():
    """What happened to the devices belongs on the screen, not only in the logs of some jobs."""
    for device in client.set_aside(RUN) if RUN else []:
        print(f"{device} was set aside: jobs failed there that did well elsewhere.")


def say_broken():
    """The videos that broke, and why: the last word of a run."""
    lost = broken.records(Path(WORK))
    if lost:
        print("\n".join(broken.told(lost, len(PLAN.named))))
        print("Fix the cause and run again: those videos run, then what sums up.")
    return bool(lost)


def checked(make):
    """Make a value, or stop with the message alone if the user can fix the cause."""
    try:
        return make()
    except KitError as error:
        raise WorkflowError(str(error)) from None


internals.plan_once()
await_anchors = internals.waiting(checkpoints)
CONFIG = checked(lambda: Config(internals.as_given(workflow)))
PLAN = checked(lambda: Plan(CONFIG))
WORK, VIDEOS = PLAN.work, PLAN.videos
PYTHON = sys.executable  # rules run with the interpreter that runs Snakemake
SETUP = CONFIG.values.get("run", {})
BATCH = SETUP.get("batch", 4)
TEAM = PLAN.team
if workflow.is_main_process:
    checked(lambda: recover(Path(".snakemake").absolute(), Path(WORK)))
    for note in PLAN.chosen.notes():
        print(note, file=sys.stderr)
os.environ[broken.VARIABLE] = WORK  # a job of one video that fails leaves a record
RUN = checked(
    lambda: client.announce(SETUP.get("slots", 1), SETUP.get("resident", True))
)
internals.offer_devices(workflow, len(RUN.devices) * RUN.slots if RUN else 0)


def any_of(names):
    """A wildcard is one of these names and no other."""
    return "|".join(map(re.escape, names)) or "none"


def keys(layer):
    """The path parts that recipes have of a layer."""
    return any_of(PLAN.parts[layer])


wildcard_constraints:
    video=any_of(VIDEOS),
    training=any_of(CONFIG.trainings),


def made(layer):
    """The file of one video that a rule makes, or that of all."""
    found = layers.LAYERS[layer]
    key, video = "{key}" if found.key else "", "" if found.whole else "{video}"
    return layers.file(WORK, layer, key, video)


def beside(layer):
    """What else a rule makes."""
    return layers.beside(WORK, layer, "{key}")


def reads(layer):
    """Everything that a rule reads, named once the anchors that it rests on are chosen.

    Snakemake then knows, in the same run, which anchors changed, and what follows from the others
    stays. One input that came by another way would mark all.
    """

    def files(wildcards):
        part = part_of(layer, wildcards)
        await_anchors(layers.gates(part))
        return PLAN.inputs(part, wildcards.get("video"))

    return unpack(files)


def every_file(part):
    """The files of all videos, named once the anchors that they rest on are chosen."""
    recipes = layers.gates(part)
    if not recipes:
        return PLAN.outputs(part)

    def files(wildcards):
        await_anchors(recipes)
        return PLAN.outputs(part)

    return files


def part_of(layer, wildcards):
    """What a job makes."""
    return PLAN.part(layer, wildcards.get("key", ""))


def told(layer, tell, *more):
    """A param that the plan tells of what a job makes, and of its video if it has one."""

    def value(wildcards):
        video = [wildcards.video] if "video" in wildcards.keys() else []
        return tell(part_of(layer, wildcards), *more, *video)

    return value


def settings(layer):
    """What its stage reads of the configuration."""
    return told(layer, PLAN.settings)


def version(layer):
    """The versions of the code behind it."""
    return lambda wildcards: PLAN.version(part_of(layer, wildcards))


def first_pass(layer):
    """Flags for the first pass that it goes on from."""
    return told(layer, PLAN.first_pass)


def folder(layer, name):
    """Where all files of one of its inputs lie."""
    return told(layer, PLAN.folder_of, name)


def source(wildcards):
    """What a video's sources look like."""
    return PLAN.source(wildcards.video)


def length(wildcards):
    """Priority of a video."""
    return PLAN.length(wildcards.video)
