"""The life of edge nodes as a host application follows it: births, data, order, deaths, rebirths and STATE."""

import json
from datetime import timedelta
from itertools import pairwise

import pytest

from agent.collectors.sparkplug.host import Host
from agent.collectors.sparkplug.payload_pb2 import Metric, Payload, PropertySet, PropertyValue
from agent.collectors.sparkplug.settings import SparkplugSettings

MS = 1_795_312_800_000
"""The clock's start, 2026-11-22T02:00Z."""


def metric(name=None, value=None, alias=None, at=MS, datatype=10, **over):
    held = {} if value is None else {"string_value": value} if isinstance(value, str) else {"double_value": value}
    return Metric(name=name, alias=alias, timestamp=at, datatype=datatype, **held | over)


def said(alias, value, at=MS + 1, **over):
    """A metric of DATA: alias and value, nothing else."""
    return Metric(alias=alias, timestamp=at, double_value=value, **over)


def bd(number):
    return Metric(name="bdSeq", timestamp=MS, datatype=4, long_value=number)


class Line:
    """A host and what edge nodes tell it."""

    def __init__(self, clock, **over):
        wish = {"type": "sparkplug", "client_id": "c", "rebirth_pause_s": 5} | over
        self.clock, self.host = clock, Host("line", SparkplugSettings.model_validate(wish), clock)
        self.signals, self.kinds = [], []
        self.will = self.host.will(clock.now())
        self.connect()

    def connect(self, session_present=False):
        self.host.connected(session_present, self.clock.now())
        self.host.subscribed(self.clock.now())

    def take(self, taken):
        if taken is not None:
            self.signals += taken.signals
            self.kinds += [bad.kind for bad in taken.bad]

    def hear(self, verb, *metrics, seq=None, node="E", device=None, at=MS):
        payload = Payload(timestamp=at, seq=seq, metrics=metrics).SerializeToString()
        topic = f"spBv1.0/G/{verb}/{node}" + ("" if device is None else f"/{device}")
        self.take(self.host.take(topic, payload, self.clock.now()))

    def birth(self, *metrics, bd_seq=0, seq=0, node="E", at=MS):
        metrics = metrics or (metric("t", 1.0, 1), metric("p", 2.0, 2))
        control = Metric(name="Node Control/Rebirth", timestamp=MS, datatype=11, boolean_value=False)
        self.hear("NBIRTH", bd(bd_seq), control, *metrics, seq=seq, node=node, at=at)

    def wait(self, seconds):
        for _ in range(int(seconds * 10)):
            self.clock.advance(0.1)
            self.take(self.host.tick(self.clock.now()))

    def asked(self):
        """The topics of the rebirth requests since the last call."""
        self.take(self.host.tick(self.clock.now()))
        out = self.host.outgoing()
        for message in out:
            body = Payload.FromString(message.payload)
            assert [(m.name, m.datatype, m.boolean_value) for m in body.metrics] == [("Node Control/Rebirth", 11, True)]
            assert (message.qos, message.retain, body.HasField("seq")) == (0, False, False)
        return [message.topic for message in out]

    def news(self):
        """(tag, value or quality) of the signals since the last call."""
        new, self.signals = self.signals, []
        return [(s.tag, s.value if s.quality == "good" else str(s.quality)) for s in new]

    def bad(self):
        kinds, self.kinds = self.kinds, []
        return [kind for kind in kinds if kind != "rebirth_requested"]


ASK = "spBv1.0/G/NCMD/E"


@pytest.fixture
def line(clock):
    return Line(clock)


def test_a_birth_names_and_data_speak_by_alias_or_name(line):
    line.birth()
    line.hear("DBIRTH", metric("v", 3.0, 7), seq=1, device="D")
    line.hear("NDATA", said(1, 1.5), said(2, 2.5), seq=2)
    line.hear("DDATA", said(7, 3.5), seq=3, device="D")
    line.hear("DDATA", Metric(name="v", timestamp=MS + 2, double_value=3.75), seq=4, device="D")
    assert line.news() == [
        ("G/E/t", 1.0), ("G/E/p", 2.0), ("G/E/D/v", 3.0),
        ("G/E/t", 1.5), ("G/E/p", 2.5), ("G/E/D/v", 3.5), ("G/E/D/v", 3.75),
    ]  # fmt: skip
    assert (line.bad(), line.asked()) == ([], [])


