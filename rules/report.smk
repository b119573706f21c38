"""One page that shows what every recipe did.

REQUIRES everything before it
MAKES    {WORK}/report/SPLIT.html
"""


rule report:
    """Write the report: tables, a player per object, anchors with their reasons."""
    message:
        "report"
    input:
        [every_file(part) for part in PLAN.targets()],
    output:
        PLAN.report,
    log:
        f"{WORK}/logs/report.log",
    benchmark:
        f"{WORK}/benchmarks/report.tsv"
    params:
        work=WORK,
        split=CONFIG.values["split"],
        recipes=canonical_json(
            {
                name: [recipe.path, recipe.mining]
                for name, recipe in CONFIG.recipes.items()
            }
        ),
        videos=PLAN.named,
        note=["--note", PLAN.note] if PLAN.note else [],
        version=version_of("report"),
    shell:
        "{PYTHON:q} -m kit report --work {params.work:q} --split {params.split:q} --recipes {params.recipes:q} --videos {params.videos:q} {params.note:q} --output {output:q} > {log:q} 2>&1"
