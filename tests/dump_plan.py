"""What the workflow would run for the shipped configurations: params and shell of every job.

Params and shell strings are what Snakemake compares with the last run: another character, and all
of a user's split is made again. `tests/plan.txt` is what they were; if a change is meant, say so in
the changelog and write the file again:

    python tests/dump_plan.py > tests/plan.txt

Every configuration stands here with one short video. Numbers of versions and digests of weights are
left out: they change with what they stand for. So do the settings of trainings.
"""

import contextlib
import io
import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import yaml
from snakemake.api import SnakemakeApi
from snakemake.checkpoints import Checkpoint
from snakemake.settings.types import ConfigSettings, OutputSettings, Quietness, ResourceSettings

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(p for p in (ROOT / "config").glob("*.yaml") if p.name != "schema.yaml")


def lines(configs: Sequence[Path] = CONFIGS, root: Path = ROOT) -> Iterator[str]:
    """Every job of every configuration with its params, then the shell string of every rule."""
    shells = {}
    for config in configs:
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            Path("config.yaml").write_text(yaml.safe_dump(stubbed(config), sort_keys=False))
            jobs = planned(root / "Snakefile")
        for name, job in sorted(jobs):
            yield f"{config.name}: {name}"
            left_out = {"settings"} if job.rule.name == "finetune" else set()
            told = sorted((k, v) for k, v in job.params.items() if k not in left_out)
            yield from (f"    {key}: {shown(value)}" for key, value in told)
            shells[job.rule.name] = job.rule.shellcmd or ""
    yield from (f"shell of {rule}: {shell}" for rule, shell in sorted(shells.items()))


def shown(value: object) -> str:
    """A param as JSON, without what changes by itself."""
    text = json.dumps(list(value) if isinstance(value, list) else value)
    return re.sub(r"\b(\w+)=(\d+|[0-9a-f]{16,})(?=[ \"])", r"\1=*", text)


def stubbed(config: Path) -> Any:
    """The configuration with one video, which lies in the working folder."""
    values = yaml.safe_load(config.read_text())
    if "draw" in values["data"]:
        values["data"]["draw"]["videos"] = 1
        return values
    values["data"] |= {"root": "stub", "videos": None, "meta": None}
    frames = Path("stub", values["data"].get("images", "JPEGImages"), "drawn_000")
    labels = Path("stub", values["data"].get("annotations", "Annotations"), "drawn_000")
    for folder, file in ((frames, "00000.jpg"), (frames, "00001.jpg"), (labels, "00000.png")):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(b"stub")
    return values


def planned(snakefile: Path) -> list[tuple[str, Any]]:
    """(rule and wildcards, job) of all jobs, as if every decision were there already."""
    output = OutputSettings(quiet={Quietness.ALL})
    with mock.patch.object(Checkpoint, "get", lambda *_, **__: None), SnakemakeApi(output) as api:
        workflow = api.workflow(
            resource_settings=ResourceSettings(cores=1),
            config_settings=ConfigSettings(configfiles=[Path("config.yaml")]),
            snakefile=snakefile,
        )
        with contextlib.redirect_stdout(io.StringIO()):
            workflow.dag().printrulegraph()
        jobs = workflow._workflow.dag.jobs
        return [(" ".join([job.rule.name, *words(job)]), job) for job in jobs]


def words(job: Any) -> list[str]:
    """A job's wildcards in the order of their names; their own is another one in each process."""
    return [str(value) for _, value in sorted(job.wildcards.items())]


if __name__ == "__main__":
    print("\n".join(lines()))