def test_times_flags_and_properties(line, clock):
    unit = PropertySet(keys=["engUnit"], values=[PropertyValue(type=12, string_value="mm")])
    line.birth(metric("a", 1.0, 1, properties=unit), metric("w", "LOT7", 2, datatype=12), at=MS + 9)
    line.hear("NDATA", said(1, 2.0, at=None), seq=1, at=MS + 10)
    line.hear("NDATA", said(1, 3.0, at=MS - 60_000, is_historical=True, is_transient=True), seq=2)
    line.hear("NDATA", said(1, 4.0, at=0), said(1, 5.0, at=2**63), seq=3)
    first, words, second, third, *odd = line.signals
    assert (first.source_at, first.received_at) == (clock.now(), clock.now())
    assert first.context == {"group": "G", "node": "E", "unit": "mm", "birth": "true"}
    assert (words.value, words.text, words.quality) == (None, "LOT7", "good")
    assert second.source_at == clock.now() + timedelta(milliseconds=10), "the payload's time stands in"
    assert second.context == {"group": "G", "node": "E", "unit": "mm"}
    assert (third.historical, second.historical, third.context["transient"]) == (True, False, "true")
    assert third.source_at == clock.now() - timedelta(minutes=1)
    assert [(s.value, s.source_at) for s in odd] == [(4.0, None), (5.0, None)]
    assert line.bad() == ["bad_time"]


def test_quality_and_null(line):
    def how(code):
        return PropertySet(keys=["Quality"], values=[PropertyValue(type=3, int_value=code)])

    line.birth(metric("t", alias=1, is_null=True))
    line.hear("NDATA", said(1, 1.0, properties=how(0)), seq=1)
    line.hear("NDATA", said(1, 1.0, properties=how(192)), seq=2)
    line.hear("NDATA", said(1, 1.0, properties=how(500)), seq=3)
    line.hear("NDATA", Metric(alias=1, is_null=True), seq=4)
    line.hear("NDATA", said(1, float("nan")), seq=5)
    line.hear("NDATA", said(1, 2.0, properties=PropertySet(keys=["Quality"])), seq=6)
    assert line.news() == [("G/E/t", x) for x in ("bad", "bad", 1.0, "stale", "bad", "bad", "uncertain")]
    assert line.bad() == ["not_finite", "bad_properties"]


def test_signals_that_are_bad_or_stale_carry_no_value(line):
    line.birth(metric("t", 1.0, 1))
    line.hear("NDATA", said(1, float("inf")), seq=1)
    line.hear("NDEATH", bd(0))
    assert [(s.value, s.text) for s in line.signals] == [(1.0, None), (None, None), (None, None)]


def test_unsupported_metrics_are_counted_and_the_others_read(line):
    line.birth(
        Metric(name="ds", alias=1, datatype=16, dataset_value=b"\x08\x01"),
        Metric(name="tp", alias=2, datatype=19, template_value=b""),
        Metric(name="fi", alias=3, datatype=18, bytes_value=b"x"),
        Metric(name="by", alias=4, datatype=17, is_null=True),
        metric("t", 1.0, 5),
    )
    assert line.news() == [("G/E/t", 1.0)]
    assert line.bad() == ["unsupported_dataset", "unsupported_template", "unsupported_file", "unsupported_bytes"]
    line.hear("NDEATH", bd(0))
    assert line.news() == [("G/E/t", "stale")]


