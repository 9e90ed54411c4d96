"""Edge and relay over a real Unix socket: a story arrives once and in order, whoever restarts or is lost."""

import asyncio
import json
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
import uvicorn
from sqlalchemy import func, select

from agent.blobs import Blobs
from agent.clock import SystemClock
from agent.deadlines.settings import DeadlineSettings
from agent.errors import Rejected, Unreachable
from agent.metrics import Metrics
from agent.model import Actor, Click
from agent.outbox.courier import Courier
from agent.outbox.inbox import take_receipt
from agent.outbox.queue import Item, balance, enqueue, revive, take_void, void, void_leases
from agent.outbox.rows import far, outbox
from agent.outbox.settings import LinkSettings
from agent.outbox.sink import Delivered, Message, Names
from agent.plant.directory import as_payloads, directory, replace_people, take_people
from agent.plant.people import Person
from agent.plant.settings import SiteSettings
from agent.records.tickets.model import State
from agent.records.tickets.remote import take_command
from agent.records.tickets.rows import ticket_event
from agent.records.tickets.service import Tickets, take_fact
from agent.records.tickets.settings import TicketSettings
from agent.records.tickets.setup import setup_of
from agent.records.tickets.store import edge_of, get, history, told_by
from agent.relay.clicks import Clicks
from agent.relay.deliver import Deliver
from agent.relay.ingress import Ingress, link_app
from agent.relay.names import StoreNames, adopt
from agent.relay.replies import Edges, add_reply, purge_replies
from agent.relay.rows import command, edge_seen, reply
from agent.relay.settings import RelaySettings
from agent.store.facts import count, epoch, mark_copy
from agent.store.schema import upgrade
from agent.store.write import Store

CLOCK = SystemClock()
SITE = SiteSettings.model_validate({
    "id": "SZ1", "edge": "E3", "line": {"id": "L3", "name": {"zh": "3 号线", "en": "line 3"}},
    "stations": [{"id": "OP40", "name": {"zh": "侧缝焊", "en": "side weld"}}],
})  # fmt: skip
TICKETS = TicketSettings(default_owner="own")
DEADLINES = DeadlineSettings.model_validate({"escalation": {"fallback": ["duty"]}})
PEOPLE = [
    Person("own", "责任人", roles=frozenset({"engineer"}), open_id="ou_own"),
    Person("op", "操作员", roles=frozenset({"operator"}), open_id="ou_op"),
    Person("duty", "值班", roles=frozenset({"quality"}), open_id="ou_duty"),
]
OPERATOR = Actor("op", frozenset({"operator"}), "kiosk", "OP40-A")
KINDS = ("open_group", "post_card", "update_card", "add_people", "nudge", "say", "leave_group", "dissolve_group")


class Far:
    """A far side that remembers effects and recognises keys, and can be made to fail."""

    kinds = KINDS

    def __init__(self) -> None:
        self.effects: list[tuple[str, str, str]] = []
        self.keys: dict[str, str] = {}
        self.down = False
        self.knows_people = True
        self.lose = 0
        self.reject: str | None = None

    def deliver(self, message: Message, names: Names) -> Delivered:
        if self.down:
            raise Unreachable("connection refused")
        if self.reject == message.kind:
            raise Rejected("230001: wrong")
        logical = str(message.payload.get("group" if message.kind == "open_group" else "card", ""))
        if message.kind == "post_card" and names.far(str(message.payload["group"])) is None:
            raise Unreachable("group not made yet", retry_after=0.1)
        if message.key not in self.keys:
            self.keys[message.key] = f"far{len(self.keys)}"
            self.effects.append((message.lane, message.kind, message.key))
        if self.lose:
            self.lose -= 1
            raise Unreachable("answer lost")
        return Delivered({logical: self.keys[message.key]} if logical and "update" not in message.kind else {})

    def story(self, lane: str) -> list[str]:
        return [kind for one, kind, _ in self.effects if one == lane]


@asynccontextmanager
async def opened(path: Path):
    path.parent.mkdir(parents=True, exist_ok=True)
    upgrade(path)
    store = Store(path)
    store.open()
    await store.write(epoch)
    await store.write(void_leases)
    try:
        yield store
    finally:
        await asyncio.to_thread(store.close)


def heard(store: Store, **wakes) -> None:
    loop = asyncio.get_running_loop()

    def listen(topics):
        for prefix, wake in wakes.items():
            if any(t.startswith(prefix) for t in topics):
                loop.call_soon_threadsafe(wake, topics)

    store.on_commit(listen)


