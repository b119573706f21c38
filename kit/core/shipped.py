"""Where the workflow's own files lie: at the top of a clone, or inside the installed package.

`pyproject.toml` has a wheel carry them as `kit/workflow`.
"""

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
_INSIDE = _PACKAGE / "workflow"
ROOT = _INSIDE if _INSIDE.is_dir() else _PACKAGE.parent
SNAKEFILE = ROOT / "Snakefile"
CONFIG = ROOT / "config"
SCHEMA = CONFIG / "schema.yaml"
