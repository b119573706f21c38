"""Every touch of Snakemake's insides; tests/test_internals.py has one test for each.

The one module that imports Snakemake. All else that rules do with it is as documented; what stands
here is known to hold for 9.27.
"""

import gc
import threading
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import snakemake.rules
from snakemake import common, dag
from snakemake.exceptions import IncompleteCheckpointException
from snakemake.io import _IOFile
from snakemake.jobs import Job
from snakemake.output_index import OutputIndex

from kit.config import given
from kit.plan import Plan
from kit.recipes import Recipe


def as_given(workflow: Any) -> Any:
    """The configuration as its files and `--config` say it.

    Snakemake's own reading takes the last of two equal keys, and what is nested in `--config` for
    text. The names of the files and the words themselves are not what it offers to rules.
    """
    words = workflow.config_settings.config_args or []
    return given(workflow.configfiles, words)


def lift_rate(workflow: Any) -> None:
    """Do without Snakemake's rate limit unless it was asked for.

    With one, Snakemake 9.27 looks for ready jobs again a second after every look that found some:
    as many looks a second as jobs have ended, until they fill a core.
    """
    limit = workflow.scheduler.job_rate_limiter
    if limit and (limit.max_jobs, limit.timespan) == (100, 1):  # its default
        workflow.scheduler.job_rate_limiter = None


def end_when_told(workflow: Any) -> None:
    """Let Snakemake hear SIGTERM while it books a finished job.

    Its handler takes a lock that the interrupted code may hold (9.27.1, job_scheduler.py:575 within
    :231): a run that a batch system ends at that moment would wait for itself for ever.
    """
    workflow.scheduler._lock = threading.RLock()


def offer_devices(workflow: Any, count: int) -> None:
    """Let so many jobs on a GPU run at once, unless the user said how many.

    Jobs that could only wait for a GPU of this machine would hold cores. On a cluster its own
    scheduler knows.
    """
    local = workflow.resource_settings.nodes is None
    if count and local and "gpu" not in workflow.global_resources:
        workflow.register_resource("gpu", count)


def rules_to_run(workflow: Any) -> set[str]:
    """Names of the rules that have jobs to run, as far as is known when a run starts."""
    return {job.rule.name for job in workflow.dag.needrun_jobs()}


# --- decisions ----------------------------------------------------------------------------------


def waiting(checkpoints: Any) -> Callable[[Iterable[Recipe]], None]:
    """A function that goes no further until the anchors of recipes are chosen, of all videos.

    Snakemake goes through the files of all videos to tell, and is asked for every job: hence the
    cache, which holds until more files of the checkpoint are made.
    """

    @cache
    def missing(mining: str, made: int) -> Any:
        try:
            checkpoints.anchors.get(key=mining)
        except IncompleteCheckpointException as wait:
            return wait.targetfile
        return None

    def await_anchors(recipes: Iterable[Recipe]) -> None:
        for recipe in recipes:
            file = missing(recipe.mining, len(checkpoints.created_output))
            if file is not None:
                raise IncompleteCheckpointException(checkpoints.anchors.rule, file)

    return await_anchors


# --- speed --------------------------------------------------------------------------------------


def plan_once() -> None:
    """Keep Snakemake from doing the same for every job, before it plans.

    A plan is millions of objects that stay to its end: to look for garbage among them again and
    again would take a seventh of its time.
    """
    gc.disable()
    _inspect_once()
    _format_once()
    _IOFile.is_storage = False  # no object storage; it looks a hundred times for each file


def keep_plan() -> None:
    """Look for garbage again, but no more among the objects of the plan."""
    gc.freeze()
    gc.enable()


def _original(function: Any) -> Any:
    """What stood there before; several workflows may be planned in one process, as by tests."""
    return getattr(function, "original", function)


def _inspect_once() -> None:
    """Look up the parameters of a function once; Snakemake does so whenever a job calls it."""

    def parameters(function: Any) -> Any:
        own = getattr(function, "__func__", function)
        if (own, type(function)) not in seen:
            seen[own, type(function)] = original(function)
        return seen[own, type(function)]

    seen: dict[Any, Any] = {}
    original = parameters.original = _original(common.get_function_params)  # type: ignore[attr-defined]
    common.get_function_params = snakemake.rules.get_function_params = parameters


def _format_once() -> None:
    """Format the command of a job once; Snakemake does so thrice a job."""

    def shellcmd(job: Any) -> Any:
        attempt, params, text = getattr(job, "_shellcmd", (None, None, None))
        if attempt != job.attempt or params is not job.params:
            text = formatted(job)
            job._shellcmd = job.attempt, job.params, text
        return text

    formatted = shellcmd.original = _original(Job.shellcmd.fget)  # type: ignore[attr-defined]
    Job.shellcmd = property(shellcmd)


def find_by_name(workflow: Any, plan: Plan) -> None:
    """Tell which job makes a file by a look at the file's name, for files that each video has.

    Snakemake tries all files that a rule names and all values that their wildcards may have. Of a
    checkpoint with 5,000 files that is 25 million comparisons whenever it plans.
    """
    places = {one: place for one in workflow.rules if (place := plan.place(one.name))}

    class ByName(OutputIndex):  # type: ignore[misc]
        def __init__(self, rules: Any) -> None:
            super().__init__(rules)
            self.producers: dict[str, set[Any]] = {}  # each file is asked for by all its readers

        def match_producers(self, path: str) -> set[Any]:
            if path not in self.producers:
                near = (one for one, place in places.items() if path.startswith(place))
                found = {one for one in near if plan.find(one.name, path)}
                self.producers[path] = found or super().match_producers(path)
            return self.producers[path]

    dag.OutputIndex = ByName
    for one in places:
        one.get_wildcards = _wildcards_by_name(one, plan)


def _wildcards_by_name(one: Any, plan: Plan) -> Callable[..., Any]:
    """The same for the wildcards of a rule."""
    matched = one.get_wildcards

    def get_wildcards(path: str | None, wildcards_dict: Any = None) -> Any:
        found = plan.find(one.name, path) if path else None
        if found is None:
            return matched(path, wildcards_dict)
        return {name: found[name] for name in one.wildcard_names}

    return get_wildcards
