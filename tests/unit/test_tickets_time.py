"""What time and repeats do to a ticket, told as the rehearsal timelines tell it."""

from datetime import datetime, timedelta

import pytest
from test_tickets_kit import FIGURES, HOUR, KEY, STRAIGHT, T0, WHO, Player, actor, at_state, occurrence

from agent.deadlines.deadline import find, late, status
from agent.deadlines.policy import Policy
from agent.records.tickets.model import State, Ticket
from agent.records.tickets.rules import Key, decide, next_timer, on_occurrence, open_ticket, recurrence, timers
from agent.records.tickets.rules.fold import fold

DAY = 24 * HOUR
QUIET = Policy(escalate=False)


def day(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-{text}+08:00")


def clock(ticket: Ticket, kind: str):
    found = find(ticket.deadlines, kind)
    assert found is not None
    return found


def escalations(player: Player) -> list[tuple]:
    return [(e.data["clock"], e.data["level"], e.data["to"], e.at) for e in player.events if e.kind == "escalated"]


# -- the rehearsal timelines ----------------------------------------------------------------------------------------


def test_timeline_02_answered_after_1_h_59():
    player = Player(day("10-09T17:50"))
    player.do(day("10-09T19:49"), "respond", "u_own", via="feishu")
    player.run(day("10-09T19:52"))
    r2 = clock(player.ticket, "R2")
    assert status(r2, day("10-09T19:52")) == "met"
    assert r2.stopped_at - r2.started_at == timedelta(seconds=7140)
    assert player.ticket.state is State.RESPONDED
    assert escalations(player) == []


def test_timeline_04_a_late_containment_escalates_once_and_moves_nothing():
    player = Player(day("11-03T09:00"))
    player.do(day("11-03T10:00"), "respond", "u_own")
    player.run(day("11-04T09:05"))
    assert "u_lead" in [p for m in player.sent("add_people") for p in m.payload["people"]]
    player.do(day("11-04T15:00"), "contain", "u_own", text="隔离批次，全检")
    assert player.ticket.state is State.CONTAINED
    player.do(day("11-05T08:30"), "analyse", "u_own", root_cause="热电偶漂移", countermeasure="更换并每周校准")
    player.do(day("11-06T16:00"), "implement", "u_own", text="已更换")
    player.do(day("11-07T10:00"), "verify", "u_qe", result="effective")
    end = day("11-07T11:00")
    player.run(end)
    ticket = player.ticket
    assert {d.kind: status(d, end) for d in ticket.deadlines} == {
        "R2": "met",
        "C24": "breached",
        "A48": "met",
        "V5": "met",
    }
    assert late(clock(ticket, "C24"), end) == timedelta(seconds=21600)
    assert clock(ticket, "C24").due_at == day("11-04T09:00")
    assert clock(ticket, "A48").due_at == day("11-05T09:00")
    assert clock(ticket, "V5").due_at == day("11-08T09:00")
    assert escalations(player) == [("C24", 1, "u_lead", day("11-04T09:00"))]
    assert ticket.state is State.VERIFIED


def test_timeline_12_a_storm_is_one_ticket():
    player = Player(day("11-03T08:00"), QUIET, rules=("beyond_3sigma",), dedup_key=KEY.dedup)
    player.see(occurrence("v2", day("11-03T08:05"), rules=("run_of_9",)))
    start = day("11-03T09:00")
    for i in range(1000):
        outcome = player.see(occurrence(f"s{i}", start + i * timedelta(seconds=0.1), rules=("beyond_3sigma",)))
        assert outcome.kind == "counted"
    ticket = player.ticket
    assert ticket.occurrences == 1002
    assert ticket.rules == ("beyond_3sigma", "run_of_9")
    assert ticket.first_at == day("11-03T08:00")
    assert ticket.last_at == day("11-03T09:01:39.900")
    counted = [m for e, m in player.said if e.kind == "counted"]
    assert {(m.kind, m.fold_key, m.hold_s) for m in counted} == {("update_card", ticket.card, 30)}


def test_the_key_of_another_stream_or_characteristic_is_another_problem():
    assert len({KEY.dedup, Key("SZ1", "L3", "OP40", "M12-280", "bead_width", "head2").dedup}) == 2
    assert Key("a", "b|c").dedup != Key("a|b", "c").dedup


# -- timers ----------------------------------------------------------------------------------------------------------


def test_reminder_once_per_clock_and_cycle():
    player = Player(policy=QUIET)
    player.run(T0 + 10 * DAY)
    told = [(e.data["clock"], e.data["to"], e.at - T0) for e in player.events if e.kind == "reminded"]
    assert told == [
        ("R2", "u_own", 1.5 * HOUR),
        ("C24", "u_own", 18 * HOUR),
        ("A48", "u_own", 36 * HOUR),
        ("V5", "u_own", 90 * HOUR),
    ]


def test_a_long_outage_records_each_breach_at_its_own_time_and_tells_now():
    ticket = Player().ticket
    start = T0 + 50 * HOUR
    made = timers(ticket, start, WHO)
    assert [(e.kind, e.data.get("clock"), e.at - T0) for e in made] == [
        ("breached", "R2", 2 * HOUR),
        ("breached", "C24", 24 * HOUR),
        ("breached", "A48", 48 * HOUR),
        ("escalated", "R2", 50 * HOUR),
        ("escalated", "C24", 50 * HOUR),
        ("escalated", "A48", 50 * HOUR),
    ]
    for event in made:
        ticket = fold(ticket, event)
    assert timers(ticket, start, WHO) == []
    assert [e.kind for e in timers(ticket, start + 41 * HOUR, WHO)] == ["reminded"]


def test_a_repeated_sweep_gives_the_same_events():
    ticket = Player().ticket
    assert timers(ticket, T0 + 50 * HOUR, WHO) == timers(ticket, T0 + 50 * HOUR, WHO)
    one, other = (timers(ticket, T0 + h * HOUR, WHO) for h in (3, 50))
    assert {e.uuid for e in one} <= {e.uuid for e in other}


def test_what_was_done_late_during_an_outage_is_recorded_and_escalates_to_nobody():
    player = Player()
    player.take(decide(player.ticket, "respond", {}, actor("u_own", "feishu"), T0 + 3 * HOUR, "drained", WHO))
    made = timers(player.ticket, T0 + 4 * HOUR, WHO)
    assert [(e.kind, e.data["clock"], e.at - T0) for e in made] == [("breached", "R2", 2 * HOUR)]


def test_without_escalation_a_breach_is_still_recorded():
    player = Player(policy=QUIET)
    player.run(T0 + 3 * HOUR)
    assert player.kinds() == ["opened", "reminded", "breached"]


def test_an_ownerless_ticket_is_nobodys_only_on_paper():
    player = Player(owner=None)
    player.run(T0 + 3 * HOUR)
    assert {e.data["to"] for e in player.events if e.kind in ("reminded", "escalated")} == {"u_duty"}


def test_a_new_cycle_has_reminders_and_escalations_of_its_own():
    player = Player()
    for hours, step in zip((3, 4, 5, 6, 7), STRAIGHT, strict=True):  # R2 is missed in the first cycle too
        player.do(hours * HOUR, **step)
    player.run(T0 + 40 * HOUR)
    assert player.ticket.state is State.CLOSED
    again = T0 + 300 * HOUR
    first = [e.kind for e in player.events if e.data.get("clock") == "R2"]
    player.do(again, "reopen", "u_op", text="又出现")
    before = len(player.events)
    player.run(again + 3 * HOUR)
    new = player.events[before:]
    assert [(e.kind, e.cycle) for e in new] == [("reminded", 2), ("breached", 2), ("escalated", 2)]
    assert first == [e.kind for e in new]
    assert len({e.uuid for e in player.events}) == len(player.events)


def test_a_cancelled_ticket_is_left_after_the_linger_time_and_then_rests():
    player = at_state(State.CANCELLED)
    player.run(T0 + 99 * DAY)
    assert player.kinds() == ["opened", "cancelled", "left"]
    assert player.events[-1].at == T0 + 25 * HOUR
    assert player.ticket.state is State.CANCELLED
    assert next_timer(player.ticket) is None


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("after", [0, 1.5, 2, 23, 24, 100, 500])
def test_after_a_sweep_the_next_look_lies_ahead(state, after):
    ticket = at_state(state).ticket
    now = T0 + 9 * HOUR + after * HOUR
    for event in timers(ticket, now, WHO):
        ticket = fold(ticket, event)
    assert next_timer(ticket) is None or next_timer(ticket) > now
    assert timers(ticket, now, WHO) == []


# -- repeats ---------------------------------------------------------------------------------------------------------


def test_a_first_violation_opens():
    outcome = on_occurrence(None, None, occurrence("v1", T0), T0, Policy())
    assert (outcome.kind, outcome.events, outcome.recurrence_of) == ("opened", (), None)


@pytest.mark.parametrize("state", [State.NEW, State.RESPONDED, State.CONTAINED, State.ANALYSED])
def test_a_repeat_counts_and_leaves_the_state(state):
    player = at_state(state)
    seen = occurrence("v2", T0 + 9 * HOUR, rules=("N2",), figures=FIGURES)
    assert player.see(seen).kind == "counted"
    ticket = player.ticket
    assert (ticket.state, ticket.occurrences, ticket.rules, ticket.last_at) == (state, 2, ("N2",), seen.at)
    assert ticket.figures["value"] == 431.6


def test_a_batch_counts_at_once_and_a_severer_one_raises_the_severity():
    player = Player()
    player.see(occurrence("b", T0 + HOUR, count=250, severity="stop"))
    assert (player.ticket.occurrences, player.ticket.severity) == (251, "stop")
    player.see(occurrence("c", T0 + HOUR, severity="quarantine"))
    assert player.ticket.severity == "stop"


def test_a_new_episode_fails_the_countermeasure():
    player = at_state(State.IMPLEMENTED)
    done = player.ticket.implemented.at
    running = occurrence("v2", done + HOUR, began_at=done - HOUR)
    assert player.see(running).kind == "counted"
    assert player.ticket.state is State.IMPLEMENTED
    assert player.see(occurrence("v3", done + 2 * HOUR)).kind == "recurred"
    ticket = player.ticket
    assert (ticket.state, ticket.effective, ticket.failures[-1].how) == (State.CONTAINED, False, "recurred")
    assert clock(ticket, "V5").running


def test_a_repeat_before_closing_reopens_in_the_same_group():
    player = at_state(State.VERIFIED)
    group = player.ticket.group
    at = player.ticket.verified.at + HOUR
    assert player.see(occurrence("v2", at)).kind == "reopened"
    ticket = player.ticket
    assert (ticket.state, ticket.cycle, ticket.group) == (State.NEW, 2, group)
    assert clock(ticket, "R2").due_at == at + 2 * HOUR
    assert ticket.effective is False


@pytest.mark.parametrize(("after", "kind"), [(0, "reopened"), (24 * HOUR, "reopened"), (24.01 * HOUR, "opened")])
def test_a_repeat_after_closing_reopens_within_24_h(after, kind):
    player = at_state(State.CLOSED)
    at = player.ticket.closed_at + (after or timedelta(0))
    outcome = player.see(occurrence("v2", at))
    assert outcome.kind == kind
    if kind == "reopened":
        assert (player.ticket.cycle, player.ticket.group) == (2, f"group:{player.ticket.no}.c2")
        assert player.ticket.reopen_count == 1
        assert not player.ticket.effective


@pytest.mark.parametrize(("days", "linked"), [(2, True), (30, True), (30.01, False)])
def test_a_later_repeat_is_a_new_ticket_linked_for_30_days(days, linked):
    old = at_state(State.CLOSED).ticket
    at = old.closed_at + days * DAY
    outcome = on_occurrence(None, old, occurrence("v2", at), at, Policy())
    assert (outcome.kind, outcome.recurrence_of) == ("opened", old.no if linked else None)
    if linked:
        marked = fold(old, recurrence(old, "SZ1-E3-261205-001", at))
        assert (marked.state, marked.effective) == (State.CLOSED, False)
        assert marked.failures[-1].countermeasure == "更换并每周校准"


def test_a_violation_from_before_the_countermeasure_proves_nothing():
    player = at_state(State.CLOSED)
    early = player.ticket.implemented.at - timedelta(minutes=1)
    outcome = player.see(occurrence("late news", early))
    assert outcome.kind == "counted"
    assert (player.ticket.state, player.ticket.occurrences, player.ticket.effective) == (State.CLOSED, 2, True)


def test_a_false_alarm_binds_nothing():
    cancelled = at_state(State.CANCELLED).ticket
    assert on_occurrence(None, cancelled, occurrence("v2", T0 + 2 * HOUR), T0, Policy()).kind == "opened"


def test_the_same_occurrence_has_the_same_uuid_whatever_came_between():
    player = Player()
    first = player.see(occurrence("v2", T0 + HOUR)).events[0].uuid
    player.do(2 * HOUR, "respond", "u_own")
    assert player.see(occurrence("v2", T0 + HOUR)).events[0].uuid == first


def test_opening_freezes_policy_and_due_times():
    policy = Policy(linger_s=7)
    event = open_ticket("SZ1-E3-261103-001", Player().ticket, Player().events[0].actor, T0, "u", policy)
    assert Policy.from_json(event.data["policy"]) == policy
    assert event.data["deadlines"][0]["due_at"] == (T0 + 2 * HOUR).isoformat()
