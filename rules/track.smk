"""From anchors to masks.

REQUIRES {WORK}/frames/VIDEO.json, {WORK}/anchors/MINING/VIDEO.json
MAKES    {WORK}/masks/MINING.PROPAGATOR/VIDEO.zip
"""

MASKS = f"{WORK}/masks/{{path}}/{{video}}.zip"


def tracked():
    """The masks of every recipe and video."""
    return [gated(recipe, MASKS) for recipe in PATHS.values()]


def anchors_of(wildcards):
    """The decision for one video, known once all of that mining are there."""
    mining = PATHS[wildcards.path].mining
    checkpoints.anchors.get(mining=mining)
    return f"{WORK}/anchors/{mining}/{wildcards.video}.json"


rule masks:
    """Carry the given mask and the anchors through the video."""
    message:
        "masks {wildcards.video} ({wildcards.path})"
    input:
        frames=rules.frames.output,
        anchors=anchors_of,
    output:
        MASKS,
    log:
        f"{WORK}/logs/masks/{{path}}/{{video}}.log",
    benchmark:
        f"{WORK}/benchmarks/masks/{{path}}/{{video}}.tsv"
    resources:
        gpu=1,
    params:
        settings=lambda wildcards: CONFIG.settings(
            "propagators", PATHS[wildcards.path].parts["propagator"]
        ),
        version=lambda wildcards: version(
            "masks", "propagators", PATHS[wildcards.path].parts["propagator"]
        ),
    shell:
        "{PYTHON:q} -m kit masks --frames {input.frames:q} --anchors {input.anchors:q} --settings {params.settings:q} --output {output:q} > {log:q} 2>&1"
