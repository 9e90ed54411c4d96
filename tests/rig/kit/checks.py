"""What must be true when all is over. Each check returns what is wrong, in words; nothing wrong is an empty list."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rig.kit.load import BASE, Load
from rig.kit.plant import ROLES, Plant
from rig.kit.programs import until

ZERO = ("missing", "waiting", "dead", "expired", "shed")


class Book:
    """A store file, read only."""

    def __init__(self, path: Path) -> None:
        self._conn = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        self._conn.row_factory = sqlite3.Row

    def rows(self, sql: str, *args: Any) -> list[dict[str, Any]]:
        return [dict(row) for row in self._conn.execute(sql, args)]

    def one(self, sql: str, *args: Any) -> Any:
        return self._conn.execute(sql, args).fetchone()[0]

    def close(self) -> None:
        self._conn.close()


def settle(plant: Plant, violations: int, within_s: float) -> None:
    """Wait until the edge has counted so many violations, no card counter is due and both outboxes are empty."""
    book = Book(plant.folder / "edge" / "edge.db")

    def quiet() -> bool:
        if book.one("SELECT count(*) FROM occurrence") < violations:
            return False
        if book.one("SELECT count(*) FROM ticket WHERE card_due_at IS NOT NULL"):
            return False
        return all((plant.balance(role) or {"waiting": 1})["waiting"] == 0 for role in ROLES)

    try:
        until(quiet, within_s, f"{violations} violations counted and everything delivered", 0.2)
    except AssertionError as error:
        counted = book.one("SELECT count(*) FROM occurrence")
        balances = {role: plant.balance(role) for role in ROLES}
        raise AssertionError(f"{error}; {counted} counted, {balances}") from None
    finally:
        book.close()


def conservation(plant: Plant) -> list[str]:
    """At every start, and now; and nobody logged a loss or a bug."""
    wrong = [f"{role} started with {found}" for role, found in plant.balances if found["missing"]]
    for role in ROLES:
        found = plant.balance(role) or {}
        wrong += [f"{role}: {name} = {found.get(name)} at the end" for name in ZERO if found.get(name) != 0]
        said = plant.programs[role].said()
        for word in ("missing", "Traceback", "CRITICAL"):
            if word in said:
                start = max(0, said.index(word) - 300)
                wrong.append(f"{role} logged {word!r}: …{said[start : start + 1500]}")
    return wrong


def counted_once(edge: Book, load: Load) -> list[str]:
    """Every accepted violation stands in the edge's store exactly once, and nothing else does."""
    wrong = list(load.caller.wrong)
    unknown = load.publisher.acked - {n for sent in load.publisher.sent.values() for n in sent}
    wrong += [f"acknowledged but never sent: {sorted(unknown)[:5]}"] if unknown else []
    kept = edge.rows("SELECT event_id FROM occurrence WHERE event_id LIKE 'rig-spc:rig-%'")
    handed_in = {row["event_id"].removeprefix("rig-spc:") for row in kept}
    wrong += _differ("violations by API", set(load.caller.accepted), handed_in)
    for name, sent in load.publisher.sent.items():
        points = edge.rows(
            "SELECT y FROM (SELECT stream, y, mark FROM point UNION ALL SELECT stream, y, mark FROM journal) AS kept "
            "JOIN stream ON stream.id = kept.stream WHERE characteristic = ? AND mark = 'ticket'",
            name,
        )
        charted = Counter(int(row["y"]) - BASE for row in points)
        wrong += [f"{name}: message {n} was charted {times} times" for n, times in charted.items() if times > 1]
        wrong += _differ(f"messages on {name}", sent, set(charted))
        counted = edge.one("SELECT count(*) FROM occurrence WHERE event_id LIKE ?", f"E1:{name}:%")
        if counted != len(sent):
            wrong.append(f"{name}: {len(sent)} violations sent, {counted} counted")
    total = len(load.caller.accepted) + sum(map(len, load.publisher.sent.values()))
    for what, sql in (
        ("occurrence", "SELECT count(*) FROM occurrence"),
        ("ticket", "SELECT sum(occurrences) FROM ticket"),
    ):
        if (found := edge.one(sql)) != total:
            wrong.append(f"{total} violations accepted, the {what} table counts {found}")
    return wrong


