"""Looks for what must never be seen in a plant's Feishu: doubles, cards that go back in time, keys used twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from agent.sandbox.cards import read
from agent.sandbox.world.things import Group, Message, Version, ticket_in
from agent.sandbox.world.world import SandboxWorld

REISSUE_AFTER = timedelta(days=13)
"""A card may be sent anew when its first one is about to become immutable (14 days)."""
SAME_TEXT_WITHIN = timedelta(hours=24)


def group_made(world: SandboxWorld, group: Group) -> None:
    """Two groups whose names carry one ticket number are a double."""
    ticket = ticket_in(group.name)
    if ticket is None:
        return
    if any(g is not group and not g.direct and ticket_in(g.name) == ticket for g in world.groups.values()):
        world.journal.count("groups", "duplicates")
        world.journal.violation("duplicate_group", chat_id=group.chat_id, ticket=ticket)


def message_sent(world: SandboxWorld, group: Group, message: Message) -> None:
    """A second live card of one ticket in a group, or the very same text within a day, is a double."""
    others = [world.messages[m] for m in group.messages if m != message.message_id]
    others = [m for m in others if m.sender is None and m.recalled_at is None]
    if message.msg_type == "interactive":
        ticket = ticket_in(read.title(message.content))
        if ticket and any(_same_card(m, ticket, message) for m in others):
            world.journal.count("cards", "duplicates")
            world.journal.violation("duplicate_card", group.chat_id, message.message_id, ticket=ticket)
        return
    since = message.at - SAME_TEXT_WITHIN
    if any(m.msg_type == message.msg_type and m.content == message.content and m.at >= since for m in others):
        world.journal.count("messages", "duplicates")
        world.journal.violation("duplicate_message", group.chat_id, message.message_id)


def _same_card(other: Message, ticket: str, message: Message) -> bool:
    if other.msg_type != "interactive" or message.at - other.at >= REISSUE_AFTER:
        return False
    return ticket_in(read.title(other.content)) == ticket


def card_updated(world: SandboxWorld, message: Message, new: Version) -> None:
    """A card that returns to an older state, or whose `rev` or `cycle` in the buttons falls, was sent out of order."""
    before = message.versions[-2].content
    older = any(v.content == new.content for v in message.versions[:-2]) and new.content != before
    if older or any(_falls(before, new.content, name) for name in ("rev", "cycle")):
        world.journal.count("cards", "out_of_order")
        world.journal.violation("card_out_of_order", message.chat_id, message.message_id, version=new.n)


def _falls(before: dict[str, Any], after: dict[str, Any], name: str) -> bool:
    old, new = list(_numbers(before, name)), list(_numbers(after, name))
    return bool(old and new) and max(new) < max(old)


def _numbers(card: dict[str, Any], name: str) -> Iterator[int]:
    for value in read.callback_values(card):
        number = value.get(name)
        if isinstance(number, int) and not isinstance(number, bool):
            yield number


def uuid_used_again(
    world: SandboxWorld, uuid: str, before: str, now: str, chat_id: str | None = None, message_id: str | None = None
) -> None:
    """A repeat carries the same content; another content under the same uuid is silently lost at Feishu."""
    if before != now:
        world.journal.violation("uuid_reused", chat_id, message_id, uuid=uuid)


def fingerprint(*parts: Any) -> str:
    """What a request asks for, to compare a repeat with the first."""
    return json.dumps(parts, ensure_ascii=False, sort_keys=True, default=str)
