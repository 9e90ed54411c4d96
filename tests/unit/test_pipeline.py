"""Signal → chart → ticket in a real store: once each, replayed after a restart, never ahead of what is durable."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from agent.clock import ManualClock
from agent.deadlines.settings import DeadlineSettings
from agent.errors import Refused
from agent.metrics import Metrics
from agent.model import Actor, Quality, Signal
from agent.outbox.queue import balance
from agent.outbox.rows import outbox
from agent.pipeline import Pipeline
from agent.plant.rows import limit_version, point
from agent.plant.settings import CharacteristicSettings, SiteSettings
from agent.records.tickets.model import State
from agent.records.tickets.service import Tickets
from agent.records.tickets.settings import TicketSettings
from agent.records.tickets.setup import occur_of, setup_of
from agent.records.tickets.store import get, history, listing, occurrences
from agent.spc.evaluate import evaluate
from agent.store.facts import epoch, mark_copy
from agent.store.schema import upgrade
from agent.store.write import Store, StoreFull

START = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
SITE = SiteSettings.model_validate({
    "id": "SZ1", "edge": "E3", "line": {"id": "L3", "name": {"zh": "3 号线", "en": "line 3"}},
    "stations": [{"id": "OP40", "name": {"zh": "侧缝焊", "en": "side weld"}}],
})  # fmt: skip
WIDTH = CharacteristicSettings.model_validate({
    "id": "width", "name": {"zh": "熔宽", "en": "bead width"}, "unit": "µm", "station": "OP40", "source": "b",
    "tag": "w", "limits": {"center": 100, "sigma": 10}, "owner": "104417", "category": "welding",
    "lsl": 50, "usl": 150,
})  # fmt: skip
PULL = CharacteristicSettings.model_validate({
    "id": "pull", "name": {"zh": "拉力", "en": "pull"}, "unit": "N", "station": "OP40", "entry": "manual",
    "chart": "xbar_r", "n": 5, "limits": {"center": 400, "sigma": 10}, "category": "welding",
})  # fmt: skip
TICKETS = TicketSettings(default_owner="104400", quality=["104430"])
DEADLINES = DeadlineSettings.model_validate({"escalation": {"fallback": ["104499"]}})


class Line:
    """A pipeline over a store file; `again()` is a restart."""

    def __init__(self, folder: Path, clock: ManualClock, *characteristics: CharacteristicSettings) -> None:
        self.folder, self.clock, self.characteristics = folder, clock, characteristics or (WIDTH, PULL)
        self.n = 0

    async def __aenter__(self) -> "Line":
        upgrade(self.folder / "edge.db")
        self.store = Store(self.folder / "edge.db")
        self.store.open()
        self.tickets = Tickets(SITE, setup_of(SITE, TICKETS, DEADLINES, self.characteristics))
        self.metrics = Metrics()
        self.pipeline = Pipeline(
            self.store, self.clock, "E3", self.characteristics, lambda c: 60.0, occur_of(SITE, self.tickets),
            self.metrics,
        )  # fmt: skip
        await self.pipeline.load()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.store.close()

    async def again(self) -> None:
        await self.__aexit__()
        await self.__aenter__()

    def signal(self, value: float | None, **more) -> Signal:
        self.n += 1
        now = self.clock.now()
        quality = Quality.GOOD if value is not None else Quality.BAD
        return Signal("b", "w", value, now, more.get("at", now), quality, more.get("id", f"id{self.n}"))

    async def say(self, *values: float | None) -> None:
        for value in values:
            self.clock.advance(1)
            await self.pipeline.emit([self.signal(value)])

    def tickets_now(self):
        with self.store.read() as conn:
            return listing(conn, state="all")[0]


@pytest.fixture
def line(tmp_path: Path):
    return Line(tmp_path, ManualClock(START))


def test_a_violation_becomes_a_ticket_with_its_messages_in_one_commit(line: Line) -> None:
    async def main() -> None:
        async with line:
            await line.say(100, 101, 131)
            (ticket,) = line.tickets_now()
            assert ticket.no == "SZ1-E3-261122-001"
            assert (ticket.owner, ticket.team, ticket.category) == ("104417", ("104430",), "welding")
            assert ticket.rules == ("N1",)
            assert line.pipeline.live["width"].violation["ticket"] == ticket.no
            with line.store.read() as conn:
                kinds = conn.execute(select(outbox.c.kind).order_by(outbox.c.id)).scalars().all()
                assert kinds == ["fact", "open_group", "post_card"]
                assert balance(conn)["missing"] == 0

    asyncio.run(main())


def test_a_violation_of_a_restored_store_is_not_taken_for_one_that_was_told(line: Line) -> None:
    """Its points are numbered again from where the copy was made; the relay knows the ids that were told."""

    async def violation(*, copy: bool) -> str:
        async with line:
            if copy:
                await line.store.write(mark_copy)
            await line.say(131)
            with line.store.read() as conn:
                return history(conn, line.tickets_now()[0].no)[0].uuid

    async def main() -> None:
        async with line:
            await line.store.write(epoch)
            await line.say(100, 101)
        file = line.folder / "edge.db"
        yesterday = file.read_bytes()
        told = await violation(copy=False)
        file.write_bytes(yesterday)
        crashed = await violation(copy=False)
        file.write_bytes(yesterday)
        restored = await violation(copy=True)
        assert told == crashed, "worked out again in the same store it is the same one"
        assert restored != told

    asyncio.run(main())


def test_repeats_count_and_the_same_sample_twice_is_one(line: Line) -> None:
    async def main() -> None:
        async with line:
            first = line.signal(131)
            await line.pipeline.emit([first])
            await line.pipeline.emit([first, first])
            assert line.tickets_now()[0].occurrences == 1
            await line.say(*[132] * 20)
            (ticket,) = line.tickets_now()
            assert ticket.occurrences == 21
            with line.store.read() as conn:
                assert len(occurrences(conn, ticket.no, 100)) == 21
                assert [e.kind for e in history(conn, ticket.no)] == ["opened"], "a count is no event before its time"
            line.clock.advance(30)
            await line.store.write(lambda conn: line.tickets.sweep(conn, line.clock.now()))
            with line.store.read() as conn:
                assert [e.kind for e in history(conn, ticket.no)] == ["opened", "counted"]
                assert get(conn, ticket.no).rules == ("N1", "W4")

    asyncio.run(main())


def test_flags_are_those_of_an_uninterrupted_run_wherever_it_restarts(line: Line) -> None:
    rng = random.Random(7)
    values = [round(100 + 12 * rng.gauss(0, 1), 1) for _ in range(120)]
    rules = {f"N{i}": "warning" for i in range(1, 9)} | {"W4": "warning"}
    loud = WIDTH.model_copy(update={"rules": rules, "lsl": None, "usl": None})
    line.characteristics = (loud,)

    async def main() -> dict[str, list[int]]:
        async with line:
            for i, value in enumerate(values):
                await line.say(value)
                if rng.random() < 0.2:
                    await line.again()
                assert line.pipeline.live["width"].points[-1].y == values[i]
            found: dict[str, list[int]] = {}
            with line.store.read() as conn:
                for row in conn.execute(select(point).order_by(point.c.seq)):
                    for name in row.rules or ():
                        found.setdefault(name, []).append(row.seq - 1)
            return found

    found = {k: v for k, v in asyncio.run(main()).items() if not k.startswith("R-")}
    expected = evaluate(values, 100.0, 10.0)
    assert found == {k: v for k, v in expected.items() if k in rules}


def test_a_failed_commit_leaves_no_trace_in_memory(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with line:
            await line.say(*[101] * 7)
            occur = line.pipeline._occur
            calls = []

            def fails(*args):
                calls.append(1)
                raise RuntimeError("a bug")

            monkeypatch.setattr(line.pipeline, "_occur", fails)
            await line.say(101)  # the eighth on one side: W4 asks for a ticket, which fails
            assert calls and line.tickets_now() == []
            assert line.metrics.get("andon_pipeline_failures_total") == 1
            monkeypatch.setattr(line.pipeline, "_occur", occur)
            await line.say(101)
            (ticket,) = line.tickets_now()
            with line.store.read() as conn:
                assert conn.execute(select(func.max(point.c.seq))).scalar_one() == 8
            assert ticket.rules == ("W4",)

    asyncio.run(main())


def test_a_bad_value_is_a_gap_and_never_a_zero(line: Line) -> None:
    async def main() -> None:
        async with line:
            await line.say(*[101] * 7, None)
            assert line.pipeline.live["width"].quality is Quality.BAD
            await line.say(*[101] * 7)
            assert line.tickets_now() == [], "the gap cleared the run of seven"
            await line.again()
            await line.say(101)
            assert len(line.tickets_now()) == 1, "eight since the gap, over a restart"

    asyncio.run(main())


def test_a_typed_subgroup_goes_the_same_way(line: Line) -> None:
    inspector = Actor("104482", frozenset({"operator"}), "kiosk", "OP40-A")

    async def main() -> None:
        async with line:
            applied = await line.pipeline.enter("pull", [430, 431, 429, 430, 430], inspector, "k1")
            assert applied.ticket == "SZ1-E3-261122-001"
            assert applied.violations[0]["rules"] == ["N1"]
            assert line.pipeline.live["pull"].value == 430
            again = await line.pipeline.enter("pull", [430, 431, 429, 430, 430], inspector, "k1")
            assert (again.duplicates, again.ticket) == (5, None)
            with pytest.raises(Refused, match=r"measure\.count"):
                await line.pipeline.enter("pull", [1.0] * 6, inspector, "k2")
            await line.pipeline.enter("pull", [400, 401], inspector, "k3")
            await line.again()
            assert line.pipeline.live["pull"].open == [400, 401]

    asyncio.run(main())


def test_outside_specification_is_the_higher_class(line: Line) -> None:
    async def main() -> None:
        async with line:
            await line.say(151)
            (ticket,) = line.tickets_now()
            assert ticket.severity == "quarantine"
            assert ticket.title["key"] == "tickets.title.above_spec"

    asyncio.run(main())


def test_new_limits_are_a_new_version_and_clear_the_runs(line: Line) -> None:
    async def main() -> None:
        async with line:
            await line.say(*[101] * 7)
        limits = WIDTH.limits.model_copy(update={"center": 100.5})
        line.characteristics = (WIDTH.model_copy(update={"limits": limits}),)
        async with line:
            await line.say(*[101] * 7)
            assert line.tickets_now() == []
            with line.store.read() as conn:
                mine = limit_version.c.characteristic == "width"
                versions = conn.execute(select(limit_version.c.version, limit_version.c.center).where(mine)).all()
            assert [tuple(v) for v in versions] == [(1, 100.0), (2, 100.5)]

    asyncio.run(main())


def test_the_2485_of_a_ticket_over_days(line: Line) -> None:
    """Breach and escalation once each, also when nobody looked for days."""

    async def main() -> None:
        async with line:
            await line.say(131)
            line.clock.advance(timedelta(days=6))
            for _ in range(3):
                await line.store.write(lambda conn: line.tickets.sweep(conn, line.clock.now()))
            (ticket,) = line.tickets_now()
            with line.store.read() as conn:
                kinds = [e.kind for e in history(conn, ticket.no)]
                assert (kinds.count("breached"), kinds.count("escalated")) == (4, 4)
                nudged = conn.execute(select(outbox.c.payload).where(outbox.c.kind == "nudge")).scalars().all()
                assert {n["person"] for n in nudged} == {"104499"}
            assert ticket.state is State.NEW

    asyncio.run(main())


def test_the_lamp_goes_out_when_somebody_acts_and_the_words_when_it_is_over(line: Line) -> None:
    engineer = Actor("104417", frozenset({"engineer"}), "kiosk")

    async def main() -> None:
        async with line:

            async def held() -> str | None:
                await line.pipeline.refresh_latches()
                violation = line.pipeline.live["width"].violation
                return violation and violation["severity"]

            await line.say(131)
            no = line.tickets_now()[0].no
            await line.say(100)
            assert await held() == "ticket", "it stays lit when the next point is good"
            now = line.clock.now()
            await line.store.write(lambda conn: line.tickets.act(conn, now, no, "respond", {}, engineer, "u2"))
            assert await held() == "known"
            await line.say(132)
            assert await held() == "known", "the same problem, somebody is at it"
            await line.say(99, 101, 99, 101, 99)
            assert await held() is None

    asyncio.run(main())


def test_what_a_full_disk_does_not_take_is_not_acknowledged(line: Line) -> None:
    async def main() -> None:
        async with line:

            def cap(conn) -> None:
                pages = conn.exec_driver_sql("PRAGMA page_count").scalar_one()
                conn.exec_driver_sql(f"PRAGMA max_page_count={pages + 2}")

            await line.store.write(cap)
            kept = refused = 0
            for i in range(400):
                try:
                    await line.say(100 + i % 3)
                    kept += 1
                except StoreFull:
                    refused += 1
            assert kept and refused
            with line.store.read() as conn:
                assert conn.execute(select(func.count()).select_from(point)).scalar_one() == kept
            assert line.metrics.get("andon_pipeline_failures_total") == 0

    asyncio.run(main())


def test_a_number_no_chart_can_take_is_bad_and_holds_nothing_up(tmp_path: Path) -> None:
    """In an open subgroup it would otherwise wait for the subgroup's end and fail every value from then on."""
    grouped = CharacteristicSettings.model_validate(
        WIDTH.model_dump() | {"chart": "xbar_r", "n": 2, "lsl": None, "usl": None}
    )
    line = Line(tmp_path, ManualClock(START), grouped)

    async def main() -> None:
        async with line:
            await line.say(1e200, 100, -1e308)
            await line.again()
            await line.say(102)
            assert [p.y for p in line.pipeline.live["width"].points] == [101]
            assert line.pipeline.live["width"].open == []
        async with line:
            await line.say(1e150)
            assert line.pipeline.live["width"].quality is Quality.BAD
            assert 'andon_signals_unplottable_total{source="b"} 1' in line.metrics.render()

    asyncio.run(main())
