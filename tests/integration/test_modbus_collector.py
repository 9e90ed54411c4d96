"""The Modbus collector against two servers of different make (pymodbus, libmodbus) and against PLCs that misbehave."""

from __future__ import annotations

import asyncio
import itertools
import struct
import time
from copy import copy

import pytest
from modbus_peer import Peer, Sink, build, collecting, free_port, reg, until
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from agent.clock import SystemClock
from agent.collectors.modbus.line import Line
from agent.collectors.modbus.settings import ModbusSettings
from agent.errors import AgentError
from agent.model import Quality


def config(port, registers, **over):
    base = {
        "type": "modbus",
        "host": "127.0.0.1",
        "port": port,
        "period_s": 0.05,
        "timeout_s": 0.3,
        "registers": registers,
    }
    return ModbusSettings.model_validate(base | over)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """The first pause before a reconnect is short, so that the tests are."""
    monkeypatch.setattr("agent.collectors.modbus.units.FIRST_PAUSE_S", 0.05)


# ---- real servers ----


@pytest.fixture(scope="module")
def libmodbus(tmp_path_factory):
    return build(tmp_path_factory.mktemp("libmodbus"))


@pytest.fixture
def c_server(libmodbus):
    port = free_port()
    with Peer(libmodbus, "tcp", port) as peer:
        yield port, peer


def test_libmodbus_values_of_every_kind_and_only_read_functions(c_server):
    port, peer = c_server
    held = {100: 0x47F1, 101: 0x2065, 102: 0x6520, 103: 0xF147, 104: 0xF147, 105: 0x6520, 106: 0x2065, 107: 0x47F1,
            110: 1805, 111: 65536 - 40, 8: 6000, 120: 0x1234, 130: 0x4142, 131: 0x4300, 132: 2}  # fmt: skip
    held |= dict(enumerate(struct.unpack(">4H", struct.pack(">q", -(2**40) - 5)), 140))
    held |= dict(enumerate(struct.unpack(">4H", struct.pack(">d", 0.1))[::-1], 144))
    for address, value in held.items():
        peer.tell(f"set {address} {value}")
    registers = [
        reg("abcd", 100, "float32"),
        reg("dcba", 102, "float32", order="DCBA"),
        reg("badc", 104, "float32", order="BADC"),
        reg("cdab", 106, "float32", order="CDAB"),
        reg("tension", 110, scale=0.1),
        reg("below", 111, "int16", offset=0.5),
        reg("speed", 8, table="input", scale=0.01),
        reg("count", 120, "bcd16"),
        reg("door", 120, "bool", bit=2),
        reg("mode", 120, bits=[4, 7]),
        reg("order_no", 130, "string", length=4),
        reg("state", 132, enum={2: "running"}),
        reg("big", 140, "int64"),
        reg("fine", 144, "float64", order="CDAB"),
        {"tag": "valve", "table": "coil", "address": 9},
        {"tag": "gate", "table": "discrete", "address": 10},
    ]

    async def main():
        sink = Sink()
        async with collecting(config(port, registers), sink) as health:
            await until(lambda: len(sink.signals) >= 3 * len(registers))
        assert sink.last() == {
            **dict.fromkeys(("abcd", "dcba", "badc", "cdab"), 123456.7890625),
            "tension": 180.5,
            "below": -39.5,
            "speed": 60.0,
            "count": 1234.0,
            "door": 1.0,
            "mode": 3.0,
            "order_no": None,
            "state": 2.0,
            "big": -1099511627781.0,
            "fine": 0.1,
            "valve": 1.0,
            "gate": 0.0,
        }
        assert {s.tag: s.text for s in sink.signals if s.text} == {"order_no": "ABC", "state": "running"}
        assert {s.quality for s in sink.signals} == {Quality.GOOD}
        first = sink.signals[0]
        assert (first.source, first.quality, first.source_at, first.id) == ("plc", Quality.GOOD, None, None)
        assert health.errors == {}
        assert health.last_data_at == sink.signals[-1].received_at
        return len(sink.signals) // len(registers)

    polls = asyncio.run(main())
    functions = [function for _, function, _, _ in peer.requests]
    assert set(functions) == {1, 2, 3, 4}
    assert functions.count(3) <= 3 * (polls + 1), "100 to 111, 120 to 132 and 140 to 147: a block each a poll"


