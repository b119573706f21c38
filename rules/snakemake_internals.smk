"""Every touch of Snakemake's insides; tests/test_internals.py has one test for each.

All else in these rules is Snakemake as documented. What stands here is known to hold for 9.27.
"""

from functools import cache

from snakemake.exceptions import IncompleteCheckpointException

from kit.config import given


def as_given():
    """The configuration as its files and `--config` say it.

    Snakemake's own reading takes the last of two equal keys, and what is nested in `--config` for
    text. The names of the files and the words themselves are not what it offers to rules.
    """
    words = workflow.config_settings.config_args or []
    return given(workflow.configfiles, words)


def lift_rate():
    """Do without Snakemake's rate limit unless it was asked for.

    With one, Snakemake 9.27 looks for ready jobs again a second after every look that found some:
    as many looks a second as jobs have ended, until they fill a core.
    """
    limit = workflow.scheduler.job_rate_limiter
    if limit and (limit.max_jobs, limit.timespan) == (100, 1):  # its default
        workflow.scheduler.job_rate_limiter = None


def offer_devices(count):
    """Let so many jobs on a GPU run at once, unless the user said how many.

    Jobs that could only wait for a GPU of this machine would hold cores. On a cluster its own
    scheduler knows.
    """
    if count and workflow.resource_settings.nodes is None:
        if "gpu" not in workflow.global_resources:
            workflow.register_resource("gpu", count)


def await_anchors(recipes):
    """Go no further until the anchors of these recipes are chosen, those of all videos."""
    for recipe in recipes:
        missing = first_missing(recipe.mining, len(checkpoints.created_output))
        if missing is not None:
            raise IncompleteCheckpointException(rules.anchors.rule, missing)


@cache
def first_missing(mining, made):
    """What Snakemake waits for before it knows anchors, once so many files of them are made.

    It goes through the files of all videos to tell, and is asked for every job: hence the cache.
    """
    try:
        checkpoints.anchors.get(key=mining)
    except IncompleteCheckpointException as wait:
        return wait.targetfile
    return None


# What loads models, and what that waits for: more of it may come once anchors are chosen.
USING_WEIGHTS = {
    "finetune",
    "frames",
    "candidates",
    "union",
    "features",
    "manifest",
    "anchors",
    "masks",
    "verify",
    "rivals",
}


def rules_to_run():
    """Names of the rules that have jobs to run, as far as is known when a run starts."""
    return {job.rule.name for job in workflow.dag.needrun_jobs()}
