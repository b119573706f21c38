"""The resident worker of a slot: one process that imports and loads once and does job after job.

It is started by the first job that leases the slot, with a socket that listens already, and serves
one request after the other: a line of JSON with three open files (what the job prints to, and the
lease), answered by a line when it begins and by one of JSON when it is done. It ends when the
workflow ends that it works for, when it was idle for long, after any exception that is no user's
mistake, and when its code or environment is not the client's. `kit worker status` lists workers,
`kit worker stop` ends them.
"""

import argparse
import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kit.core import broken
from kit.runtime import client, devices, wire
from kit.runtime.devices import Slot
from kit.runtime.guard import INTERRUPTED, Outcome, described
from kit.runtime.lease import hold

IDLE_SECONDS = 300.0
MOST = 4000  # characters of a reason
GRACE_SECONDS = 10.0  # for an interrupted job to clean up after itself
Main = Callable[[list[str]], Outcome]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("status", help="list the workers of this user on this host")
    stop = actions.add_parser("stop", help="end them, each after the job that it is on")
    stop.add_argument("--now", action="store_true", help="interrupt their jobs, which then fail")
    serve = actions.add_parser("serve", help="what a job starts; of no use by hand")
    serve.add_argument("slot")
    serve.add_argument("socket", type=int)
    serve.add_argument("--idle", type=float, default=IDLE_SECONDS, help="seconds (%(default)s)")


def run(args: argparse.Namespace) -> None:
    """List, stop, or be a worker."""
    if args.action == "serve":
        with socket.socket(fileno=args.socket) as listener:
            Worker(args.slot, listener, args.main, args.idle).serve()
        return
    found = list(_workers())
    for name, page in found:
        busy = f"busy with {page['job']}" if page["job"] else "idle"
        since = f"{time.monotonic() - page['since']:.0f} s"
        print(f"{name}: process {page['pid']}, {page['done']} jobs done, {busy} for {since}")
        if args.action == "stop":
            os.kill(page["pid"], signal.SIGINT if args.now else signal.SIGTERM)
    if not found:
        print("no worker is running")


