"""State is a fold of events: any legal story, any prefix of it, through JSON and with unknown news in it."""

import json
from dataclasses import replace
from datetime import timedelta
from functools import reduce

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_tickets_kit import FIGURES, HOUR, T0, WHO, Player, at_state, occurrence

from agent.errors import Refused
from agent.records.tickets.board import attention, history, summary
from agent.records.tickets.cards import card
from agent.records.tickets.messages import SPEAK
from agent.records.tickets.model import SOLVED, Event, State, Ticket
from agent.records.tickets.rules import ACTIONS
from agent.records.tickets.rules.fold import HANDLERS, fold

ARGS = {
    "text": "隔离",
    "root_cause": "a",
    "countermeasure": "b",
    "reason": "误报",
    "cycle": None,
}
moves = st.tuples(
    st.sampled_from([*sorted(ACTIONS), "seen", "time"]),
    st.sampled_from(["u_own", "u_mate", "u_qe", "u_op", "u_lead"]),
    st.sampled_from(["effective", "ineffective"]),
    st.sampled_from(["u_own", "u_own2", "u_qe"]),
    st.timedeltas(timedelta(0), timedelta(hours=40)),
)


def play(story) -> Player:
    """Any story of moves; what the rules refuse does not happen."""
    player, at = Player(), T0
    for i, (move, by, result, to, wait) in enumerate(story):
        at += wait
        try:
            if move == "time":
                player.run(at)
            elif move == "seen":
                player.see(occurrence(f"v{i}", at, figures=FIGURES))
            else:
                player.do(at, move, by, **ARGS, result=result, to=to)
        except Refused:
            continue
    return player


@settings(max_examples=60, deadline=None)
@given(st.lists(moves, max_size=25))
def test_any_story_folds_to_the_same_ticket(story):
    player = play(story)
    events = player.events
    assert [e.seq for e in events] == list(range(1, len(events) + 1))
    assert len({e.uuid for e in events}) == len(events)
    assert reduce(fold, events, None) == player.ticket

    ticket = None
    for event in events:  # as the store and the relay do it: through JSON at every step; no prefix raises
        wire = json.loads(json.dumps(event.as_json()))
        ticket = fold(ticket, Event.from_json(wire))
        ticket = Ticket.from_json(json.loads(json.dumps(ticket.as_json())))
    assert ticket == player.ticket


@settings(max_examples=40, deadline=None)
@given(st.lists(moves, max_size=15), st.timedeltas(timedelta(0), timedelta(days=20)))
def test_any_ticket_can_be_shown_at_any_time(story, later):
    player = play(story)
    now = player.ticket.updated_at + later
    shown = card(player.ticket, now, WHO)
    json.dumps([shown, summary(player.ticket, now, WHO), history(player.events, WHO)])
    assert shown["attention"] == attention(player.ticket, now)
    if player.ticket.state in SOLVED:
        assert shown["attention"] == "none"


def test_unknown_kinds_and_fields_are_passed_over():
    player = at_state(State.CONTAINED)
    news = replace(player.events[-1], kind="held", seq=99, uuid="news", data={"hold": 1})
    after = fold(player.ticket, news)
    assert after == replace(player.ticket, seq=99)
    data = player.ticket.as_json() | {"cost": 5}
    assert Ticket.from_json(data) == player.ticket


def test_due_times_are_the_promised_ones_not_recalculated():
    first = Player().events[0]
    promised = json.loads(json.dumps(first.as_json()))
    promised["data"]["deadlines"][0]["due_at"] = (T0 + 5 * HOUR).isoformat()
    assert fold(None, Event.from_json(promised)).deadlines[0].due_at == T0 + 5 * HOUR


def test_a_ticket_begins_with_its_opening():
    with pytest.raises(ValueError, match="before the ticket was opened"):
        fold(None, at_state(State.RESPONDED).events[1])


def test_every_known_kind_is_spoken_of():
    assert set(SPEAK) == set(HANDLERS)


def test_an_opening_of_an_older_release_is_read():
    first = replace(Player().events[0], data={"category": "welding"})
    ticket = fold(None, first)
    assert (ticket.category, ticket.severity, len(ticket.deadlines)) == ("welding", "watch", 4)
