"""Modbus TCP: 500 devices × 100 registers each second, and tags a second beside bare pymodbus and pyModbusTCP.

    python tests/bench/bench_modbus.py [--devices 500] [--seconds 20]

The devices are libmodbus in processes of their own, 100 to each. Lateness: from the instant of the schedule at which a
reading was due until its signals were handed over. Share of a core: this process's CPU time over the time that passed.
Tags a second: one device, blocks of 100 registers one after the other, as fast as it goes; bare clients only ask, ours
also makes signals of the answers. No assertion; the bars are printed.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))

from modbus_peer import Peer, build, free_port
from pymodbus.client import AsyncModbusTcpClient
from pyModbusTCP.client import ModbusClient

from agent.clock import SystemClock
from agent.collectors.modbus.blocks import Limits, plan
from agent.collectors.modbus.collector import ModbusCollector
from agent.collectors.modbus.line import Line
from agent.collectors.modbus.settings import ModbusSettings
from agent.collectors.modbus.units import Poll
from agent.model import Signal, SourceHealth

REGISTERS = 100
PER_PEER = 100


def settings(port: int, count: int = REGISTERS) -> ModbusSettings:
    """A device with values of the usual kinds, together `count` registers."""
    kinds: list[dict[str, Any]] = [
        {"type": "uint16"}, {"type": "int16", "scale": 0.1}, {"type": "uint16", "scale": 0.01, "offset": -40},
        {"type": "uint16"}, {"type": "int16"},
    ]  # fmt: skip
    registers = [{"tag": f"r{a}", "address": a, **kinds[a % len(kinds)]} for a in range(count)]
    return ModbusSettings.model_validate(
        {"type": "modbus", "host": "127.0.0.1", "port": port, "timeout_s": 5.0, "registers": registers}
    )


class Watch:
    """Notes how late each reading was handed over, seen from outside: `Poll.advance` follows the handing over."""

    def __init__(self) -> None:
        self.late: list[float] = []
        self._advance = Poll.advance

    def __enter__(self) -> Watch:
        late, advance, clock = self.late, self._advance, time.monotonic

        def watched(poll: Poll, now: float, line_until: float) -> None:
            late.append(clock() - poll.due)
            advance(poll, now, line_until)

        Poll.advance = watched  # type: ignore[method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        Poll.advance = self._advance  # type: ignore[method-assign]


async def swarm(ports: Sequence[int], seconds: float) -> None:
    """All devices at once, each by a collector of its own, as the agent runs them."""
    received = 0

    async def emit(signals: Sequence[Signal]) -> None:
        nonlocal received
        received += len(signals)

    healths = [SourceHealth(f"plc{i}", "modbus", 10) for i in range(len(ports))]
    collectors = [
        ModbusCollector(health.name, settings(port), SystemClock(), health)
        for health, port in zip(healths, ports, strict=True)
    ]
    tasks = [asyncio.create_task(collector.run(emit)) for collector in collectors]
    await asyncio.sleep(3)
    with Watch() as watch:
        received, begun, used = 0, time.monotonic(), time.process_time()
        await asyncio.sleep(seconds)
        spent, cpu = time.monotonic() - begun, time.process_time() - used
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    late = sorted(watch.late)
    errors = {kind: n for h in healths for kind, n in h.errors.items()}
    p50, p99 = median(late) * 1e3, late[int(len(late) * 0.99)] * 1e3
    print(f"{len(ports)} devices × {REGISTERS} registers each second for {spent:.0f} s, errors {errors or 'none'}")
    print(f"  readings {len(late)}, tags/s {received / spent:,.0f} of {len(ports) * REGISTERS:,} wanted")
    print(f"  lateness p50 {p50:.1f} ms, p99 {p99:.1f} ms (bar < 50), max {late[-1] * 1e3:.1f} ms")
    print(f"  share of a core {cpu / spent:.1%} (bar <= 35 %), {cpu / received * 1e6:.1f} µs a tag")
    print(f"  peak RSS {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


async def ours(port: int, seconds: float) -> tuple[float, float]:
    """Line, decoder and signals, without the schedule that would pause between two readings."""
    health = SourceHealth("one", "modbus", 10)
    config = settings(port)
    collector = ModbusCollector("one", config, SystemClock(), health)
    plan_ = plan(config.registers, Limits())
    poll = next(iter(_polls(config)))
    begun, used, tags = time.monotonic(), time.process_time(), 0
    while time.monotonic() - begun < seconds:
        tags += len(await collector._poll(poll))
    assert len(plan_) == 1 and not health.errors, health
    spent = time.monotonic() - begun
    collector._line.close()
    return tags / spent, (time.process_time() - used) / tags * 1e6


def _polls(config: ModbusSettings) -> list[Poll]:
    from agent.collectors.modbus.units import polls

    return polls(config, 0.0, 0.0)


async def line_alone(port: int, seconds: float) -> tuple[float, float]:
    """Our checked connection without making signals: what the checks cost."""
    line = Line(settings(port), lambda kind: None)
    await line.connect()
    begun, used, tags = time.monotonic(), time.process_time(), 0
    while time.monotonic() - begun < seconds:
        tags += len(await line.read(1, ("holding", 0, REGISTERS), 5.0)) // 2
    spent = time.monotonic() - begun
    line.close()
    return tags / spent, (time.process_time() - used) / tags * 1e6


async def bare_pymodbus(port: int, seconds: float) -> tuple[float, float]:
    client = AsyncModbusTcpClient("127.0.0.1", port=port)
    assert await client.connect()
    begun, used, tags = time.monotonic(), time.process_time(), 0
    while time.monotonic() - begun < seconds:
        tags += len((await client.read_holding_registers(0, count=REGISTERS)).registers)
    spent = time.monotonic() - begun
    client.close()
    return tags / spent, (time.process_time() - used) / tags * 1e6


async def bare_py_modbus_tcp(port: int, seconds: float) -> tuple[float, float]:
    client = ModbusClient("127.0.0.1", port=port, auto_open=True)
    begun, used, tags = time.monotonic(), time.process_time(), 0
    while time.monotonic() - begun < seconds:
        tags += len(client.read_holding_registers(0, REGISTERS) or ())
    spent = time.monotonic() - begun
    client.close()
    return tags / spent, (time.process_time() - used) / tags * 1e6


CLIENTS: dict[str, Callable[[int, float], Any]] = {
    "andon: signals": ours,
    "andon: line alone": line_alone,
    "bare pymodbus 3.16 (async)": bare_pymodbus,
    "bare pyModbusTCP 0.3 (blocking)": bare_py_modbus_tcp,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--devices", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=20)
    args = parser.parse_args()
    with ExitStack() as stack:
        program = build(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        ports = []
        for _ in range(0, args.devices, PER_PEER):
            ports.append(free_port())
            stack.enter_context(Peer(program, "tcp", ports[-1])).tell("quiet")
        asyncio.run(swarm([ports[i // PER_PEER] for i in range(args.devices)], args.seconds))
        print(f"one device, blocks of {REGISTERS}, one after the other, median of 3")
        rounds = [[asyncio.run(client(ports[0], 1.5)) for client in CLIENTS.values()] for _ in range(3)]
        rates = [median(r[i][0] for r in rounds) for i in range(len(CLIENTS))]
        for i, name in enumerate(CLIENTS):
            ratios = ", ".join(f"{rates[0] / rates[k]:.2f} × {list(CLIENTS)[k].split(' (')[0]}" for k in (2, 3))
            cost = median(r[i][1] for r in rounds)
            print(
                f"  {name:<32} {rates[i]:>11,.0f} tags/s  {cost:5.2f} µs CPU a tag{'  = ' + ratios if i == 0 else ''}"
            )


if __name__ == "__main__":
    main()
