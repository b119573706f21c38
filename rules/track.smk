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

MASKS = f"{WORK}/masks/{{path}}/{{video}}.zip"
TRACKED = f"{WORK}/masks/{{track}}/{{video}}.zip"
EMITTED = f"{WORK}/masks/{{emitted}}/{{video}}.zip"
RIVALS = f"{WORK}/rivals/{{rivals}}/{{video}}.json"

VERIFIED = {m.cycles: m for m in MININGS.values() if m.proposal is not None}
EMISSIONS = {r.emitted: r for r in RECIPES.values() if "emission" in r.parts}
CONTESTS = {r.rivals: r for r in RECIPES.values() if "fallback" in r.parts}
SETTLED = {r.path: r for r in RECIPES.values() if "fallback" in r.parts}


def tracked():
    """The masks of every recipe and video: as propagated, emitted, and settled."""
    return [
        *[gated(recipe, TRACKED) for recipe in TRACKS.values()],
        *[gated(recipe, EMITTED) for recipe in EMISSIONS.values()],
        *[gated(r, RIVALS, rivals=r.rivals) for r in CONTESTS.values()],
        *[gated(recipe, MASKS) for recipe in SETTLED.values()],
        *[gated(r.proposal, CYCLES, cycles=r.cycles) for r in VERIFIED.values()],
    ]


def anchors_of(wildcards):
    """The decision for one video, known once all of that mining are there."""
    recipe = TRACKS[wildcards.track]
    await_anchors(recipe)
    return f"{WORK}/anchors/{recipe.mining}/{wildcards.video}.json"


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
        tracks=f"{WORK}/tracks/{{track}}/{{video}}",
        version=lambda wildcards: version(
            "masks", "propagators", TRACKS[wildcards.track].parts["propagator"]
        ),
    shell:
        "{PYTHON:q} -m kit masks --frames {input.frames:q} --anchors {input.anchors:q} --settings {params.settings:q} --tracks {params.tracks:q} --record {params.record:q} --output {output:q} > {log:q} 2>&1"


def propagated(wildcards):
    """The masks to emit anew, whose anchors are known by then."""
    recipe = EMISSIONS[wildcards.emitted]
    await_anchors(recipe)
    return TRACKED.format(track=recipe.track, video=wildcards.video)


rule emission:
    """Decide anew when an object is present and who wins an overlap; no model is run."""
    message:
        "emission {wildcards.video} ({wildcards.emitted})"
    input:
        frames=rules.frames.output,
        masks=propagated,
        decided=lambda wildcards: decided(
            EMISSIONS[wildcards.emitted], [wildcards.video]
        ),
    output:
        EMITTED,
    log:
        f"{WORK}/logs/emission/{{emitted}}/{{video}}.log",
    params:
        settings=lambda wildcards: CONFIG.settings(
            "emissions", EMISSIONS[wildcards.emitted].parts["emission"]
        ),
        version=version("emission"),
    wildcard_constraints:
        emitted=any_of(EMISSIONS),
    shell:
        "{PYTHON:q} -m kit emission --frames {input.frames:q} --masks {input.masks:q} --settings {params.settings:q} --output {output:q} > {log:q} 2>&1"


def proposed(wildcards):
    """The anchors to verify, known once all proposals are there."""
    proposal = VERIFIED[wildcards.cycles].proposal
    await_anchors(proposal)
    return ANCHORS.format(mining=proposal.mining, video=wildcards.video)