def test_arrays_are_signals_by_index(line):
    line.birth(Metric(name="a", alias=1, timestamp=MS, datatype=22, bytes_value=b"\x01\x02\xff"))
    line.hear("NDATA", Metric(alias=1, timestamp=MS, bytes_value=b"\x05"), seq=1)
    line.hear("NDEATH", bd(0))
    assert line.news() == [
        ("G/E/a[0]", 1.0), ("G/E/a[1]", 2.0), ("G/E/a[2]", -1.0),
        ("G/E/a[0]", 5.0), ("G/E/a[1]", "stale"), ("G/E/a[2]", "stale"), ("G/E/a[0]", "stale"),
    ]  # fmt: skip


def test_the_sequence_wraps_from_255_to_0(line):
    line.birth()
    line.news()
    for n in range(1, 600):
        line.hear("NDATA", said(1, float(n)), seq=n % 256)
    line.wait(5)
    assert line.news() == [("G/E/t", float(n)) for n in range(1, 600)]
    assert (line.bad(), line.asked()) == ([], [])


def test_a_birth_may_begin_with_any_number(line):
    line.birth(seq=200)
    line.hear("NDATA", said(1, 5.0), seq=201)
    line.wait(5)
    assert (line.bad(), line.asked()) == ([], [])


def test_messages_out_of_order_are_put_in_order(line):
    line.birth()
    line.news()
    for seq in (1, 4, 3, 2, 5):
        line.hear("NDATA", said(1, float(seq)), seq=seq)
    assert line.news() == [("G/E/t", float(seq)) for seq in (1, 2, 3, 4, 5)]
    line.wait(5)
    assert (line.bad(), line.asked()) == ([], [])


def test_a_gap_is_given_up_after_the_timeout_and_a_rebirth_is_asked_for_once(line):
    line.birth()
    line.news()
    line.hear("NDATA", said(1, 1.0), seq=1)
    line.hear("NDATA", said(1, 3.0), seq=3)
    line.wait(1.8)
    assert (line.news(), line.asked()) == ([("G/E/t", 1.0)], [])
    line.wait(0.4)
    assert (line.news(), line.bad(), line.asked()) == ([("G/E/t", 3.0)], ["gap"], [ASK])
    line.hear("NDATA", said(1, 4.0), seq=4)
    line.hear("NDATA", said(1, 2.0), seq=2)  # very late, and once
    line.wait(4)
    assert (line.news(), line.bad(), line.asked()) == ([("G/E/t", 4.0), ("G/E/t", 2.0)], [], [])
    line.birth()
    line.hear("NDATA", said(1, 5.0), seq=1)
    line.wait(700)
    assert (line.bad(), line.asked()) == ([], [])


def test_without_a_timeout_a_gap_is_seen_at_once(clock):
    line = Line(clock, reorder_timeout_s=0)
    line.birth()
    line.news()
    line.hear("NDATA", said(1, 3.0), seq=3)
    assert (line.news(), line.bad(), line.asked()) == ([("G/E/t", 3.0)], ["gap"], [ASK])
    line.hear("NDATA", said(1, 4.0), seq=4)
    assert (line.news(), line.bad()) == ([("G/E/t", 4.0)], [])


def test_a_gap_is_seen_although_the_broker_refused_one_of_our_subscriptions(clock):
    line = Line(clock, host_id="andon")
    line.host.outgoing()
    line.take(line.host.lost(clock.now()))
    line.host.connected(False, clock.now())  # and no word of all being subscribed
    line.birth()
    line.hear("NDATA", said(1, 3.0), seq=3)
    line.wait(2.2)
    assert (line.news(), line.bad(), line.asked()) == ([("G/E/t", 1.0), ("G/E/p", 2.0), ("G/E/t", 3.0)], ["gap"], [ASK])


def test_too_many_waiting_messages_are_not_waited_for(line):
    line.birth()
    for seq in range(2, 80):
        line.hear("NDATA", said(1, float(seq)), seq=seq)
    assert line.news()[2:] == [("G/E/t", float(seq)) for seq in range(2, 80)]
    assert (line.bad(), line.asked()) == (["gap"], [ASK])