def one_ticket_per_key(edge: Book, load: Load) -> list[str]:
    """One ticket per key; what callers were told is what is there; whoever responded was heard."""
    tickets = edge.rows("SELECT no, dedup_key, characteristic, state FROM ticket")
    keys = Counter(row["dedup_key"] for row in tickets)
    wrong = [f"{times} tickets for {key}" for key, times in keys.items() if times > 1]
    wanted = set(load.publisher.sent) | {key for key, _ in load.caller.accepted.values()}
    wrong += _differ("keys", wanted, {row["characteristic"] for row in tickets})
    of = {row["characteristic"]: row["no"] for row in tickets}
    told = {(key, no) for key, no in load.caller.accepted.values() if of.get(key) != no}
    wrong += [f"callers were told {no} for {key}, which has {of.get(key)}" for key, no in told]
    states = {row["no"]: row["state"] for row in tickets}
    wrong += [f"{no} was responded to and is {states.get(no)}" for no in load.caller.responded
              if states.get(no) != "RESPONDED"]  # fmt: skip
    return wrong


def same_read_model(edge: Book, relay: Book) -> list[str]:
    """The relay's tickets are the edge's: every event, and what is folded of them."""
    columns = (
        "no, edge, state, cycle, seq, severity, category, line, station, characteristic, owner, reporter, dedup_key, "
        "raised_at, closed_at, next_timer_at, occurrences, data"
    )
    wrong = []
    events = "uuid, ticket, seq, cycle, at, kind, actor, source, data"
    for table, wanted in (("ticket", columns), ("ticket_event", events)):
        mine, theirs = ({tuple(row.values()) for row in book.rows(f"SELECT {wanted} FROM {table}")}
                        for book in (edge, relay))  # fmt: skip
        wrong += _differ(f"rows of {table} at edge and relay", mine, theirs)
    return wrong


def one_group_one_card(plant: Plant, edge: Book) -> list[str]:
    """In Feishu: one group and one card a ticket, the card as the ticket is now, and nothing anybody saw twice."""
    state = plant.sandbox.get("/state").raise_for_status().json()
    counters = state["counters"]
    wrong = [f"sandbox: {c['kind']} {c['args']}" for c in plant.sandbox.get("/violations").json()["violations"]]
    for what in ("groups", "cards", "messages"):
        if counters[what]["duplicates"]:
            wrong.append(f"{counters[what]['duplicates']} {what} twice")
    tickets = {row["no"]: row for row in edge.rows("SELECT no, occurrences, state FROM ticket")}
    groups = [group for group in state["groups"] if group["kind"] == "group" and group["status"] == "normal"]
    names = Counter(group["ticket"] for group in groups)
    wrong += _differ("tickets with a group", set(tickets), set(names))
    wrong += [f"{no}: {times} groups" for no, times in names.items() if times > 1]
    for group in groups:
        wrong += _card_of(plant, group, tickets.get(group["ticket"], {}))
    return wrong


def _card_of(plant: Plant, group: Mapping[str, Any], ticket: Mapping[str, Any]) -> list[str]:
    no, found = group["ticket"], plant.sandbox.get(f"/groups/{group['chat_id']}/messages").json()["messages"]
    cards = [m for m in found if m["kind"] == "message" and m["msg_type"] == "interactive"]
    if len(cards) != 1:
        return [f"{no}: {len(cards)} cards"]
    shown, buttons = str(cards[0]["card"]), {"NEW": "respond", "RESPONDED": "contain"}
    wrong = []
    if f"{ticket['occurrences']} 次" not in shown:
        wrong.append(f"{no}: its card does not show {ticket['occurrences']} occurrences")
    if f"'action': '{buttons[ticket['state']]}'" not in shown:
        wrong.append(f"{no} is {ticket['state']}, its card is older")
    if len(group["members"]) < 2:
        wrong.append(f"{no}: only {group['members']} in its group")
    return wrong


def everything(plant: Plant, load: Load, within_s: float) -> list[str]:
    """Settle, check, stop both roles, and check what stands in the files."""
    settle(plant, len(load.caller.accepted) + sum(map(len, load.publisher.sent.values())), within_s)
    wrong = conservation(plant)
    codes = plant.stop()
    wrong += [f"{role} ended with {code} on SIGTERM" for role, code in codes.items() if code != 0]
    books = [Book(plant.folder / role / f"{role}.db") for role in ROLES]
    edge, relay = books
    try:
        wrong += [f"{path}: {found}" for path, book in zip(ROLES, books, strict=True)
                  if (found := book.one("PRAGMA integrity_check")) != "ok"]  # fmt: skip
        wrong += counted_once(edge, load) + one_ticket_per_key(edge, load)
        wrong += same_read_model(edge, relay) + one_group_one_card(plant, edge)
    finally:
        for book in books:
            book.close()
    return wrong


def _differ(what: str, wanted: Iterable[Any], found: Iterable[Any]) -> Sequence[str]:
    lost, extra = set(wanted) - set(found), set(found) - set(wanted)
    some = [f"{what}: {len(lost)} lost, e.g. {sorted(map(str, lost))[:3]}"] if lost else []
    return some + ([f"{what}: {len(extra)} too many, e.g. {sorted(map(str, extra))[:3]}"] if extra else [])
