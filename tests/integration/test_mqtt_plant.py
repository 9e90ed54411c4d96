"""The simulated plant on real sockets, read by the agent's own collectors."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pymodbus.client import AsyncModbusTcpClient

from agent.clock import SystemClock
from agent.collectors.modbus.collector import ModbusCollector
from agent.collectors.modbus.settings import ModbusSettings
from agent.collectors.mqtt.collector import MqttCollector
from agent.collectors.mqtt.settings import MqttSettings
from agent.model import SourceHealth
from agent.sandbox.plant.line import QUANTITIES, plant_config
from agent.sandbox.plant.process import Process
from agent.sandbox.plant.run import plant_users, run_plant

ROOT = Path(__file__).parents[2]
KINDS = {"mqtt": (MqttSettings, MqttCollector), "modbus": (ModbusSettings, ModbusCollector)}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@asynccontextmanager
async def plant(secrets):
    stop, ports = asyncio.Event(), (free_port(), free_port())
    task = asyncio.create_task(run_plant(SystemClock(), *ports, 7, stop, secrets=secrets))
    try:
        yield plant_config(*ports, secrets)
    finally:
        stop.set()
        await asyncio.wait_for(task, 10)


def collectors(config, emit):
    """Tasks and health of the sources as the plant describes them."""
    tasks, healths = [], {}
    for source in config["sources"]:
        model, collector = KINDS[source["type"]]
        name = source["name"]
        settings = model.model_validate({k: v for k, v in source.items() if k != "name"})
        healths[name] = SourceHealth(name, source["type"], 10)
        tasks.append(asyncio.create_task(collector(name, settings, SystemClock(), healths[name]).run(emit)))
    return tasks, healths


async def until(condition, seconds=6.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)


def test_the_collectors_read_every_quantity_as_the_process_has_it(tmp_path):
    async def main():
        signals = []

        async def emit(batch):
            signals.extend(batch)

        async with plant(tmp_path / "secrets") as config:
            tasks, healths = collectors(config, emit)
            measured = {(q.source, q.tag): q for q in QUANTITIES if q.source}
            try:
                await until(lambda: all(sum((s.source, s.tag) == k for s in signals) >= 2 for k in measured))
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        assert {(s.source, s.tag) for s in signals} == set(measured)
        process = Process(7)
        for signal in signals:
            quantity = measured[signal.source, signal.tag]
            shown = [process.value(quantity, t) for t in range(10)]
            assert min(abs(signal.value - v) for v in shown) < 1e-4
            if signal.source == "coater":
                assert signal.id.startswith(quantity.id)
                assert abs((signal.received_at - signal.source_at).total_seconds()) < 2
        ids = [s.id for s in signals if s.id]
        assert len(set(ids)) == len(ids)
        while_it_starts = {"connect_failed", "modbus_connect"}
        assert {kind for h in healths.values() for kind in h.errors} <= while_it_starts

    asyncio.run(main())


def test_the_session_keeps_messages_while_the_agent_is_away(tmp_path):
    async def main():
        signals = []

        async def emit(batch):
            signals.extend(batch)

        async def listen(config, enough):
            tasks, _ = collectors({"sources": config["sources"][:1]}, emit)
            try:
                await until(enough)
            finally:
                tasks[0].cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

        async with plant(tmp_path / "secrets") as config:
            await listen(config, lambda: len(signals) >= 4)
            before = len(signals)
            await asyncio.sleep(2.2)
            assert len(signals) == before
            await listen(config, lambda: len(signals) >= before + 10)
        for quantity in {s.tag for s in signals}:
            ticks = sorted({int(s.id.rsplit("-", 1)[1]) for s in signals if s.tag == quantity})
            assert ticks == list(range(ticks[0], ticks[-1] + 1)), "no reading is missing"

    asyncio.run(main())


def test_a_wrong_password_is_refused_and_the_plc_takes_no_writes(tmp_path):
    async def main():
        async with plant(tmp_path / "secrets") as config:
            coater, oven = config["sources"]
            wrong = tmp_path / "wrong"
            wrong.write_text("no\n", "utf-8")
            wrong.chmod(0o600)
            tasks, healths = collectors({"sources": [coater | {"password_file": str(wrong)}]}, None)
            try:
                await until(lambda: healths["coater"].errors.get("refused", 0) >= 1)
            finally:
                tasks[0].cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            client = AsyncModbusTcpClient("127.0.0.1", port=oven["port"])
            await until_connected(client)
            before = (await client.read_holding_registers(110, count=1)).registers
            answer = await client.write_register(110, 1)
            after = (await client.read_holding_registers(110, count=1)).registers
            client.close()
            assert answer.isError()
            assert 1 not in (*before, *after)

    asyncio.run(main())


async def until_connected(client):
    deadline = time.monotonic() + 5
    while not await client.connect():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


def test_a_port_in_use_ends_the_plant_with_an_error(tmp_path):
    async def main():
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen(1)
            port = taken.getsockname()[1]
            with pytest.raises(ExceptionGroup):
                await run_plant(SystemClock(), free_port(), port, 1, asyncio.Event(), secrets=tmp_path / "s")
            with pytest.raises(ExceptionGroup):
                await run_plant(SystemClock(), port, free_port(), 1, asyncio.Event(), secrets=tmp_path / "s")

    asyncio.run(main())


def test_passwords_are_made_once_and_for_the_owner_only(tmp_path):
    users = plant_users(tmp_path / "secrets")
    assert plant_users(tmp_path / "secrets") == users
    assert len(set(users.values())) == 2 and min(map(len, users.values())) >= 32
    assert {p.name: p.stat().st_mode & 0o777 for p in (tmp_path / "secrets").iterdir()} == dict.fromkeys(users, 0o600)


def test_the_plant_runs_as_a_program_and_stops_on_sigterm(tmp_path):
    ports = [free_port(), free_port()]
    command = [sys.executable, "-m", "agent.sandbox.plant", "--secrets", str(tmp_path / "s")]
    process = subprocess.Popen(
        [*command, "--broker-port", str(ports[0]), "--plc-port", str(ports[1])],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for port in ports:
            deadline = time.monotonic() + 8
            while True:
                assert time.monotonic() < deadline and process.poll() is None
                try:
                    socket.create_connection(("127.0.0.1", port), 0.5).close()
                    break
                except OSError:
                    time.sleep(0.05)
        time.sleep(1.2)
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (0, "")
