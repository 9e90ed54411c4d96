"""A click: durable here before anything else, decided by the edge that owns the ticket, answered within two seconds.

A click that Feishu pushes twice is one command. A verdict that comes after the person was told "received" and that
refuses goes to them as a direct message.
"""

from __future__ import annotations

import asyncio
import uuid as uuids
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from agent.clock import Clock
from agent.model import Click, Text, Verdict, text
from agent.outbox.queue import Item, enqueue
from agent.outbox.receipts import add_reply
from agent.relay.replies import Edges
from agent.relay.rows import command
from agent.relay.settings import RelaySettings
from agent.store.write import Store, announce

Whose = Callable[[Connection, str], str | None]
"""Ticket number → edge that owns it."""

_CREDIBLE = timedelta(days=1)
"""Feishu tells of a click within seconds, once: an older time is an error, and would stand before what came first."""


_LOOK_UP_PART = 0.7
"""Of the time for an answer, what looking up who pressed may take."""

_PRESS = ("ticket", "action", "cycle", "args", "person")
"""What makes two presses the same one, pressed again."""


class Clicks:
    """Takes clicks from any thread, hands out verdicts."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        edges: Edges,
        settings: RelaySettings,
        whose: Whose,
        who: Callable[[Click], str | None],
        settled: Callable[[float], Awaitable[bool]],
    ) -> None:
        """`settled`: whether everybody of the directory has been looked up; waits for it until then (loop time)."""
        self._store, self._clock, self._edges, self._settings = store, clock, edges, settings
        self._whose, self._who, self._settled = whose, who, settled
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: dict[str, asyncio.Event] = {}

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Name the loop on which verdicts are awaited."""
        self._loop = loop

    def on_click(self, click: Click) -> Future[Verdict]:
        """Take a click (any thread); the future resolves within `verdict_wait_s` and a commit."""
        assert self._loop is not None, "bind the loop first"
        return asyncio.run_coroutine_threadsafe(self._answer(click), self._loop)

    async def _answer(self, click: Click) -> Verdict:
        now, wait = asyncio.get_running_loop().time(), self._settings.verdict_wait_s
        until = now + wait
        person = await asyncio.to_thread(self._who, click)
        if person is None:
            settled = await self._settled(now + wait * _LOOK_UP_PART)
            person = await asyncio.to_thread(self._who, click)
            if person is None:
                return Verdict("error", text("click.unknown_person" if settled else "click.not_looked_up"))
        taken = await self._store.write(lambda conn: self._take(conn, click, person))
        if isinstance(taken, Verdict):
            return taken
        uuid, edge = taken
        if self._edges.silent_s(edge) > self._settings.edge_silent_s:
            return Verdict("info", text("click.edge_offline"))
        return await self._await_verdict(uuid, until)

    async def _await_verdict(self, uuid: str, until: float) -> Verdict:
        event = self._waiting.setdefault(uuid, asyncio.Event())
        try:
            async with asyncio.timeout_at(until):
                while True:
                    found = await self._store.write(lambda conn: _verdict(conn, uuid))
                    if found is not None:
                        return found
                    await event.wait()
        except TimeoutError:
            late = await self._store.write(lambda conn: self._told(conn, uuid))
            return late or Verdict("info", text("click.received"))
        finally:
            self._waiting.pop(uuid, None)

    def _take(self, conn: Connection, click: Click, person: str) -> Verdict | tuple[str, str]:
        now = self._clock.now()
        known = conn.execute(select(command).where(command.c.event_id == click.event_id)).first()
        if known is not None:
            return _verdict(conn, known.uuid) or (known.uuid, known.edge)
        number = str(click.value.get("ticket", ""))
        edge = self._whose(conn, number)
        if edge is None:
            return Verdict("error", text("click.unknown_ticket", no=number))
        uuid = uuids.uuid4().hex
        acted = min(click.clicked_at or now, now)
        if now - acted > _CREDIBLE:
            acted = now
        payload = {
            "uuid": uuid, "event_id": click.event_id, "ticket": number, "action": str(click.value.get("action", "")),
            "cycle": click.value.get("cycle"), "args": dict(click.form), "person": person, "at": acted.isoformat(),
        }  # fmt: skip
        silent = self._edges.silent_s(edge) > self._settings.edge_silent_s
        conn.execute(insert(command).values(
            uuid=uuid, event_id=click.event_id, edge=edge, payload=payload, received_at=now,
            told_at=now if silent else None,
        ))  # fmt: skip
        add_reply(conn, now, edge, "command", payload)
        return uuid, edge

    def _told(self, conn: Connection, uuid: str) -> Verdict | None:
        """Time is up: note that the person was told "received", unless the verdict came in this very moment."""
        found = _verdict(conn, uuid)
        if found is None:
            conn.execute(update(command).where(command.c.uuid == uuid).values(told_at=self._clock.now()))
        return found

    def take_verdict(self, conn: Connection, now: datetime, edge: str, payload: Mapping[str, Any]) -> None:
        """The edge's verdict on a command (ingress handler of kind "verdict")."""
        row = conn.execute(select(command).where(command.c.uuid == payload["command"])).first()
        if row is None or row.verdict is not None:
            return
        conn.execute(update(command).where(command.c.uuid == row.uuid).values(verdict=dict(payload), verdict_at=now))
        if row.told_at is not None and payload["level"] == "error" and not _pressed_before(conn, row):
            self._say_late(conn, now, row, payload["toast"])
        announce(conn, f"verdict:{row.uuid}")

    @staticmethod
    def _say_late(conn: Connection, now: datetime, row: Row[Any], toast: Text) -> None:
        number = row.payload["ticket"]
        message = {"ticket": number, "person": row.payload["person"],
                   "text": text("click.refused_late", no=number, reason=toast)}  # fmt: skip
        enqueue(conn, now, Item(f"late:{row.uuid}", "nudge", "escalation", message, uuid=f"late-{row.uuid}"))

    def wake(self, topics: frozenset[str]) -> None:
        """Wake the clicks whose verdict was committed (call on the loop)."""
        for topic in topics:
            if topic.startswith("verdict:") and (event := self._waiting.get(topic.removeprefix("verdict:"))):
                event.set()


def _pressed_before(conn: Connection, row: Row[Any]) -> bool:
    """Whether the person had pressed just this before and heard, or is to hear, what came of it.

    Who waits for the line presses again: one message is enough, and none if their first press was taken.
    """
    others = conn.execute(
        select(command.c.payload).where(
            command.c.edge == row.edge, command.c.uuid != row.uuid, command.c.verdict.is_not(None),
            command.c.told_at.is_not(None), command.c.received_at > row.received_at - _CREDIBLE,
        )
    ).scalars()  # fmt: skip
    return any(all(other[part] == row.payload[part] for part in _PRESS) for other in others)


def _verdict(conn: Connection, uuid: str) -> Verdict | None:
    found = conn.execute(select(command.c.verdict).where(command.c.uuid == uuid)).scalar_one_or_none()
    return None if found is None else Verdict(found["level"], found["toast"], found.get("card"))
