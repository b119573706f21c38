"""From anchors to masks.

REQUIRES {WORK}/frames/VIDEO.json, {WORK}/anchors/MINING/VIDEO.json
MAKES    {WORK}/masks/MINING.PROPAGATOR/VIDEO.zip
         {WORK}/masks/MINING.PROPAGATOR.EMISSION/VIDEO.zip
"""

MASKS = f"{WORK}/masks/{{path}}/{{video}}.zip"
TRACKED = f"{WORK}/masks/{{track}}/{{video}}.zip"


def tracked():
    """The masks of every recipe and video, as propagated and as emitted."""
    return [
        *[gated(recipe, TRACKED) for recipe in TRACKS.values()],
        *[
            gated(recipe, MASKS)
            for recipe in PATHS.values()
            if recipe.path != recipe.track
        ],
    ]


def anchors_of(wildcards):
    """The decision for one video, known once all of that mining are there."""
    mining = TRACKS[wildcards.track].mining
    checkpoints.anchors.get(mining=mining)
    return f"{WORK}/anchors/{mining}/{wildcards.video}.json"


rule masks:
    """Carry the given mask and the anchors through the video."""
    message:
        "masks {wildcards.video} ({wildcards.track})"
    input:
        frames=rules.frames.output,
        anchors=anchors_of,
        models=lambda wildcards: models_of(
            "propagators", TRACKS[wildcards.track].parts["propagator"]
        ),
    output:
        TRACKED,
    log:
        f"{WORK}/logs/masks/{{track}}/{{video}}.log",
    benchmark:
        f"{WORK}/benchmarks/masks/{{track}}/{{video}}.tsv"
    priority: length
    resources:
        gpu=1,
    params:
        settings=lambda wildcards: CONFIG.settings(
            "propagators", TRACKS[wildcards.track].parts["propagator"]
        ),
        record=f"{WORK}/benchmarks/masks/{{track}}/{{video}}.json",
        version=lambda wildcards: version(
            "masks", "propagators", TRACKS[wildcards.track].parts["propagator"]
        ),
    shell:
        "{PYTHON:q} -m kit masks --frames {input.frames:q} --anchors {input.anchors:q} --settings {params.settings:q} --record {params.record:q} --output {output:q} > {log:q} 2>&1"


EMISSIONS = {r.parts["emission"]: r for r in RECIPES.values() if "emission" in r.parts}


def propagated(wildcards):
    """The masks to emit anew, whose anchors are known by then."""
    checkpoints.anchors.get(mining=TRACKS[wildcards.track].mining)
    return TRACKED.format(track=wildcards.track, video=wildcards.video)


rule emission:
    """Decide anew when an object is present and who wins an overlap; no model is run."""
    message:
        "emission {wildcards.video} ({wildcards.track}.{wildcards.emission})"
    input:
        frames=rules.frames.output,
        masks=propagated,
    output:
        f"{WORK}/masks/{{track}}.{{emission}}/{{video}}.zip",
    log:
        f"{WORK}/logs/emission/{{track}}.{{emission}}/{{video}}.log",
    params:
        settings=lambda wildcards: CONFIG.settings("emissions", wildcards.emission),
        version=version("emission"),
    wildcard_constraints:
        emission="|".join(map(re.escape, EMISSIONS)) or "none",
    shell:
        "{PYTHON:q} -m kit emission --frames {input.frames:q} --masks {input.masks:q} --settings {params.settings:q} --output {output:q} > {log:q} 2>&1"
