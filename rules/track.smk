"""From anchors to masks, and from masks back to the first frame.

REQUIRES {WORK}/frames/VIDEO.json, {WORK}/anchors/MINING/VIDEO.json
MAKES    {WORK}/masks/MINING.PROPAGATOR/VIDEO.zip
         {WORK}/masks/MINING.PROPAGATOR.EMISSION/VIDEO.zip
         {WORK}/masks/MINING.PROPAGATOR.FALLBACK@FIRST/VIDEO.zip
         {WORK}/cycles/MINING/PROPAGATOR/VIDEO.json: what became of proposed anchors
         {WORK}/rivals/PATH/PROPAGATOR-PROBES/VIDEO.json: and of the masks of two passes

Verifying needs a tracker, deciding does not. `verify` leaves numbers; the selector `verified` and
`fallback` decide on them, so that their thresholds are swept without a GPU and decisions stay text.
"""


rule masks:
    """Carry the given mask and the anchors through the video."""
    message:
        "masks {wildcards.video} ({wildcards.key})"
    input:
        reads("masks"),
    output:
        made("masks"),
    log:
        f"{WORK}/logs/masks/{{key}}/{{video}}.log",
    benchmark:
        f"{WORK}/benchmarks/masks/{{key}}/{{video}}.tsv"
    priority: length
    wildcard_constraints:
        key=keys("masks"),
    resources:
        gpu=1,
    retries: guard.TRIES
    params:
        settings=settings("masks"),
        record=f"{WORK}/benchmarks/masks/{{key}}/{{video}}.json",
        tracks=f"{WORK}/tracks/{{key}}/{{video}}",
        version=version("masks"),
    shell:
        "{PYTHON:q} -m kit masks --frames {input.frames:q} --anchors {input.anchors:q} --settings {params.settings:q} --tracks {params.tracks:q} --record {params.record:q} --output {output:q} > {log:q} 2>&1"


rule emission:
    """Decide again when an object is present and who wins an overlap; no model is run."""
    message:
        "emission {wildcards.video} ({wildcards.key})"
    input:
        reads("emission"),
    output:
        made("emission"),
    log:
        f"{WORK}/logs/emission/{{key}}/{{video}}.log",
    wildcard_constraints:
        key=keys("emission"),
    retries: guard.TRIES
    params:
        settings=settings("emission"),
        version=version("emission"),
    shell:
        "{PYTHON:q} -m kit emission --frames {input.frames:q} --masks {input.masks:q} --settings {params.settings:q} --output {output:q} > {log:q} 2>&1"


rule verify:
    """Track proposed anchors back to the first frame."""
    message:
        "verify {wildcards.video} ({wildcards.key})"
    input:
        reads("verify"),
    output:
        made("verify"),
    log:
        f"{WORK}/logs/cycles/{{key}}/{{video}}.log",
    benchmark:
        f"{WORK}/benchmarks/cycles/{{key}}/{{video}}.tsv"
    priority: length
    wildcard_constraints:
        key=keys("verify"),
    resources:
        gpu=1,
    retries: guard.TRIES
    params:
        record=f"{WORK}/benchmarks/cycles/{{key}}/{{video}}.json",
        settings=settings("verify"),
        version=version("verify"),
    shell:
        "{PYTHON:q} -m kit verify --frames {input.frames:q} --anchors {input.anchors:q} --settings {params.settings:q} --record {params.record:q} --output {output:q} > {log:q} 2>&1"


rule rivals:
    """Track the masks of two passes back, on frames where they disagree."""
    message:
        "rivals {wildcards.video} ({wildcards.key})"
    input:
        reads("rivals"),
    output:
        made("rivals"),
    log:
        f"{WORK}/logs/rivals/{{key}}/{{video}}.log",
    benchmark:
        f"{WORK}/benchmarks/rivals/{{key}}/{{video}}.tsv"
    priority: length
    wildcard_constraints:
        key=keys("rivals"),
    resources:
        gpu=1,
    retries: guard.TRIES
    params:
        probes=lambda wildcards: part_of("rivals", wildcards).recipe.probes,
        record=f"{WORK}/benchmarks/rivals/{{key}}/{{video}}.json",
        settings=settings("rivals"),
        version=version("rivals"),
    shell:
        "{PYTHON:q} -m kit verify --frames {input.frames:q} --rivals {input.masks:q} --probes {params.probes} --settings {params.settings:q} --record {params.record:q} --output {output:q} > {log:q} 2>&1"


rule fallback:
    """Let the first pass stand for objects that going on from it made less consistent."""
    message:
        "fallback {wildcards.video} ({wildcards.key})"
    input:
        reads("fallback"),
    output:
        made("fallback"),
    log:
        f"{WORK}/logs/fallback/{{key}}/{{video}}.log",
    wildcard_constraints:
        key=keys("fallback"),
    retries: guard.TRIES
    params:
        settings=settings("fallback"),
        version=version("fallback"),
    shell:
        "{PYTHON:q} -m kit fallback --frames {input.frames:q} --first {input.masks[0]:q} --masks {input.masks[1]:q} --cycles {input.cycles:q} --settings {params.settings:q} --output {output:q} > {log:q} 2>&1"
