"""The evaluator against numbers of the organisers' scorer, bit for bit."""

import io
import json
import tarfile
import zipfile
from pathlib import Path

import pytest
import zstandard

from kit.metrics import mosev2, report

GOLDEN = Path(__file__).parents[2] / "shared" / "golden" / "evaluator" / "cases.tar.zst"


@pytest.fixture(scope="session")
def golden(tmp_path_factory):
    """Folder with the unpacked cases."""
    if not GOLDEN.exists():
        pytest.skip(f"golden cases are not here: {GOLDEN}")
    root = tmp_path_factory.mktemp("golden")
    data = zstandard.ZstdDecompressor().stream_reader(GOLDEN.read_bytes()).read()
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        archive.extractall(root, filter="data")
    return root


def error_class(text):
    return text.split(":")[0]


def test_all_golden_cases_are_bit_equal(golden):
    expected = json.loads((golden / "expected.json").read_text())
    assert len(expected) == 118
    wrong = [name for name in expected if not matches(golden / name, expected[name])]
    assert wrong == []


def test_archives_of_the_golden_cases_are_bit_equal(golden, tmp_path):
    expected = json.loads((golden / "expected.json").read_text())
    wrong = []
    for name, wanted in expected.items():
        archive = tmp_path / f"{name}.zip"
        with zipfile.ZipFile(archive, "w", strict_timestamps=False) as target:
            for path in (golden / name / "pred").rglob("*"):
                target.write(path, path.relative_to(golden / name / "pred"))
        if not matches(golden / name, wanted, archive):
            wrong.append(name)
    assert wrong == []


def matches(case, wanted, pred=None):
    try:
        result = mosev2.evaluate(case / "gt", pred or case / "pred", case / "meta.json")
    except Exception as error:  # the class is what is compared
        return type(error).__name__ == error_class(wanted.get("error", ""))
    if "error" in wanted:
        return False
    objects = {k: list(v.values()) for k, v in result["objects"].items()}
    percent = {k: None if v is None else v * 100 for k, v in result["scores"].items()}
    text = report.scores_text(result["scores"])
    return (
        objects == wanted["objects"]
        and percent == {k: v["raw"] for k, v in wanted["scores"].items()}
        and text.splitlines()[:7] == [f"{k}: {v['text']}" for k, v in wanted["scores"].items()]
        and text.splitlines()[7] == f"Copy-Paste: {wanted['copy_paste_line']}"
        and report.metrics_json(result["objects"]) == json.dumps(wanted["metrics_json"], indent=4)
    )
