"""The bulk reader of PUBLISH packets: what it takes is what paho itself would read, however the bytes are cut."""

import contextlib
import socket
import struct
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from agent.collectors.mqtt.line import Line, LineClient, Malformed, drain, works

MOST = 4096


class Cut:
    """A socket whose bytes come in the pieces that were asked for; what is sent is kept, `window` bytes a time."""

    def __init__(self, data: bytes, cuts: list[int], window: int = 1 << 20) -> None:
        edges = sorted({0, len(data), *(c % (len(data) + 1) for c in cuts)})
        self.pieces = [data[a:b] for a, b in pairwise(edges)]
        self.sent, self.window = b"", window

    def recv(self, size: int) -> bytes:
        if not self.pieces:
            raise BlockingIOError
        piece = self.pieces.pop(0)
        if len(piece) > size:
            self.pieces.insert(0, piece[size:])
        return piece[:size]

    def send(self, data: bytes) -> int:
        if not self.window:
            raise BlockingIOError
        n = min(len(data), self.window)
        self.window -= n
        self.sent += bytes(data[:n])
        return n


def number(n: int) -> bytes:
    out = b""
    while True:
        n, low = n >> 7, n & 0x7F
        out += bytes([low | (0x80 if n else 0)])
        if not n:
            return out


def publish(topic: bytes, payload: bytes, mid: int = 0, flags: int = 0, props: bytes | None = None) -> bytes:
    body = struct.pack(">H", len(topic)) + topic + (struct.pack(">H", mid) if mid else b"")
    body += b"" if props is None else number(len(props)) + props
    body += payload
    return bytes([0x30 | (0x02 if mid else 0) | flags]) + number(len(body)) + body


def read(line: Line, others: list[bytes] | None = None, room: int = 10**6) -> list[tuple]:
    """All that `line` takes until it is dry."""
    taken: list[tuple] = []

    def other() -> None:
        if others is not None and line.pending():
            others.append(line.recv(10**6))

    for _ in range(10_000):
        more = line.receive(lambda *packet: taken.append(packet), other, room)
        if not more and not line.waiting:
            return taken
    raise AssertionError("it never gets dry")


messages = st.lists(
    st.tuples(
        st.sampled_from([b"a/b", b"line3/op40/width", "温度".encode(), b"\xff\xfe", b"", b"x" * 200]),
        st.binary(max_size=300),
        st.integers(0, 65535),
        st.booleans(),
        st.sampled_from([b"", b"\x01\x01", b"\x26\x00\x01k\x00\x01v", b"\x26\x00\x02kk\x00\x80" + b"v" * 128]),
    ),
    max_size=12,
)


@given(messages, st.lists(st.integers(0, 5000), max_size=30), st.booleans(), st.integers(1, 4))
@settings(deadline=None)
def test_every_message_comes_whole_and_in_order_however_it_is_cut(said, cuts, five, room) -> None:
    data = b"".join(
        publish(t, p, mid, (0x08 if dup and mid else 0) | 1, props if five else None)
        for t, p, mid, dup, props in said
    )  # fmt: skip
    expected = [
        (mid, 1 if mid else 0, bool(dup and mid), None if t == b"\xff\xfe" else t.decode(), p)
        for t, p, mid, dup, _ in said
    ]
    assert read(Line(Cut(data, cuts), five, MOST), room=room) == expected


@given(messages, st.lists(st.integers(0, 5000), max_size=10), st.booleans())
@settings(deadline=None, max_examples=60)
def test_it_takes_what_paho_itself_would_read(said, cuts, five) -> None:
    """The same bytes through paho's own parser."""
    said = [m for m in said if m[0] not in (b"", b"\xff\xfe")]  # paho ends or raises where we count one bad message
    data = b"".join(publish(t, p, mid, 0, props if five else None) for t, p, mid, _, props in said)
    seen = []

    class Fed(Client):
        def _create_socket(self):
            return ours

    ours, theirs = socket.socketpair()
    with ours, theirs:
        version = MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311
        client = Fed(CallbackAPIVersion.VERSION2, client_id="c", protocol=version, manual_ack=True)
        client.on_message = lambda _c, _d, m: seen.append((m.mid, m.qos, m.dup, m.topic, m.payload))
        client.connect("127.0.0.1")
        theirs.sendall((b"\x20\x03\x00\x00\x00" if five else b"\x20\x02\x00\x00") + data)
        for _ in range(len(said) * 8 + 8):
            client.loop_read()
    assert read(Line(Cut(data, cuts), five, MOST)) == seen


@given(st.binary(max_size=600), st.lists(st.integers(0, 600), max_size=8), st.booleans())
@example(b"\x32\xff\xff\xff\xff\x01", [], False)
@example(b"\x32\x02\x00\x09", [], False)
@example(b"\x32\x05\x00\x01a\x00\x00", [], True)
@settings(deadline=None)
def test_whatever_comes_it_is_taken_or_malformed(data, cuts, five) -> None:
    line = Line(Cut(data, cuts), five, 64)
    try:
        for *_, payload in read(line, []):
            assert len(payload) <= 64
    except Malformed:
        return
    assert len(line._held) <= 64 + 600


