"""Every touch of Snakemake's insides; tests/test_internals.py has one test for each.

All else in these rules is Snakemake as documented. What stands here is known to hold for 9.27.
"""

import gc
from functools import cache

import snakemake.rules
from snakemake import common, dag
from snakemake.exceptions import IncompleteCheckpointException
from snakemake.io import _IOFile
from snakemake.jobs import Job
from snakemake.output_index import OutputIndex

# A plan is millions of objects that stay to its end: to look for garbage among them again and
# again would take a seventh of its time. `keep_plan` has it looked for among what comes later.
gc.disable()


def keep_plan():
    """Look for garbage again, but no more among the objects of the plan."""
    gc.freeze()
    gc.enable()


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


def know_local_files():
    """Take every file for one that lies on a file system: the kit supports no object storage.

    Snakemake looks for the mark of a stored one some hundred times for each file that it plans with.
    """
    _IOFile.is_storage = False


def unpatched(function):
    """What stood there before; several workflows may be planned in one process, as by tests."""
    return getattr(function, "original", function)


def inspect_once():
    """Look up the parameters of a function once; Snakemake does so whenever a job calls it."""

    def parameters(function):
        own = getattr(function, "__func__", function)
        if (own, type(function)) not in seen:
            seen[own, type(function)] = original(function)
        return seen[own, type(function)]

    seen, original = {}, unpatched(common.get_function_params)
    parameters.original = original
    common.get_function_params = snakemake.rules.get_function_params = parameters


def find_by_name(plan):
    """Tell which job makes a file by a look at the file's name, for files that each video has.

    Snakemake tries all files that a rule names and all values that their wildcards may have. Of a
    checkpoint with 5,000 files that is 25 million comparisons whenever it plans.
    """
    places = {one: place for one in workflow.rules if (place := plan.place(one.name))}

    class ByName(OutputIndex):
        def __init__(self, known):
            super().__init__(known)
            self.producers = {}  # every file is asked for by all jobs that read it

        def match_producers(self, path):
            if path not in self.producers:
                near = (one for one, place in places.items() if path.startswith(place))
                found = {one for one in near if plan.find(one.name, path)}
                self.producers[path] = found or super().match_producers(path)
            return self.producers[path]

    dag.OutputIndex = ByName
    for one in places:
        one.get_wildcards = wildcards_by_name(one, plan)


def wildcards_by_name(one, plan):
    """The same for the wildcards of a rule."""
    matched = one.get_wildcards

    def get_wildcards(path, wildcards_dict=None):
        found = plan.find(one.name, path) if path else None
        if found is None:
            return matched(path, wildcards_dict)
        return {name: found[name] for name in one.wildcard_names}

    return get_wildcards


def format_once():
    """Format the command of a job once; Snakemake does so whenever it is asked for, thrice a job."""

    def shellcmd(job):
        attempt, params, text = getattr(job, "_shellcmd", (None, None, None))
        if attempt != job.attempt or params is not job.params:
            text = formatted(job)
            job._shellcmd = job.attempt, job.params, text
        return text

    formatted = shellcmd.original = unpatched(Job.shellcmd.fget)
    Job.shellcmd = property(shellcmd)
