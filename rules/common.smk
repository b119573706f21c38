"""What every rule uses: the checked configuration, the videos, and paths.

The plan reads files' names and sizes alone; pixels belong to `kit`.
"""

import shlex
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

from kit import plugins
from kit.config import Config
from kit.core.errors import KitError
from kit.core.files import canonical_json
from kit.data import layout
from kit.runtime import client
from kit.runtime.claim import claim


def say_set_aside():
    """What happened to the devices belongs on the screen, not only in the logs of some jobs."""
    for device in client.set_aside(RUN) if RUN else []:
        print(f"{device} was set aside: jobs failed there that did well elsewhere.")


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
MININGS = {recipe.mining: recipe for recipe in RECIPES.values()}
TRACKS = {recipe.track: recipe for recipe in RECIPES.values()}
PATHS = {recipe.path: recipe for recipe in RECIPES.values()}
SETUP = config.get("run", {})
BATCH = SETUP.get("batch", 4)
if workflow.is_main_process and not workflow.dryrun:
    checked(lambda: claim(Path(".snakemake").absolute(), Path(WORK)))
RUN = client.announce(SETUP.get("slots", 1), SETUP.get("resident", True))
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


wildcard_constraints:
    video="|".join(map(re.escape, VIDEOS)),
    detector="[A-Za-z0-9_-]+",
    embedder="[A-Za-z0-9_-]+",
    mining="|".join(map(re.escape, MININGS)),
    track="|".join(map(re.escape, TRACKS)),
    path="|".join(map(re.escape, PATHS)),
    recipe="|".join(map(re.escape, RECIPES)),


def flags(values):
    """Command-line flags with their values, safe for the shell."""
    return " ".join(
        f"{flag} {shlex.quote(str(value))}" for flag, value in values.items()
    )


def version(stage, family=None, preset=None):
    """What an edit of the code must change for its results to be made again."""
    own = f"{stage}={plugins.version('stages', stage)}"
    return own if family is None else f"{own} {CONFIG.versions(family, preset)}"


def source(video):
    """What a video's sources look like from outside; a touch is no change."""
    if DRAWN is not None:
        return canonical_json(drawing())
    return checked(lambda: SPLIT.fingerprint(video))


def length(wildcards):
    """Priority of a video: the longest first, so that none is left alone at the end."""
    return 0 if DRAWN is not None else checked(lambda: SPLIT.length(wildcards.video))


def drawing():
    """What the drawing of one video depends on."""
    return {key: value for key, value in DRAWN.items() if key != "videos"}


def gated(recipe, pattern):
    """Files made from anchors, named only once all decisions of that mining are there.

    Snakemake then knows, in the same run, which anchors changed, and what follows from the others
    stays. Whatever depends on anchors must come through here; one plain path would mark all.
    """

    def names(wildcards):
        checkpoints.anchors.get(mining=recipe.mining)
        return expand(
            pattern,
            video=VIDEOS,
            path=recipe.path,
            track=recipe.track,
            recipe=recipe.name,
        )

    return names
