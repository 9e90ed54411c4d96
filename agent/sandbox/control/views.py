"""The world as the page reads it. People by employee number, times as ISO UTC."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from agent.clock import ManualClock, SharedClock
from agent.sandbox.cards import read
from agent.sandbox.push.hub import Hub
from agent.sandbox.rules.faults import Fault
from agent.sandbox.world.journal import stamp
from agent.sandbox.world.people import Person
from agent.sandbox.world.things import Call, Click, Group, Message, System, Violation, ticket_in
from agent.sandbox.world.world import SandboxWorld

SHOWN = 100
_AT = re.compile(r"<at user_id=\"([^\"]+)\">(.*?)</at>")


def snapshot(world: SandboxWorld, hub: Hub, tz: str) -> dict[str, Any]:
    """Everything that the page starts with; messages are fetched by group."""
    directory = world.directory
    return {
        "version": world.bus.version,
        "now": stamp(world.now()),
        "tz": tz,
        "app": {"app_id": world.app.app_id, "bot": {"open_id": world.bot_open_id, "name": world.app.bot_name}},
        "office": office(world),
        "clock": clock(world),
        "people": [person(p) for p in directory.people.values()],
        "departments": [
            {"id": d.id, "name": d.name, "parent": d.parent, "leader": d.leader} for d in directory.departments.values()
        ],
        "groups": [group(world, g) for g in world.groups.values()],
        "faults": [fault(f) for f in world.faults.active],
        "connections": connections(hub),
        "counters": counters(world),
        "calls": [call(c) for c in list(world.journal.calls)[-SHOWN:][::-1]],
        "violations": [violation(v) for v in list(world.journal.violations)[-SHOWN:][::-1]],
    }


def office(world: SandboxWorld) -> dict[str, Any]:
    state = world.office
    return {"up": state.up, "mode": state.mode, "since": stamp(state.since)}


def clock(world: SandboxWorld) -> dict[str, Any]:
    """Demo clocks can be moved forward, the machine's own cannot."""
    movable = isinstance(world.clock, (SharedClock, ManualClock))
    return {"now": stamp(world.now()), "can_forward": movable, "next_deadline": stamp(world.next_deadline)}


def person(item: Person) -> dict[str, Any]:
    names = ("id", "name", "open_id", "user_id", "union_id", "email", "mobile", "department", "leader", "roles", "note")
    return {name: getattr(item, name) for name in (*names, "resigned")}


def group(world: SandboxWorld, item: Group) -> dict[str, Any]:
    last = world.messages[item.messages[-1]] if item.messages else None
    last_at = max([item.created_at, *([last.versions[-1].at] if last else []), *(e.at for e in item.log[-1:])])
    return {
        "chat_id": item.chat_id,
        "kind": "p2p" if item.direct else "group",
        "person": item.person,
        "name": item.name,
        "description": item.description,
        "status": "normal" if item.dissolved_at is None else "dissolved",
        "owner": item.owner,
        "members": list(item.members),
        "bot_in": item.bot_in,
        "created_at": stamp(item.created_at),
        "dissolved_at": stamp(item.dissolved_at),
        "last_at": stamp(last_at),
        "last": {"from": last.sender, "text": plain(world, last)} if last else None,
        "messages": len(item.messages),
        "ticket": ticket_in(item.name),
    }


def plain(world: SandboxWorld, item: Message) -> str:
    """A message in plain words: its text with names in place of <at>, or a card's title."""
    if item.msg_type == "interactive":
        return read.title(item.content)
    if item.msg_type == "text":
        return _AT.sub(lambda m: f"@{_name(world, m[1]) or m[2]}", str(item.content.get("text", "")))
    if item.msg_type == "post":
        posts = [post for post in item.content.values() if isinstance(post, dict)]
        runs = [run for post in posts[:1] for row in post.get("content", ()) for run in row if isinstance(run, dict)]
        return " ".join(_run(world, run) for run in runs)
    return f"[{item.msg_type}]"


def _run(world: SandboxWorld, run: Mapping[str, Any]) -> str:
    """A part of a post in plain words; a mention is the name of whom it calls."""
    if run.get("tag") != "at":
        return str(run.get("text", ""))
    called = str(run.get("user_id", ""))
    return f"@{_name(world, called) or run.get('user_name') or called}"


