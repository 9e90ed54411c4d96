"""The relay's side of the link: items in, replies out, blobs in. Answers come after the commit, never before."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import DataError, IntegrityError

from agent.blobs import Blobs
from agent.clock import Clock
from agent.errors import BadSignal
from agent.outbox.queue import RANKS, Item, enqueue, revive
from agent.relay.replies import Edges, last_seq, pending
from agent.relay.rows import accepted, edge_seen
from agent.relay.settings import RelaySettings
from agent.store.facts import epoch
from agent.store.write import Store

log = logging.getLogger(__name__)
_UNREADABLE = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, IntegrityError, DataError)
"""What a payload that makes no sense raises in a handler; a failing store is not among them."""
SCHEMA = 1
MAX_BLOB = 8 << 20

Handler = Callable[[Connection, datetime, str, Mapping[str, Any]], None]
"""Takes the payload of one item of an edge, inside the transaction that accepts it."""


class LinkItem(BaseModel):
    """One item on the wire (design 3)."""

    model_config = ConfigDict(extra="ignore")

    uuid: str = Field(min_length=1, max_length=64)
    lane: str = Field(min_length=1, max_length=200)
    lane_seq: int
    cls: str
    kind: str = Field(max_length=40)
    schema_: int = Field(alias="schema")
    payload: dict[str, Any]
    fold_key: str | None = None
    created_at: datetime
    again: bool = False
    """Somebody asked to send it again after it was dead."""
    resent: bool = False
    """A relay had stored it before it lost its store: it may have been delivered."""


class Push(BaseModel):
    """A batch of items of one edge."""

    edge: str = Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")
    store_epoch: str
    items: list[dict[str, Any]] = Field(max_length=500)


class Ingress:
    """Accepts items: by a handler at once (facts, verdicts), or into the outbox for a sink."""

    def __init__(self, handlers: Mapping[str, Handler], sink_kinds: Sequence[str], settings: RelaySettings) -> None:
        self._handlers, self._sink_kinds, self._settings = handlers, frozenset(sink_kinds), settings

    def accept(self, conn: Connection, now: datetime, push: Push) -> list[dict[str, str]]:
        """Take a batch in one transaction; the result of each item: stored, delivered, or refused with a reason.

        One bad item is refused alone: it must not hold up the others.
        """
        statement = upsert(edge_seen).values(
            edge=push.edge, store_epoch=push.store_epoch, first_at=now, cursor=0
        )  # fmt: skip
        conn.execute(statement.on_conflict_do_update(index_elements=["edge"], set_={"store_epoch": push.store_epoch}))
        return [{"uuid": str(raw.get("uuid"))} | self._raw(conn, now, push.edge, raw) for raw in push.items]

    def _raw(self, conn: Connection, now: datetime, edge: str, raw: Mapping[str, Any]) -> dict[str, str]:
        try:
            item = LinkItem.model_validate(raw)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            return {"result": "refused", "reason": f"{where}: {first['msg']}"}
        return self._one(conn, now, edge, item, len(str(item.payload)))

    def _one(self, conn: Connection, now: datetime, edge: str, item: LinkItem, size: int) -> dict[str, str]:
        done = "delivered" if item.kind in self._handlers else "stored"
        if reason := self._refusal(item, size):
            return {"result": "refused", "reason": reason}
        if conn.execute(select(accepted.c.uuid).where(accepted.c.uuid == item.uuid)).first():
            if item.again:
                revive(conn, now, item.uuid)
            return {"result": done}
        if item.kind in self._handlers:
            try:
                with conn.begin_nested():
                    self._handlers[item.kind](conn, now, edge, item.payload)
            except _UNREADABLE as error:
                # refused alone and shown as dead at the edge, where it can be sent again: the link must not stand still
                log.exception("%s of %s cannot be taken", item.kind, edge)
                return {"result": "refused", "reason": f"cannot be read: {type(error).__name__}: {error}"}
        conn.execute(insert(accepted).values(uuid=item.uuid, edge=edge, kind=item.kind, at=now))
        if item.kind not in self._handlers:
            taken = Item(
                item.lane, item.kind, item.cls, item.payload, uuid=item.uuid, fold_key=item.fold_key,
                schema=item.schema_, edge=edge, tried_at=item.created_at if item.resent else None,
            )  # fmt: skip
            if enqueue(conn, now, taken) is None:
                revive(conn, now, item.uuid)  # its id was forgotten, but it is dead here still
        return {"result": done}

    def _refusal(self, item: LinkItem, size: int) -> str | None:
        if item.kind not in self._handlers and item.kind not in self._sink_kinds:
            return f"kind = {item.kind}: not on this relay's list; upgrade the relay"
        if item.schema_ > SCHEMA:
            return f"schema = {item.schema_}: this relay knows up to {SCHEMA}; upgrade the relay first"
        if item.cls not in RANKS:
            return f"cls = {item.cls}: one of {', '.join(RANKS)}"
        if size > self._settings.max_item_bytes:
            return f"{size} bytes: more than relay.max_item_bytes = {self._settings.max_item_bytes}"
        return None


class Link:
    """The routes behind the link's socket."""

    def __init__(
        self, store: Store, clock: Clock, ingress: Ingress, edges: Edges, blobs: Blobs, office: Callable[[], bool]
    ) -> None:
        self._store, self._clock, self._ingress, self._edges, self._blobs = store, clock, ingress, edges, blobs
        self._office = office
        self._epoch: str | None = None

    async def epoch(self) -> str:
        """The identity of this relay's store, told with every answer."""
        if self._epoch is None:
            self._epoch = await self._store.write(epoch)
        return self._epoch

    async def items(self, push: Push) -> dict[str, Any]:
        """Take a batch; answered after the commit."""
        self._edges.seen(push.edge)
        results = await self._store.write(lambda conn: self._ingress.accept(conn, self._clock.now(), push))
        return {"epoch": await self.epoch(), "results": results}

    async def replies(self, request: Request, edge: str, cursor: int = 0, wait: float = 0) -> dict[str, Any]:
        """Replies after the cursor; waits up to `wait` seconds for the first."""
        loop = asyncio.get_running_loop()
        deadline, office = loop.time() + min(wait, 60), self._office()
        self._edges.seen(edge)
        while True:
            fresh = self._edges.event(edge)
            rows, last = await self._store.write(lambda conn: self._pending(conn, edge, cursor))
            left = deadline - loop.time()
            told = rows or cursor > last or left <= 0 or self._office() is not office
            if told or await request.is_disconnected():
                return {"epoch": await self.epoch(), "replies": rows, "last": last, "office": self._office()}
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, 2)):
                    await fresh.wait()

    def _pending(self, conn: Connection, edge: str, cursor: int) -> tuple[list[dict[str, Any]], int]:
        """What to answer; the cursor is kept, since only what an edge has taken may be forgotten."""
        conn.execute(
            update(edge_seen).where(edge_seen.c.edge == edge, edge_seen.c.cursor < cursor).values(cursor=cursor)
        )
        return pending(conn, edge, cursor), last_seq(conn)

    async def put_blob(self, sha: str, request: Request) -> dict[str, Any]:
        """Take a blob; durable before the answer."""
        data = await request.body()
        if len(data) > MAX_BLOB:
            raise HTTPException(413, f"{len(data)} bytes: at most {MAX_BLOB}")
        try:
            await asyncio.to_thread(self._blobs.put, data, sha)
        except BadSignal as error:
            raise HTTPException(422, str(error)) from error
        return {"epoch": await self.epoch()}


def link_app(
    store: Store, clock: Clock, ingress: Ingress, edges: Edges, blobs: Blobs, office: Callable[[], bool] = lambda: True
) -> FastAPI:
    """The HTTP application behind the link's socket. `office`: whether Feishu can be reached, told to the edges."""
    link = Link(store, clock, ingress, edges, blobs, office)
    app = FastAPI(title="Andon link", openapi_url=None)
    app.post("/v1/items")(link.items)
    app.get("/v1/replies")(link.replies)
    app.put("/v1/blobs/{sha}")(link.put_blob)
    return app
