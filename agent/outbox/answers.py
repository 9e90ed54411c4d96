"""What the relay says over the link: the shapes of its answers, checked before anything is believed."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel


class Answer(BaseModel):
    """What every answer of the relay holds: the identity of its store."""

    epoch: str


class Result(BaseModel):
    """What became of one item."""

    uuid: str
    result: Literal["stored", "delivered", "refused"]
    reason: str = ""


class Pushed(Answer):
    """The answer to a push. `forked`: nothing was taken, this edge's store is older than what it has told before."""

    results: list[Result]
    forked: bool = False


class Reply(BaseModel):
    """One reply of the relay."""

    seq: int
    uuid: str
    kind: str
    payload: dict[str, Any]


class Polled(Answer):
    """The answer to a poll; `last` is the newest reply the relay ever put down for anybody."""

    replies: list[Reply]
    last: int
    office: bool = True


class Known(Answer):
    """What the relay knows of this edge's store: new to it, as it was, older than what it told, or another one."""

    known: Literal["new", "same", "forked", "other"]


class Given(Answer):
    """A page of what the edge once told: the history of each ticket, the far ids, the number after which to go on."""

    histories: list[list[dict[str, Any]]]
    far: dict[str, str]
    after: str | None