def test_not_even_by_force_does_a_write_reach_the_device(c_server):
    """Whoever got hold of our client and asked it to write is stopped before the socket."""
    port, peer = c_server

    async def main():
        line = Line(config(port, [reg("a", 0)]), lambda kind: None)
        await line.connect()
        client = line._client
        for ask in (
            lambda: client.write_register(3, 1, device_id=1),
            lambda: client.write_coil(3, True, device_id=1),
            lambda: client.write_registers(3, [1], device_id=1),
            lambda: client.write_coils(3, [True], device_id=1),
            lambda: client.mask_write_register(address=3, device_id=1),
            lambda: client.readwrite_registers(read_address=1, read_count=1, write_address=1, values=[1], device_id=1),
        ):
            with pytest.raises((PermissionError, KeyError, TypeError)):
                await ask()
        assert await line.read(1, ("holding", 3, 1), 1.0) == b"\0\3"
        line.close()

    asyncio.run(main())
    assert peer.requests == [(1, 3, 3, 1)]


def test_an_address_the_device_lacks_costs_only_its_own_register(c_server):
    """libmodbus knows holding 0…199; the block reaches to 201, so it answers exception 2 to all of it."""
    port, _ = c_server
    registers = [reg(f"r{a}", a) for a in (190, 191, 198, 199, 200, 201)]

    async def main():
        sink = Sink()
        async with collecting(config(port, registers), sink) as health:
            await until(lambda: len(sink.of("r199")) >= 5)
            seen = health.errors["modbus_exception_2"]
            polls = len(sink.of("r199"))
            await until(lambda: len(sink.of("r199")) >= polls + 5)
            grown = health.errors["modbus_exception_2"] - seen
            assert (health.state, health.reconnects) == ("up", 0)
        assert sink.last() == {"r190": 190, "r191": 191, "r198": 198, "r199": 199, "r200": None, "r201": None}
        assert sink.of("r200") == [None]
        assert all(value is not None for value in sink.of("r199")), "the others never turned bad"
        assert 10 <= grown <= 14, "two refusals a poll: the plan was learned"

    asyncio.run(main())


def test_a_plc_that_goes_away_comes_back_by_itself(libmodbus):
    port = free_port()

    async def main():
        sink = Sink()
        peer = Peer(libmodbus, "tcp", port)
        try:
            async with collecting(config(port, [reg("tension", 110)]), sink) as health:
                await until(lambda: sink.of("tension"))
                peer.end()
                await until(lambda: health.state == "down" and sink.of("tension")[-1] is None)
                await asyncio.sleep(0.3)
                assert sink.of("tension").count(None) == 1
                peer = Peer(libmodbus, "tcp", port)
                await until(lambda: sink.of("tension")[-1] == 110.0)
                assert health.state == "up"
                assert health.reconnects >= 1
                assert health.errors["modbus_connect"] >= 1
        finally:
            peer.end()

    asyncio.run(main())


