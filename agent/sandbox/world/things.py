"""What the world holds: groups, messages with all versions, clicks, calls, violations. Plain data; times are UTC."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

TICKET = re.compile(r"\b[A-Z0-9]{1,8}-[A-Z0-9]{1,8}-\d{6}-\d{3,}\b")
"""A ticket number `SITE-EDGE-YYMMDD-NNN` as group names and card titles carry it."""


def ticket_in(text: str) -> str | None:
    """The first ticket number in a text, or None."""
    found = TICKET.search(text)
    return found.group() if found else None


@dataclass(frozen=True, slots=True)
class System:
    """Something that happened to a group: created, added, removed, left, renamed, dissolved, bot_removed."""

    what: str
    at: datetime
    by: str | None
    people: tuple[str, ...] = ()
    text: str | None = None


@dataclass(slots=True)
class Group:
    """A group chat, or the direct chat of one person with the bot (`person` set). `owner` None = the bot owns it."""

    chat_id: str
    name: str
    created_at: datetime
    description: str = ""
    owner: str | None = None
    person: str | None = None
    members: list[str] = field(default_factory=list)
    bot_in: bool = True
    dissolved_at: datetime | None = None
    history_kept: bool = False
    uuid: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    log: list[System] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    pins: dict[str, datetime] = field(default_factory=dict)

    @property
    def direct(self) -> bool:
        return self.person is not None


@dataclass(frozen=True, slots=True)
class Version:
    """One state of a message's content, as sent; `how` is create, patch, put or click."""

    n: int
    at: datetime
    how: str
    content: dict[str, Any]
    log_id: str


@dataclass(slots=True)
class Click:
    """One press of a card's component and what the user saw: `code` 0 or the client-side error (200340 …).

    While it is `pending` (3 s at most) Feishu refuses to update the card.
    """

    event_id: str
    person: str
    at: datetime
    name: str | None
    value: Any
    form: dict[str, Any] | None
    code: int = 0
    toast: dict[str, str] | None = None
    card_applied: bool = False
    ms: int = 0
    pending: bool = True


@dataclass(slots=True)
class Message:
    """A message with every version of its content. `sender` None = the bot."""

    message_id: str
    chat_id: str
    sender: str | None
    msg_type: str
    at: datetime
    versions: list[Version]
    uuid: str | None = None
    parent_id: str | None = None
    root_id: str | None = None
    recalled_at: datetime | None = None
    reads: dict[str, datetime] = field(default_factory=dict)
    urgent: list[str] = field(default_factory=list)
    clicks: list[Click] = field(default_factory=list)
    updates: int = 0

    @property
    def content(self) -> dict[str, Any]:
        return self.versions[-1].content


@dataclass(slots=True)
class Call:
    """One HTTP call as it was answered; `status` None means that no answer went out."""

    n: int
    at: datetime
    method: str
    api: str
    path: str
    uuid: str | None
    log_id: str
    status: int | None = None
    code: int | None = None
    ms: int = 0
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Violation:
    """Something the agent did that the contract forbids or that a plant must never see."""

    n: int
    at: datetime
    kind: str
    args: dict[str, Any]
    chat_id: str | None = None
    message_id: str | None = None
