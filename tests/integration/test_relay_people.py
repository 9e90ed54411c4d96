"""The relay learns who is who in Feishu as soon as it hears of people: until then it refuses their clicks."""

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

from agent.app import build_relay
from agent.clock import SystemClock
from agent.config import read_config
from agent.plant.directory import take_people
from agent.sandbox.demo_file import write_config, write_people
from agent.store.schema import upgrade


def test_people_are_looked_up_at_once_when_an_edge_tells_of_them(tmp_path: Path) -> None:
    write_people(tmp_path)
    write_config(tmp_path, {name: n for n, name in enumerate(("kiosk", "desk", "sandbox", "broker", "plc"), 1)})
    (tmp_path / "secrets" / "andon").write_text("nobody listens there")
    (tmp_path / "secrets" / "andon").chmod(0o600)
    relay = build_relay(read_config(tmp_path / "agent.toml"), SystemClock())
    asked: asyncio.Queue[list[str]] = asyncio.Queue()
    row = {"id": "10099", "name": "外人", "leader": None, "department": None, "roles": ["operator"], "active": True,
           "email": "a@plant.example", "mobile": None, "open_id": None, "user_id": None}  # fmt: skip

    async def play() -> None:
        loop = asyncio.get_running_loop()

        def learn(people: Sequence[str], names: object) -> int:
            loop.call_soon_threadsafe(asked.put_nowait, list(people))
            return len(people)

        relay.sink.learn = learn  # type: ignore[method-assign, assignment]
        relay.store.on_commit(lambda topics: relay._heard(loop, topics))
        task = asyncio.create_task(relay.acquaintance.run())
        try:
            async with asyncio.timeout(3):  # it looks by itself every 5 s
                assert await asked.get() == []
                told = {"people": [row], "departments": []}
                await relay.store.write(lambda conn: take_people(conn, relay.clock.now(), "E1", told))
                assert await asked.get() == ["10099"]
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    relay.store.path.parent.mkdir(parents=True)
    upgrade(relay.store.path)
    relay.store.open()
    try:
        asyncio.run(play())
    finally:
        relay.store.close()
