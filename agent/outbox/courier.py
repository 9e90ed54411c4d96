"""The edge's side of the link: pushes items, pulls replies. The edge dials; the relay never does.

An item stays until its receipt came back. After contact is found again, replies are drained before anything is pushed:
an act of yesterday counts before today's escalation is sent (ADR 3).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx
from pydantic import ValidationError
from sqlalchemy import Connection, select, update

from agent.clock import Clock
from agent.errors import Unreachable
from agent.outbox.answers import Answer, Given, Known, Polled, Pushed, Reply, Result
from agent.outbox.epochs import begin_take_back, forget_place, identity, place, put_place
from agent.outbox.inbox import RESENT, Apply, cursor, new_relay, remember_far, start_over, take
from agent.outbox.queue import AGAIN, Item, enqueue, settle
from agent.outbox.rows import far, outbox
from agent.outbox.settings import LinkSettings
from agent.store.facts import caught_up, epoch, get_meta, put_meta, restored
from agent.store.write import Store, StoreFull

log = logging.getLogger(__name__)
_MAX_BYTES = 1 << 20
_ADOPT = 500
"""Far ids in one item: well below what a relay takes."""

Resync = Callable[[Connection, datetime, int], "int | None"]
"""Enqueue the next slice of everything a relay without memory must know, from a place; the place after, or None."""

TakeBack = Callable[[Connection, datetime, Sequence[Sequence[Mapping[str, Any]]]], None]
"""Take the histories of records that this edge has forgotten, as the relay was told them."""


A = TypeVar("A", bound=Answer)


@dataclass(slots=True)
class LinkState:
    """What is known of the link: up, since when, and the last contact."""

    up: bool = False
    since: datetime | None = None
    last_contact_at: datetime | None = None
    drained: bool = False
    """True once the replies that waited at the last contact have been applied."""
    office: bool = True
    """False while the relay says that it cannot reach Feishu."""


class Courier:
    """Two tasks, `push` and `pull`, and the state they share."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        settings: LinkSettings,
        edge: str,
        handlers: Mapping[str, Apply],
        blob: Callable[[str], Path | None],
        resync: Resync,
        take_back: TakeBack,
    ) -> None:
        self._store, self._clock, self._settings, self._edge = store, clock, settings, edge
        self._handlers, self._blob, self._resync, self._take_back = handlers, blob, resync, take_back
        self._met = False
        self._meeting = asyncio.Lock()
        self.state = LinkState()
        self._wake = asyncio.Event()
        self._drained = asyncio.Event()
        self._client: httpx.AsyncClient | None = None
        self._sent_blobs: set[str] = set()
        self._relay_epoch: str | None = None

    def wake(self) -> None:
        """Something waits in the outbox (call on the loop)."""
        self._wake.set()

    async def run(self) -> None:
        """Run both tasks until cancelled or until one fails with a bug."""
        transport = httpx.AsyncHTTPTransport(uds=str(self._settings.socket))
        async with httpx.AsyncClient(transport=transport, base_url="http://relay", timeout=5) as client:
            self._client = client
            async with asyncio.TaskGroup() as group:
                group.create_task(self._for_ever(self._pull), name="courier-pull")
                group.create_task(self._for_ever(self._push), name="courier-push")

    async def _for_ever(self, step: Callable[[], Any]) -> None:
        pause = 0.2
        while True:
            try:
                await step()
                pause = 0.2
            except (Unreachable, StoreFull) as error:
                self._lost(str(error))
                await asyncio.sleep(pause)
                pause = min(5.0, pause * 2)

    async def _call(self, kind: type[A], method: str, path: str, *, timeout_s: float, **kwargs: Any) -> A:
        """One request. Raises Unreachable for whatever is not the answer asked for: the relay may be anything."""
        assert self._client is not None
        try:
            answer = await self._client.request(method, path, timeout=timeout_s, **kwargs)
            if answer.status_code >= 400:
                raise Unreachable(f"relay answered {answer.status_code}")
            body = kind.model_validate_json(answer.content)
        except httpx.HTTPError as error:
            raise Unreachable(f"relay: {type(error).__name__}") from error
        except ValidationError as error:
            raise Unreachable(f"relay answered what is no {kind.__name__}") from error
        await self._contact(body.epoch)
        return body

    async def _contact(self, relay_epoch: str) -> None:
        now = self._clock.now()
        if not self.state.up:
            self.state.up, self.state.since = True, now
            log.info("link up")
        self.state.last_contact_at = now
        if relay_epoch != self._relay_epoch:
            await self._store.write(lambda conn: self._greet(conn, relay_epoch))
            self._relay_epoch = relay_epoch  # only now: a greeting that was not kept is said again

    def _greet(self, conn: Connection, relay_epoch: str) -> None:
        if new_relay(conn, relay_epoch):
            log.warning("the relay has a new store: sending it what it lost")
            self._hand_over(conn)

    def _hand_over(self, conn: Connection) -> None:
        """The far ids at once, so that nothing is made a second time; the story in slices, see `_batch`."""
        now = self._clock.now()
        self._sent_blobs.clear()
        known = [(row.logical, row.far) for row in conn.execute(select(far.c.logical, far.c.far))]
        for start in range(0, len(known), _ADOPT):
            enqueue(conn, now, Item("names", "adopt", "verdict", {"far": dict(known[start : start + _ADOPT])}))
        put_meta(conn, "resync", "0")

    def _lost(self, reason: str) -> None:
        if self.state.up or self.state.since is None:
            first = self.state.since is None
            self.state.up, self.state.since = False, self._clock.now()
            log.log(logging.INFO if first else logging.WARNING, "link down: %s", reason)
        self._forget_contact()

    def _forget_contact(self) -> None:
        self._met = self.state.drained = False
        self._drained.clear()

    async def _meet(self) -> None:
        """Ask what the relay knows of this store; take back what it knows better, and only then speak."""
        async with self._meeting:
            if not self._met:
                await self._get_to_know()

    async def _get_to_know(self) -> None:
        store_epoch, last = await self._store.write(identity)
        query: dict[str, Any] = {"edge": self._edge, "store_epoch": store_epoch, "last_seq": last}
        found = (await self._call(Known, "GET", "/v1/edge", params=query, timeout_s=10)).known
        if found in ("forked", "other") and await self._store.write(place) is None:
            log.warning("this store is not the one that the relay knows: taking back what it was told")
            await self._store.write(lambda conn: begin_take_back(conn, forked=found == "forked"))
        while (after := await self._store.write(place)) is not None:
            query = {"edge": self._edge, "after": after}
            page = await self._call(Given, "GET", "/v1/tickets", params=query, timeout_s=60)
            if page.after is not None and page.after <= after:
                raise Unreachable("relay gives back the same page for ever")
            await self._store.write(lambda conn, page=page: self._take_page(conn, page))  # type: ignore[misc]
        await self._store.write(lambda conn: caught_up(conn) if restored(conn) else None)
        me = {"edge": self._edge, "store_epoch": await self._store.write(epoch)}
        await self._call(Answer, "PUT", "/v1/edge", json=me, timeout_s=10)
        self._met = True

    def _take_page(self, conn: Connection, page: Given) -> None:
        now = self._clock.now()
        self._take_back(conn, now, page.histories)
        for logical, far_id in page.far.items():
            remember_far(conn, now, logical, far_id)
        if page.after is None:
            forget_place(conn)
        else:
            put_place(conn, page.after)

    async def _pull(self) -> None:
        """One long poll: take the replies in order, in one transaction."""
        await self._meet()
        wait = self._settings.poll_s if self.state.drained else 0
        after = await self._store.write(cursor)
        query = {"edge": self._edge, "cursor": after, "wait": wait}
        body = await self._call(Polled, "GET", "/v1/replies", params=query, timeout_s=wait + 10)
        self.state.office = body.office
        if after > body.last:
            log.warning("the relay is older than what it has told us: it was restored; sending it what it lost")
            await self._store.write(self._restored)
        elif body.replies:
            await self._store.write(lambda conn: self._take_all(conn, body.replies))
        elif self._met and not self.state.drained:
            self.state.drained = True
            self._drained.set()

    def _restored(self, conn: Connection) -> None:
        start_over(conn)
        self._hand_over(conn)

    def _take_all(self, conn: Connection, replies: Sequence[Reply]) -> None:
        now = self._clock.now()
        for reply in replies:
            take(conn, now, reply.model_dump(), self._handlers)

    async def _push(self) -> None:
        """Push one batch, oldest first within its rank; wait when there is none."""
        await self._drained.wait()
        self._wake.clear()
        store_epoch, items = await self._store.write(self._batch)
        if not items:
            await self._wait()
            return
        for sha in {sha for item in items for sha in item["payload"].get("blobs", ())}:
            await self._send_blob(sha)
        body = {"edge": self._edge, "store_epoch": store_epoch, "items": items}
        answer = await self._call(Pushed, "POST", "/v1/items", json=body, timeout_s=self._settings.push_timeout_s)
        if answer.forked:
            log.warning("this store is older than what it has told the relay: it was restored; it begins a new epoch")
            self._forget_contact()
            await self._store.write(lambda conn: begin_take_back(conn, forked=True))
            await self._meet()
            return
        await self._store.write(lambda conn: self._settle(conn, answer.results))

    async def _wait(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await self._wake.wait()

    def _batch(self, conn: Connection) -> tuple[str, list[dict[str, Any]]]:
        now = self._clock.now()
        if (place := get_meta(conn, "resync")) is not None:
            following = self._resync(conn, now, int(place))
            put_meta(conn, "resync", None if following is None else str(following))
        query = (
            select(outbox)
            .where(outbox.c.state == "waiting", outbox.c.not_before_at <= now)
            .order_by(outbox.c.rank, outbox.c.id)
            .limit(self._settings.batch)
        )
        items: list[dict[str, Any]] = []
        size = 0
        for row in conn.execute(query):
            size += len(str(row.payload))
            if items and size > _MAX_BYTES:
                break
            items.append({
                "uuid": row.uuid, "lane": row.lane, "lane_seq": row.id, "cls": row.cls, "kind": row.kind,
                "schema": row.schema, "payload": row.payload, "fold_key": row.fold_key,
                "created_at": row.created_at.isoformat(), "again": row.reason == AGAIN, "resent": row.reason == RESENT,
            })  # fmt: skip
        return epoch(conn), items

    def _settle(self, conn: Connection, results: Sequence[Result]) -> None:
        now = self._clock.now()
        for result in results:
            row = conn.execute(select(outbox.c.id).where(outbox.c.uuid == result.uuid)).scalar_one_or_none()
            if row is None:
                continue
            if result.result == "stored":
                conn.execute(update(outbox).where(outbox.c.id == row, outbox.c.state == "waiting").values(state="sent"))
            elif result.result == "delivered":
                settle(conn, now, row, "delivered")
            else:
                log.error("the relay refused %s: %s", result.uuid, result.reason)
                settle(conn, now, row, "dead", result.reason)

    async def _send_blob(self, sha: str) -> None:
        path = self._blob(sha)
        if sha in self._sent_blobs or path is None:
            return
        await self._call(Answer, "PUT", f"/v1/blobs/{sha}", content=path.read_bytes(), timeout_s=60)
        if len(self._sent_blobs) > 10_000:
            self._sent_blobs.clear()
        self._sent_blobs.add(sha)
