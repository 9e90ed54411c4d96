"""The sandbox's rules without a network: limits, faults, pushes, frames, what it notices, who may reach it."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.clock import ManualClock
from agent.errors import ConfigError, Refused
from agent.sandbox.__main__ import settings_from
from agent.sandbox.guard import Guard
from agent.sandbox.push import frames
from agent.sandbox.push.queue import Pushes
from agent.sandbox.rules.faults import Faults
from agent.sandbox.rules.limits import PER_API, PER_CHAT, Limits
from agent.sandbox.rules.refusal import FeishuError
from agent.sandbox.world import groups, messages
from agent.sandbox.world.bus import PENDING_MAX, Bus
from agent.sandbox.world.people import load_directory
from agent.sandbox.world.things import Group, ticket_in
from agent.sandbox.world.world import AppSettings, SandboxWorld

TICKET = "SZ1-E3-261122-007"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 11, 23, 4, tzinfo=UTC))


@pytest.fixture
def world(clock: ManualClock) -> SandboxWorld:
    return SandboxWorld(clock, load_directory(None, "cli_x"), AppSettings(app_id="cli_x"))


def group(world: SandboxWorld, name: str = TICKET) -> Group:
    return groups.create(world, {"name": name}, None, [world.directory.people["10021"]], None)


def card(title: str = TICKET, **value: Any) -> str:
    behavior = {"type": "callback", "value": value}
    button = {"tag": "button", "text": {"tag": "plain_text", "content": "x"}, "behaviors": [behavior]}
    header = {"title": {"tag": "plain_text", "content": title}}
    return json.dumps({"schema": "2.0", "header": header, "body": {"elements": [button]}})


def kinds(world: SandboxWorld) -> list[str]:
    return [v.kind for v in world.journal.violations]


# limits and faults ---------------------------------------------------------------------------------------------------


def test_fifty_a_second_and_a_thousand_a_minute(clock: ManualClock) -> None:
    limits = Limits(clock)
    allowed = 0
    for _ in range(21):
        allowed += sum(limits.take("api", PER_API) is None for _ in range(60))
        clock.advance(1)
    assert allowed == 1000
    assert limits.take("api", PER_API) == 39, "the oldest calls of this minute are 21 s old"
    assert limits.take("other", PER_API) is None
    clock.advance(39)
    assert limits.take("api", PER_API) is None


def test_a_window_slides(clock: ManualClock) -> None:
    limits = Limits(clock)
    for _ in range(5):
        assert limits.take("chat", PER_CHAT) is None
        clock.advance(0.15)
    assert limits.take("chat", PER_CHAT) == 1
    clock.advance(0.25)
    assert limits.take("chat", PER_CHAT) is None
    assert limits.take("chat", PER_CHAT) == 1


def test_a_fault_strikes_the_next_calls_and_is_gone() -> None:
    faults = Faults()
    faults.add({"api": "im.message.*", "kind": "limit", "times": 2})
    struck = [faults.pick(api) is not None for api in ["im.chat.create", *["im.message.create"] * 3]]
    assert struck == [False, True, True, False] and faults.active == []


def test_a_star_means_http_and_a_token_can_always_be_had() -> None:
    faults = Faults()
    faults.add({"api": "*", "kind": "token"})
    assert faults.pick("ws.endpoint") is None and faults.pick("auth.token") is None
    assert faults.pick("im.chat.get") is not None
    assert faults.clear() == 1 and faults.pick("im.chat.get") is None


@pytest.mark.parametrize(
    "raw",
    [
        {"kind": "explode"},
        {"kind": "lose", "mode": "x"},
        {"kind": "delay", "seconds": -1},
        {"kind": "reset", "times": 0},
    ],
)
def test_a_fault_that_cannot_be_is_refused(raw: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="bad_fault"):
        Faults().add(raw)


# pushes --------------------------------------------------------------------------------------------------------------


def test_an_event_is_given_up_after_the_fourth_repetition(clock: ManualClock) -> None:
    pushes = Pushes(clock, "cli_x", "tenant")
    event_id = pushes.add("im.message.receive_v1", {"a": 1})
    at = []
    started = clock.monotonic()
    for _ in range(30_000):
        for push in pushes.due():
            assert push.body["header"]["event_id"] == event_id
            at.append(clock.monotonic() - started)
            pushes.settle(push, ok=False)
        if not pushes.waiting:
            break
        clock.advance(5)
    assert at == [0, 15, 315, 3915, 25515]
    assert (pushes.sent, pushes.repeated, pushes.answered, pushes.given_up) == (5, 4, 0, 1)


def test_an_event_under_way_is_not_sent_beside_itself(clock: ManualClock) -> None:
    pushes = Pushes(clock, "cli_x", "tenant")
    pushes.add("x", {})
    first = pushes.due()
    assert len(first) == 1 and pushes.due() == []
    pushes.settle(first[0], ok=True)
    assert pushes.due() == [] and pushes.answered == 1


def test_only_subscribed_events_are_pushed(world: SandboxWorld) -> None:
    assert world.emit("im.chat.updated_v1", {}) is None and world.pushes.waiting == []
    assert world.emit("im.chat.disbanded_v1", {}) is not None


@given(
    st.builds(
        frames.Frame,
        st.sampled_from([0, 1]),
        st.dictionaries(st.text(), st.text(), max_size=4),
        st.binary(max_size=300),
        st.integers(0, 2**31 - 1),
        st.integers(0, 2**64 - 1),
        st.integers(0, 2**64 - 1),
    )
)
def test_a_frame_survives_the_wire(frame: frames.Frame) -> None:
    assert frames.decode(frames.encode(frame)) == frame


@given(st.binary(max_size=60))
def test_anything_else_is_no_frame(data: bytes) -> None:
    try:
        found = frames.decode(data)
    except ValueError:
        return
    assert isinstance(found, frames.Frame)


# what it notices -----------------------------------------------------------------------------------------------------


def test_a_second_card_of_a_ticket_is_a_double_unless_the_first_grew_old(
    world: SandboxWorld, clock: ManualClock
) -> None:
    chat = group(world)
    messages.send(world, chat, "interactive", card(), "l")
    clock.advance(60)
    messages.send(world, chat, "interactive", card(), "l")
    assert kinds(world) == ["duplicate_card"]
    clock.advance(timedelta(days=14))
    messages.send(world, chat, "interactive", card(), "l")
    assert kinds(world) == ["duplicate_card"]


def test_the_same_words_twice_in_a_chat_are_a_double(world: SandboxWorld, clock: ManualClock) -> None:
    chat = group(world)
    for text in ("又越限", "又越限", "再越限"):
        messages.send(world, chat, "text", json.dumps({"text": text}), "l")
        clock.advance(60)
    assert kinds(world) == ["duplicate_message"]
    clock.advance(timedelta(hours=25))
    messages.send(world, chat, "text", json.dumps({"text": "又越限"}), "l")
    assert kinds(world) == ["duplicate_message"]


@pytest.mark.parametrize(
    ("states", "wrong"),
    [
        ([{"cycle": 1}, {"cycle": 1, "n": 2}, {"cycle": 2}], 0),
        ([{"cycle": 2}, {"cycle": 1}], 1),
        ([{"rev": 7}, {"rev": 9}, {"rev": 8}], 1),
        ([{"n": 1}, {"n": 2}, {"n": 1}], 1),
        ([{"n": 1}, {"n": 1}, {"n": 1}], 0),
    ],
)
def test_a_card_that_goes_back_was_sent_out_of_order(
    world: SandboxWorld, clock: ManualClock, states: list[dict[str, int]], wrong: int
) -> None:
    chat = group(world)
    message = messages.send(world, chat, "interactive", card(**states[0]), "l")
    for state in states[1:]:
        clock.advance(1)
        messages.patch(world, message, chat, card(**state), "l")
    assert kinds(world) == ["card_out_of_order"] * wrong


def test_a_resigned_person_is_out_of_every_group_and_the_group_goes_on(world: SandboxWorld) -> None:
    from agent.sandbox.control import acts

    owner = world.directory.people["10021"]
    chat = groups.create(world, {"name": "x"}, owner, [world.directory.people["10022"]], None)
    acts.resign(world, owner)
    assert (chat.members, chat.owner) == (["10022"], "10022")
    assert [p.event_type for p in world.pushes.waiting] == ["im.chat.member.user.deleted_v1", "contact.user.deleted_v3"]


def test_a_new_leader_is_told_with_only_what_changed(world: SandboxWorld) -> None:
    from agent.sandbox.control import acts

    person, old, new = (world.directory.people[n] for n in ("10021", "10007", "10008"))
    acts.change(world, person, {"leader": "10008"})
    event = world.pushes.waiting[0].body["event"]
    assert event["old_object"] == {"leader_user_id": old.open_id}
    assert event["object"]["leader_user_id"] == new.open_id and "department_ids" not in event["object"]


def test_an_unknown_chat_and_one_without_the_bot_are_told_apart(world: SandboxWorld) -> None:
    with pytest.raises(FeishuError) as unknown:
        messages.receiver(world, "chat_id", "oc_x")
    chat = group(world)
    groups.remove_bot(world, chat)
    with pytest.raises(FeishuError) as outside:
        messages.receiver(world, "chat_id", chat.chat_id)
    assert (unknown.value.code, outside.value.code) == (230034, 230002)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (f"[已关闭] {TICKET} 焊缝", TICKET),
        ("E3-261122-007", None),
        ("SZ1-R-261122-1007", "SZ1-R-261122-1007"),
        ("", None),
    ],
)
def test_a_ticket_number_is_recognised_whole(text: str, number: str | None) -> None:
    assert ticket_in(text) == number


# watchers, people, guard, command line -------------------------------------------------------------------------------


def test_a_watcher_sees_each_thing_once_and_learns_when_it_fell_behind() -> None:
    bus = Bus()
    watcher = bus.watch()
    for n in range(3):
        bus.publish("group", "a", n)
    bus.publish("group", "b", 9)
    assert watcher.take() == [("group", 2), ("group", 9)] and watcher.take() == []
    for n in range(PENDING_MAX + 1):
        bus.publish("call", str(n), n)
    assert watcher.behind


def test_people_of_a_file_keep_their_ids_and_mistakes_are_named(tmp_path: Path) -> None:
    file = tmp_path / "people.json"
    people = [{"id": "1", "name": "甲", "leader": "2", "department": "d"}, {"id": "2", "name": "乙"}]
    file.write_text(json.dumps({"departments": [{"id": "d", "name": "线"}], "people": people}))
    one, two = load_directory(file, "cli_x"), load_directory(file, "cli_x")
    assert one.people["1"].ids() == two.people["1"].ids()
    other = load_directory(file, "cli_y").people["1"]
    assert other.open_id != one.people["1"].open_id and other.user_id == one.people["1"].user_id
    people[0]["leader"] = "3"
    file.write_text(json.dumps({"people": people}))
    with pytest.raises(ConfigError, match="3"):
        load_directory(file, "cli_x")
    with pytest.raises(ConfigError, match="readable"):
        load_directory(tmp_path / "none.json", "cli_x")


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", {"host": "127.0.0.1:8899"}, 200),
        ("/", {"host": "[::1]:8899"}, 200),
        ("/", {"host": "evil.example:8899"}, 421),
        ("/", {}, 421),
        ("/sandbox/api/x", {"host": "localhost", "origin": "http://localhost:8899"}, 200),
        ("/sandbox/api/x", {"host": "localhost", "origin": "https://evil.example"}, 403),
        ("/sandbox/api/x", {"host": "localhost", "origin": "null"}, 403),
        ("/sandbox/api/x", {"host": "localhost", "content-length": "2", "content-type": "text/plain"}, 415),
        ("/sandbox/api/x", {"host": "localhost", "content-length": "2", "content-type": "application/json"}, 200),
    ],
)
def test_only_pages_of_this_machine_get_in(path: str, headers: dict[str, str], status: int) -> None:
    sent: list[Any] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "path": path, "headers": [(k.encode(), v.encode()) for k, v in headers.items()]}
    asyncio.run(Guard(inner)(scope, None, send))  # type: ignore[arg-type]
    assert sent[0]["status"] == status


def test_the_command_line_binds_loopback_and_adds_events() -> None:
    settings, parent = settings_from(["--port", "1234", "--event", "im.message.message_read_v1", "--no-limits"])
    assert (settings.host, settings.port, parent) == ("127.0.0.1", 1234, None)
    assert "im.message.message_read_v1" in settings.app.events and not settings.app.limits
