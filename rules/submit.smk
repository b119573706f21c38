"""From masks to the archive that the server accepts.

REQUIRES the indices, anchors and masks of all videos
MAKES    {WORK}/submission/RECIPE.zip, and RECIPE.manifest.json beside it
"""

ARCHIVE = f"{WORK}/submission/{{recipe}}.zip"
TEAM = config.get("submission", {}).get("team")


def packed():
    """The archive of every recipe."""
    return [gated(recipe, ARCHIVE) for recipe in RECIPES.values()]


rule meta:
    """Write the split's meta file, by which archives are checked and scored."""
    message:
        "meta"
    input:
        expand(rules.frames.output, video=VIDEOS),
    output:
        f"{WORK}/meta.json",
    log:
        f"{WORK}/logs/meta.log",
    params:
        frames=f"{WORK}/frames",
        videos=VIDEOS,
        version=version("meta"),
    shell:
        "{PYTHON:q} -m kit meta --frames {params.frames:q} --videos {params.videos:q} --output {output:q} > {log:q} 2>&1"


rule submission:
    """Check the masks of all videos and pack them."""
    message:
        "submission {wildcards.recipe}"
    input:
        meta=rules.meta.output,
        frames=expand(rules.frames.output, video=VIDEOS),
        anchors=lambda wildcards: gated(
            RECIPES[wildcards.recipe],
            f"{WORK}/anchors/{RECIPES[wildcards.recipe].mining}/{{video}}.json",
        )(wildcards),
        masks=lambda wildcards: gated(RECIPES[wildcards.recipe], MASKS)(wildcards),
        team=[TEAM] if TEAM else [],
    output:
        ARCHIVE,
        f"{WORK}/submission/{{recipe}}.manifest.json",
    log:
        f"{WORK}/logs/submission/{{recipe}}.log",
    benchmark:
        f"{WORK}/benchmarks/submission/{{recipe}}.tsv"
    params:
        frames=f"{WORK}/frames",
        anchors=lambda wildcards: f"{WORK}/anchors/{RECIPES[wildcards.recipe].mining}",
        masks=lambda wildcards: f"{WORK}/masks/{RECIPES[wildcards.recipe].path}",
        team=f"--team {shlex.quote(TEAM)}" if TEAM else "",
        version=version("submission"),
    threads: 4 if len(VIDEOS) > 50 else 1  # inflating every picture to check it is most of the work
    shell:
        "{PYTHON:q} -m kit submission --frames {params.frames:q} --anchors {params.anchors:q} --masks {params.masks:q} --meta {input.meta:q} {params.team} --workers {threads} --output {output[0]:q} > {log:q} 2>&1"
