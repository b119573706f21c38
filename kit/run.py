"""Run the workflow in any folder: `kit demo` on drawn videos, `kit run` with your configuration.

A thin call of Snakemake with the kit's own Snakefile and default profile. What is written lies
below the folder it is called in; all other flags are Snakemake's: `kit run --configfile FILE -n`.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from kit import config
from kit.core import shipped
from kit.core.errors import ConfigError
from kit.runtime import home

DEMO = shipped.CONFIG / "config.yaml"
CORES = ("--cores", "-c", "--jobs", "-j")  # without one of them it runs on all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line: nothing, for all of it goes to Snakemake."""


def run(args: argparse.Namespace) -> None:
    """Become Snakemake."""
    flags: list[str] = args.rest
    files = _configfiles(flags)
    if not files and args.command == "demo":
        files = [DEMO]
        flags = [*flags, "--configfile", str(DEMO)]
    _check(files)
    if not any(flag.startswith(CORES) for flag in flags):
        flags = [*flags, "--cores", "all"]
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(shipped.SNAKEFILE), *flags]
    os.environ |= home.lent_cache(os.environ)
    sys.stdout.flush()
    os.execv(sys.executable, command)


def _configfiles(flags: Sequence[str]) -> list[Path]:
    """Files that Snakemake is told to read: `--configfile A B`, or `--configfile=A`."""
    found: list[Path] = []
    listing = False
    for flag in flags:
        name, _, value = flag.partition("=")
        if flag.startswith("-"):
            listing = name in ("--configfile", "--configfiles")
            found += [Path(value)] if listing and value else []
        elif listing:
            found.append(Path(flag))
    return found


def _check(files: Sequence[Path]) -> None:
    """Read the files before Snakemake does, which knows no bounds."""
    if not files:
        raise ConfigError(f"which configuration? Name it: --configfile FILE. {_examples()}")
    for file in files:
        if not file.is_file():
            raise ConfigError(f"{file}: no such configuration file. {_examples()}")
    config.given(files)


def _examples() -> str:
    names = [str(file) for file in sorted(shipped.CONFIG.glob("*.yaml")) if file != shipped.SCHEMA]
    return "\n".join(["To start from, copy one of these:", *names])