@asynccontextmanager
async def relay(folder: Path, far_side: Far):
    """A running relay; yields an object with store and clicks."""
    async with opened(folder / "relay.db") as store:
        settings, edges = RelaySettings(verdict_wait_s=1.0), Edges()
        blobs = Blobs(folder / "blobs")
        names = StoreNames(store, CLOCK, lambda conn, p: None, blobs.path)
        deliver = Deliver(store, CLOCK, dict.fromkeys(KINDS, far_side), names, settings, Metrics())
        who = {p.open_id: p.id for p in PEOPLE}

        async def looked_up(until: float) -> bool:
            return far_side.knows_people

        clicks = Clicks(store, CLOCK, edges, settings, edge_of, lambda click: who.get(click.open_id), looked_up)
        clicks.bind(asyncio.get_running_loop())
        edges.bind(asyncio.get_running_loop())
        handlers = {
            "fact": take_fact,
            "people": take_people,
            "adopt": adopt,
            "void": take_void,
            "verdict": clicks.take_verdict,
        }
        app = link_app(store, CLOCK, Ingress(handlers, KINDS, settings), edges, blobs, told_by)
        heard(store, outbox=lambda t: deliver.wake(), reply=edges.wake, verdict=clicks.wake)
        server = uvicorn.Server(
            uvicorn.Config(app, uds=str(folder.parent / "link.sock"), log_level="error", lifespan="off")
        )
        tasks = [asyncio.create_task(server._serve()), asyncio.create_task(deliver.run())]
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            clicks.store, clicks.edges, clicks.blobs = store, edges, blobs
            yield clicks
        finally:
            server.should_exit = server.force_exit = True
            tasks[1].cancel()
            await asyncio.wait(tasks)


@asynccontextmanager
async def edge(folder: Path):
    """A running edge; yields its Tickets with store and courier attached."""
    async with opened(folder / "edge.db") as store:
        tickets = Tickets(SITE, setup_of(SITE, TICKETS, DEADLINES, []))

        def tell(conn, now):
            for payload in as_payloads(directory(conn)):
                enqueue(conn, now, Item("people", "people", "verdict", payload))

        if await store.write(lambda conn: replace_people(conn, PEOPLE, [])):
            await store.write(lambda conn: tell(conn, CLOCK.now()))

        def resync(conn, now, place):
            if place == 0:
                tell(conn, now)
            return tickets.resync(conn, now, place)

        handlers = {"receipt": take_receipt, "command": partial(take_command, tickets)}
        settings = LinkSettings(socket=folder.parent / "link.sock", poll_s=5)
        courier = Courier(
            store, CLOCK, settings, "E3", handlers, Blobs(folder / "blobs").path, resync, tickets.take_back
        )
        heard(store, outbox=lambda t: courier.wake())
        task = asyncio.create_task(courier.run())
        try:
            tickets.store, tickets.courier = store, courier
            yield tickets
        finally:
            task.cancel()
            await asyncio.wait([task])


async def raise_one(tickets: Tickets, uuid: str = "u1") -> str:
    def job(conn):
        return tickets.raise_ticket(
            conn, CLOCK.now(), OPERATOR, uuid=uuid, category="welding", severity="watch", station="OP40"
        ).no

    return await tickets.store.write(job)


async def act(tickets: Tickets, no: str, action: str, uuid: str, **args) -> None:
    engineer = Actor("own", frozenset({"engineer"}), "kiosk")
    await tickets.store.write(lambda conn: tickets.act(conn, CLOCK.now(), no, action, args, engineer, uuid))


async def until(check, seconds: float = 8.0):
    end = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < end:
        if value := check():
            return value
        await asyncio.sleep(0.02)
    raise AssertionError(f"not within {seconds} s")


def counts(store: Store) -> dict[str, int]:
    with store.read() as conn:
        return balance(conn)


def settled(store: Store) -> bool:
    found = counts(store)
    assert found["missing"] == 0, found
    return found["waiting"] == 0


def verdicts(store: Store) -> list[dict | None]:
    with store.read() as conn:
        return list(conn.execute(select(command.c.verdict)).scalars())


def click(no: str, event_id: str, who: str = "ou_own", action: str = "respond") -> Click:
    return Click(event_id, who, None, {"ticket": no, "action": action, "cycle": 1}, {}, "om_1", "oc_1", CLOCK.now())


