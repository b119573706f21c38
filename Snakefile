"""From frames to a scored, validated MOSEv2 submission.

frames -> candidates -> features -> anchors -> masks -> scores -> results, submission, report
"""

from snakemake.logging import logger
from snakemake.utils import min_version

from kit import snakemake_internals as internals
from kit.runtime import narrator, reachable

min_version("9.27")


# Only without --configfile: Snakemake would merge the two files silently.
if not workflow.config_settings.configfiles:

    configfile: "config/config.yaml"


include: "rules/common.smk"
include: "rules/train.smk"
include: "rules/mine.smk"
include: "rules/track.smk"
include: "rules/evaluate.smk"
include: "rules/submit.smk"
include: "rules/report.smk"


internals.find_by_name(workflow, PLAN)


# Too short to wait in a cluster's queue.
localrules:
    all,
    manifest,
    anchors,
    meta,
    results,


rule all:
    message:
        "all files are there"
    default_target: True
    input:
        expand(TRAINED, training=CONFIG.trainings),
        [every_file(part) for part in PLAN.targets()],
        [every_file(part) for part in PLAN.parts["submission"].values()],
        PLAN.report,


onstart:  # never in a dry run, which shows Snakemake's own reasons
    checked(lambda: claim(Path(".snakemake"), Path(WORK)))
    PLAN.record_refused()
    if internals.rules_to_run(workflow) & reachable.RULES:
        checked(lambda: reachable.check(CONFIG.models()))
    narrator.attach(logger.handlers)
    internals.lift_rate(workflow)
    internals.end_when_told(workflow)
    internals.keep_plan()


onsuccess:
    say_set_aside()
    shell("tail -n +1 {WORK:q}/results/*/scores.txt 2>/dev/null || true")
    print(f"report: {PLAN.report}\narchives: {WORK}/submission/")
    incomplete = say_broken()
    if incomplete:
        raise WorkflowError("The run is incomplete: the videos above are missing.")


onerror:
    say_set_aside()
    say_broken()
    print(
        "Some jobs failed; their logs are named above. Everything finished is kept: fix the"
    )
    print("cause and run the same command again.")
