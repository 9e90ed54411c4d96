"""The relay's side of the link: items in, replies out, blobs in. Answers come after the commit, never before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, insert, select
from sqlalchemy.dialects.sqlite import insert as upsert

from agent.blobs import Blobs
from agent.clock import Clock
from agent.errors import BadSignal
from agent.outbox.queue import RANKS, Item, enqueue
from agent.relay.replies import Edges, pending
from agent.relay.rows import accepted, edge_seen
from agent.relay.settings import RelaySettings
from agent.store.facts import epoch
from agent.store.write import Store

SCHEMA = 1
MAX_BLOB = 8 << 20

Handler = Callable[[Connection, datetime, str, Mapping[str, Any]], None]
"""Takes the payload of one item of an edge, inside the transaction that accepts it."""


class LinkItem(BaseModel):
    """One item on the wire (design 3)."""

    model_config = ConfigDict(extra="ignore")

    uuid: str = Field(min_length=8, max_length=64)
    lane: str = Field(min_length=1, max_length=200)
    lane_seq: int
    cls: str
    kind: str = Field(max_length=40)
    schema_: int = Field(alias="schema")
    payload: dict[str, Any]
    fold_key: str | None = None
    created_at: datetime


class Push(BaseModel):
    """A batch of items of one edge."""

    edge: str = Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")
    store_epoch: str
    items: list[LinkItem] = Field(max_length=500)


class Ingress:
    """Accepts items: by a handler at once (facts, verdicts), or into the outbox for a sink."""

    def __init__(self, handlers: Mapping[str, Handler], sink_kinds: Sequence[str], settings: RelaySettings) -> None:
        self._handlers, self._sink_kinds, self._settings = handlers, frozenset(sink_kinds), settings

    def accept(self, conn: Connection, now: datetime, push: Push, sizes: Sequence[int]) -> list[dict[str, str]]:
        """Take a batch in one transaction; the result of each item: stored, delivered, or refused with a reason."""
        statement = upsert(edge_seen).values(edge=push.edge, store_epoch=push.store_epoch, first_at=now)
        conn.execute(statement.on_conflict_do_update(index_elements=["edge"], set_={"store_epoch": push.store_epoch}))
        return [
            {"uuid": item.uuid} | self._one(conn, now, push.edge, item, size)
            for item, size in zip(push.items, sizes, strict=True)
        ]

    def _one(self, conn: Connection, now: datetime, edge: str, item: LinkItem, size: int) -> dict[str, str]:
        done = "delivered" if item.kind in self._handlers else "stored"
        if reason := self._refusal(item, size):
            return {"result": "refused", "reason": reason}
        if conn.execute(select(accepted.c.uuid).where(accepted.c.uuid == item.uuid)).first():
            return {"result": done}
        conn.execute(insert(accepted).values(uuid=item.uuid, edge=edge, kind=item.kind, at=now))
        if item.kind in self._handlers:
            self._handlers[item.kind](conn, now, edge, item.payload)
        else:
            enqueue(conn, now, Item(
                item.lane, item.kind, item.cls, item.payload, uuid=item.uuid, fold_key=item.fold_key,
                schema=item.schema_, edge=edge, created_at=item.created_at,
            ))  # fmt: skip
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


def link_app(store: Store, clock: Clock, ingress: Ingress, edges: Edges, blobs: Blobs) -> FastAPI:
    """The HTTP application behind the link's socket."""
    app = FastAPI(title="Andon link", openapi_url=None)
    known: dict[str, str] = {}

    async def my_epoch() -> str:
        if "epoch" not in known:
            known["epoch"] = await store.write(epoch)
        return known["epoch"]

    @app.post("/v1/items")
    async def items(request: Request) -> dict[str, Any]:
        raw = await request.json()
        push = Push.model_validate(raw)
        sizes = [len(str(item["payload"])) for item in raw["items"]]
        edges.seen(push.edge, clock.monotonic())
        results = await store.write(lambda conn: ingress.accept(conn, clock.now(), push, sizes))
        return {"epoch": await my_epoch(), "results": results}

    @app.get("/v1/replies")
    async def replies(edge: str, cursor: int = 0, wait: float = 0) -> dict[str, Any]:
        edges.seen(edge, clock.monotonic())
        deadline = asyncio.get_running_loop().time() + min(wait, 60)
        while True:
            fresh = edges.event(edge)
            rows = await store.write(lambda conn: pending(conn, edge, cursor))
            left = deadline - asyncio.get_running_loop().time()
            if rows or left <= 0:
                return {"epoch": await my_epoch(), "replies": rows}
            edges.seen(edge, clock.monotonic())
            try:
                await asyncio.wait_for(fresh.wait(), timeout=min(left, 5))
            except TimeoutError:
                continue

    @app.put("/v1/blobs/{sha}")
    async def put_blob(sha: str, request: Request) -> dict[str, Any]:
        data = await request.body()
        if len(data) > MAX_BLOB:
            raise HTTPException(413, f"{len(data)} bytes: at most {MAX_BLOB}")
        try:
            await asyncio.to_thread(blobs.put, data, sha)
        except BadSignal as error:
            raise HTTPException(422, str(error)) from error
        return {"epoch": await my_epoch()}

    return app
