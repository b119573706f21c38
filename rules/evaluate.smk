"""From masks to the official numbers, where there is ground truth.

REQUIRES {WORK}/frames/VIDEO.json, {WORK}/masks/PATH/VIDEO.zip, and what was mined
MAKES    {WORK}/scores/PATH/VIDEO.json
         {WORK}/audits/DETECTOR.EMBEDDER.SELECTOR/VIDEO.json
         {WORK}/results/RECIPE/scores.txt, metrics.json, objects.csv, results.json
"""

SCORES = f"{WORK}/scores/{{path}}/{{video}}.json"
RESULTS = f"{WORK}/results/{{recipe}}/results.json"
AUDITS = f"{WORK}/audits/{{mining}}/{{video}}.json"
AUDITED = {m.mining: m for m in MININGS.values() if "detector" in m.parts}


def scored():
    """Scores and audits of every video, results of every recipe; nothing without ground truth."""
    if not HAS_TRUTH:
        return []
    return [
        *[gated(recipe, SCORES) for recipe in PATHS.values()],
        *[gated(recipe, RESULTS) for recipe in RECIPES.values()],
        *[gated(m, AUDITS, mining=mining) for mining, m in AUDITED.items()],
    ]


def masks_of(wildcards):
    """The masks of one video, whose anchors are known by then."""
    await_anchors(PATHS[wildcards.path])
    return MASKS.format(path=wildcards.path, video=wildcards.video)


rule scores:
    """Score the masks of one video with the official measures."""
    message:
        "scores {wildcards.video} ({wildcards.path})"
    input:
        frames=rules.frames.output,
        masks=masks_of,
        decided=lambda wildcards: decided(PATHS[wildcards.path], [wildcards.video]),
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


def audited_by(wildcards):
    """The candidates and anchors of one video, and the first pass they were meant for."""
    recipe, video = AUDITED[wildcards.mining], wildcards.video
    await_anchors(recipe)
    return {
        "candidates": CANDIDATES.format(found=recipe.candidates, video=video),
        "anchors": ANCHORS.format(mining=recipe.mining, video=video),
        "first": first_files(recipe, [video]),
    }


rule audits:
    """Compare candidates and anchors of one video with its ground truth."""
    message:
        "audits {wildcards.video} ({wildcards.mining})"
    input:
        unpack(audited_by),
        frames=rules.frames.output,
    output:
        AUDITS,
    log:
        f"{WORK}/logs/audits/{{mining}}/{{video}}.log",
    wildcard_constraints:
        mining=any_of(AUDITED),
    params:
        first=lambda wildcards: flags(
            first_pass(AUDITED[wildcards.mining], wildcards.video)
        ),
        source=lambda wildcards: source(wildcards.video),
        version=version("audits"),
    shell:
        "{PYTHON:q} -m kit audits --frames {input.frames:q} --candidates {input.candidates:q} --anchors {input.anchors:q} {params.first} --output {output:q} > {log:q} 2>&1"


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