def test_a_message_that_comes_twice_is_taken_once(line):
    line.birth()
    line.news()
    for _ in range(3):
        line.hear("NDATA", said(1, 1.0), seq=1)
    line.wait(5)
    assert (line.news(), line.bad(), line.asked()) == ([("G/E/t", 1.0)], ["duplicate"] * 2, [])


def test_a_birth_that_overtakes_is_no_gap(line):
    """The device's birth and a datum of the new session arrive before the node's birth."""
    line.birth()
    line.hear("NDATA", said(1, 1.0), seq=1)
    line.news()
    line.hear("DBIRTH", metric("v", 3.0, 7), seq=9, device="D", at=MS + 50)
    line.birth(at=MS + 40, seq=8, bd_seq=1)
    line.hear("DDATA", said(7, 4.0), seq=10, device="D", at=MS + 60)
    line.wait(5)
    assert line.news() == [("G/E/t", 1.0), ("G/E/p", 2.0), ("G/E/D/v", 3.0), ("G/E/D/v", 4.0)]
    assert (line.bad(), line.asked()) == ([], [])


def test_data_before_any_birth_ask_for_one_and_are_read_if_they_say_what_they_are(line):
    line.hear("NDATA", said(1, 1.0), metric("t", 2.0), Metric(name="p", int_value=5), seq=44)
    assert line.news() == [("G/E/t", 2.0)]
    assert line.bad() == ["unknown_alias", "unknown_metric", "before_birth"]
    assert line.asked() == [ASK]
    line.birth()
    line.hear("NDATA", said(1, 3.0), seq=1)
    assert line.news()[-1] == ("G/E/t", 3.0)
    assert (line.bad(), line.asked()) == ([], [])


def test_an_unknown_alias_asks_for_a_rebirth_and_the_rest_is_read(line):
    line.birth()
    line.news()
    line.hear("NDATA", said(99, 1.0), said(1, 2.0), seq=1)
    assert (line.news(), line.bad(), line.asked()) == ([("G/E/t", 2.0)], ["unknown_alias"], [ASK])


def test_a_device_without_a_birth_asks_for_one(line):
    line.birth()
    line.hear("DDATA", said(1, 9.0), seq=1, device="D")
    assert line.bad() == ["unknown_alias", "before_birth"], "the node's alias 1 is not the device's"
    assert line.asked() == [ASK]


def test_rebirth_requests_never_come_in_a_loop(line):
    """A node that answers every request with a birth that mends nothing."""
    times = []
    for n in range(36_000):
        line.clock.advance(0.1)
        if n % 2:
            line.birth()
        else:
            line.hear("NDATA", said(99, 1.0), seq=1)
        if line.asked():
            times.append(line.clock.monotonic())
    gaps = [b - a for a, b in pairwise(times)]
    assert min(gaps) > 4.8
    assert len(times) < 16
    assert max(gaps) > 500


def test_a_node_that_never_answers_is_left_alone(line):
    line.hear("NDATA", said(1, 1.0), seq=1)
    line.wait(6 * 3600)
    assert 1 <= len(line.host.outgoing()) <= 8


def test_many_nodes_are_asked_ten_a_second_at_most(line):
    for n in range(100):
        line.hear("NDATA", said(1, 1.0), seq=1, node=f"E{n}")
    assert len(line.asked()) <= 10
    line.wait(1)
    assert len(line.host.outgoing()) <= 11
    line.wait(10)
    line.host.outgoing()


def test_with_commands_off_nothing_is_ever_published(clock):
    line = Line(clock, commands=False)
    line.hear("NDATA", said(1, 1.0), seq=5)
    line.birth()
    line.hear("NDATA", said(77, 1.0), said(1, 2.0), seq=9)
    line.take(line.host.take("spBv1.0/G/NDATA/E", b"\xff", clock.now()))
    line.wait(100)
    line.take(line.host.lost(clock.now()))
    line.connect()
    line.wait(100)
    assert line.host.outgoing() == []
    assert (line.will, line.host.farewell(clock.now())) == (None, ())
    assert line.bad() == ["unknown_alias", "before_birth", "not_protobuf", "gap", "unknown_alias"]