def test_a_story_arrives_once_in_order_and_is_receipted(tmp_path: Path) -> None:
    far_side = Far()

    async def main() -> None:
        async with relay(tmp_path / "r", far_side) as there, edge(tmp_path / "e") as here:
            no = await raise_one(here)
            await act(here, no, "respond", "u2")
            await until(lambda: settled(here.store) and settled(there.store))
            assert far_side.story(no)[:2] == ["open_group", "post_card"]
            with there.store.read() as conn:
                assert get(conn, no).state is State.RESPONDED, "the read model folds the same events"
                assert edge_of(conn, no) == "E3"
            with here.store.read() as conn:
                known = dict(conn.execute(select(far.c.logical, far.c.far)).all())
            assert set(known) == {f"group:{no}", f"card:{no}"}, "receipts carry the far ids"

    asyncio.run(main())


def test_a_lost_answer_is_repeated_with_the_same_key(tmp_path: Path) -> None:
    far_side = Far()
    far_side.lose = 3

    async def main() -> None:
        async with relay(tmp_path / "r", far_side) as there, edge(tmp_path / "e") as here:
            no = await raise_one(here)
            await until(lambda: settled(here.store) and settled(there.store), 15)
            assert far_side.story(no) == ["open_group", "post_card"]

    asyncio.run(main())


def test_far_side_away_pending_updates_are_folded(tmp_path: Path) -> None:
    far_side = Far()
    far_side.down = True

    async def main() -> None:
        async with relay(tmp_path / "r", far_side) as there, edge(tmp_path / "e") as here:
            no = await raise_one(here)
            await act(here, no, "respond", "u2")
            await act(here, no, "contain", "u3", text="隔离")
            await until(lambda: counts(there.store)["accepted"] >= 3)
            far_side.down = False
            await until(lambda: settled(here.store) and settled(there.store), 15)
            assert far_side.story(no) == ["open_group", "post_card", "update_card"]
            assert counts(here.store)["superseded"] + counts(there.store)["superseded"] >= 1

    asyncio.run(main())


def test_either_side_restarts_in_between(tmp_path: Path) -> None:
    far_side = Far()

    async def main() -> None:
        numbers = []
        for round_ in range(4):
            async with AsyncExitStack() as stack:
                if round_ % 2 == 0:  # the relay is away in odd rounds
                    there = await stack.enter_async_context(relay(tmp_path / "r", far_side))
                here = await stack.enter_async_context(edge(tmp_path / "e"))
                numbers.append(await raise_one(here, f"u{round_}"))
                await asyncio.sleep(0.15)
        async with relay(tmp_path / "r", far_side) as there, edge(tmp_path / "e") as here:
            await until(lambda: settled(here.store) and settled(there.store))
        assert len(set(numbers)) == 4
        for no in numbers:
            assert far_side.story(no) == ["open_group", "post_card"]

    asyncio.run(main())


def test_a_relay_that_lost_its_store_adopts_what_exists(tmp_path: Path) -> None:
    far_side = Far()

    async def main() -> None:
        async with relay(tmp_path / "r1", far_side) as there, edge(tmp_path / "e") as here:
            no = await raise_one(here)
            await until(lambda: settled(here.store) and settled(there.store))
        async with relay(tmp_path / "r2", far_side) as there, edge(tmp_path / "e") as here:
            await act(here, no, "respond", "u2")
            await until(lambda: settled(here.store) and settled(there.store))
            with there.store.read() as conn:
                assert get(conn, no).state is State.RESPONDED
                assert dict(conn.execute(select(far.c.logical, far.c.far)).all())[f"card:{no}"]
        assert far_side.story(no) == ["open_group", "post_card", "update_card"], "nothing is made again"

    asyncio.run(main())


def test_what_is_refused_for_good_is_dead_with_its_reason_and_holds_up_nobody(tmp_path: Path) -> None:
    far_side = Far()
    far_side.reject = "open_group"

    async def main() -> None:
        async with relay(tmp_path / "r", far_side) as there, edge(tmp_path / "e") as here:
            no = await raise_one(here)
            await until(lambda: counts(here.store)["dead"] == 1)
            with here.store.read() as conn:
                row = conn.execute(select(outbox).where(outbox.c.state == "dead")).one()
            assert (row.kind, row.reason, row.lane) == ("open_group", "230001: wrong", no)
            await here.store.write(lambda conn: enqueue(conn, CLOCK.now(), Item("x", "unheard_of", "ticket", {})))
            await until(lambda: counts(here.store)["dead"] == 2)
            with here.store.read() as conn:
                assert (
                    "upgrade the relay"
                    in conn.execute(select(outbox.c.reason).where(outbox.c.lane == "x")).scalar_one()
                )
            assert counts(there.store)["missing"] == 0

    asyncio.run(main())


