"""Every fault of a line, over TCP, RTU over TCP and RTU on a terminal, played by a device of libmodbus."""

from __future__ import annotations

import asyncio
import itertools
import socket
import threading
import time
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace

import pytest
from modbus_peer import Bus, DeviceServer, Peer, Sink, build, collecting, free_port, reg, until

from agent.collectors.modbus.settings import ModbusSettings
from agent.model import Quality


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return build(tmp_path_factory.mktemp("peer"))


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Pauses are short, so that the tests are."""
    monkeypatch.setattr("agent.collectors.modbus.units.FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr("agent.collectors.modbus.units._GHOST_S", 0.9)


class Tcp:
    """A TCP device, or a gateway with several units."""

    def __init__(self, stack, program, units):
        port = free_port()
        peer = stack.enter_context(Peer(program, "tcp", port))
        self.peers = dict.fromkeys(units, peer)
        self.way = {"host": "127.0.0.1", "port": port}


class Rtu:
    """Devices on a serial line."""

    def __init__(self, stack, program, units):
        self.bus = bus = stack.enter_context(Bus(*units))
        self.peers = {
            unit: stack.enter_context(Peer(program, "rtu", path, unit))
            for unit, path in zip(units, bus.devices, strict=True)
        }
        self.way = {"transport": "rtu", "serial_port": bus.master}


class RtuOverTcp(Rtu):
    """The same behind a device server that carries bytes: whoever connects last hears the line."""

    def __init__(self, stack, program, units):
        super().__init__(stack, program, units)
        port = stack.enter_context(DeviceServer(self.bus.master))
        self.way = {"transport": "rtu_over_tcp", "host": "127.0.0.1", "port": port}


LINES = {"tcp": Tcp, "rtu": Rtu, "rtu_over_tcp": RtuOverTcp}
every_line = pytest.mark.parametrize("kind", LINES)


@contextmanager
def line(kind, program, *units):
    with ExitStack() as stack:
        yield LINES[kind](stack, program, units or (1,))


def config(line, registers, **over):
    base = {"type": "modbus", "period_s": 0.1, "timeout_s": 0.3, "reconnect_max_s": 0.5, "registers": registers}
    return ModbusSettings.model_validate(base | line.way | over)


def read(line, registers, story, **over):
    """Run the collector while `await story(sink, health)`; gives sink and health as they were then."""

    async def main():
        sink = Sink()
        async with collecting(config(line, registers, **over), sink) as health:
            await story(sink, health)
        return sink, health

    return asyncio.run(main())


def values(sink, tag):
    return {v for v in sink.of(tag) if v is not None}


@every_line
def test_values_come_and_only_read_functions_go_out(kind, program):
    registers = [
        reg("a", 3),
        reg("b", 60, "float32"),
        reg("c", 7, table="input"),
        {"tag": "d", "table": "coil", "address": 30},
        {"tag": "e", "table": "discrete", "address": 31},
    ]
    with line(kind, program) as it:

        async def story(sink, health):
            await until(lambda: len(sink.signals) >= 50, 15)

        sink, health = read(it, registers, story)
        assert sink.last() == {"a": 3.0, "b": pytest.approx(5.510447e-39, rel=1e-3), "c": 7.0, "d": 1.0, "e": 0.0}
        assert (health.errors, health.reconnects) == ({}, 0)
        functions = {function for _, function, _, _ in it.peers[1].requests}
        assert functions == {1, 2, 3, 4}


FAULTS = {
    "exception 1": "modbus_exception_1",
    "exception 2": "modbus_exception_2",
    "exception 3": "modbus_exception_3",
    "exception 5": "modbus_exception_5",
    "exception 6": "modbus_exception_6",
    "exception 10": "modbus_exception_10",
    "exception 11": "modbus_exception_11",
    "silent 0": "modbus_timeout",
    "function 0": "modbus_wrong_function",
    "unit 0": "modbus_wrong_unit",
    "length 0": "modbus_wrong_length",
    "other 0": "modbus_wrong_length",
    "short 0": "modbus_short_frame",
    "checksum 0": "modbus_bad_checksum",
    "drop 0": "modbus_disconnected",
}


@every_line
@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_bad_once_told_apart_and_never_a_number(kind, fault, program):
    if (fault, kind) in {("checksum 0", "tcp"), ("drop 0", "rtu"), ("drop 0", "rtu_over_tcp")}:
        fault = "silent 0"  # what such a line has no word for
    name, arg = fault.split()
    with line(kind, program) as it:

        async def story(sink, health):
            await until(lambda: len(sink.of("a")) >= 3, 15)
            it.peers[1].fault(name, int(arg), 2)
            await until(lambda: sink.of("a")[-1] is None, 15)
            await until(lambda: sink.of("a")[-1] == 40, 15)

        sink, health = read(it, [reg("a", 40), reg("b", 41)], story)
        assert (values(sink, "a"), values(sink, "b")) == ({40.0}, {41.0})
        assert sink.of("a").count(None) == 1
        assert {s.quality for s in sink.signals if s.value is None} == {Quality.BAD}
        assert health.errors.pop("modbus_missed", 0) <= 10
        assert health.errors[FAULTS[fault]] >= 1
        others = set(health.errors) - {FAULTS[fault], "modbus_timeout", "modbus_unasked"}
        assert others == set()
        if name == "exception":
            assert health.reconnects == 0


@every_line
@pytest.mark.parametrize("late_ms", [360, 520, 800, 1200])
def test_a_late_answer_is_never_the_next_value(kind, late_ms, program):
    """All blocks are of one shape, so that an answer fits any of them; the values are the addresses."""
    registers = [reg(f"r{a}", a, period_s=p) for a, p in ((10, 0.1), (50, 0.1), (90, 0.2), (130, 0.3))]
    with line(kind, program) as it:

        async def story(sink, health):
            for _ in range(3):
                seen = len(sink.of("r50"))
                await until(lambda seen=seen: len(sink.of("r50")) >= seen + 3 and sink.of("r50")[-1] == 50, 20)
                late = health.errors.get("modbus_timeout", 0)
                it.peers[1].fault("late", late_ms, 2)
                await until(lambda late=late: health.errors.get("modbus_timeout", 0) > late, 20)
            await until(lambda: all(sink.of(r["tag"])[-1] is not None for r in registers), 20)

        sink, health = read(it, registers, story)
        for register in registers:
            assert values(sink, register["tag"]) == {float(register["address"])}
        if kind != "rtu":
            assert health.reconnects >= 3


@every_line
def test_a_device_that_is_always_late_is_never_believed_wrongly(kind, program):
    """Each answer comes after two time-outs: on a serial line it is always the answer of an earlier request."""
    registers = [reg("a", 10), reg("b", 50, "uint32"), reg("c", 90)]
    with line(kind, program) as it:
        it.peers[1].fault("late", 660, 1000)

        async def story(sink, health):
            await until(lambda: health.errors.get("modbus_timeout", 0) >= 5, 30)
            it.peers[1].fault("none", 0, 0)
            await until(lambda: sink.last().get("c") is not None, 30)

        sink, _ = read(it, registers, story)
        assert (values(sink, "a"), values(sink, "b"), values(sink, "c")) == ({10.0}, {50 * 65536.0 + 51}, {90.0})


@every_line
def test_a_dead_unit_does_not_hold_up_the_living_ones(kind, program):
    registers = [reg(f"u{u}.{a}", a, unit=u) for u in (1, 2, 3) for a in (10, 100)]
    with line(kind, program, 1, 2, 3) as it:
        at = {1: [], 3: []}

        async def story(sink, health):
            await until(lambda: len(sink.last()) == 6, 15)
            it.peers[2].tell("dead 2")
            await until(lambda: sink.of("u2.10")[-1] is None, 15)
            await asyncio.sleep(2.0)
            begun, tries = len(sink.signals), health.errors["modbus_timeout"]
            times = time.monotonic()
            await asyncio.sleep(5.0)
            spent = time.monotonic() - times
            living = [s for s in sink.signals[begun:] if s.tag in ("u1.10", "u3.10")]
            for signal in living:
                at[int(signal.tag[1])].append(signal.received_at.timestamp())
            assert all(s.value is not None for s in sink.signals[begun:])
            assert len(living) >= 0.75 * 2 * spent / 0.1, "the living are read at their pace"
            assert health.errors["modbus_timeout"] - tries <= 3, "the dead one is asked ever more seldom"
            assert health.state == "up"
            it.peers[2].tell("alive 2")
            await until(lambda: sink.of("u2.10")[-1] == 10 and sink.of("u2.100")[-1] == 100, 20)

        sink, health = read(it, registers, story)
        assert sink.of("u2.10").count(None) == 1
        assert health.last_bad.startswith("unit 2: modbus_")
        assert max(b - a for times in at.values() for a, b in itertools.pairwise(times)) < 1.0


@every_line
def test_a_device_gone_for_a_while_comes_back(kind, program):
    with line(kind, program) as it:

        async def story(sink, health):
            await until(lambda: sink.of("a"), 15)
            it.peers[1].tell("dead 1")
            await until(lambda: health.state == "down", 15)
            await asyncio.sleep(1.0)
            it.peers[1].tell("alive 1")
            await until(lambda: sink.of("a")[-1] == 5, 15)
            assert health.state == "up"

        sink, _ = read(it, [reg("a", 5)], story)
        assert sink.of("a").count(None) == 1


@every_line
def test_what_must_never_be_read_is_not_asked_for_and_blocks_end_where_told(kind, program):
    registers = [reg(f"r{a}", a) for a in (10, 12, 14, 16, 18, 20)]
    over = {
        "never_read": [{"table": "holding", "first": 13, "last": 13}, {"table": "input", "first": 15, "last": 15}],
        "split_at": [{"table": "holding", "address": 18}],
        "units": [{"unit": 1, "max_block": 3}],
    }
    with line(kind, program) as it:

        async def story(sink, health):
            await until(lambda: len(sink.of("r20")) >= 3, 15)
            it.peers[1].fault("silent", 0, 3)
            await until(lambda: health.errors.get("modbus_timeout", 0) >= 3, 15)
            await until(lambda: all(v is not None for v in sink.last().values()), 15)

        read(it, registers, story, **over)
        asked = [set(range(first, first + n)) for _, function, first, n in it.peers[1].requests if function == 3]
        assert not any(13 in block or {17, 18} <= block for block in asked)
        assert {10, 11, 12} in asked and {14, 15, 16} in asked and {18, 19, 20} in asked
        assert max(map(len, asked)) <= 3


def test_noise_on_a_serial_line_is_counted_and_spoils_nothing(program):
    with line("rtu", program) as it:

        async def story(sink, health):
            await until(lambda: sink.of("a"), 15)
            for _ in range(5):
                it.bus.say(b"\xff\x00\x12garbage")
                seen = len(sink.of("a"))
                await until(lambda seen=seen: len(sink.of("a")) >= seen + 2, 15)
            await until(lambda: sink.of("a")[-1] == 5, 15)

        sink, health = read(it, [reg("a", 5)], story)
        assert values(sink, "a") == {5.0}
        assert sum(health.errors.values()) >= 4


def test_a_line_that_never_is_silent_gives_no_value_and_ends(program):
    with line("rtu", program) as it:
        babbling = threading.Event()

        def babble():
            while not babbling.wait(0.005):
                it.bus.say(b"U" * 8)

        thread = threading.Thread(target=babble)

        async def story(sink, health):
            await until(lambda: sink.of("a"), 15)
            thread.start()
            await until(lambda: sink.of("a")[-1] is None, 15)
            await asyncio.sleep(0.6)
            babbling.set()
            await until(lambda: sink.of("a")[-1] == 5, 15)

        try:
            sink, _ = read(it, [reg("a", 5)], story)
        finally:
            babbling.set()
            thread.join(5)
        assert values(sink, "a") == {5.0}


def test_a_serial_adapter_that_is_pulled_out_is_opened_again(program, tmp_path):
    """The device file is a link, as udev makes them; it goes and comes back."""
    path = tmp_path / "ttyMODBUS"
    first, second = Bus(1), Bus(1)
    with first, second, Peer(program, "rtu", first.devices[0], 1), Peer(program, "rtu", second.devices[0], 1) as peer:
        peer.tell("set 5 77")
        path.symlink_to(first.master)

        there = SimpleNamespace(way={"transport": "rtu", "serial_port": str(path)})

        async def story(sink, health):
            await until(lambda: 5.0 in sink.of("a"), 15)
            path.unlink()
            first.hang_up()
            await until(lambda: health.errors.get("modbus_connect", 0) >= 2, 15)
            path.symlink_to(second.master)
            await until(lambda: sink.of("a")[-1] == 77, 15)

        sink, health = read(there, [reg("a", 5)], story)
        assert sink.of("a").count(None) == 1
        assert health.reconnects >= 1


def test_a_half_open_connection_is_given_up_and_made_anew():
    """It accepts and answers, then says nothing more without closing; the next connection is answered."""
    server = socket.create_server(("127.0.0.1", 0))
    held = []

    def serve():
        for number in itertools.count():
            try:
                client, _ = server.accept()
            except OSError:
                return
            held.append(client)
            threading.Thread(target=answer, args=(client, number), daemon=True).start()

    def answer(client, number):
        for n in itertools.count():
            request = client.recv(12)
            if not request or (number == 0 and n >= 2):
                return
            client.sendall(request[:4] + b"\0\5" + request[6:8] + b"\2\0\7")

    threading.Thread(target=serve, daemon=True).start()

    there = SimpleNamespace(way={"host": "127.0.0.1", "port": server.getsockname()[1]})

    async def story(sink, health):
        await until(lambda: len(sink.of("a")) >= 2, 15)
        await until(lambda: len(held) >= 2 and sink.of("a")[-1] == 7 and sink.of("a").count(None) == 1, 15)

    with server:
        _, health = read(there, [reg("a", 5)], story)
        for client in held:
            client.close()
    assert health.errors["modbus_timeout"] >= 1
    assert health.reconnects >= 1
