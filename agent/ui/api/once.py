"""Each request once: the answer is kept beside its effect, in one transaction, and given again to a repeat."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from fastapi import Header, Request, Response
from sqlalchemy import Connection, insert, select

from agent.plant.rows import request as kept
from agent.ui.api.answers import Problem, answer
from agent.ui.api.caller import Caller

_NAMESPACE = uuid.UUID("6a1d2b5e-8c3f-5d0a-9b7e-3f2c1d4e5a60")

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]{1,128}$",
        description="a UUID made by the caller; the same key with the same content gives the same answer",
    ),
]


@dataclass(frozen=True, slots=True)
class Ask:
    """A request as it is remembered. `identity` is the uuid of the event it makes: a repeat makes the same one."""

    key: str | None
    fingerprint: str
    identity: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered; `replay` if it had been answered before."""

    status: int
    body: Any
    replay: bool = False

    def response(self, **more: Any) -> Response:
        """As HTTP; `more` is added to the body."""
        headers = {"Idempotent-Replay": "true"} if self.replay else None
        return answer({**more, **self.body}, self.status, headers)


async def ask_of(request: Request, caller: Caller, key: str | None, event_id: str | None = None) -> Ask:
    """The request's identity: its key, else the event id in its body, else a new one. Both are the device's own.

    An event id holds for the act it was made for: on another ticket, or for another step, it is another event.
    """
    path = request.url.path
    content = b"\n".join((request.method.encode(), path.encode(), await request.body()))
    name = key or (None if event_id is None else f"{path}:{event_id}")
    identity = uuid.uuid4() if name is None else uuid.uuid5(_NAMESPACE, f"{caller.id}:{name}")
    return Ask(key and f"{caller.id}:{key}", hashlib.sha256(content).hexdigest(), str(identity))


def once(conn: Connection, now: datetime, ask: Ask, work: Callable[[], Answer]) -> Answer:
    """Do `work` inside this transaction, unless the key was used before. Raises Problem (422) for other content."""
    if (known := recall(conn, ask)) is not None:
        return known
    return keep(conn, now, ask, work())


def keep(conn: Connection, now: datetime, ask: Ask, done: Answer) -> Answer:
    """Remember what is answered, if the request has a key."""
    if ask.key is not None:
        conn.execute(insert(kept).values(
            key=ask.key, fingerprint=ask.fingerprint, status=done.status, body=done.body, at=now
        ))  # fmt: skip
    return done


def recall(conn: Connection, ask: Ask) -> Answer | None:
    """The answer given to this key, None if it is new. Raises Problem (422) if it came with other content."""
    if ask.key is None:
        return None
    row = conn.execute(select(kept).where(kept.c.key == ask.key)).first()
    if row is None:
        return None
    if row.fingerprint != ask.fingerprint:
        raise Problem(422, "api.key_reused")
    return Answer(row.status, row.body, replay=True)