def test_a_click_gets_its_verdict_and_works_once(tmp_path: Path) -> None:
    far_side = Far()

    async def main() -> None:
        async with relay(tmp_path / "r", far_side) as there, edge(tmp_path / "e") as here:
            no = await raise_one(here)
            await until(lambda: settled(here.store) and settled(there.store))
            verdicts = await asyncio.gather(*[asyncio.wrap_future(there.on_click(click(no, "ev1"))) for _ in range(5)])
            assert [v.level for v in verdicts] == ["success"] * 5
            assert verdicts[0].toast["key"] == "tickets.done.respond"
            assert verdicts[0].card["no"] == no
            second = await asyncio.wrap_future(there.on_click(click(no, "ev2", "ou_duty")))
            assert second.level == "error", "who was first stays first"
            with here.store.read() as conn:
                ticket = get(conn, no)
            assert (ticket.state, ticket.responded.by) == (State.RESPONDED, "own")
            stranger = await asyncio.wrap_future(there.on_click(click(no, "ev3", "ou_nobody")))
            assert stranger.toast["key"] == "click.unknown_person"
            far_side.knows_people = False
            early = await asyncio.wrap_future(there.on_click(click(no, "ev3", "ou_nobody")))
            assert early.toast["key"] == "click.not_looked_up"
            ghost = await asyncio.wrap_future(there.on_click(click("SZ1-E3-000000-001", "ev4")))
            assert ghost.toast["key"] == "click.unknown_ticket"
            await until(lambda: settled(here.store) and settled(there.store))
            told = [lane for lane, kind, _ in far_side.effects if kind == "nudge" and "late" in lane]
            assert told == [], "who heard the refusal at once is not written to about it"

    asyncio.run(main())


def test_a_click_with_an_impossible_time_counts_when_it_arrived(tmp_path: Path) -> None:
    far_side = Far()

    async def main() -> None:
        async with relay(tmp_path / "r", far_side) as there, edge(tmp_path / "e") as here:
            no = await raise_one(here)
            await until(lambda: settled(here.store) and settled(there.store))
            before = CLOCK.now()
            old = replace(click(no, "ev1"), clicked_at=before - timedelta(days=2000))
            assert (await asyncio.wrap_future(there.on_click(old))).level == "success"
            with here.store.read() as conn:
                assert get(conn, no).responded.at >= before

    asyncio.run(main())


def test_a_click_with_the_edge_away_counts_at_its_time_and_a_late_refusal_is_told(tmp_path: Path) -> None:
    far_side = Far()

    async def main() -> None:
        async with relay(tmp_path / "r", far_side) as there:
            async with edge(tmp_path / "e") as here:
                no = await raise_one(here)
                await until(lambda: settled(here.store) and settled(there.store))
            there.edges._seen["E3"] = CLOCK.monotonic() - 31
            before = CLOCK.now()
            first = click(no, "ev1")
            verdict = await asyncio.wrap_future(there.on_click(first))
            assert verdict.toast["key"] == "click.edge_offline"
            for event, who in (("ev2", "ou_duty"), ("ev3", "ou_own"), ("ev4", "ou_duty"), ("ev5", "ou_own")):
                await asyncio.wrap_future(there.on_click(click(no, event, who)))
            with there.store.read() as conn:
                assert len(conn.execute(select(reply).where(reply.c.kind == "command")).all()) == 5
            async with edge(tmp_path / "e") as here:
                await until(lambda: all(verdicts(there.store)) and settled(there.store))
                late = [lane for lane, kind, _ in far_side.effects if kind == "nudge" and "late" in lane]
                assert len(late) == 1, "one to whom it was refused, though pressed twice; none to whoever took it"
                with here.store.read() as conn:
                    responded = get(conn, no).responded
            assert responded.by == "own"
            assert abs(responded.at - first.clicked_at) < timedelta(milliseconds=1) and responded.at >= before

    asyncio.run(main())