def test_a_garbled_payload_of_a_known_node_asks_for_a_rebirth(line):
    line.birth()
    line.take(line.host.take("spBv1.0/G/NDATA/E", b"\xff", line.clock.now()))
    assert (line.bad(), line.asked()) == (["not_protobuf"], [ASK])


def test_death_makes_all_of_the_node_stale_at_once(line):
    line.birth()
    line.hear("DBIRTH", metric("v", 3.0, 7), seq=1, device="D")
    line.hear("DBIRTH", metric("v", 4.0, 8), seq=2, device="D2")
    line.birth(node="F")
    line.news()
    line.clock.advance(10)
    line.hear("NDEATH", bd(0))
    assert [(s.value, s.source_at, s.received_at) for s in line.signals] == [(None, None, line.clock.now())] * 4
    assert line.news() == [(tag, "stale") for tag in ("G/E/t", "G/E/p", "G/E/D/v", "G/E/D2/v")]
    line.hear("NDEATH", bd(0))
    assert (line.news(), line.bad()) == ([], []), "the last will after the node's own death"
    line.hear("NDATA", said(1, 5.0), seq=3)
    assert (line.news(), line.bad()) == ([], ["unknown_alias", "before_birth"])
    assert line.asked() == [ASK]


def test_the_death_of_an_older_session_is_ignored(line):
    line.birth(bd_seq=255)
    line.birth(bd_seq=0)
    line.news()
    line.hear("NDEATH", bd(255))
    assert (line.news(), line.bad(), line.asked()) == ([], ["old_death"], [])
    line.hear("NDATA", said(1, 5.0), seq=1)
    assert line.news() == [("G/E/t", 5.0)]
    line.hear("NDEATH", bd(0))
    assert line.news() == [("G/E/t", "stale"), ("G/E/p", "stale")]


def test_the_death_of_a_session_whose_birth_was_not_heard_is_asked_about(line):
    """Who answers is alive; who says nothing until the next request is not."""
    line.birth(bd_seq=4)
    line.news()
    line.hear("NDEATH", bd(5))
    assert (line.news(), line.bad(), line.asked()) == ([], ["unknown_death"], [ASK])
    line.birth(bd_seq=4)
    line.wait(60)
    assert (line.news(), line.asked()) == ([("G/E/t", 1.0), ("G/E/p", 2.0)], [])
    line.hear("NDEATH", bd(5))
    line.wait(5.5)
    assert line.news() == [("G/E/t", "stale"), ("G/E/p", "stale")]


def test_a_device_dies_alone(line):
    line.birth()
    line.hear("DBIRTH", metric("v", 3.0, 7), seq=1, device="D")
    line.hear("DBIRTH", metric("v", 4.0, 8), seq=2, device="D2")
    line.news()
    line.hear("DDEATH", seq=3, device="D")
    assert line.news() == [("G/E/D/v", "stale")]
    line.hear("DDATA", said(8, 5.0), seq=4, device="D2")
    line.hear("DBIRTH", metric("v", 6.0, 7), seq=5, device="D")
    assert line.news() == [("G/E/D2/v", 5.0), ("G/E/D/v", 6.0)]
    assert (line.bad(), line.asked()) == ([], [])


def test_a_rebirth_may_give_the_aliases_anew(line):
    line.birth()
    line.hear("DBIRTH", metric("v", 3.0, 7), metric("w", 3.5, 8), seq=1, device="D")
    line.news()
    line.birth(metric("p", 2.0, 1), metric("n", 9.0, 7))
    assert line.news() == [
        ("G/E/D/v", "stale"), ("G/E/D/w", "stale"),  # until the device's own birth
        ("G/E/p", 2.0), ("G/E/n", 9.0), ("G/E/t", "stale"),  # and what is not named any more
    ]  # fmt: skip
    line.hear("DBIRTH", metric("w", 4.5, 2), seq=1, device="D")
    line.hear("NDATA", said(1, 2.5), said(7, 9.5), seq=2)
    line.hear("DDATA", said(2, 5.5), seq=3, device="D")
    assert line.news() == [("G/E/D/w", 4.5), ("G/E/p", 2.5), ("G/E/n", 9.5), ("G/E/D/w", 5.5)]
    assert (line.bad(), line.asked()) == ([], [])


