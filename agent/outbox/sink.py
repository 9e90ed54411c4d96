"""What the outbox asks of a far system, and nothing more.

A sink delivers one message or says why not. Its outcomes are four: Delivered, Reissue, `Unreachable` (try again),
`Rejected` (dead). Everything it must remember between attempts stands in the Message, made durable before the attempt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Message:
    """One step towards the far side.

    `kind` is one of the plant's words: open_group, post_card, update_card, add_people, nudge, leave_group,
    dissolve_group. `payload` speaks in logical ids. `key` was made once, before the first attempt, and is stored:
    it is the far side's idempotency key. `first_tried_at` is the time of the first attempt with this key (durable
    before that attempt), None at the first; with the far side's window it decides whether a repeat is safe or must
    be reconciled first. `attempt` counts from 1.
    """

    uuid: str
    lane: str
    kind: str
    payload: Mapping[str, Any]
    key: str
    created_at: datetime
    first_tried_at: datetime | None
    attempt: int


@dataclass(frozen=True, slots=True)
class Delivered:
    """Done. `far` maps logical ids to the far ids that were learnt; stored in the same transaction as "done"."""

    far: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    """E.g. "found by reconciliation", "already gone"."""


@dataclass(frozen=True, slots=True)
class Reissue:
    """Looked up after the idempotency window: it did not happen. Store a fresh key, then try again at once."""


class Names(Protocol):
    """Logical id ↔ far id. Logical ids: "group:NO", "card:NO", "person:EMPLOYEE", "image:SHA256"."""

    def far(self, logical: str) -> str | None:
        """The far id, or None if it is not known (yet)."""

    def remember(self, logical: str, far: str) -> None:
        """Keep a far id that is a mere cache (person, image): durable, but not part of the step's transaction."""

    def person(self, person: str) -> Mapping[str, Any] | None:
        """What is known of a person: {"id", "name", "email", "mobile", "open_id", "user_id"}; None if unknown."""

    def blob(self, sha: str) -> Path | None:
        """The file of a blob, None if it has not arrived."""


class Sink(Protocol):
    """A far system. `deliver` is sync, runs on the sink's own thread and may take seconds, never for ever."""

    kinds: Sequence[str]

    def deliver(self, message: Message, names: Names) -> Delivered | Reissue:
        """Deliver one message. Raises Unreachable or Rejected."""
