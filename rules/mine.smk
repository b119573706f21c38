"""From frames to anchors.

REQUIRES a folder in MOSE layout, or `data.draw`; of recipes with `after`, that recipe's masks
MAKES    {WORK}/frames/VIDEO.json
         {WORK}/candidates/DETECTOR/VIDEO.jsonl.zst
         {WORK}/features/DETECTOR.EMBEDDER/VIDEO.safetensors
         {WORK}/manifest/DETECTOR.EMBEDDER.SELECTOR.json
         {WORK}/anchors/DETECTOR.EMBEDDER.SELECTOR/VIDEO.json

Sources. What searches frames is one rule, `candidates`; its unit is a vision pass: a preset, or
several that can share one ("exemplar+concept"). A `union` merges the files of several passes and
searches nothing, so each pass is made once, whoever uses it.

Two passes. A recipe may go on from another one (`after`): its masks and anchors are then evidence
like candidates and features are, and nothing else changes. What is made from them carries the path
of the first recipe behind an @. So there is a chain of checkpoints, one per mining: the first
recipe's anchors -> its masks -> the second one's manifest -> its anchors. Every step is gated by
the checkpoint before it, and each manifest is a file of digests: a first pass that comes out the
same ends the chain there.
"""

CANDIDATES = f"{WORK}/candidates/{{found}}/{{video}}.jsonl.zst"
FEATURES = f"{WORK}/features/{{described}}/{{video}}.safetensors"
ANCHORS = f"{WORK}/anchors/{{mining}}/{{video}}.json"
CYCLES = f"{WORK}/cycles/{{cycles}}/{{video}}.json"

MINING = [r for r in RECIPES.values() if "detector" in r.parts]
PASSES = {r.source(one): (one, r) for r in MINING for one in r.passes}
UNIONS = {r.candidates: r for r in MINING if r.is_union}
DESCRIBED = {r.features: r for r in MINING}


def mined():
    """Everything up to the anchors."""
    return [
        *expand(f"{WORK}/frames/{{video}}.json", video=VIDEOS),
        *[
            ungated(r, one in r.reading, CANDIDATES, found=found)
            for found, (one, r) in PASSES.items()
        ],
        *[ungated(r, r.reading, CANDIDATES, found=f) for f, r in UNIONS.items()],
        *[
            ungated(r, r.reading or r.extends, FEATURES, described=described)
            for described, r in DESCRIBED.items()
        ],
        *[ungated(m, m.after, ANCHORS, mining=mining) for mining, m in MININGS.items()],
    ]


def ungated(recipe, reads, pattern, **names):
    """Files of all videos that wait for nothing, or for the first pass if they are made from it."""

    def files(wildcards=None):
        if reads:
            await_first(recipe)
        return expand(pattern, video=VIDEOS, **names)

    return files if reads else files()


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
    priority: length
    params:
        folder=lambda wildcards: folder_of(wildcards.video),
        extracted=f"{WORK}/extracted",
        source=lambda wildcards: source(wildcards.video),
        version=version("frames"),
    shell:
        "{PYTHON:q} -m kit frames {params.folder} --video {wildcards.video:q} --extracted {params.extracted:q} --output {output:q} > {log:q} 2>&1"


def first_of_pass(wildcards):
    """The recipe whose first pass a vision pass reads, if it does."""
    one, recipe = PASSES[wildcards.found]
    return recipe if one in recipe.reading else replace(recipe, after=None)


rule candidates:
    """Search later frames for whatever looks like the target: a vision pass and its sources."""
    message:
        "candidates {wildcards.video} ({wildcards.found})"
    input:
        frames=rules.frames.output,
        models=lambda wildcards: models_of("detectors", PASSES[wildcards.found][0]),
        first=lambda wildcards: first_files(first_of_pass(wildcards), [wildcards.video]),
    output:
        CANDIDATES,
    log:
        f"{WORK}/logs/candidates/{{found}}/{{video}}.log",
    benchmark:
        f"{WORK}/benchmarks/candidates/{{found}}/{{video}}.tsv"
    priority: length
    wildcard_constraints:
        found=any_of(PASSES),
    resources:
        gpu=1,
    params:
        first=lambda wildcards: flags(
            first_pass(first_of_pass(wildcards), wildcards.video)
        ),
        record=f"{WORK}/benchmarks/candidates/{{found}}/{{video}}.json",
        settings=lambda wildcards: CONFIG.pass_settings(
            PASSES[wildcards.found][0], wildcards.video
        ),
        version=lambda wildcards: version(
            "candidates", "detectors", PASSES[wildcards.found][0]
        ),
    shell:
        "{PYTHON:q} -m kit candidates --frames {input.frames:q} {params.first} --settings {params.settings:q} --batch {BATCH} --record {params.record:q} --output {output:q} > {log:q} 2>&1"


