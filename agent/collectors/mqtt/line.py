"""The socket under paho for MQTT at speed: PUBLISH packets are taken out in bulk, everything else is paho's as ever.

paho 2.2 makes seven system calls and 45 µs of each message of QoS 1: it reads a packet's header byte by byte and sends
each PUBACK alone. Only `Client._create_socket` is overridden (there since 2.0); `works()` tries it out before it is
used, and link.py goes on by paho's public calls alone where it does not.
"""

from __future__ import annotations

import logging
import socket
import ssl
import struct
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Protocol

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

log = logging.getLogger(__name__)

READ = 256 * 1024
"""Bytes read at once."""
_TOPICS = 10_000
_PUBACK = struct.Struct(">BBH").pack
_DRY = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Malformed(Exception):
    """What came is no MQTT; the connection must end (MQTT 5 §4.13)."""


class Take(Protocol):
    """What becomes of a PUBLISH of QoS 0 or 1 (`mid` is 0 for QoS 0); `topic` is None if it is not UTF-8."""

    def __call__(self, mid: int, qos: int, dup: bool, topic: str | None, payload: bytes) -> int | None: ...


class Line:
    """A connected socket as paho wants one, split: `receive` takes the PUBLISH packets, `recv` gives paho the others.

    `five`: the packets are MQTT 5. Of a packet longer than `most` bytes only so much is held and handed over.
    """

    def __init__(self, sock: Any, five: bool, most: int) -> None:
        self._sock, self._five, self._most = sock, five, most
        self._held = b""
        self._skip = 0
        """Bytes of an overlong packet that are still to come, and are dropped."""
        self._other = b""
        self._over = False
        self._out = bytearray()
        self._inside = False
        """paho's last packet was sent in part: nothing may come between."""
        self._topics: dict[bytes, str | None] = {}
        self.waiting = False
        """Whole packets are held for which there was no room."""

    # For the link.

    def receive(self, take: Take, other: Callable[[], object], room: int) -> bool:
        """Read once and hand over whole packets, in order: at most `room` PUBLISHes to `take`, each else by `other()`,
        which lets paho read. False when there is nothing more to read now. Raises Malformed."""
        if not self.waiting:
            try:
                data = self._sock.recv(READ)
            except _DRY:
                return False
            except OSError:
                data = b""
            if not data:
                self._over = True
                other()
                return False
            if self._skip:
                dropped = min(self._skip, len(data))
                self._skip -= dropped
                data = data[dropped:]
                if self._skip:
                    return True
            self._held = self._held + data if self._held else data
        self._split(take, other, room)
        return not self.waiting

    def _split(self, take: Take, other: Callable[[], object], room: int) -> None:
        held, at, end = self._held, 0, len(self._held)
        self.waiting = False
        while end - at >= 2:
            first, length, head = held[at], held[at + 1], at + 2
            if length > 127:
                head, length = _length(held, at + 1, end)
                if not head:
                    break
            stop = head + length
            if stop > end and not (length > self._most and end - at >= self._most):
                break
            if first & 0xF0 == 0x30 and first & 0x06 < 0x04:
                if not room:
                    self.waiting = True
                    break
                room -= 1
                self._publish(take, first, held, head, min(stop, end))
            elif stop > end:
                raise Malformed("a packet too long")
            else:
                self._other += held[at:stop]
                other()
            at = stop
        self._skip = max(0, at - end)
        self._held = held[at:]

    def _publish(self, take: Take, first: int, held: bytes, at: int, stop: int) -> None:
        """A PUBLISH whose variable header begins at `at` (MQTT 3.1.1 §3.3, 5 §3.3)."""
        body = at + 2
        if body <= stop:
            body += held[at] << 8 | held[at + 1]
        name = held[at + 2 : body]
        mid, qos = 0, first >> 1 & 1
        if qos and body + 2 <= stop:
            mid = held[body] << 8 | held[body + 1]
            body += 2
        if self._five and body < stop:
            start, length = _length(held, body, stop)
            body = start + length if start else stop + 1
        if body > stop or (qos and not mid):
            raise Malformed("a PUBLISH that is none")
        topic = self._topics.get(name)
        if topic is None:
            topic = self._name(name)
        take(mid, qos, first & 8 != 0, topic, held[body:stop])

    def _name(self, name: bytes) -> str | None:
        if len(self._topics) >= _TOPICS:
            self._topics.clear()
        try:
            topic = name.decode("utf-8")
        except UnicodeDecodeError:
            return None
        self._topics[name] = topic
        return topic

    def acknowledge(self, mids: Iterable[int]) -> None:
        """Send PUBACKs, all at once; what the socket does not take now goes with `flush`."""
        self._out += b"".join([_PUBACK(0x40, 2, mid) for mid in mids])
        self.flush()

    @property
    def unsent(self) -> bool:
        """PUBACKs wait for the socket."""
        return bool(self._out)

    def flush(self) -> None:
        """Send what waits, unless paho is in the middle of a packet. An error shows at the next read."""
        if self._inside or not self._out:
            return
        try:
            del self._out[: self._sock.send(self._out)]
        except _DRY:
            pass
        except OSError:
            self._out.clear()

    def give_up(self) -> None:
        """Nothing that came or comes can be trusted: paho is to see the end of the connection at its next read."""
        self._over, self._other, self._held, self.waiting = True, b"", b"", False

    # For paho.

    def recv(self, size: int) -> bytes:
        """The next bytes of packets that are paho's. b"" when the connection is over."""
        if not self._other and not self._over:
            raise BlockingIOError
        data, self._other = self._other[:size], self._other[size:]
        return data

    def send(self, data: bytes) -> int:
        """Send, after PUBACKs that began to wait before."""
        self.flush()
        if self._out and not self._inside:
            raise BlockingIOError
        self._inside = True  # also when nothing is taken now: TLS wants the very same bytes again
        sent: int = self._sock.send(data)
        self._inside = sent < len(data)
        return sent

    def pending(self) -> int:
        """Bytes for `recv`."""
        return len(self._other)

    @property
    def readable(self) -> bool:
        """There is something for `recv`."""
        return bool(self._other)

    def buffered(self) -> bool:
        """TLS holds bytes that poll() does not see."""
        return isinstance(self._sock, ssl.SSLSocket) and self._sock.pending() > 0

    def fileno(self) -> int:
        number: int = self._sock.fileno()
        return number

    def setblocking(self, flag: bool) -> None:
        self._sock.setblocking(flag)

    def getsockname(self) -> Any:
        return self._sock.getsockname()

    def close(self) -> None:
        self._sock.close()


