"""One page that shows what every recipe did.

REQUIRES everything before it
MAKES    {WORK}/report/SPLIT.html
"""

REPORT = f"{WORK}/report/{config['split']}.html"


# Pictures must not pass for results where the models have never seen the like.
TINY = any(model.get("source") == "tiny" for model in config["models"].values())
NOTE = "Made with the tiny models. They know drawn videos alone: on any others masks mean nothing."


rule report:
    """Write the report: table, strips of frames, anchors with their reasons."""
    message:
        "report"
    input:
        mined(),
        tracked(),
        scored(),
    output:
        REPORT,
    log:
        f"{WORK}/logs/report.log",
    benchmark:
        f"{WORK}/benchmarks/report.tsv"
    params:
        work=WORK,
        split=config["split"],
        recipes=canonical_json(
            {name: [recipe.path, recipe.mining] for name, recipe in RECIPES.items()}
        ),
        videos=VIDEOS,
        note=["--note", NOTE] if TINY and DRAWN is None else [],
        version=version("report"),
    shell:
        "{PYTHON:q} -m kit report --work {params.work:q} --split {params.split:q} --recipes {params.recipes:q} --videos {params.videos:q} {params.note:q} --output {output:q} > {log:q} 2>&1"
