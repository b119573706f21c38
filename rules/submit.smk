"""From masks to the archive that the server accepts.

REQUIRES the indices, anchors and masks of all videos
MAKES    {WORK}/submission/RECIPE.zip, and RECIPE.manifest.json beside it
"""


rule meta:
    """Write the split's meta file, by which archives are checked and scored."""
    message:
        "meta"
    input:
        reads("meta"),
    output:
        made("meta"),
    log:
        f"{WORK}/logs/meta.log",
    params:
        frames=f"{WORK}/frames",
        videos=PLAN.named,
        version=version("meta"),
    shell:
        "{PYTHON:q} -m kit meta --frames {params.frames:q} --videos {params.videos:q} --output {output:q} > {log:q} 2>&1"


rule submission:
    """Check the masks of all videos and pack them."""
    message:
        "submission {wildcards.key}"
    input:
        reads("submission"),
        team=[TEAM] if TEAM else [],
    output:
        made("submission"),
        beside("submission"),
    log:
        f"{WORK}/logs/submission/{{key}}.log",
    benchmark:
        f"{WORK}/benchmarks/submission/{{key}}.tsv"
    wildcard_constraints:
        key=keys("submission"),
    retries: 0  # it fails where videos are missing
    params:
        frames=f"{WORK}/frames",
        anchors=folder("submission", "anchors"),
        masks=folder("submission", "masks"),
        team=f"--team {shlex.quote(TEAM)}" if TEAM else "",
        version=version("submission"),
    threads: 4 if len(VIDEOS) > 50 else 1  # inflating every picture to check it is most of the work
    shell:
        "{PYTHON:q} -m kit submission --frames {params.frames:q} --anchors {params.anchors:q} --masks {params.masks:q} --meta {input.meta:q} {params.team} --workers {threads} --output {output[0]:q} > {log:q} 2>&1"
