"""What a client and a worker say to each other: lines of JSON over a local socket, within bounds.

Who connects is this user, but need not be the kit: a script gone astray, a client that was stopped.
One that says nothing, or does not come to an end, must not hold a slot or fill the memory.
"""

import contextlib
import json
import os
import socket
import time
from typing import Any

SECONDS = 5.0  # for a whole request: a client sends it as soon as it is connected
BYTES = 2**20  # of a request or reply
FILES = 3  # standard output and error of the job, and its lease


def receive(link: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """A request and its open files; None, and nothing left open, if it is no request."""
    told, files = _received(link)
    with contextlib.suppress(ValueError, RecursionError):
        request = json.loads(told)
        if len(files) == FILES and _is_request(request):
            return request, files
    for file in files:
        os.close(file)
    return None


def answer(link: socket.socket) -> bytes:
    """All that a worker says until it closes; cut off where it does not come to an end."""
    told = b""
    with contextlib.suppress(ConnectionError):
        while len(told) < BYTES and (part := link.recv(4096)):
            told += part
    return told


def _received(link: socket.socket) -> tuple[bytes, list[int]]:
    """A line with the files that came along; empty where it is late, too long, or cut off."""
    told, files = b"", list[int]()
    deadline = time.monotonic() + SECONDS
    try:
        while not told.endswith(b"\n"):
            link.settimeout(max(deadline - time.monotonic(), 0.001))
            part, some, _, _ = socket.recv_fds(link, 65536, FILES)
            files += some
            told += part
            late = time.monotonic() > deadline
            if not part or late or len(told) > BYTES or len(files) > FILES:
                return b"", files
        link.settimeout(None)
    except (TimeoutError, ConnectionError):
        return b"", files
    return told, files


def _is_request(request: Any) -> bool:
    """Whether it can be acted upon; one that dismisses the worker is a fingerprint alone."""
    if not isinstance(request, dict) or not isinstance(request.get("fingerprint"), str):
        return False
    arguments = request.get("arguments")
    return len(request) == 1 or (
        isinstance(request.get("pid"), int)
        and isinstance(request.get("folder"), str)
        and isinstance(arguments, list)
        and all(isinstance(word, str) for word in arguments)
    )
