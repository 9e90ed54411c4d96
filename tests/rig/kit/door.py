"""JSON over a Unix socket, one connection a request. (httpx leaves the socket open when it is refused: not here.)"""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Any


class Closed(Exception):
    """Nobody answers there."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(self.timeout)
            sock.connect(str(self._path))
        except OSError:
            sock.close()
            raise
        self.sock = sock


def ask(socket_path: Path, method: str, path: str, body: Any = None) -> Any:
    """The JSON answered. Raises Closed if nobody answers, AssertionError for a refusal."""
    connection = _UnixConnection(socket_path)
    try:
        data = None if body is None else json.dumps(body).encode()
        connection.request(method, path, data, {"Content-Type": "application/json"} if data else {})
        answer = connection.getresponse()
        text = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise Closed(f"{socket_path.name}: {type(error).__name__}") from error
    finally:
        connection.close()
    assert answer.status < 300, f"{method} {path}: {answer.status} {text!r}"
    return json.loads(text)