def test_pymodbus_server_sees_read_functions_only_and_periods_are_kept():
    async def main():
        asked = []

        def trace(sending, pdu):
            if not sending:
                asked.append((pdu.function_code, pdu.address, pdu.count, asyncio.get_running_loop().time()))
            return pdu

        data = [
            SimData(0, values=[7, 8], datatype=DataType.REGISTERS),
            SimData(40, values=9, datatype=DataType.REGISTERS),
        ]
        port = free_port()
        server = ModbusTcpServer(SimDevice(1, simdata=data), address=("127.0.0.1", port), trace_pdu=trace)
        await server.serve_forever(background=True)
        try:
            registers = [reg("a", 0), reg("b", 1), reg("slow", 40, period_s=0.4)]
            sink = Sink()
            async with collecting(config(port, registers, period_s=0.1), sink) as health:
                await asyncio.sleep(1.3)
            assert sink.last() == {"a": 7.0, "b": 8.0, "slow": 9.0}
            assert health.errors == {}
        finally:
            await server.shutdown()
        assert {(f, a, n) for f, a, n, _ in asked} == {(3, 0, 2), (3, 40, 1)}
        fast = [at for _, address, _, at in asked if address == 0]
        slow = [at for _, address, _, at in asked if address == 40]
        assert 8 <= len(fast) <= 13
        assert 2 <= len(slow) <= 4
        drift = [(at - fast[0] + 0.05) % 0.1 - 0.05 for at in fast]
        assert max(map(abs, drift)) < 0.04, "an absolute schedule"

    asyncio.run(main())


# ---- PLCs that misbehave ----