def _length(data: bytes, at: int, end: int) -> tuple[int, int]:
    """(where it ends, value) of the variable byte integer at `at`; (0, 0) if its end has not come. Raises Malformed."""
    value = 0
    for i in range(4):
        if at + i >= end:
            return 0, 0
        value |= (data[at + i] & 0x7F) << 7 * i
        if data[at + i] < 0x80:
            return at + i + 1, value
    raise Malformed("a length of more than four bytes")


class LineClient(Client):
    """A paho client over a Line."""

    line: Line | None = None
    most = READ

    def _create_socket(self) -> Any:
        self.line = Line(super()._create_socket(), self._protocol == 5, self.most)
        return self.line


@lru_cache(maxsize=1)
def works() -> bool:
    """Whether the installed paho takes a Line for a socket: tried out once, over a socket pair."""
    try:
        fine = _try_out()
    except Exception as error:  # noqa: BLE001  (whatever a later paho does: the other way is there)
        log.warning("mqtt: slower, since paho does not work with our socket: %s: %s", type(error).__name__, error)
        return False
    if not fine:
        log.warning("mqtt: slower, since paho does not work with our socket")
    return fine


def _try_out() -> bool:
    ours, theirs = socket.socketpair()
    taken: list[tuple[int, int, bool, str | None, bytes]] = []
    accepted: list[bool] = []

    class Tried(LineClient):
        def _create_socket(self) -> Any:
            self.line = Line(ours, False, READ)
            return self.line

    with ours, theirs:
        client = Tried(CallbackAPIVersion.VERSION2, client_id="t", manual_ack=True, reconnect_on_failure=False)
        client.on_connect = lambda *more: accepted.append(not more[3].is_failure)
        client.connect("127.0.0.1", 1883)
        line = client.line
        assert line is not None
        publish = b"\x32\x09\x00\x03a/b\x00\x07xy"
        theirs.sendall(b"\x20\x02\x00\x00" + publish + b"\xd0\x00" + publish)

        def take(mid: int, qos: int, dup: bool, topic: str | None, payload: bytes) -> None:
            taken.append((mid, qos, dup, topic, payload))

        line.receive(take, lambda: drain(client, line), 10)
        line.acknowledge([7])
        theirs.settimeout(1)
        said = theirs.recv(4096)
        return (
            accepted == [True]
            and taken == [(7, 1, False, "a/b", b"xy")] * 2
            and said[0] == 0x10
            and said.endswith(b"\x40\x02\x00\x07")
        )


def drain(client: Client, line: Line) -> None:
    """Let paho read what is its own."""
    while client.loop_read() == MQTTErrorCode.MQTT_ERR_SUCCESS and line.readable:
        pass
