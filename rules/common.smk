"""What every rule uses: the checked configuration, the videos, and paths.

The plan reads files' names and sizes alone; pixels belong to `kit`.
"""

import shlex
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

from snakemake.exceptions import IncompleteCheckpointException, WorkflowError

from kit import plugins
from kit.config import Config
from kit.core.errors import KitError
from kit.core.files import canonical_json
from kit.data import layout
from kit.runtime import client
from kit.runtime.claim import claim, recover


def say_set_aside():
    """What happened to the devices belongs on the screen, not only in the logs of some jobs."""
    for device in client.set_aside(RUN) if RUN else []:
        print(f"{device} was set aside: jobs failed there that did well elsewhere.")


def lift_rate():
    """Do without Snakemake's rate limit unless it was asked for.

    With one, Snakemake 9.27 looks for ready jobs again a second after every look that found some:
    as many looks a second as jobs have ended, until they fill a core.
    """
    limit = workflow.scheduler.job_rate_limiter
    if limit and (limit.max_jobs, limit.timespan) == (100, 1):  # its default
        workflow.scheduler.job_rate_limiter = None


def checked(make):
    """Make a value, or stop with the message alone if the user can mend the cause."""
    try:
        return make()
    except KitError as error:
        raise WorkflowError(str(error)) from None


CONFIG = checked(lambda: Config(config))
PYTHON = sys.executable  # rules run with the interpreter that runs Snakemake
DATA = config["data"]
WORK = f"{config.get('work', 'work')}/{config['split']}"
DRAWN = DATA.get("draw")
RECIPES = CONFIG.recipes
MININGS = {m.mining: m for recipe in RECIPES.values() for m in recipe.minings}
TRACKS = {recipe.track: recipe for recipe in RECIPES.values()}
PATHS = {recipe.path: recipe for recipe in RECIPES.values()}
SETUP = config.get("run", {})
BATCH = SETUP.get("batch", 4)
if workflow.is_main_process:
    recover(Path(".snakemake").absolute(), Path(WORK))
RUN = client.announce(SETUP.get("slots", 1), SETUP.get("resident", True))
# Jobs that could only wait for a GPU of this machine would hold cores.
if RUN and RUN.devices and workflow.resource_settings.nodes is None:
    if "gpu" not in workflow.global_resources:
        workflow.register_resource("gpu", len(RUN.devices) * RUN.slots)
SPLIT = layout.Split(
    Path(f"{WORK}/data" if DRAWN else DATA.get("root", "data")),
    DATA.get("images", "JPEGImages"),
    DATA.get("annotations", "Annotations"),
    None if DRAWN else DATA.get("meta"),
)


def videos_of(data):
    """Names of the videos to run, sorted."""
    if DRAWN is not None:
        return [f"drawn_{number:03d}" for number in range(DRAWN.get("videos", 4))]
    wanted = data.get("videos")
    if isinstance(wanted, str):
        wanted = Path(wanted).read_text().split()
    return sorted(wanted) if wanted else SPLIT.videos()


VIDEOS = checked(lambda: videos_of(DATA))
HAS_TRUTH = bool(DRAWN) or DATA.get("ground_truth", False)


def any_of(names):
    """A wildcard is one of these names and no other."""
    return "|".join(map(re.escape, names)) or "none"


wildcard_constraints:
    video="|".join(map(re.escape, VIDEOS)),
    mining=any_of(MININGS),
    track=any_of(TRACKS),
    path=any_of(PATHS),
    recipe=any_of(RECIPES),


def flags(values):
    """Command-line flags with their values, safe for the shell."""
    return " ".join(
        f"{flag} {shlex.quote(str(value))}" for flag, value in values.items()
    )


@cache
def version(stage, family=None, preset=None):
    """What an edit of the code must change for its results to be made again."""
    own = f"{stage}={plugins.version('stages', stage)}"
    return own if family is None else f"{own} {CONFIG.versions(family, preset)}"


@cache
def source(video):
    """What a video's sources look like from outside; a touch is no change."""
    if DRAWN is not None:
        return canonical_json(drawing())
    return checked(lambda: SPLIT.fingerprint(video))


def length(wildcards):
    """Priority of a video: the longest first, so that none is left alone at the end."""
    return 0 if DRAWN is not None else length_of(wildcards.video)


@cache
def length_of(video):
    """About how many frames a video has; asked for by every job."""
    return checked(lambda: SPLIT.length(video))


def drawing():
    """What the drawing of one video depends on."""
    return {key: value for key, value in DRAWN.items() if key != "videos"}


def await_anchors(recipe):
    """Go no further until the anchors of a recipe are known, those of all videos."""
    missing = first_missing(recipe.mining, len(checkpoints.created_output))
    if missing is not None:
        raise IncompleteCheckpointException(rules.anchors.rule, missing)


@cache
def first_missing(mining, made):
    """What Snakemake waits for before it knows anchors, once so many files of them are made.

    It goes through the files of all videos to tell, and is asked for every job: hence the cache.
    """
    try:
        checkpoints.anchors.get(mining=mining)
    except IncompleteCheckpointException as wait:
        return wait.targetfile
    return None


def await_first(recipe):
    """Go no further until the anchors of the recipe that this one goes on from are known."""
    if recipe.after is not None:
        await_anchors(recipe.after)


def first_pass(recipe, video):
    """The masks and anchors that a recipe goes on from, by flag; none if it starts afresh."""
    if recipe.after is None:
        return {}
    return {
        "--first-masks": f"{WORK}/masks/{recipe.after.path}/{video}.zip",
        "--first-anchors": f"{WORK}/anchors/{recipe.after.mining}/{video}.json",
    }


def first_files(recipe, videos=VIDEOS):
    """The same as inputs, of some videos."""
    await_first(recipe)
    return [file for v in videos for file in first_pass(recipe, v).values()]


def decided(recipe, videos):
    """The decisions that masks of a recipe rest on: of some videos, its own and its first pass's.

    Whatever is made from those masks names them as inputs beside what it reads. When a checkpoint
    ends, Snakemake looks anew only at jobs that name its files: others would keep a mark that the
    masks before them have lost, and run in vain.
    """
    first = [] if recipe.after is None else decided(recipe.after, videos)
    await_anchors(recipe)
    return [
        *first,
        *expand(f"{WORK}/anchors/{recipe.mining}/{{video}}.json", video=videos),
    ]


def gated(recipe, pattern, **more):
    """Files made from anchors, named only once all decisions of that mining are there.

    Snakemake then knows, in the same run, which anchors changed, and what follows from the others
    stays. Whatever depends on anchors must come through here, or through `await_first`, and so must
    every input of its rule; one plain path would mark all.
    """

    def names(wildcards):
        await_anchors(recipe)
        return expand(
            pattern,
            video=VIDEOS,
            path=recipe.path,
            emitted=recipe.emitted,
            track=recipe.track,
            recipe=recipe.name,
            **more,
        )

    return names
