"""The plant's sensors: each publishes once a second, QoS 1, as {"ts": epoch ms, "value": number, "id": text}."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from secrets import token_hex

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from agent.clock import Clock
from agent.sandbox.plant.line import COATER, QUANTITIES, Quantity
from agent.sandbox.plant.process import Process

_WAITING = 600
"""Messages kept per sensor while the broker is away; beyond that the newest are lost, as in a real sensor."""


async def run_sensors(
    clock: Clock, process: Process, elapsed: Callable[[], float], port: int, user: str, password: str
) -> None:
    """Publish until cancelled, reconnecting as often as needed. `elapsed()` gives the seconds since the line began."""
    sensors = [q for q in QUANTITIES if q.source == COATER]
    client = Client(CallbackAPIVersion.VERSION2, client_id="coat3-sensors", clean_session=False)
    client.username_pw_set(user, password)
    client.reconnect_delay_set(1, 5)
    client.max_queued_messages_set(_WAITING * len(sensors))
    client.connect_async("127.0.0.1", port, keepalive=15)
    client.loop_start()
    boot = token_hex(3)

    async def publish(quantity: Quantity, phase: float) -> None:
        """One sensor: a reading each second, `phase` seconds after the full one."""
        tick = int(elapsed())
        while True:
            await asyncio.sleep(tick + phase - elapsed())
            ts, value = int(clock.now().timestamp() * 1000), process.value(quantity, tick)
            reading = {"ts": ts, "value": value, "id": f"{quantity.id}-{boot}-{tick}"}
            client.publish(str(quantity.tag), json.dumps(reading), qos=1)
            tick = max(tick + 1, int(elapsed() - phase) + 1)

    try:
        async with asyncio.TaskGroup() as group:
            for place, quantity in enumerate(sensors):
                group.create_task(publish(quantity, (place + 0.5) / len(sensors)), name=f"sensor-{quantity.id}")
    finally:
        client.disconnect()
        await asyncio.to_thread(client.loop_stop)
