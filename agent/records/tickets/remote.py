"""A command from the relay (a click in Feishu): decided here, by the owner, with the same rules as at the kiosk."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from agent.errors import Refused
from agent.model import Actor, Text, text
from agent.outbox.queue import Item, enqueue
from agent.records.tickets.cards import card
from agent.records.tickets.service import Tickets
from agent.records.tickets.store import get


def take_command(tickets: Tickets, conn: Connection, now: datetime, command: Mapping[str, Any]) -> None:
    """Apply {uuid, ticket, action, cycle, args, person, at}; send the verdict with the card as it is now."""
    who = tickets.directory(conn)
    person = who.people.get(command["person"])
    roles = person.roles if person is not None and person.active else frozenset[str]()
    actor = Actor(command["person"], roles, "feishu")
    args = dict(command["args"])
    if command.get("cycle") is not None:
        args["cycle"] = command["cycle"]
    at = datetime.fromisoformat(command["at"])
    level, toast = "success", _done(command)
    try:
        tickets.act(conn, now, command["ticket"], command["action"], args, actor, command["uuid"], at)
    except Refused as refused:
        level, toast = "error", {"key": refused.key, "args": refused.args_}
    found = get(conn, command["ticket"])
    verdict = {
        "command": command["uuid"], "level": level, "toast": toast,
        "card": None if found is None else card(found, now, who),
    }  # fmt: skip
    enqueue(conn, now, Item(f"verdict:{command['uuid']}", "verdict", "verdict", verdict))


def _done(command: Mapping[str, Any]) -> Text:
    return text(f"tickets.done.{command['action']}", no=command["ticket"])