def sources_of(wildcards):
    """The candidates that a union merges, in the order of the config."""
    recipe = UNIONS[wildcards.found]
    if recipe.reading:
        await_first(recipe)
    found = [recipe.source(one) for one in recipe.passes]
    return expand(CANDIDATES, found=found, video=wildcards.video)


rule union:
    """Merge the candidates of several sources; no frame is searched."""
    message:
        "union {wildcards.video} ({wildcards.found})"
    input:
        frames=rules.frames.output,
        candidates=sources_of,
    output:
        CANDIDATES,
    log:
        f"{WORK}/logs/union/{{found}}/{{video}}.log",
    wildcard_constraints:
        found=any_of(UNIONS),
    params:
        settings=lambda wildcards: CONFIG.settings(
            "detectors", UNIONS[wildcards.found].parts["detector"]
        ),
        version=lambda wildcards: version(
            "union", "detectors", UNIONS[wildcards.found].parts["detector"]
        ),
    shell:
        "{PYTHON:q} -m kit union --frames {input.frames:q} --candidates {input.candidates:q} --settings {params.settings:q} --output {output:q} > {log:q} 2>&1"


def described_of(wildcards):
    """The candidates to describe."""
    recipe = DESCRIBED[wildcards.described]
    if recipe.reading:
        await_first(recipe)
    return CANDIDATES.format(found=recipe.candidates, video=wildcards.video)


def first_of_pool(wildcards):
    """The recipe whose first pass the pools are extended by, if they are."""
    recipe = DESCRIBED[wildcards.described]
    return recipe if recipe.extends else replace(recipe, after=None)


rule features:
    """Describe the target and every candidate by vectors."""
    message:
        "features {wildcards.video} ({wildcards.described})"
    input:
        frames=rules.frames.output,
        candidates=described_of,
        models=lambda wildcards: models_of(
            "embedders", DESCRIBED[wildcards.described].parts["embedder"]
        ),
        first=lambda wildcards: first_files(first_of_pool(wildcards), [wildcards.video]),
    output:
        FEATURES,
    log:
        f"{WORK}/logs/features/{{described}}/{{video}}.log",
    benchmark:
        f"{WORK}/benchmarks/features/{{described}}/{{video}}.tsv"
    priority: length
    wildcard_constraints:
        described=any_of(DESCRIBED),
    resources:
        gpu=1,
    params:
        first=lambda wildcards: flags(
            first_pass(first_of_pool(wildcards), wildcards.video)
        ),
        record=f"{WORK}/benchmarks/features/{{described}}/{{video}}.json",
        settings=lambda wildcards: CONFIG.settings(
            "embedders", DESCRIBED[wildcards.described].parts["embedder"]
        ),
        version=lambda wildcards: version(
            "features", "embedders", DESCRIBED[wildcards.described].parts["embedder"]
        ),
    shell:
        "{PYTHON:q} -m kit features --frames {input.frames:q} --candidates {input.candidates:q} {params.first} --settings {params.settings:q} --record {params.record:q} --output {output:q} > {log:q} 2>&1"


def evidence(wildcards):
    """What a choice of anchors rests on: indices, and what was mined, left, or verified before."""
    recipe = MININGS[wildcards.mining]
    paths = expand(rules.frames.output, video=VIDEOS)
    paths += first_files(recipe)
    if "detector" in recipe.parts:
        paths += expand(CANDIDATES, found=recipe.candidates, video=VIDEOS)
        paths += expand(FEATURES, described=recipe.features, video=VIDEOS)
    if recipe.proposal is not None:
        await_anchors(recipe.proposal)
        paths += expand(ANCHORS, mining=recipe.proposal.mining, video=VIDEOS)
        paths += expand(CYCLES, cycles=recipe.cycles, video=VIDEOS)
    return paths


def evidence_folders(wildcards):
    """Where `kit manifest` finds them."""
    recipe = MININGS[wildcards.mining]
    folders = {"--frames": f"{WORK}/frames"}
    if "detector" in recipe.parts:
        folders["--candidates"] = f"{WORK}/candidates/{recipe.candidates}"
        folders["--features"] = f"{WORK}/features/{recipe.features}"
    if recipe.after is not None:
        folders["--first-masks"] = f"{WORK}/masks/{recipe.after.path}"
        folders["--first-anchors"] = f"{WORK}/anchors/{recipe.after.mining}"
    if recipe.proposal is not None:
        folders["--proposals"] = f"{WORK}/anchors/{recipe.proposal.mining}"
        folders["--cycles"] = f"{WORK}/cycles/{recipe.cycles}"
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
        expand(ANCHORS, video=VIDEOS, allow_missing=True),
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