rule verify:
    """Track proposed anchors back to the first frame."""
    message:
        "verify {wildcards.video} ({wildcards.cycles})"
    input:
        frames=rules.frames.output,
        anchors=proposed,
        models=lambda wildcards: models_of(
            "propagators", VERIFIED[wildcards.cycles].judges["selector"]
        ),
    output:
        CYCLES,
    log:
        f"{WORK}/logs/cycles/{{cycles}}/{{video}}.log",
    benchmark:
        f"{WORK}/benchmarks/cycles/{{cycles}}/{{video}}.tsv"
    priority: length
    wildcard_constraints:
        cycles=any_of(VERIFIED),
    resources:
        gpu=1,
    params:
        record=f"{WORK}/benchmarks/cycles/{{cycles}}/{{video}}.json",
        settings=lambda wildcards: CONFIG.settings(
            "propagators", VERIFIED[wildcards.cycles].judges["selector"]
        ),
        version=lambda wildcards: version(
            "verify", "propagators", VERIFIED[wildcards.cycles].judges["selector"]
        ),
    shell:
        "{PYTHON:q} -m kit verify --frames {input.frames:q} --anchors {input.anchors:q} --settings {params.settings:q} --record {params.record:q} --output {output:q} > {log:q} 2>&1"


def both_of(recipe, video):
    """The masks of a recipe's first pass and its own, whose anchors are known by then."""
    decided(recipe, [video])
    return expand(MASKS, path=[recipe.after.path, recipe.emitted], video=video)


def compared_in(wildcards):
    """What came of both, named no earlier than they are."""
    recipe = SETTLED[wildcards.path]
    both_of(recipe, wildcards.video)
    return RIVALS.format(rivals=recipe.rivals, video=wildcards.video)


rule rivals:
    """Track the masks of two passes back, on frames where they disagree."""
    message:
        "rivals {wildcards.video} ({wildcards.rivals})"
    input:
        frames=rules.frames.output,
        masks=lambda wildcards: both_of(CONTESTS[wildcards.rivals], wildcards.video),
        decided=lambda wildcards: decided(CONTESTS[wildcards.rivals], [wildcards.video]),
        models=lambda wildcards: models_of(
            "propagators", CONTESTS[wildcards.rivals].judges["fallback"]
        ),
    output:
        RIVALS,
    log:
        f"{WORK}/logs/rivals/{{rivals}}/{{video}}.log",
    benchmark:
        f"{WORK}/benchmarks/rivals/{{rivals}}/{{video}}.tsv"
    priority: length
    wildcard_constraints:
        rivals=any_of(CONTESTS),
    resources:
        gpu=1,
    params:
        probes=lambda wildcards: CONTESTS[wildcards.rivals].probes,
        record=f"{WORK}/benchmarks/rivals/{{rivals}}/{{video}}.json",
        settings=lambda wildcards: CONFIG.settings(
            "propagators", CONTESTS[wildcards.rivals].judges["fallback"]
        ),
        version=lambda wildcards: version(
            "verify", "propagators", CONTESTS[wildcards.rivals].judges["fallback"]
        ),
    shell:
        "{PYTHON:q} -m kit verify --frames {input.frames:q} --rivals {input.masks:q} --probes {params.probes} --settings {params.settings:q} --record {params.record:q} --output {output:q} > {log:q} 2>&1"


rule fallback:
    """Let the first pass stand for objects that going on from it made less consistent."""
    message:
        "fallback {wildcards.video} ({wildcards.path})"
    input:
        frames=rules.frames.output,
        masks=lambda wildcards: both_of(SETTLED[wildcards.path], wildcards.video),
        cycles=compared_in,
        decided=lambda wildcards: decided(SETTLED[wildcards.path], [wildcards.video]),
    output:
        MASKS,
    log:
        f"{WORK}/logs/fallback/{{path}}/{{video}}.log",
    wildcard_constraints:
        path=any_of(SETTLED),
    params:
        settings=lambda wildcards: CONFIG.settings(
            "fallbacks", SETTLED[wildcards.path].parts["fallback"]
        ),
        version=version("fallback"),
    shell:
        "{PYTHON:q} -m kit fallback --frames {input.frames:q} --first {input.masks[0]:q} --masks {input.masks[1]:q} --cycles {input.cycles:q} --settings {params.settings:q} --output {output:q} > {log:q} 2>&1"
