"""From frames to anchors.

REQUIRES a folder in MOSE layout, or `data.draw`; of recipes with `after`, that recipe's masks
MAKES    {WORK}/frames/VIDEO.json
         {WORK}/candidates/DETECTOR/VIDEO.jsonl.zst
         {WORK}/features/DETECTOR.EMBEDDER/VIDEO.safetensors
         {WORK}/manifest/DETECTOR.EMBEDDER.SELECTOR.json
         {WORK}/anchors/DETECTOR.EMBEDDER.SELECTOR/VIDEO.json

Sources. What searches frames is one rule, `candidates`; its unit is a vision pass: a preset, or
several that can share one ("exemplar+concept"). A `union` merges the files of several passes and
searches nothing, so each pass is made once, however many use it.

Two passes. A recipe may go on from another one (`after`): its masks and anchors are then evidence
like candidates and features are, and nothing else changes. What is made from them carries the path
of the first recipe behind an @. So there is a chain of checkpoints, one per mining: the first
recipe's anchors -> its masks -> the second one's manifest -> its anchors. Every step is gated by
the checkpoint before it, and each manifest is a file of digests: a first pass that comes out the
same ends the chain there.
"""

if PLAN.is_drawn:

    rule draw:
        """Draw one video with exact masks, in MOSE layout."""
        message:
            "draw {wildcards.video}"
        output:
            f"{WORK}/data/meta/{{video}}.json",
        log:
            f"{WORK}/logs/draw/{{video}}.log",
        retries: guard.TRIES
        params:
            settings=PLAN.drawing,
            root=str(PLAN.split.root),
            version=version_of("draw", ("data", "synthetic")),
        shell:
            "{PYTHON:q} -m kit draw --root {params.root:q} --video {wildcards.video:q} --settings {params.settings:q} --output {output:q} > {log:q} 2>&1"


rule frames:
    """Order and check the frames of one video, and find its objects."""
    message:
        "frames {wildcards.video}"
    input:
        rules.draw.output if PLAN.is_drawn else [],
    output:
        made("frames"),
    log:
        f"{WORK}/logs/frames/{{video}}.log",
    benchmark:
        f"{WORK}/benchmarks/frames/{{video}}.tsv"
    priority: length
    retries: guard.TRIES
    params:
        folder=lambda wildcards: PLAN.sources(wildcards.video),
        extracted=f"{WORK}/extracted",
        source=source,
        version=version("frames"),
    shell:
        "{PYTHON:q} -m kit frames {params.folder} --video {wildcards.video:q} --extracted {params.extracted:q} --output {output:q} > {log:q} 2>&1"


rule candidates:
    """Search later frames for whatever looks like the target: a vision pass and its sources."""
    message:
        "candidates {wildcards.video} ({wildcards.key})"
    input:
        reads("candidates"),
    output:
        made("candidates"),
    log:
        f"{WORK}/logs/candidates/{{key}}/{{video}}.log",
    benchmark:
        f"{WORK}/benchmarks/candidates/{{key}}/{{video}}.tsv"
    priority: length
    wildcard_constraints:
        key=keys("candidates"),
    resources:
        gpu=1,
    retries: guard.TRIES
    params:
        first=first_pass("candidates"),
        record=f"{WORK}/benchmarks/candidates/{{key}}/{{video}}.json",
        settings=settings("candidates"),
        version=version("candidates"),
    shell:
        "{PYTHON:q} -m kit candidates --frames {input.frames:q} {params.first} --settings {params.settings:q} --batch {BATCH} --record {params.record:q} --output {output:q} > {log:q} 2>&1"


rule union:
    """Merge the candidates of several sources; no frame is searched."""
    message:
        "union {wildcards.video} ({wildcards.key})"
    input:
        reads("union"),
    output:
        made("union"),
    log:
        f"{WORK}/logs/union/{{key}}/{{video}}.log",
    wildcard_constraints:
        key=keys("union"),
    retries: guard.TRIES
    params:
        settings=settings("union"),
        version=version("union"),
    shell:
        "{PYTHON:q} -m kit union --frames {input.frames:q} --candidates {input.candidates:q} --settings {params.settings:q} --output {output:q} > {log:q} 2>&1"


rule features:
    """Describe the target and every candidate by vectors."""
    message:
        "features {wildcards.video} ({wildcards.key})"
    input:
        reads("features"),
    output:
        made("features"),
    log:
        f"{WORK}/logs/features/{{key}}/{{video}}.log",
    benchmark:
        f"{WORK}/benchmarks/features/{{key}}/{{video}}.tsv"
    priority: length
    wildcard_constraints:
        key=keys("features"),
    resources:
        gpu=1,
    retries: guard.TRIES
    params:
        first=first_pass("features"),
        record=f"{WORK}/benchmarks/features/{{key}}/{{video}}.json",
        settings=settings("features"),
        version=version("features"),
    shell:
        "{PYTHON:q} -m kit features --frames {input.frames:q} --candidates {input.candidates:q} {params.first} --settings {params.settings:q} --record {params.record:q} --output {output:q} > {log:q} 2>&1"


rule manifest:
    """Put the digests of all videos' evidence into one small file."""
    message:
        "manifest {wildcards.key}"
    input:
        reads("manifest"),
    output:
        made("manifest"),
    log:
        f"{WORK}/logs/manifest/{{key}}.log",
    wildcard_constraints:
        key=keys("manifest"),
    params:
        folders=lambda wildcards: PLAN.folders(part_of("manifest", wildcards)),
        videos=VIDEOS,
        version=version("manifest"),
    shell:
        "{PYTHON:q} -m kit manifest {params.folders} --videos {params.videos:q} --output {output:q} > {log:q} 2>&1"


checkpoint anchors:
    """Choose the anchors of all videos."""
    message:
        "anchors {wildcards.key}"
    input:
        made("manifest"),
    output:
        expand(made("anchors"), video=VIDEOS, allow_missing=True),
    log:
        f"{WORK}/logs/anchors/{{key}}.log",
    benchmark:
        f"{WORK}/benchmarks/anchors/{{key}}.tsv"
    wildcard_constraints:
        key=keys("anchors"),
    params:
        settings=settings("anchors"),
        version=version("anchors"),
        folder=f"{WORK}/anchors/{{key}}",
    shell:
        "{PYTHON:q} -m kit anchors --manifest {input:q} --settings {params.settings:q} --output {params.folder:q} > {log:q} 2>&1"