def test_an_alias_given_twice_says_nothing(line):
    line.birth(metric("t", 1.0, 1), metric("p", 2.0, 1), metric("q", 3.0, 2))
    assert line.news() == [("G/E/t", 1.0), ("G/E/p", 2.0), ("G/E/q", 3.0)]
    line.hear("NDATA", said(1, 5.0), said(2, 6.0), seq=1)
    assert (line.news(), line.bad()) == ([("G/E/q", 6.0)], ["alias_twice", "unknown_alias"])


def test_an_alias_that_two_devices_share_is_told_apart_by_the_topic(line):
    line.birth()
    line.hear("DBIRTH", metric("v", 3.0, 1), seq=1, device="D")
    line.news()
    line.hear("NDATA", said(1, 1.5), seq=2)
    line.hear("DDATA", said(1, 3.5), seq=3, device="D")
    assert (line.news(), line.bad()) == ([("G/E/t", 1.5), ("G/E/D/v", 3.5)], ["alias_twice"])


def test_a_lost_connection_makes_all_stale_and_aliases_worthless(line):
    line.birth()
    line.news()
    line.take(line.host.lost(line.clock.now()))
    assert line.news() == [("G/E/t", "stale"), ("G/E/p", "stale")]
    line.clock.advance(60)
    line.connect()
    assert line.asked() == [], "the node may give birth by itself"
    line.hear("NDATA", said(1, 9.0), seq=1)
    assert (line.news(), line.bad()) == ([], ["unknown_alias", "before_birth"])
    line.wait(3.1)
    assert line.asked() == [ASK]
    line.birth()
    line.hear("NDATA", said(2, 9.0), seq=1)
    assert line.news() == [("G/E/t", 1.0), ("G/E/p", 2.0), ("G/E/p", 9.0)]


def test_with_a_kept_session_the_aliases_stay(clock):
    line = Line(clock, clean_session=False)
    line.birth()
    line.take(line.host.lost(clock.now()))
    line.connect(session_present=True)
    line.hear("NDATA", said(1, 9.0), seq=1)
    assert line.news()[2:] == [("G/E/t", "stale"), ("G/E/p", "stale"), ("G/E/t", 9.0)]
    line.wait(3.1)
    assert (line.bad(), line.asked()) == ([], [ASK])


def test_values_of_births_can_be_left_out(clock):
    line = Line(clock, birth_values=False)
    line.birth()
    line.hear("NDATA", said(1, 9.0), seq=1)
    line.birth()
    line.hear("NDEATH", bd(0))
    assert line.news() == [("G/E/t", 9.0), ("G/E/t", "stale")]


def test_state_is_told_with_the_time_of_the_will(clock):
    line = Line(clock, host_id="andon")
    topic = "spBv1.0/STATE/andon"
    assert (line.will.topic, line.will.qos, line.will.retain) == (topic, 1, True)
    assert json.loads(line.will.payload) == {"online": False, "timestamp": MS}
    clock.advance(3)
    (birth,) = line.host.outgoing()
    assert (birth.topic, birth.qos, birth.retain) == (topic, 1, True)
    assert json.loads(birth.payload) == {"online": True, "timestamp": MS}
    line.take(line.host.take(topic, birth.payload, clock.now()))
    line.take(line.host.take("spBv1.0/STATE/other", line.will.payload, clock.now()))
    assert line.host.outgoing() == []
    line.take(line.host.take(topic, line.will.payload, clock.now()))
    assert [json.loads(m.payload) for m in line.host.outgoing()] == [{"online": True, "timestamp": MS}]
    (death,) = line.host.farewell(clock.now())
    assert (death.topic, death.qos, death.retain) == (topic, 1, True)
    assert json.loads(death.payload) == {"online": False, "timestamp": MS + 3000}
    assert line.bad() == []