def test_twenty_clicks_at_once_with_a_silent_edge_are_all_answered_in_time(tmp_path: Path) -> None:
    far_side = Far()

    async def main() -> None:
        async with relay(tmp_path / "r", far_side) as there:
            async with edge(tmp_path / "e") as here:
                no = await raise_one(here)
                await until(lambda: settled(here.store) and settled(there.store))
            start = asyncio.get_running_loop().time()
            verdicts = await asyncio.gather(
                *[asyncio.wrap_future(there.on_click(click(no, f"ev{i}"))) for i in range(20)]
            )
            assert {v.toast["key"] for v in verdicts} == {"click.received"}
            assert asyncio.get_running_loop().time() - start < 2.0

    asyncio.run(main())


def test_blobs_come_before_the_message_that_needs_them(tmp_path: Path) -> None:
    far_side = Far()

    async def main() -> None:
        async with relay(tmp_path / "r", far_side) as there, edge(tmp_path / "e") as here:
            sha = Blobs(tmp_path / "e" / "blobs").put(b"\x89PNG picture")
            item = Item("t", "say", "ticket", {"blobs": [sha]})
            await here.store.write(lambda conn: enqueue(conn, CLOCK.now(), item))
            await until(lambda: settled(here.store))
            assert there.blobs.path(sha).read_bytes() == b"\x89PNG picture"

    asyncio.run(main())


def test_an_item_past_its_age_expires_counted(tmp_path: Path) -> None:
    far_side = Far()
    far_side.down = True

    async def main() -> None:
        async with relay(tmp_path / "r", far_side) as there, edge(tmp_path / "e") as here:
            await here.store.write(lambda conn: enqueue(conn, CLOCK.now(), Item("t", "say", "ticket", {})))
            await until(lambda: counts(there.store)["accepted"] == 1)
            old = CLOCK.now() - timedelta(days=31)
            await there.store.write(lambda conn: conn.execute(outbox.update().values(created_at=old)).close())
            await until(lambda: counts(here.store)["expired"] == 1, 20)
            assert counts(there.store)["missing"] == 0

    asyncio.run(main())


def test_a_dead_message_sent_again_is_delivered(tmp_path: Path) -> None:
    far_side = Far()
    far_side.reject = "say"

    async def main() -> None:
        async with relay(tmp_path / "r", far_side) as there, edge(tmp_path / "e") as here:
            uuid = await here.store.write(lambda conn: enqueue(conn, CLOCK.now(), Item("t", "say", "ticket", {})))
            await until(lambda: counts(here.store)["dead"] == 1)
            far_side.reject = None
            assert await here.store.write(lambda conn: revive(conn, CLOCK.now(), uuid))
            await until(lambda: settled(here.store))
            assert far_side.story("t") == ["say"]
            found = counts(here.store)
            assert (found["delivered"], found["dead"]) == (2, 0), "the people, and this"
            assert counts(there.store)["missing"] == 0

    asyncio.run(main())


def test_replies_are_forgotten_only_once_their_edge_has_them(tmp_path: Path) -> None:
    far_side = Far()

    async def main() -> None:
        async with relay(tmp_path / "r", far_side) as there:
            async with edge(tmp_path / "e") as here:
                await raise_one(here)
                await until(lambda: settled(here.store) and settled(there.store))
                await until(lambda: cursor_at_relay(there.store) == newest_reply(there.store) > 0)
            future = CLOCK.now() + timedelta(days=400)
            await there.store.write(lambda conn: add_reply(conn, CLOCK.now(), "E3", "receipt", {"uuid": "x"}))
            await there.store.write(lambda conn: purge_replies(conn, future, 1000))
            with there.store.read() as conn:
                assert [r.payload["uuid"] for r in conn.execute(select(reply))] == ["x"]

    asyncio.run(main())


def cursor_at_relay(store: Store) -> int:
    with store.read() as conn:
        return conn.execute(select(edge_seen.c.cursor)).scalar_one()


def newest_reply(store: Store) -> int:
    with store.read() as conn:
        return conn.execute(select(func.max(reply.c.seq))).scalar_one()


