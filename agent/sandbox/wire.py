"""Below HTTP: a protocol that shows its connection to the app, so that answers can be torn, and the tearing."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import MutableMapping
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

_KEY = "connection"


class OpenProtocol(H11Protocol):  # type: ignore[misc]  # uvicorn is not typed here
    """uvicorn's HTTP/1.1, with the transport in scope["state"]; a websocket born from it inherits that."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.app_state: dict[str, Any] = {**self.app_state, _KEY: transport}


def transport_of(scope: MutableMapping[str, Any]) -> asyncio.Transport | None:
    """The connection of a request or websocket; None under a server other than OpenProtocol (as in unit tests)."""
    found = scope.get("state", {}).get(_KEY)
    return found if isinstance(found, asyncio.Transport) else None


def tear(transport: asyncio.Transport | None) -> None:
    """End a connection the hard way: a TCP reset, no goodbye."""
    if transport is None or transport.is_closing():
        return
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
