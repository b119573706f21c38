"""Weights that cannot be had are told once, all of them, before the first job."""

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants

from kit.core.errors import WeightsError
from kit.runtime import reachable

ANSWERS = {  # of the hub: status, and the header by which its library tells errors apart
    "open": (200, ""),
    "gated": (401, "GatedRepo"),
    "refused": (403, "GatedRepo"),
    "gone": (404, "RepoNotFound"),
    "weights-only": (404, "EntryNotFound"),
}
asked: list[str] = []


class Hub(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        _, _owner, name, _, revision, _file = self.path.split("/")
        asked.append(name)
        status, code = ANSWERS[name]
        if revision == "nowhere":
            status, code = 404, "RevisionNotFound"
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("ETag", '"x"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


def answering(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    """The hub is what listens there."""
    endpoint = f"http://127.0.0.1:{port}"
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A hub of five models, and an empty cache."""
    asked.clear()
    server = HTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    answering(monkeypatch, server.server_port)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield tmp_path / "cache"
    with contextlib.suppress(Exception):
        from huggingface_hub import close_session

        close_session()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("name", ["open", "weights-only"])
def test_what_the_hub_gives_is_no_problem(name: str, hub: Path) -> None:
    reachable.check([{"source": f"facebook/{name}", "revision": "main"}] * 3)
    assert asked == [name]  # once


@pytest.mark.parametrize(
    ("name", "revision", "words"),
    [("gated", None, "GatedRepo"), ("refused", "main", "GatedRepo"),
     ("gone", None, "RepositoryNotFound"), ("open", "nowhere", "RevisionNotFound")],
)  # fmt: skip
def test_what_it_refuses_is_told(name: str, revision: str | None, words: str, hub: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        reachable.check([{"source": f"facebook/{name}", "revision": revision}])
    told = str(caught.value)
    assert f"facebook/{name}: the hub does not give it ({words}" in told
    assert "hf auth login" in told


def test_all_are_told_at_once(hub: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    empty = str(tmp_path / "empty")
    sources = ("facebook/gated", "facebook/open", "/no/such.pt", empty, "tiny")
    models = [{"source": source} for source in sources]
    with pytest.raises(WeightsError) as caught:
        reachable.check(models)
    lines = str(caught.value).splitlines()
    told = [line.split(": ")[0] for line in lines[1:-1]]
    assert told == sorted(["/no/such.pt", empty, "facebook/gated"])


@pytest.mark.parametrize("revision", [None, "main", "0" * 40])
def test_what_was_downloaded_needs_no_hub(revision: str | None, hub: Path) -> None:
    folder = hub / "models--facebook--gone"
    (folder / "snapshots" / ("0" * 40)).mkdir(parents=True)
    (folder / "snapshots" / ("0" * 40) / "config.json").touch()
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("0" * 40)
    reachable.check([{"source": "facebook/gone", "revision": revision}])
    assert asked == []
    with pytest.raises(WeightsError, match="facebook/gone"):
        reachable.check([{"source": "facebook/gone", "revision": "another"}])


def test_without_a_network_it_is_said(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, 9)
    with pytest.raises(WeightsError, match=r"ConnectError|Connection"):
        reachable.check([{"source": "facebook/open"}])
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="HF_HUB_OFFLINE"):
        reachable.check([{"source": "facebook/open"}])
