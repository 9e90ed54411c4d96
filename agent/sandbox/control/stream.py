"""Changes as server-sent events: a snapshot first, then each thing as it is now, a beat every 2 s."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from agent.sandbox.control import views
from agent.sandbox.push.hub import Hub
from agent.sandbox.world.journal import stamp
from agent.sandbox.world.world import SandboxWorld

BEAT_S = 2.0


def _shapes(world: SandboxWorld, hub: Hub) -> dict[str, Callable[[Any], Any]]:
    """How each kind of change is told."""
    return {
        "group": lambda group: views.group(world, group),
        "message": lambda message: views.message(world, message),
        "system": lambda pair: {"chat_id": pair[0].chat_id, **views.system(pair[1])},
        "person": views.person,
        "call": views.call,
        "violation": views.violation,
        "counters": lambda _: views.counters(world),
        "faults": lambda _: {"faults": [views.fault(fault) for fault in world.faults.active]},
        "office": lambda _: views.office(world),
        "connections": lambda _: {"connections": views.connections(hub)},
        "clock": lambda _: views.clock(world),
    }


async def events(world: SandboxWorld, hub: Hub, tz: str) -> AsyncIterator[str]:
    """The stream of one reader, until it goes or the server ends. One that fell behind starts again with a snapshot."""
    shapes = _shapes(world, hub)
    watcher = world.bus.watch()
    try:
        yield _event("snapshot", views.snapshot(world, hub, tz))
        while not watcher.over:
            if not await watcher.wait(BEAT_S):
                yield _event("beat", {"now": stamp(world.now())})
                continue
            changes = watcher.take()
            if watcher.behind:
                watcher.behind = False
                yield _event("snapshot", views.snapshot(world, hub, tz))
                continue
            for kind, thing in changes:
                yield _event(kind, shapes[kind](thing))
    finally:
        world.bus.leave(watcher)


def _event(kind: str, data: Any) -> str:
    return f"event: {kind}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