def _workers() -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and page of every living worker: it holds a lock on its page."""
    for path in sorted(devices.folder().glob("*.json")):
        with path.open() as page:
            try:
                fcntl.flock(page, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                yield path.stem, json.loads(page.read())


class Worker:
    """Serves the jobs of a slot, one at a time, in the main thread."""

    def __init__(self, name: str, listener: socket.socket, main: Main, idle: float) -> None:
        self.slot = Slot(name, os.environ.get("CUDA_VISIBLE_DEVICES") or None)
        self._listener, self._main, self._idle = listener, main, idle
        self._fingerprint = client.fingerprint(dict(os.environ))
        self._owner: int | None = None  # pidfd of the workflow's process: readable when it ended
        self._folder = devices.folder()
        self._page = devices.locked(self._folder / f"{name}.json")
        self._job, self._done = "", 0
        self._last = False  # there will be no other job after this one

    def serve(self) -> None:
        """Do job after job until there is a reason to end."""
        for variable in (client.VARIABLE, broken.VARIABLE):
            os.environ.pop(variable, None)  # jobs are done here and not handed on, nor guarded
        os.chdir("/")
        hold(self.slot)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, self._stop)
        try:
            self._tell("")
            while not self._last and self._called():
                link, _ = self._listener.accept()
                with link:
                    self._serve(link)
        except KeyboardInterrupt:
            pass  # the process that waited for the job is gone
        finally:
            self._leave()

    def _called(self) -> bool:
        """Wait for a client; False when there is nobody left to wait for."""
        waiting = time.monotonic()
        while True:
            poll = select.poll()
            poll.register(self._listener, select.POLLIN)
            if self._owner is not None:
                poll.register(self._owner, select.POLLIN)
            ready = dict(poll.poll(1000 * self._idle))
            if self._listener.fileno() in ready:
                return True
            if self._owner is not None and self._owner in ready:
                os.close(self._owner)
                self._owner = None
            elif time.monotonic() - waiting < self._idle:
                continue
            if devices.locked(self._folder / f"{self.slot.name}.lock") is not None:
                return False  # the lease is kept to the end: no client can come in between
            waiting = time.monotonic()

    def _serve(self, link: socket.socket) -> None:
        received = wire.receive(link)
        if received is None:
            return
        request, (*streams, lease) = received
        if request["fingerprint"] != self._fingerprint or not self._follow(request["pid"]):
            self._leave()  # before the link is closed, upon which the client starts another one
            return
        with contextlib.suppress(ConnectionError):
            link.sendall(b"begun\n")
        with _printing(streams), contextlib.chdir(request["folder"]), self._watched(link):
            outcome, sound = self._attempt(request["arguments"])
        if sound:
            os.close(lease)
        else:
            self._leave()  # and the lease is held until memory and device are free
        with contextlib.suppress(ConnectionError):
            link.sendall(
                json.dumps(
                    {"status": outcome.status, "why": outcome.why[:MOST], "sound": sound}
                ).encode()
            )

    def _attempt(self, arguments: list[str]) -> tuple[Outcome, bool]:
        """How a job ended, and whether the process is sound after it."""
        self._tell(" ".join(arguments)[:1000])
        try:
            outcome = self._main(arguments)
        except SystemExit as end:
            return Outcome(int(end.code or 0), "a wrong command line"), True
        except BaseException as error:
            traceback.print_exc()
            return Outcome(1, described(error)), False
        finally:
            self._done += 1
            self._tell("")
        return outcome, outcome.status != INTERRUPTED

    def _follow(self, pid: int) -> bool:
        """End with this process from now on; False if it has ended already."""
        if self._owner is not None:
            os.close(self._owner)
        try:
            self._owner = os.pidfd_open(pid)
        except ProcessLookupError:
            self._owner = None
        return self._owner is not None

    @contextlib.contextmanager
    def _watched(self, link: socket.socket) -> Iterator[None]:
        """Interrupt the job if its client or its workflow ends before it."""
        done = os.eventfd(0)
        thread = threading.Thread(target=self._watch, args=(link.fileno(), done), daemon=True)
        thread.start()
        try:
            yield
        finally:
            os.eventfd_write(done, 1)
            thread.join()
            os.close(done)

    def _watch(self, link: int, done: int) -> None:
        poll = select.poll()
        for file, events in ((link, 0), (self._owner, select.POLLIN), (done, select.POLLIN)):
            assert file is not None
            poll.register(file, events)  # that the other end is closed, is always told
        if done in dict(poll.poll()):
            return
        main = threading.main_thread().ident
        assert main is not None
        signal.pthread_kill(main, signal.SIGINT)
        poll = select.poll()
        poll.register(done, select.POLLIN)
        if not poll.poll(1000 * GRACE_SECONDS):
            os._exit(1)

    def _stop(self, number: int, frame: object) -> None:
        self._last = True
        if not self._job:
            raise KeyboardInterrupt

    def _tell(self, job: str) -> None:
        """Keep the page up to date; one write of fixed length is never seen half-done."""
        self._job = job
        page = {"pid": os.getpid(), "since": time.monotonic(), "job": job, "done": self._done}
        assert self._page is not None
        os.pwrite(self._page, json.dumps(page).encode().ljust(8192), 0)

    def _leave(self) -> None:
        """Be found by no client any more."""
        self._last = True
        if self._listener.fileno() >= 0:
            for suffix in ("sock", "json"):
                (self._folder / f"{self.slot.name}.{suffix}").unlink(missing_ok=True)
            self._listener.close()


@contextlib.contextmanager
def _printing(streams: list[int]) -> Iterator[None]:
    """Print to a client's standard output and error, whatever it is that prints."""
    for number, stream in enumerate(streams, 1):
        os.dup2(stream, number)
        os.close(stream)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        with Path(os.devnull).open("w") as nothing:
            os.dup2(nothing.fileno(), 1)
            os.dup2(nothing.fileno(), 2)