@pytest.mark.parametrize(
    "bad", [b"\x30\x01\x00", b"\x32\x04\x00\x01a\x01", b"\x32\x05\x00\x01a\x00\x00", b"\x30\x80\x80\x80\x80\x01"]
)
def test_what_is_no_publish_ends_the_connection(bad) -> None:
    with pytest.raises(Malformed):
        read(Line(Cut(bad, []), False, MOST))


def test_an_overlong_message_is_one_message_and_its_bytes_are_not_kept() -> None:
    huge = publish(b"a", b"x" * 1_000_000, 5)
    line = Line(Cut(huge + publish(b"a", b"y", 6), list(range(0, 1_000_000, 50_000))), False, MOST)
    first, second = read(line)
    assert (first[:4], second) == ((5, 1, False, "a"), (6, 1, False, "a", b"y"))
    assert MOST - 100 < len(first[4]) < 60_000
    assert not line._held


def test_other_packets_are_paho_s_in_their_place() -> None:
    pubrel = b"\x62\x02\x00\x09"
    data = publish(b"a", b"1", 1) + b"\xd0\x00" + publish(b"a", b"2", 2) + pubrel + publish(b"q", b"3", 3, 0x04)
    others: list[bytes] = []
    taken = read(Line(Cut(data, []), False, MOST), others)
    assert [m[4] for m in taken] == [b"1", b"2"]
    assert others[:2] == [b"\xd0\x00", pubrel]
    assert others[2][0] & 0x06, "QoS 2 and 3 are not ours to judge"


def test_packets_for_which_there_is_no_room_wait_and_nothing_is_read_meanwhile() -> None:
    cut = Cut(b"".join(publish(b"a", b"%d" % i, i) for i in range(1, 8)), [30])
    line, taken = Line(cut, False, MOST), []
    assert line.receive(lambda *m: taken.append(m), lambda: None, 2) is False
    assert line.waiting and [m[0] for m in taken] == [1, 2]
    assert cut.pieces, "the rest is still in the socket"
    line.receive(lambda *m: taken.append(m), lambda: None, 100)
    assert not line.waiting
    line.receive(lambda *m: taken.append(m), lambda: None, 100)
    assert [m[0] for m in taken] == list(range(1, 8))


@given(st.lists(st.integers(1, 40), min_size=1, max_size=20), st.lists(st.sampled_from(["ack", "paho"]), max_size=20))
@settings(deadline=None)
def test_acknowledgements_never_cut_a_packet_of_paho_s(windows, acts) -> None:
    cut = Cut(b"", [], 0)
    line, unsent, mid, whole = Line(cut, False, MOST), b"", 0, {}
    for act, window in zip(acts, windows * len(acts), strict=False):
        cut.window = window
        if act == "ack":
            mid += 1
            line.acknowledge([mid])
        if act == "paho" and not unsent:
            unsent = b"\xc0\x0bpaho-packet"
        if unsent:
            with contextlib.suppress(BlockingIOError):
                unsent = unsent[line.send(unsent) :]
    cut.window = 10**6
    if unsent:
        line.send(unsent)
    line.flush()
    rest, acked = cut.sent, []
    while rest:
        size = 2 + rest[1]
        whole[rest[0]] = whole.get(rest[0], 0) + 1
        assert rest[:size] in (b"\xc0\x0bpaho-packet", b"\x40\x02" + rest[2:4])
        if rest[0] == 0x40:
            acked.append(rest[3])
        rest = rest[size:]
    assert acked == list(range(1, mid + 1))
    assert not line.unsent


def test_the_end_of_the_connection_is_paho_s_to_see() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        line, ended = Line(ours, False, MOST), []
        theirs.close()
        assert line.receive(lambda *m: None, lambda: ended.append(line.recv(1)), 1) is False
        assert ended == [b""]


def test_the_installed_paho_takes_our_socket() -> None:
    assert works()


def test_where_paho_does_not_the_other_way_is_taken(monkeypatch, caplog) -> None:
    works.cache_clear()
    monkeypatch.setattr(LineClient, "loop_read", lambda *_: 1 / 0)
    try:
        assert not works()
        assert "slower, since paho does not work with our socket: ZeroDivisionError" in caplog.text
    finally:
        works.cache_clear()


def test_drain_lets_paho_read_all_that_is_its_own() -> None:
    class Two:
        reads = 0

        def loop_read(self):
            self.reads += 1
            line._other = line._other[1:]
            return 0

    line, client = Line(Cut(b"", []), False, MOST), Two()
    line._other = b"xyz"
    drain(client, line)  # type: ignore[arg-type]
    assert client.reads == 3


def test_what_paho_has_to_send_again_goes_before_acknowledgements() -> None:
    """TLS refuses other bytes than those it could not send the first time."""
    cut = Cut(b"", [], 0)
    line = Line(cut, False, MOST)
    with pytest.raises(BlockingIOError):
        line.send(b"paho")
    cut.window = 100
    line.acknowledge([1])
    assert cut.sent == b""
    line.send(b"paho")
    line.flush()
    assert cut.sent == b"paho\x40\x02\x00\x01"
