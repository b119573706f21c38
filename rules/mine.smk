"""From frames to anchors.

REQUIRES a folder in MOSE layout, or `data.draw`
MAKES    {WORK}/frames/VIDEO.json
         {WORK}/candidates/DETECTOR/VIDEO.jsonl.zst
         {WORK}/features/DETECTOR.EMBEDDER/VIDEO.safetensors
         {WORK}/manifest/DETECTOR.EMBEDDER.SELECTOR.json
         {WORK}/anchors/DETECTOR.EMBEDDER.SELECTOR/VIDEO.json
"""

MINERS = {
    tuple(r.parts[p] for p in ("detector", "embedder"))
    for r in RECIPES.values()
    if "detector" in r.parts
}


def mined():
    """Everything up to the evidence for anchors; the rest of the targets is gated."""
    return [
        *expand(f"{WORK}/frames/{{video}}.json", video=VIDEOS),
        *expand(
            f"{WORK}/candidates/{{detector}}/{{video}}.jsonl.zst",
            video=VIDEOS,
            detector=sorted({d for d, _ in MINERS}),
        ),
        *[
            f"{WORK}/features/{d}.{e}/{v}.safetensors"
            for d, e in sorted(MINERS)
            for v in VIDEOS
        ],
        *expand(
            f"{WORK}/anchors/{{mining}}/{{video}}.json", mining=MININGS, video=VIDEOS
        ),
    ]


if DRAWN is not None:

    rule draw:
        """Draw one video with exact masks, in MOSE layout."""
        message:
            "draw {wildcards.video}"
        output:
            f"{WORK}/data/meta/{{video}}.json",
        log:
            f"{WORK}/logs/draw/{{video}}.log",
        params:
            settings=canonical_json(drawing()),
            root=str(SPLIT.root),
            version=version("draw")
            + f" synthetic={plugins.version('data', 'synthetic')}",
        shell:
            "{PYTHON:q} -m kit draw --root {params.root:q} --video {wildcards.video:q} --settings {params.settings:q} --output {output:q} > {log:q} 2>&1"


def folder_of(video):
    """Where `kit frames` finds a video and what the meta file says of it."""
    meta = f"meta/{video}.json" if DRAWN is not None else SPLIT.meta
    folders = {
        "--root": SPLIT.root,
        "--images": SPLIT.images,
        "--annotations": SPLIT.annotations,
    }
    return flags(folders | ({"--meta": meta} if meta else {}))


rule frames:
    """Order and check the frames of one video, and find its objects."""
    message:
        "frames {wildcards.video}"
    input:
        rules.draw.output if DRAWN is not None else [],
    output:
        f"{WORK}/frames/{{video}}.json",
    log:
        f"{WORK}/logs/frames/{{video}}.log",
    benchmark:
        f"{WORK}/benchmarks/frames/{{video}}.tsv"
    params:
        folder=lambda wildcards: folder_of(wildcards.video),
        extracted=f"{WORK}/extracted",
        source=lambda wildcards: source(wildcards.video),
        version=version("frames"),
    shell:
        "{PYTHON:q} -m kit frames {params.folder} --video {wildcards.video:q} --extracted {params.extracted:q} --output {output:q} > {log:q} 2>&1"


rule candidates:
    """Search later frames for whatever looks like the target."""
    message:
        "candidates {wildcards.video} ({wildcards.detector})"
    input:
        frames=rules.frames.output,
        models=lambda wildcards: models_of("detectors", wildcards.detector),
    output:
        f"{WORK}/candidates/{{detector}}/{{video}}.jsonl.zst",
    log:
        f"{WORK}/logs/candidates/{{detector}}/{{video}}.log",
    benchmark:
        f"{WORK}/benchmarks/candidates/{{detector}}/{{video}}.tsv"
    priority: length
    resources:
        gpu=1,
    params:
        settings=lambda wildcards: CONFIG.settings("detectors", wildcards.detector),
        record=f"{WORK}/benchmarks/candidates/{{detector}}/{{video}}.json",
        version=lambda wildcards: version("candidates", "detectors", wildcards.detector),
    shell:
        "{PYTHON:q} -m kit candidates --frames {input.frames:q} --settings {params.settings:q} --batch {BATCH} --record {params.record:q} --output {output:q} > {log:q} 2>&1"