def test_what_was_delivered_but_not_receipted_is_not_made_twice_after_the_relay_lost_its_store(tmp_path: Path) -> None:
    far_side = Far()

    async def main() -> None:
        async with edge(tmp_path / "e") as here:
            async with relay(tmp_path / "r1", far_side) as there:
                no = await raise_one(here)
                await until(lambda: settled(here.store) and settled(there.store))
            # as if the receipts had been lost together with the store
            await here.store.write(lambda conn: conn.execute(far.delete()).close())
            mine = outbox.c.kind.in_(("open_group", "post_card"))

            def unsettle(conn):
                rows = conn.execute(select(outbox.c.id).where(mine)).scalars().all()
                body = {"group": f"group:{no}", "card": f"card:{no}", "ticket": no}
                conn.execute(outbox.update().where(mine).values(state="sent", payload=body, settled_at=None))
                count(conn, "outbox.delivered", -len(rows))

            await here.store.write(unsettle)
            async with relay(tmp_path / "r2", far_side) as there:
                await until(lambda: settled(here.store) and settled(there.store), 15)
                with there.store.read() as conn:
                    assert get(conn, no) is not None, "the read model is told again"
        assert far_side.story(no) == ["open_group", "post_card"], "the keys are the same ones"

    asyncio.run(main())


def test_one_item_that_makes_no_sense_does_not_stop_the_link(tmp_path: Path) -> None:
    far_side = Far()

    async def main() -> None:
        async with relay(tmp_path / "r", far_side) as there, edge(tmp_path / "e") as here:
            no = await raise_one(here)
            await until(lambda: settled(here.store) and settled(there.store))
            with here.store.read() as conn:
                twin = history(conn, no)[0].as_json() | {"uuid": "another event with the same number"}
            for payload in (twin, {}, {"uuid": 7}):
                await here.store.write(lambda conn, p=payload: enqueue(conn, CLOCK.now(), Item(no, "fact", "fact", p)))
            await until(lambda: counts(here.store)["dead"] == 3)
            other = await raise_one(here, "u2")
            await until(lambda: settled(here.store) and settled(there.store))
            assert far_side.story(other) == ["open_group", "post_card"]

    asyncio.run(main())


def test_a_reply_that_makes_no_sense_is_passed_over(tmp_path: Path) -> None:
    far_side = Far()

    async def main() -> None:
        async with relay(tmp_path / "r", far_side) as there, edge(tmp_path / "e") as here:
            no = await raise_one(here)
            await until(lambda: settled(here.store) and settled(there.store))
            for kind in ("command", "receipt", "unheard of"):
                await there.store.write(lambda conn, k=kind: add_reply(conn, CLOCK.now(), "E3", k, {"x": 1}))
            verdict = await asyncio.wrap_future(there.on_click(click(no, "ev1")))
            assert verdict.level == "success"

    asyncio.run(main())


@pytest.mark.parametrize("body", ["{}", "[]", '{"epoch":"x"}', '{"epoch":{},"replies":[]}',
                                  '{"epoch":"x","last":0,"replies":[{}]}', "<html>", "\u00ff"])  # fmt: skip
def test_whatever_the_relay_says_the_edge_lives(tmp_path: Path, body: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body.encode()) + body.encode())
        await writer.drain()
        writer.close()

    async def main() -> None:
        server = await asyncio.start_unix_server(answer, str(tmp_path / "link.sock"))
        async with edge(tmp_path / "e") as here:
            await asyncio.sleep(0.5)
            assert await raise_one(here), "the line goes on"
            assert here.courier.state.drained is False
        server.close()
        await server.wait_closed()

    asyncio.run(main())


def test_what_an_act_made_void_is_not_sent_after_the_outage(tmp_path: Path) -> None:
    far_side = Far()

    async def main() -> None:
        async with relay(tmp_path / "r", far_side) as there, edge(tmp_path / "e") as here:
            far_side.down = True
            for key in ("escalation:R2", "escalation:C24"):
                item = Item("T:boss", "nudge", "escalation", {"n": key}, fold_key=key)
                await here.store.write(lambda conn, i=item: enqueue(conn, CLOCK.now(), i))
            await until(lambda: counts(there.store)["accepted"] == 2)
            await until(lambda: deliver_waits(there.store))
            await here.store.write(lambda conn: void(conn, CLOCK.now(), "T:boss", "escalation:C24", "answered"))
            await until(lambda: counts(there.store)["superseded"] == 1)
            far_side.down = False
            await until(lambda: settled(here.store) and settled(there.store), 20)
            assert far_side.story("T:boss") == ["nudge"]
            assert counts(here.store)["superseded"] == 1

    asyncio.run(main())


