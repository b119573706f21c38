"""From masks to the official numbers, where there is ground truth.

REQUIRES {WORK}/frames/VIDEO.json, {WORK}/masks/PATH/VIDEO.zip
MAKES    {WORK}/scores/PATH/VIDEO.json
         {WORK}/results/RECIPE/scores.txt, metrics.json, objects.csv, results.json
"""

SCORES = f"{WORK}/scores/{{path}}/{{video}}.json"
RESULTS = f"{WORK}/results/{{recipe}}/results.json"


def scored():
    """Scores of every video and results of every recipe; nothing without ground truth."""
    if not HAS_TRUTH:
        return []
    return [
        *[gated(recipe, SCORES) for recipe in PATHS.values()],
        *[gated(recipe, RESULTS) for recipe in RECIPES.values()],
    ]


def masks_of(wildcards):
    """The masks of one video, whose anchors are known by then."""
    checkpoints.anchors.get(mining=PATHS[wildcards.path].mining)
    return MASKS.format(path=wildcards.path, video=wildcards.video)


rule scores:
    """Score the masks of one video with the official measures."""
    message:
        "scores {wildcards.video} ({wildcards.path})"
    input:
        frames=rules.frames.output,
        masks=masks_of,
    output:
        SCORES,
    log:
        f"{WORK}/logs/scores/{{path}}/{{video}}.log",
    benchmark:
        f"{WORK}/benchmarks/scores/{{path}}/{{video}}.tsv"
    params:
        source=lambda wildcards: source(wildcards.video),
        version=version("scores") + f" mosev2={plugins.version('metrics', 'mosev2')}",
    shell:
        "{PYTHON:q} -m kit scores --frames {input.frames:q} --masks {input.masks:q} --output {output:q} > {log:q} 2>&1"


rule results:
    """Put the scores of all videos together."""
    message:
        "results {wildcards.recipe}"
    input:
        masks=lambda wildcards: gated(RECIPES[wildcards.recipe], MASKS)(wildcards),
        scores=lambda wildcards: gated(RECIPES[wildcards.recipe], SCORES)(wildcards),
    output:
        RESULTS,
        f"{WORK}/results/{{recipe}}/scores.txt",
        f"{WORK}/results/{{recipe}}/metrics.json",
        f"{WORK}/results/{{recipe}}/objects.csv",
    log:
        f"{WORK}/logs/results/{{recipe}}.log",
    params:
        scores=lambda wildcards: f"{WORK}/scores/{RECIPES[wildcards.recipe].path}",
        masks=lambda wildcards: f"{WORK}/masks/{RECIPES[wildcards.recipe].path}",
        folder=lambda wildcards: f"{WORK}/results/{wildcards.recipe}",
        videos=VIDEOS,
        version=version("results"),
    shell:
        "{PYTHON:q} -m kit results --scores {params.scores:q} --masks {params.masks:q} --videos {params.videos:q} --output {params.folder:q} > {log:q} 2>&1"