rule features:
    """Describe the target and every candidate by vectors."""
    message:
        "features {wildcards.video} ({wildcards.detector}.{wildcards.embedder})"
    input:
        frames=rules.frames.output,
        candidates=rules.candidates.output,
        models=lambda wildcards: models_of("embedders", wildcards.embedder),
    output:
        f"{WORK}/features/{{detector}}.{{embedder}}/{{video}}.safetensors",
    log:
        f"{WORK}/logs/features/{{detector}}.{{embedder}}/{{video}}.log",
    benchmark:
        f"{WORK}/benchmarks/features/{{detector}}.{{embedder}}/{{video}}.tsv"
    priority: length
    resources:
        gpu=1,
    params:
        settings=lambda wildcards: CONFIG.settings("embedders", wildcards.embedder),
        record=f"{WORK}/benchmarks/features/{{detector}}.{{embedder}}/{{video}}.json",
        version=lambda wildcards: version("features", "embedders", wildcards.embedder),
    shell:
        "{PYTHON:q} -m kit features --frames {input.frames:q} --candidates {input.candidates:q} --settings {params.settings:q} --record {params.record:q} --output {output:q} > {log:q} 2>&1"


def evidence(wildcards):
    """What a choice of anchors rests on: indices, and candidates with features if any are mined."""
    parts = MININGS[wildcards.mining].parts
    paths = [f"{WORK}/frames/{v}.json" for v in VIDEOS]
    if "detector" in parts:
        detector, embedder = parts["detector"], parts["embedder"]
        paths += [f"{WORK}/candidates/{detector}/{v}.jsonl.zst" for v in VIDEOS]
        paths += [
            f"{WORK}/features/{detector}.{embedder}/{v}.safetensors" for v in VIDEOS
        ]
    return paths


def evidence_folders(wildcards):
    """Where `kit manifest` finds them."""
    parts = MININGS[wildcards.mining].parts
    folders = {"--frames": f"{WORK}/frames"}
    if "detector" in parts:
        mined = f"{parts['detector']}.{parts['embedder']}"
        folders["--candidates"] = f"{WORK}/candidates/{parts['detector']}"
        folders["--features"] = f"{WORK}/features/{mined}"
    return flags(folders)


rule manifest:
    """Put the digests of all videos' evidence into one small file."""
    message:
        "manifest {wildcards.mining}"
    input:
        evidence,
    output:
        f"{WORK}/manifest/{{mining}}.json",
    log:
        f"{WORK}/logs/manifest/{{mining}}.log",
    params:
        folders=evidence_folders,
        videos=VIDEOS,
        version=version("manifest"),
    shell:
        "{PYTHON:q} -m kit manifest {params.folders} --videos {params.videos:q} --output {output:q} > {log:q} 2>&1"


checkpoint anchors:
    """Choose the anchors of all videos."""
    message:
        "anchors {wildcards.mining}"
    input:
        rules.manifest.output,
    output:
        expand(f"{WORK}/anchors/{{{{mining}}}}/{{video}}.json", video=VIDEOS),
    log:
        f"{WORK}/logs/anchors/{{mining}}.log",
    benchmark:
        f"{WORK}/benchmarks/anchors/{{mining}}.tsv"
    params:
        settings=lambda wildcards: CONFIG.settings(
            "selectors", MININGS[wildcards.mining].parts["selector"]
        ),
        version=lambda wildcards: version(
            "anchors", "selectors", MININGS[wildcards.mining].parts["selector"]
        ),
        folder=lambda wildcards: f"{WORK}/anchors/{wildcards.mining}",
    shell:
        "{PYTHON:q} -m kit anchors --manifest {input:q} --settings {params.settings:q} --output {params.folder:q} > {log:q} 2>&1"