def _name(world: SandboxWorld, open_id: str) -> str | None:
    if open_id == world.bot_open_id:
        return world.app.bot_name
    found = world.directory.named(open_id)
    return found.name if found else None


def message(world: SandboxWorld, item: Message) -> dict[str, Any]:
    title = read.title(item.content) if item.msg_type == "interactive" else plain(world, item)
    return {
        "kind": "message",
        "message_id": item.message_id,
        "chat_id": item.chat_id,
        "from": item.sender,
        "msg_type": item.msg_type,
        "at": stamp(item.at),
        "updated_at": stamp(item.versions[-1].at) if item.updates else None,
        "version": item.updates + 1,
        "recalled_at": stamp(item.recalled_at),
        "text": plain(world, item),
        "card": item.content if item.msg_type == "interactive" else None,
        "image_key": item.content.get("image_key") if item.msg_type == "image" else None,
        "parent_id": item.parent_id,
        "uuid": item.uuid,
        "pinned": item.message_id in world.groups[item.chat_id].pins,
        "reads": [{"person": number, "at": stamp(at)} for number, at in item.reads.items()],
        "urgent": list(item.urgent),
        "ticket": ticket_in(title),
        "clicks": [click(c) for c in item.clicks if not c.pending],
    }


def versions(world: SandboxWorld, item: Message) -> dict[str, Any]:
    """A message with all its states."""
    states = [
        {"n": v.n, "at": stamp(v.at), "how": v.how, "content": v.content, "log_id": v.log_id} for v in item.versions
    ]
    return {**message(world, item), "versions": states}


def click(item: Click) -> dict[str, Any]:
    names = ("event_id", "person", "name", "value", "form", "code", "toast", "card_applied", "ms")
    return {"at": stamp(item.at), **{name: getattr(item, name) for name in names}}


def system(item: System) -> dict[str, Any]:
    shape = {"kind": "system", "what": item.what, "at": stamp(item.at), "by": item.by}
    return {**shape, "people": list(item.people), "text": item.text}


def talk(world: SandboxWorld, item: Group, limit: int) -> list[dict[str, Any]]:
    """A group's messages and what happened to it, oldest first, the last `limit` of them."""
    rows: list[tuple[Any, dict[str, Any]]] = [(e.at, system(e)) for e in item.log]
    rows += [(world.messages[m].at, message(world, world.messages[m])) for m in item.messages[-limit:]]
    return [shape for _, shape in sorted(rows, key=lambda row: row[0])][-limit:]


def call(item: Call) -> dict[str, Any]:
    names = ("n", "method", "api", "path", "uuid", "status", "code", "ms", "fault", "log_id")
    return {"at": stamp(item.at), **{name: getattr(item, name) for name in names}}


def violation(item: Violation) -> dict[str, Any]:
    names = ("n", "kind", "args", "chat_id", "message_id")
    words = {"key": f"sandbox.violation.{item.kind}", "args": item.args}
    return {"at": stamp(item.at), **{name: getattr(item, name) for name in names}, "text": words}


def fault(item: Fault) -> dict[str, Any]:
    names = [
        "id",
        "api",
        "kind",
        "times",
        "left",
        "probability",
        "seed",
        "seconds",
        "status",
        "code",
        "msg",
        "mode",
        "hits",
    ]
    return {name: getattr(item, name) for name in names}


def connections(hub: Hub) -> list[dict[str, Any]]:
    return [
        {
            "id": c.id,
            "since": stamp(c.since),
            "last_ping_at": stamp(c.last_ping_at),
            "sent": c.sent,
            "answered": c.answered,
            "frozen": c.frozen,
        }
        for c in hub.connections.values()
    ]


def counters(world: SandboxWorld) -> dict[str, Any]:
    pushes = world.pushes
    events = {
        "sent": pushes.sent,
        "repeated": pushes.repeated,
        "answered": pushes.answered,
        "waiting": len(pushes.waiting),
        "given_up": pushes.given_up,
    }
    return {**world.journal.counters, "events": events, "violations": world.journal.violation_count}


def calls_of(items: Iterable[Call]) -> list[dict[str, Any]]:
    return [call(item) for item in items]
