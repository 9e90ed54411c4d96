"""What is owed a PUBACK and when it is paid: order, redelivery, connections that come and go, no room."""

import json
from datetime import UTC, datetime

import pytest

from agent.clock import ManualClock
from agent.collectors.mqtt.intake import Intake
from agent.collectors.mqtt.reader import Topics
from agent.collectors.mqtt.settings import MqttSettings


@pytest.fixture
def clock():
    return ManualClock(datetime(2026, 11, 22, 2, 0, tzinfo=UTC))


@pytest.fixture
def intake(clock):
    return make(clock)


def make(clock, topics=({"filter": "a/+"},), **over):
    settings = MqttSettings.model_validate(
        {"type": "mqtt", "client_id": "c", "topics": list(topics), "max_inflight": 2, "keepalive_s": 30} | over
    )
    intake = Intake(settings, clock, Topics("coater", settings))
    intake.connected(False)
    return intake


def take(intake, mid, value=None, dup=False, qos=1, topic="a/b"):
    return intake.take(mid, qos, dup, topic, json.dumps({"value": mid if value is None else value}).encode())


def test_a_batch_is_acknowledged_in_the_order_of_arrival(intake):
    take(intake, 1)
    intake.take(2, 1, False, "a/b", b"\xff")
    first = intake.batch()
    take(intake, 3)
    second = intake.batch()
    assert [s.value for s in first.signals] == [1.0]
    assert [b.kind for b in first.bad] == ["not_utf8"]
    assert intake.batch() is None
    assert (intake.free(first), intake.free(second)) == ([1, 2], [3])


def test_qos_0_is_read_and_never_acknowledged(intake):
    take(intake, 0, 5, qos=0)
    batch = intake.batch()
    assert [s.value for s in batch.signals] == [5.0]
    assert intake.free(batch) == []


def test_a_redelivery_of_what_is_in_hand_is_taken_once_and_acknowledged_on_the_new_connection(intake):
    take(intake, 1)
    batch = intake.batch()
    intake.disconnected()
    intake.connected(True)
    assert take(intake, 1, dup=True) is None
    assert intake.batch() is None
    assert intake.free(batch) == [1]


def test_what_became_durable_between_connections_is_acknowledged_when_it_comes_again(intake):
    take(intake, 1)
    batch = intake.batch()
    intake.disconnected()
    assert intake.free(batch) == []
    intake.connected(True)
    assert take(intake, 1, dup=True) == 1
    assert intake.batch() is None
    assert take(intake, 1) is None, "the id is free again: this is another message"
    assert intake.batch().messages == 1


@pytest.mark.parametrize(("dup", "value", "session"), [(False, 1, True), (True, 9, True), (True, 1, False)])
def test_the_same_packet_id_alone_is_not_the_same_message(intake, dup, value, session):
    take(intake, 1, 1)
    old = intake.batch()
    intake.disconnected()
    intake.connected(session)
    assert take(intake, 1, value, dup=dup) is None
    new = intake.batch()
    assert [s.value for s in new.signals] == [float(value)]
    assert intake.free(old) == [], "its id may mean the new message"
    assert intake.free(new) == [1]


def test_a_redelivery_within_one_connection_is_another_message(intake):
    take(intake, 1, 1)
    take(intake, 1, 1, dup=True)
    assert intake.batch().messages == 2


def test_without_room_nothing_is_taken_and_the_order_is_kept(intake):
    for mid in (1, 2, 3, 4, 5):
        take(intake, mid)
    batch = intake.batch()
    assert [s.value for s in batch.signals] == [1.0, 2.0, 3.0, 4.0]
    assert intake.turned_away and not intake.roomy()
    assert intake.free(batch) == [1, 2, 3, 4]
    assert intake.roomy()
    take(intake, 6)
    assert intake.batch() is None, "5 must come first, on the next connection"
    intake.disconnected()
    intake.connected(True)
    take(intake, 5, dup=True)
    take(intake, 6, dup=True)
    assert [s.value for s in intake.batch().signals] == [5.0, 6.0]


def test_what_is_in_hand_is_known_again_even_without_room_and_after_a_connection_that_brought_nothing(intake):
    for mid in (1, 2, 3, 4):
        take(intake, mid)
    batch = intake.batch()
    for _ in range(2):
        intake.disconnected()
        intake.connected(True)
    for mid in (1, 2, 3, 4):
        take(intake, mid, dup=True)
    take(intake, 5)
    assert intake.turned_away, "only the fifth was"
    assert intake.free(batch) == [1, 2, 3, 4]
    assert intake.batch() is None


def test_qos_0_without_room_is_counted(intake):
    for value in range(6):
        take(intake, 0, value, qos=0)
    assert intake.batch().messages == 4
    assert (intake.dropped, intake.turned_away) == (2, False)


def test_reading_pauses_without_room_but_only_for_half_a_keepalive(intake, clock):
    for mid in (1, 2, 3, 4):
        assert intake.may_read()
        take(intake, mid)
    batch = intake.batch()
    assert not intake.may_read()
    clock.advance(14.9)
    assert not intake.may_read()
    clock.advance(0.2)
    assert intake.may_read()
    intake.free(batch)
    assert intake.may_read()
    for mid in (1, 2, 3, 4):
        take(intake, mid)
    assert not intake.may_read(), "the patience starts anew"


def test_the_broker_s_own_topics_are_acknowledged_and_ignored(clock):
    intake = make(clock, [{"filter": "$SYS/#"}, {"filter": "#"}])
    take(intake, 1, topic="$SYS/broker/uptime")
    batch = intake.batch()
    assert (batch.signals, batch.bad) == ([], [])
    assert intake.free(batch) == [1]


def test_a_topic_that_is_no_text_and_one_that_no_rule_reads(intake):
    intake.take(1, 1, False, None, b"x")
    take(intake, 2, topic="b/c")
    batch = intake.batch()
    assert [b.kind for b in batch.bad] == ["bad_topic", "unexpected_topic"]
    assert intake.free(batch) == [1, 2]


def test_several_rules_read_one_message_and_one_may_fail(clock):
    rules = [
        {"filter": f, "value": v, "tag": v} for f, v in (("a/#", "t"), ("$share/g/a/+", "p"), ("a/b", "x"), ("z", "t"))
    ]
    intake = make(clock, rules)
    intake.take(1, 1, False, "a/b", b'{"t": 1, "p": 2}')
    batch = intake.batch()
    assert [(s.source, s.tag, s.value) for s in batch.signals] == [("coater", "t", 1.0), ("coater", "p", 2.0)]
    assert [b.kind for b in batch.bad] == ["missing_key"]
    assert batch.messages == 1


def test_the_time_of_arrival_is_the_clock_s(intake, clock):
    take(intake, 1)
    clock.advance(3)
    take(intake, 2)
    first, second = intake.batch().signals
    assert (second.received_at - first.received_at).total_seconds() == 3
    assert second.received_at == clock.now()
