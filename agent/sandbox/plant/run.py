"""Runs the whole plant in one loop."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from secrets import token_urlsafe

from agent.clock import Clock
from agent.sandbox.plant.broker import run_broker
from agent.sandbox.plant.line import AGENT_USER, SENSOR_USER
from agent.sandbox.plant.plc import run_plc
from agent.sandbox.plant.process import Process
from agent.sandbox.plant.sensors import run_sensors


def plant_users(secrets: Path) -> dict[str, str]:
    """The broker's users and passwords. Each stands in a file of `secrets` named after the user; made if missing."""
    secrets.mkdir(mode=0o700, parents=True, exist_ok=True)
    users = {}
    for user in (AGENT_USER, SENSOR_USER):
        path = secrets / user
        with (
            suppress(FileExistsError),
            os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file,
        ):
            file.write(token_urlsafe(24) + "\n")
        users[user] = path.read_text("utf-8").strip()
    return users


async def run_plant(
    clock: Clock, broker_port: int, plc_port: int, seed: int, stop: asyncio.Event, *, secrets: Path
) -> None:
    """Run broker, sensors and PLC on 127.0.0.1 until `stop` is set or the task is cancelled.

    The line starts when the ports are open; its first drift begins 15 s later. `clock` gives the times that the sensors
    send; the process itself runs at the pace of the machine, also while a demo's clock is put forward. `secrets` is the
    folder of the broker's passwords. Raises an ExceptionGroup if a port is taken.
    """
    loop = asyncio.get_running_loop()
    users = plant_users(secrets)
    process = Process(seed)
    began = loop.time()

    def elapsed() -> float:
        return loop.time() - began

    broker_up, plc_up = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(run_broker(broker_port, users, broker_up), name="plant-broker")]
        await broker_up.wait()  # one after the other: amqtt cannot be shut down while it starts
        tasks.append(group.create_task(run_plc(plc_port, process, elapsed, plc_up), name="plant-plc"))
        await plc_up.wait()
        began = loop.time()
        publish = run_sensors(clock, process, elapsed, broker_port, SENSOR_USER, users[SENSOR_USER])
        tasks.append(group.create_task(publish, name="plant-sensors"))
        await stop.wait()
        for task in reversed(tasks):
            task.cancel()
