"""The queue against a plain model: whatever the order of acts, nothing is lost, doubled or out of order."""

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import Connection, Engine, select

from agent.outbox import queue
from agent.outbox.queue import LEASE, Item
from agent.outbox.rows import outbox
from agent.store.engine import open_writer
from agent.store.schema import upgrade

START = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
_TEMPLATE: list[bytes] = []


def fresh(folder: Path) -> Engine:
    path = folder / "edge.db"
    if not _TEMPLATE:
        upgrade(path)
        _TEMPLATE.append(path.read_bytes())
    path.write_bytes(_TEMPLATE[0])
    return open_writer(path)


class QueueMachine(RuleBasedStateMachine):
    """Model: uuid → [lane, state, fold, not_before]; insertion order is the order of ids."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.engine = fresh(Path(self.folder.name))
        self.conn: Connection = self.engine.connect()
        self.now = START
        self.model: dict[str, dict] = {}
        self.made = 0
        self.delivered: dict[str, list[str]] = {}

    def teardown(self) -> None:
        if hasattr(self, "conn"):
            self.conn.close()
            self.engine.dispose()
            self.folder.cleanup()

    def active(self, lane: str) -> list[str]:
        return [u for u, m in self.model.items() if m["lane"] == lane and m["state"] in ("waiting", "leased")]

    @rule(lane=st.sampled_from("abc"), fold=st.sampled_from([None, None, "card"]), repeat=st.booleans())
    def enqueue(self, lane: str, fold: str | None, repeat: bool) -> None:
        uuid = f"u{self.made}"
        known = repeat and self.model
        if known:
            uuid = next(iter(self.model))
        else:
            self.made += 1
        with self.conn.begin():
            got = queue.enqueue(self.conn, self.now, Item(lane, "say", "ticket", {"n": self.made}, uuid, fold))
        if known:
            assert got is None
            return
        assert got == uuid
        for other in self.active(lane):
            if fold is not None and self.model[other]["fold"] == fold and self.model[other]["state"] == "waiting":
                self.model[other]["state"] = "superseded"
        self.model[uuid] = {"lane": lane, "state": "waiting", "fold": fold, "not_before": self.now, "until": None}

    @rule(limit=st.integers(1, 4))
    def claim(self, limit: int) -> None:
        with self.conn.begin():
            rows = queue.claim(self.conn, self.now, "me", limit)
        due = []
        for lane in "abc":
            active = self.active(lane)
            if not active:
                continue
            head = self.model[active[0]]
            if (head["state"] == "waiting" and head["not_before"] <= self.now) or (
                head["state"] == "leased" and head["until"] <= self.now
            ):
                due.append(active[0])
        assert {r.uuid for r in rows} <= set(due)
        assert len(rows) == min(limit, len(due))
        for row in rows:
            self.model[row.uuid] |= {"state": "leased", "until": self.now + LEASE}
            assert row.first_tried_at is not None

    def leased(self) -> list[tuple[str, int]]:
        with self.conn.begin():
            rows = self.conn.execute(select(outbox.c.uuid, outbox.c.id).where(outbox.c.state == "leased"))
            return [(r.uuid, r.id) for r in rows]

    @rule(outcome=st.sampled_from(["delivered", "dead"]))
    def settle(self, outcome: str) -> None:
        for uuid, row_id in self.leased()[:1]:
            with self.conn.begin():
                assert queue.settle(self.conn, self.now, row_id, outcome)
                assert not queue.settle(self.conn, self.now, row_id, outcome), "an item ends once"
            self.model[uuid]["state"] = outcome
            self.delivered.setdefault(self.model[uuid]["lane"], []).append(uuid)

    @rule(wait=st.integers(0, 90))
    def release(self, wait: int) -> None:
        for uuid, row_id in self.leased()[:1]:
            later = self.now + timedelta(seconds=wait)
            with self.conn.begin():
                queue.release(self.conn, row_id, later, "later")
            self.model[uuid] |= {"state": "waiting", "not_before": later}

    @rule()
    def restart(self) -> None:
        self.conn.close()
        self.conn = self.engine.connect()
        with self.conn.begin():
            queue.void_leases(self.conn)
        for m in self.model.values():
            if m["state"] == "leased":
                m["state"] = "waiting"

    @rule()
    def revive(self) -> None:
        for uuid, m in self.model.items():
            if m["state"] == "dead":
                with self.conn.begin():
                    assert queue.revive(self.conn, self.now, uuid)
                m |= {"state": "waiting", "not_before": self.now}
                self.delivered[m["lane"]].remove(uuid)
                return

    @rule(seconds=st.integers(1, 120))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @invariant()
    def conserved(self) -> None:
        if not hasattr(self, "conn"):
            return
        with self.conn.begin():
            found = queue.balance(self.conn)
            states = dict(self.conn.execute(select(outbox.c.uuid, outbox.c.state)).all())
            heads = self.conn.execute(select(outbox.c.lane, outbox.c.uuid).where(outbox.c.head)).all()
        assert found["missing"] == 0
        assert states == {u: m["state"] for u, m in self.model.items()}
        assert dict(heads) == {lane: self.active(lane)[0] for lane in "abc" if self.active(lane)}
        assert len(heads) == len(dict(heads)), "one head a lane"


QueueMachine.TestCase.settings = settings(
    max_examples=30, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestQueue = QueueMachine.TestCase


def test_key_and_time_of_the_first_attempt_outlive_every_other(tmp_path: Path) -> None:
    """Feishu knows a repeat by its key, and for how long by when it was first used; a lease of the dead is void."""
    engine = fresh(tmp_path)
    with engine.begin() as conn:
        queue.enqueue(conn, START, Item("a", "nudge", "verdict", {}, uuid="u1"))
        (made,) = conn.execute(select(outbox)).all()
        (first,) = queue.claim(conn, START, "me", 9)
        queue.release(conn, first.id, START, "no answer")
        (again,) = queue.claim(conn, START + timedelta(hours=2), "me", 9)
        assert queue.claim(conn, START + timedelta(hours=2), "me", 9) == []
        queue.void_leases(conn)
        (later,) = queue.claim(conn, START + timedelta(hours=2), "next", 9)
    engine.dispose()
    assert {row.key for row in (made, first, again, later)} == {made.key}
    assert {row.first_tried_at for row in (first, again, later)} == {START}
    assert [row.attempts for row in (first, again, later)] == [1, 2, 3]