def test_two_hosts_of_one_name_do_not_shout_each_other_down(clock):
    line = Line(clock, host_id="andon")
    said_now = 0
    for _ in range(1000):
        clock.advance(0.01)
        line.take(line.host.take("spBv1.0/STATE/andon", line.will.payload, clock.now()))
        said_now += len(line.host.outgoing())
    assert 10 <= said_now <= 51


@pytest.mark.parametrize("payload", [b"", b"OFFLINE", b"\xff", b"[]", b'{"online": 0}', b"{" * 5000])
def test_a_state_that_cannot_be_read_is_counted(clock, payload):
    line = Line(clock, host_id="andon")
    line.take(line.host.take("spBv1.0/STATE/andon", payload, clock.now()))
    assert line.bad() == ["bad_state"]


def test_commands_of_others_are_not_for_us(line):
    line.hear("NCMD", metric("x", 1.0))
    line.hear("DCMD", metric("x", 1.0), device="D")
    assert (line.news(), line.bad(), line.asked()) == ([], [], [])


def test_what_is_remembered_is_bounded(clock):
    three = metric("t", 1.0, 1), metric("p", 2.0, 2), metric("q", 3.0, 3)
    line = Line(clock, max_nodes=2, max_metrics=5)
    line.birth(*three)
    line.birth(*three, node="F")
    assert line.bad() == ["too_many_metrics"]
    line.birth(node="H")
    assert line.bad() == ["too_many_nodes"]
    line.hear("NDEATH", bd(0))
    line.news()
    line.birth(metric("t", 1.0, 1), node="H")
    assert (line.news(), line.bad()) == ([("G/H/t", 1.0)], []), "the dead make room"
    line.birth(*three, *three, node="H")
    assert line.bad() == ["too_many_metrics"], "a payload is bounded too"


def test_devices_without_end_are_bounded(clock):
    line = Line(clock, max_nodes=1)
    line.birth()
    for n in range(30):
        line.hear("DBIRTH", metric("v", 1.0, n + 10), seq=n + 1, device=f"D{n}")
    assert line.bad() == ["too_many_devices"] * 10


def settings(**over):
    return SparkplugSettings.model_validate({"type": "sparkplug", "client_id": "c"} | over)


def test_filters():
    assert settings().filters() == ["spBv1.0/#"]
    assert settings(host_id="h").filters() == ["spBv1.0/#"]
    wish = settings(groups=["A"], nodes=["A/E", "B/F"], host_id="h")
    assert wish.filters() == ["spBv1.0/A/#", "spBv1.0/B/+/F/#", "spBv1.0/STATE/h"]


def test_tags():
    assert settings().name("G", "E", "D", "a/b") == "G/E/D/a/b"
    assert settings().name("G", "E", "", "a/b") == "G/E/a/b"
    assert settings(tag="{device}.{metric}").name("G", "E", "D", "a") == "D.a"
    assert settings(tag="{metric}").name("G", "E", "D", "{node}") == "{node}", "what a device says is no template"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("groups", ["a/b"]),
        ("groups", [""]),
        ("groups", ["#"]),
        ("nodes", ["E"]),
        ("nodes", ["G/E/D"]),
        ("nodes", ["G/+"]),
        ("host_id", "a/b"),
        ("tag", "{node}"),
        ("tag", "{metric}{what}"),
        ("reorder_timeout_s", -1),
        ("rebirth_pause_s", 0),
    ],
)
def test_settings_that_cannot_be(field, value):
    with pytest.raises(ValueError, match=field):
        settings(**{field: value})


def test_a_kept_session_needs_qos_1():
    with pytest.raises(ValueError, match="qos = 1"):
        settings(clean_session=False, qos=0)
