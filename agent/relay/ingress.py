"""The relay's side of the link: items in, replies out, blobs in. Answers come after the commit, never before."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import DataError, IntegrityError

from agent.blobs import Blobs
from agent.clock import Clock
from agent.errors import BadSignal
from agent.outbox.queue import RANKS, Item, enqueue, revive
from agent.relay import epochs
from agent.relay.replies import Edges, last_seq, pending, tell_again
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
    """One item on the wire (ADR 1)."""

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


EdgeId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")]


class EdgeStore(BaseModel):
    """An edge and the identity of its store."""

    edge: EdgeId
    store_epoch: str = Field(min_length=1, max_length=64)


class Push(EdgeStore):
    """A batch of items of one edge."""

    items: list[dict[str, Any]] = Field(max_length=500)


class Ingress:
    """Accepts items: by a handler at once (facts, verdicts), or into the outbox for a sink."""

    def __init__(self, handlers: Mapping[str, Handler], sink_kinds: Sequence[str], settings: RelaySettings) -> None:
        self._handlers, self._sink_kinds, self._settings = handlers, frozenset(sink_kinds), settings

    def accept(self, conn: Connection, now: datetime, push: Push) -> list[dict[str, str]]:
        """Take a batch in one transaction; the result of each item: stored, delivered, or refused with a reason.

        One bad item is refused alone: it must not hold up the others.
        """
        if not epochs.is_known(conn, push.edge):
            epochs.introduce(conn, now, push.edge, push.store_epoch)
        return [{"uuid": str(raw.get("uuid"))} | self._raw(conn, now, push, raw) for raw in push.items]

    def _raw(self, conn: Connection, now: datetime, push: Push, raw: Mapping[str, Any]) -> dict[str, str]:
        try:
            item = LinkItem.model_validate(raw)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            return {"result": "refused", "reason": f"{where}: {first['msg']}"}
        return self._one(conn, now, push, item, len(str(item.payload)))

    def _one(self, conn: Connection, now: datetime, push: Push, item: LinkItem, size: int) -> dict[str, str]:
        edge = push.edge
        done = "delivered" if item.kind in self._handlers else "stored"
        if reason := self._refusal(item, size):
            return {"result": "refused", "reason": reason}
        if conn.execute(select(accepted.c.uuid).where(accepted.c.uuid == item.uuid)).first():
            if item.again:
                revive(conn, now, item.uuid)
            elif item.kind not in self._handlers:
                tell_again(conn, now, edge, item.uuid)
            return {"result": done}
        if item.kind in self._handlers:
            try:
                with conn.begin_nested():
                    self._handlers[item.kind](conn, now, edge, item.payload)
            except _UNREADABLE as error:
                # refused alone and shown as dead at the edge, where it can be sent again: the link must not stand still
                log.exception("%s of %s cannot be taken", item.kind, edge)
                return {"result": "refused", "reason": f"cannot be read: {type(error).__name__}: {error}"}
        conn.execute(insert(accepted).values(
            uuid=item.uuid, edge=edge, kind=item.kind, at=now, store_epoch=push.store_epoch, seq=item.lane_seq
        ))  # fmt: skip
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
        self, store: Store, clock: Clock, ingress: Ingress, edges: Edges, blobs: Blobs, histories: epochs.Histories,
        office: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._store, self._clock, self._ingress, self._edges, self._blobs = store, clock, ingress, edges, blobs
        self._histories, self._office = histories, office
        self._epoch: str | None = None

    async def epoch(self) -> str:
        """The identity of this relay's store, told with every answer."""
        if self._epoch is None:
            self._epoch = await self._store.write(epoch)
        return self._epoch

    async def items(self, push: Push) -> dict[str, Any]:
        """Take a batch; answered after the commit."""
        self._edges.seen(push.edge)
        results = await self._store.write(lambda conn: self._accept(conn, push))
        return {"epoch": await self.epoch(), "results": results or [], "forked": results is None}

    def _accept(self, conn: Connection, push: Push) -> list[dict[str, str]] | None:
        """None, and nothing taken, if the edge numbers anew what it has told before."""
        if epochs.forked(conn, push.edge, push.store_epoch, push.items):
            return None
        return self._ingress.accept(conn, self._clock.now(), push)

    async def know(self, edge: EdgeId, store_epoch: str, last_seq: int) -> dict[str, Any]:
        """What is known here of an edge's store: new, same, forked or other."""
        self._edges.seen(edge)
        found = await self._store.write(lambda conn: epochs.known(conn, edge, store_epoch, last_seq))
        return {"epoch": await self.epoch(), "known": found}

    async def give_back(self, edge: EdgeId, after: str = "") -> dict[str, Any]:
        """A page of the tickets that an edge once told of, each with its history."""
        self._edges.seen(edge)
        page = await self._store.write(lambda conn: epochs.page(conn, self._histories, edge, after))
        return {"epoch": await self.epoch(), **page}

    async def introduce(self, store: EdgeStore) -> dict[str, Any]:
        """From now on this is the edge's store."""
        await self._store.write(lambda conn: epochs.introduce(conn, self._clock.now(), store.edge, store.store_epoch))
        return {"epoch": await self.epoch()}

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
    store: Store, clock: Clock, ingress: Ingress, edges: Edges, blobs: Blobs, histories: epochs.Histories,
    office: Callable[[], bool] = lambda: True,
) -> FastAPI:  # fmt: skip
    """The HTTP application behind the link's socket.

    `histories`: the records of an edge, page by page, for one that lost its store. `office`: whether Feishu can be
    reached, told to the edges.
    """
    link = Link(store, clock, ingress, edges, blobs, histories, office)
    app = FastAPI(title="Andon link", openapi_url=None)
    app.post("/v1/items")(link.items)
    app.get("/v1/replies")(link.replies)
    app.get("/v1/edge")(link.know)
    app.put("/v1/edge")(link.introduce)
    app.get("/v1/tickets")(link.give_back)
    app.put("/v1/blobs/{sha}")(link.put_blob)
    return app