class FakePlc:
    """Answers each request as `script(n, request)` says: a list of (delay in seconds, bytes), or None to hang up.

    `n` counts all requests from 0; a request is (transaction, unit, function, address, count).
    """

    def __init__(self, script) -> None:
        self.script, self.count = script, itertools.count()
        self.connections = self.requests = 0

    async def __aenter__(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.server.close()
        await self.server.wait_closed()

    async def _serve(self, reader, writer):
        self.connections += 1
        try:
            while True:
                transaction, _, _, unit, function, address, count = struct.unpack(
                    ">HHHBBHH", await reader.readexactly(12)
                )
                self.requests += 1
                answer = self.script(next(self.count), (transaction, unit, function, address, count))
                if answer is None:
                    break
                for delay, data in answer:
                    await asyncio.sleep(delay)
                    writer.write(data)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def frame(transaction, body, unit=1):
    return struct.pack(">HHHB", transaction, 0, len(body) + 1, unit) + body


def good(request, *words):
    transaction, unit, function, _, count = request
    words = words or range(count)
    return frame(transaction, struct.pack(f">BB{count}H", function, 2 * count, *words), unit)


def play(script, registers, condition, seconds=4.0, **over):
    """Run the collector against a FakePlc until condition(sink, health, plc); gives the three as they were then."""

    async def main():
        sink = Sink()
        async with FakePlc(script) as plc, collecting(config(plc.port, registers, **over), sink) as health:
            await until(lambda: condition(sink, health, plc), seconds)
            return sink, copy(health), plc

    return asyncio.run(main())


@pytest.mark.parametrize("transaction_of_late", ["its own", "zero"])
def test_a_late_answer_is_never_the_next_value(transaction_of_late):
    """Every fourth answer comes after the time-out; values tell which request they answer (its address)."""

    def script(n, request):
        late = n % 4 == 1
        own = request if transaction_of_late == "its own" or not late else (0, *request[1:])
        return [(0.15 if late else 0.0, good(own, request[3]))]

    registers = [reg("a", 1000), reg("b", 2000), reg("c", 3000)]
    sink, health, plc = play(
        script, registers, lambda s, h, _: h.errors.get("modbus_timeout", 0) >= 4 and len(s.signals) > 20, timeout_s=0.1
    )
    assert {t: set(sink.of(t)) - {None} for t in "abc"} == {"a": {1000.0}, "b": {2000.0}, "c": {3000.0}}
    assert plc.connections > health.errors["modbus_timeout"], "a new connection after each time-out"
    assert health.reconnects >= 4


def test_an_answer_to_an_older_request_on_the_same_connection_is_not_taken():
    """The PLC sends the answer of the last request again, before the right one."""
    last = []

    def script(n, request):
        answer = good(request, n)
        again = list(last)
        last[:] = [answer]
        return [(0, b"".join([*again[:1], answer]))] if n % 2 else [(0, answer)]

    sink, health, _ = play(script, [reg("a", 0)], lambda s, h, _: len(s.of("a")) >= 8)
    values = [v for v in sink.of("a") if v is not None]
    assert all(v % 2 == 0 for v in values), "only from undoubted answers"
    assert {"modbus_wrong_transaction", "modbus_bad_frame"} & health.errors.keys()


def test_bytes_nobody_asked_for_end_the_connection():
    def script(n, request):
        return [(0, good(request, 5)), (0.02, b"\0\0\0\0")] if n == 0 else [(0, good(request, 6))]

    sink, health, plc = play(script, [reg("a", 0)], lambda s, h, _: 6.0 in s.of("a"))
    assert sink.of("a")[0] == 5.0
    assert health.errors == {"modbus_unasked": 1}
    assert plc.connections == 2


WRONG = {
    "modbus_wrong_function": lambda r: frame(r[0], struct.pack(">BBHH", 4, 4, 1, 2)),
    "modbus_wrong_length": lambda r: frame(r[0], struct.pack(">BBH", 3, 2, 1)),
    "modbus_wrong_unit": lambda r: frame(r[0], struct.pack(">BBHH", 3, 4, 1, 2), unit=9),
    "modbus_wrong_transaction": lambda r: frame(r[0] + 1, struct.pack(">BBHH", 3, 4, 1, 2)),
    "modbus_bad_frame": lambda r: b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "modbus_short_frame": lambda r: frame(r[0], struct.pack(">BBHH", 3, 4, 1, 2))[:-1],
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_answer_is_bad_once_and_never_a_number(kind, caplog):
    def script(n, request):
        return [(0, WRONG[kind](request))] if 1 <= n <= 3 else [(0, good(request, 7, 8))]

    sink, health, _ = play(
        script, [reg("a", 0), reg("b", 1)], lambda s, h, _: h.errors and s.last() == {"a": 7.0, "b": 8.0}, timeout_s=0.1
    )
    assert set(sink.of("a")) == {7.0, None}
    assert sink.of("a").count(None) == 1
    bad = [s for s in sink.signals if s.value is None]
    assert {(s.tag, s.quality) for s in bad} == {("a", Quality.BAD), ("b", Quality.BAD)}
    assert health.errors.pop("modbus_missed", 0) == 0 or kind == "modbus_short_frame"
    assert health.errors == {kind: 3}
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("code", [1, 2, 4, 5, 6, 10, 11])
def test_exception_codes_are_told_apart_and_keep_the_connection(code):
    refusals = itertools.count()

    def script(n, request):
        refused = frame(request[0], bytes([0x83, code]))
        return [(0, refused)] if request[3] == 50 and next(refusals) < 3 else [(0, good(request, 3))]

    sink, health, plc = play(script, [reg("a", 0), reg("b", 50)], lambda s, h, _: len(s.of("b")) >= 2)
    assert sink.of("b")[:2] == [None, 3.0]
    assert None not in sink.of("a"), "the other block is not concerned"
    assert health.errors == {f"modbus_exception_{code}": 3}
    assert (plc.connections, health.state, health.reconnects) == (1, "up", 0)


def test_a_device_that_refuses_everything_is_asked_in_large_blocks():
    sizes = []

    def script(n, request):
        sizes.append(request[4])
        return [(0, frame(request[0], b"\x83\x02"))]

    registers = [reg(f"r{a}", a) for a in range(16)]
    sink, health, _ = play(script, registers, lambda s, h, p: p.requests >= 31 + 5)
    assert sizes[:3] == [16, 8, 4] and sorted(sizes[:31])[:16] == [1] * 16, "once it looks for the missing address"
    assert sizes[31:36] == [16] * 5
    assert len(sink.signals) == 16
    assert {s.value for s in sink.signals} == {None}
    assert health.last_data_at is None
    assert health.stale(SystemClock().now())


def test_a_dropped_connection_is_noticed_at_once():
    started = {}

    def script(n, request):
        started.setdefault(n, time.monotonic())
        return None if n == 1 else [(0, good(request, 4))]

    sink, health, _ = play(
        script, [reg("a", 0)], lambda s, h, _: len(s.of("a")) >= 4 and s.of("a")[-1] == 4.0, timeout_s=2.0
    )
    assert sink.of("a")[:3] == [4.0, None, 4.0]
    assert health.errors == {"modbus_disconnected": 1}
    assert started[2] - started[1] < 1.0, "it did not wait for the time-out"


def test_a_missing_sensor_is_bad_and_no_error_of_the_connection():
    nan = struct.unpack(">HH", struct.pack(">f", float("nan")))

    def script(n, request):
        return [(0, good(request, *nan, 5) if n in (1, 2) else good(request, 0x3FC0, 0, 5))]

    sink, health, plc = play(script, [reg("t", 0, "float32"), reg("x", 2)], lambda s, h, _: len(s.of("x")) >= 5)
    assert sink.of("t")[:4] == [1.5, None, 1.5, 1.5]
    assert set(sink.of("x")) == {5.0}
    assert health.errors == {"modbus_not_finite": 2}
    assert plc.connections == 1


def test_what_could_not_be_stored_is_said_again():
    class Full(AgentError):
        """The store is full."""

    def script(n, request):
        return [(0, frame(request[0], b"\x83\x06"))] if n < 4 else [(0, good(request, 1))]

    async def main():
        kept, refusals = Sink(), iter([Full(), Full()])

        async def emit(signals):
            for full in refusals:
                raise full
            await kept(signals)

        async with FakePlc(script) as plc, collecting(config(plc.port, [reg("a", 0)]), emit) as health:
            await until(lambda: len(kept.signals) >= 2)
        assert kept.of("a")[:2] == [None, 1.0]
        assert health.errors["not_stored"] == 2

    asyncio.run(main())


def test_one_dead_source_never_delays_another():
    """A silent PLC, one that refuses the connection and one whose answers are endless; beside them a good one."""

    async def main():
        sinks = [Sink() for _ in range(4)]
        silent = FakePlc(lambda n, r: [])
        babbler = FakePlc(lambda n, r: [(0, b"\0\1\0\0\0\xfe\1\3" + b"x" * 50)] + [(0.001, b"x" * 200)] * 2000)
        fine = FakePlc(lambda n, r: [(0, good(r, n))])
        at = []

        async def emit(signals):
            at.append(time.monotonic())
            await sinks[3](signals)

        async with silent, babbler, fine:
            bad = [silent.port, free_port(), babbler.port]
            slow = [config(port, [reg("a", 0)], timeout_s=2.0) for port in bad]
            async with (
                collecting(slow[0], sinks[0], "s1"),
                collecting(slow[1], sinks[1], "s2"),
                collecting(slow[2], sinks[2], "s3"),
                collecting(config(fine.port, [reg("a", 0)]), emit, "s4"),
            ):
                async with asyncio.timeout(15):
                    while len(at) < 25:
                        await asyncio.sleep(0.05)
        waits = sorted(b - a for a, b in itertools.pairwise(at))
        assert waits[-1] < 1.9, "nobody waited for the silent one's two seconds"
        assert waits[len(waits) // 2] < 0.1, "as a rule every 50 ms"
        assert all(value is None for sink in sinks[:3] for value in sink.of("a"))

    asyncio.run(main())


def test_a_slow_device_misses_readings_and_does_not_pile_them_up():
    sink, health, plc = play(
        lambda n, r: [(0.18, good(r, n))], [reg("a", 0)], lambda s, h, _: len(s.of("a")) >= 4, period_s=0.05
    )
    assert sink.of("a")[:4] == [0.0, 1.0, 2.0, 3.0]
    assert health.errors["modbus_missed"] >= 6
    assert plc.connections == 1
