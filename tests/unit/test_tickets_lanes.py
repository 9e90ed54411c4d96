"""A ticket's messages in the outbox: what needs the group keeps its order, a direct message waits for no group."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

from agent.deadlines.settings import DeadlineSettings
from agent.model import Actor
from agent.outbox.queue import claim, settle
from agent.outbox.rows import outbox
from agent.plant.settings import SiteSettings
from agent.records.tickets.rules import Key, Occurrence
from agent.records.tickets.service import Tickets, get, outbox_of
from agent.records.tickets.settings import TicketSettings
from agent.records.tickets.setup import setup_of
from agent.store.schema import upgrade
from agent.store.write import Store
from agent.ui.api.views import outboxes

T0 = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
SITE = SiteSettings.model_validate({
    "id": "SZ1", "edge": "E3", "line": {"id": "L3", "name": {"zh": "3 号线", "en": "line 3"}},
    "stations": [{"id": "OP40", "name": {"zh": "侧缝焊", "en": "side weld"}}],
})  # fmt: skip
DEADLINES = DeadlineSettings.model_validate({"escalation": {"fallback": ["lead"]}})
OPERATOR = Actor("op", frozenset({"operator"}), "kiosk")
OWNER = Actor("own", frozenset({"engineer"}), "kiosk")


def service(**settings: Any) -> Tickets:
    tickets = TicketSettings.model_validate({"default_owner": "own", "quality": ["qe"], **settings})
    return Tickets(SITE, setup_of(SITE, tickets, DEADLINES, []))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    upgrade(tmp_path / "edge.db")
    store = Store(tmp_path / "edge.db")
    store.open()
    yield store
    store.close()


def raised(conn: Connection, tickets: Tickets) -> str:
    return tickets.raise_ticket(conn, T0, OPERATOR, uuid="u1", category="welding", severity="watch").no


def items(conn: Connection, **of: str) -> list[tuple[str, str]]:
    query = select(outbox.c.lane, outbox.c.state).order_by(outbox.c.id)
    for name, value in of.items():
        query = query.where(outbox.c[name] == value)
    return [(lane, state) for lane, state in conn.execute(query)]


def test_a_refused_group_does_not_hold_up_a_direct_message(store: Store) -> None:
    def job(conn: Connection) -> None:
        tickets = service()
        no = raised(conn, tickets)
        tickets.sweep(conn, T0 + timedelta(hours=1.5))  # reminds the owner
        heads = claim(conn, T0 + timedelta(hours=2), "relay", 10)
        assert {(row.lane, row.kind) for row in heads} == {(no, "fact"), (f"{no}:own", "nudge")}
        assert len({row.rank for row in heads}) == 1

    store.submit(job).result(5)


def test_what_an_act_overtook_is_dropped_from_its_persons_lane(store: Store) -> None:
    def job(conn: Connection) -> None:
        tickets = service()
        no = raised(conn, tickets)
        tickets.sweep(conn, T0 + timedelta(hours=1.5))  # reminds the owner
        tickets.sweep(conn, T0 + timedelta(hours=3))  # tells the superior
        lanes = [f"{no}:own", f"{no}:lead"]
        assert items(conn, kind="nudge") == [(lane, "waiting") for lane in lanes]
        tickets.act(conn, T0 + timedelta(hours=4), no, "respond", {}, OWNER, "u2")
        assert items(conn, kind="nudge") == [(lane, "superseded") for lane in lanes]
        assert items(conn, kind="say") == [(no, "superseded")]

    store.submit(job).result(5)


def test_what_the_relay_holds_already_is_voided_there_in_its_persons_lane(store: Store) -> None:
    def job(conn: Connection) -> None:
        tickets = service()
        no = raised(conn, tickets)
        tickets.sweep(conn, T0 + timedelta(hours=3))  # tells the superior
        conn.execute(outbox.update().where(outbox.c.kind.in_(("nudge", "say"))).values(state="sent"))
        tickets.act(conn, T0 + timedelta(hours=4), no, "respond", {}, OWNER, "u2")
        asked = conn.execute(select(outbox.c.payload).where(outbox.c.kind == "void")).scalars()
        assert {payload["lane"] for payload in asked} == {no, f"{no}:lead"}

    store.submit(job).result(5)


def test_direct_messages_count_as_the_tickets_own(store: Store) -> None:
    def job(conn: Connection) -> None:
        tickets = service()
        no = raised(conn, tickets)
        other = tickets.raise_ticket(conn, T0, OPERATOR, uuid="u9", category="welding", severity="watch").no
        before = outbox_of(conn, no)["waiting"]
        tickets.sweep(conn, T0 + timedelta(hours=1.5))
        nudge = conn.execute(select(outbox.c.id).where(outbox.c.lane == f"{no}:own")).scalar_one()
        settle(conn, T0, nudge, "dead", "no such person")
        found = outbox_of(conn, no)
        assert (found["dead"], found["waiting"]) == (1, before + 2), "the fact and the card wait too"
        assert outboxes(conn, [no]) == {no: found}
        assert outboxes(conn, [no, other]) == {no: found, other: outbox_of(conn, other)}
        assert outboxes(conn, [other])[other]["dead"] == 0
        assert outboxes(conn, []) == {}

    store.submit(job).result(5)


@pytest.mark.parametrize(
    ("ids", "category"), [(["weld", "other"], "other"), (["weld", "leak"], "weld")], ids=["other", "the first"]
)
def test_a_foreign_violation_has_a_category_that_is_configured(store: Store, ids: list[str], category: str) -> None:
    def job(conn: Connection) -> None:
        words = {"zh": "类", "en": "kind"}
        tickets = service(categories=[{"id": id_, "name": words, "hint": words} for id_ in ids])
        seen = Occurrence("minitab:1", Key("SZ1", "L3", "OP40", None, "torque"), ("N1",), T0, T0)
        no, result = tickets.occur(conn, T0, seen)
        found = get(conn, no)
        assert found is not None and (found.category, result) == (category, "opened")

    store.submit(job).result(5)
