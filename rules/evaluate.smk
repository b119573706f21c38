"""From masks to the official numbers, where there is ground truth.

REQUIRES {WORK}/frames/VIDEO.json, {WORK}/masks/PATH/VIDEO.zip, and what was mined
MAKES    {WORK}/scores/PATH/VIDEO.json
         {WORK}/audits/DETECTOR.EMBEDDER.SELECTOR/VIDEO.json
         {WORK}/results/RECIPE/scores.txt, metrics.json, objects.csv, results.json
"""


rule scores:
    """Score the masks of one video with the official measures."""
    message:
        "scores {wildcards.video} ({wildcards.key})"
    input:
        reads("scores"),
    output:
        made("scores"),
    log:
        f"{WORK}/logs/scores/{{key}}/{{video}}.log",
    benchmark:
        f"{WORK}/benchmarks/scores/{{key}}/{{video}}.tsv"
    wildcard_constraints:
        key=keys("scores"),
    retries: guard.TRIES
    params:
        source=source,
        version=version("scores"),
    shell:
        "{PYTHON:q} -m kit scores --frames {input.frames:q} --masks {input.masks:q} --output {output:q} > {log:q} 2>&1"


rule audits:
    """Compare candidates and anchors of one video with its ground truth."""
    message:
        "audits {wildcards.video} ({wildcards.key})"
    input:
        reads("audits"),
    output:
        made("audits"),
    log:
        f"{WORK}/logs/audits/{{key}}/{{video}}.log",
    wildcard_constraints:
        key=keys("audits"),
    retries: guard.TRIES
    params:
        first=first_pass("audits"),
        source=source,
        version=version("audits"),
    shell:
        "{PYTHON:q} -m kit audits --frames {input.frames:q} --candidates {input.candidates:q} --anchors {input.anchors:q} {params.first} --output {output:q} > {log:q} 2>&1"


rule results:
    """Put the scores of all videos together."""
    message:
        "results {wildcards.key}"
    input:
        reads("results"),
    output:
        made("results"),
        beside("results"),
    log:
        f"{WORK}/logs/results/{{key}}.log",
    wildcard_constraints:
        key=keys("results"),
    params:
        scores=folder("results", "scores"),
        masks=folder("results", "masks"),
        folder=f"{WORK}/results/{{key}}",
        videos=PLAN.named,
        version=version("results"),
    shell:
        "{PYTHON:q} -m kit results --scores {params.scores:q} --masks {params.masks:q} --videos {params.videos:q} --output {params.folder:q} > {log:q} 2>&1"