def deliver_waits(store: Store) -> bool:
    with store.read() as conn:
        return set(conn.execute(select(outbox.c.state)).scalars()) == {"waiting"}


def test_a_relay_restored_from_yesterday_is_told_what_it_lost(tmp_path: Path) -> None:
    far_side = Far()

    async def main() -> None:
        async with relay(tmp_path / "r", far_side):
            pass
        yesterday = (tmp_path / "r" / "relay.db").read_bytes()
        async with relay(tmp_path / "r", far_side) as there, edge(tmp_path / "e") as here:
            no = await raise_one(here)
            await until(lambda: settled(here.store) and settled(there.store))
            await until(lambda: cursor_at_relay(there.store) == newest_reply(there.store) > 0)
        (tmp_path / "r" / "relay.db").write_bytes(yesterday)
        async with relay(tmp_path / "r", far_side) as there, edge(tmp_path / "e") as here:
            await until(lambda: edge_known(there.store, no))
            verdict = await asyncio.wrap_future(there.on_click(click(no, "ev1")))
            assert verdict.level == "success"
            await until(lambda: settled(here.store) and settled(there.store))
        assert far_side.story(no) == ["open_group", "post_card", "update_card"], "nothing is made again"

    asyncio.run(main())


def edge_known(store: Store, no: str) -> bool:
    with store.read() as conn:
        return edge_of(conn, no) is not None


async def story_before(tmp_path: Path, far_side: Far) -> tuple[str, str, bytes]:
    """A ticket, a copy of the edge's store, then a step on it and another ticket; both numbers and the copy."""
    async with relay(tmp_path / "r", far_side) as there:
        async with edge(tmp_path / "e") as here:
            first = await raise_one(here)
            await until(lambda: settled(here.store) and settled(there.store))
            await until(lambda: cursor_at_relay(there.store) == newest_reply(there.store) > 0)
        assert not (tmp_path / "e" / "edge.db-wal").exists()
        copy = (tmp_path / "e" / "edge.db").read_bytes()
        async with edge(tmp_path / "e") as here:
            await act(here, first, "respond", "r1")
            second = await raise_one(here, "u2")
            await until(lambda: settled(here.store) and settled(there.store))
    return first, second, copy


def restore(tmp_path: Path, copy: bytes) -> None:
    for file in (tmp_path / "e").glob("edge.db*"):
        file.unlink()
    (tmp_path / "e" / "edge.db").write_bytes(copy)


def state_of(store: Store, no: str) -> State | None:
    with store.read() as conn:
        found = get(conn, no)
        return None if found is None else found.state


def events_of(store: Store, no: str) -> list[str]:
    with store.read() as conn:
        return [event.uuid for event in history(conn, no)]


def test_an_edge_restored_from_a_copy_takes_back_what_it_told(tmp_path: Path) -> None:
    far_side = Far()

    async def main() -> None:
        first, second, copy = await story_before(tmp_path, far_side)
        effects = len(far_side.effects)
        restore(tmp_path, copy)
        async with relay(tmp_path / "r", far_side) as there, edge(tmp_path / "e") as here:
            await until(lambda: here.courier.state.drained)
            assert state_of(here.store, first) is State.RESPONDED, "the step is not forgotten"
            assert state_of(here.store, second) is State.NEW
            third = await raise_one(here, "u3")
            assert third > second, "numbers go on above the relay's"
            await act(here, second, "respond", "r2")
            await until(lambda: settled(here.store) and settled(there.store))
            assert counts(here.store)["dead"] == counts(there.store)["dead"] == 0
            for no in (first, second, third):
                assert events_of(here.store, no) == events_of(there.store, no)
                assert far_side.story(no)[:2] == ["open_group", "post_card"]
            assert len(far_side.effects) == effects + 3, "a group, a card, an update; nothing a second time"

    asyncio.run(main())


def test_an_edge_that_went_on_from_a_copy_before_it_reached_the_relay(tmp_path: Path) -> None:
    """It opened and moved tickets with numbers of its items that the relay knows from before."""
    far_side = Far()

    async def main() -> None:
        first, second, copy = await story_before(tmp_path, far_side)
        restore(tmp_path, copy)
        async with edge(tmp_path / "e") as here:
            clash = await raise_one(here, "u3")
            assert clash == second, "it cannot know"
            await act(here, clash, "respond", "r3")
            await act(here, first, "comment", "c1", text="seen at the line")
            for n in range(40):
                await raise_one(here, f"more{n}")
        async with relay(tmp_path / "r", far_side) as there, edge(tmp_path / "e") as here:
            await until(lambda: settled(here.store) and settled(there.store), 20)
            assert counts(here.store)["dead"] == counts(there.store)["dead"] == 0
            assert state_of(here.store, second) is State.NEW, "the ticket of that number is the one that was told"
            assert state_of(here.store, first) is State.RESPONDED
            assert events_of(here.store, first)[-1] == "c1" == events_of(there.store, first)[-1]
            with here.store.read() as conn:
                moved = conn.execute(select(ticket_event.c.ticket).where(ticket_event.c.uuid == "r3")).scalar_one()
            assert moved not in (first, second)
            assert state_of(there.store, moved) is State.RESPONDED
            assert sorted(far_side.story(moved))[:2] == ["open_group", "post_card"]
            groups = [lane for lane, kind, _ in far_side.effects if kind == "open_group"]
            assert len(groups) == len(set(groups)) == 43

    asyncio.run(main())


def test_an_edge_that_lost_its_disk_takes_everything_back(tmp_path: Path) -> None:
    far_side = Far()

    async def main() -> None:
        first, second, _ = await story_before(tmp_path, far_side)
        for file in (tmp_path / "e").glob("edge.db*"):
            file.unlink()
        async with relay(tmp_path / "r", far_side) as there, edge(tmp_path / "e") as here:
            await until(lambda: here.courier.state.drained)
            assert (state_of(here.store, first), state_of(here.store, second)) == (State.RESPONDED, State.NEW)
            assert await raise_one(here, "u3") > second
            verdict = await asyncio.wrap_future(there.on_click(click(second, "ev9")))
            assert verdict.level == "success", "people go on where they were"
            await until(lambda: settled(here.store) and settled(there.store))
            assert counts(here.store)["dead"] == 0
            assert [kind for _, kind, _ in far_side.effects].count("open_group") == 3

    asyncio.run(main())


def test_a_copy_made_by_the_command_knows_that_it_is_one(tmp_path: Path) -> None:
    far_side = Far()

    async def main() -> None:
        _, second, copy = await story_before(tmp_path, far_side)
        restore(tmp_path, copy)
        async with opened(tmp_path / "e" / "edge.db") as store:
            await store.write(mark_copy)
        async with edge(tmp_path / "e") as here:
            ahead = await raise_one(here, "u3")
            assert int(ahead[-3:]) > 500, "it does not know how far the day had come"
        async with relay(tmp_path / "r", far_side) as there, edge(tmp_path / "e") as here:
            await until(lambda: settled(here.store) and settled(there.store))
            assert far_side.story(ahead) == ["open_group", "post_card"]
            assert state_of(here.store, second) is State.NEW
            assert int((await raise_one(here, "u4"))[-3:]) == int(ahead[-3:]) + 1

    asyncio.run(main())


@pytest.mark.parametrize(
    ("page", "goes_on"),
    [
        ({"histories": [[], [{}], [{"ticket": 7}], [{"ticket": "no number"}]], "far": {}, "after": None}, True),
        ({"histories": [], "far": {}, "after": ""}, False),
        ({"histories": 1, "far": {}, "after": None}, False),
    ],
)
def test_whatever_the_relay_gives_back_the_edge_lives(tmp_path: Path, page: dict, goes_on: bool) -> None:
    asked: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.read(4096)).decode().split(" ")[1].split("?")[0])
        more = {"/v1/edge": {"known": "other"}, "/v1/tickets": page, "/v1/replies": {"replies": [], "last": 0}}
        body = json.dumps({"epoch": "x"} | more.get(asked[-1], {})).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    async def main() -> None:
        server = await asyncio.start_unix_server(answer, str(tmp_path / "link.sock"))
        async with edge(tmp_path / "e") as here:
            await until(lambda: "/v1/tickets" in asked)
            if goes_on:  # on a busy machine it takes its time
                await until(lambda: here.courier.state.drained)
            await asyncio.sleep(0.5)
            assert here.courier.state.drained is goes_on, "what cannot be read is passed over, the rest is asked again"
            assert asked.count("/v1/tickets") < 10, "it does not ask for ever"
            assert await raise_one(here), "the line goes on"
        server.close()
        await server.wait_closed()

    asyncio.run(main())
