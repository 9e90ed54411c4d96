"""role × state × action: one test per row of the transition table, everything else is refused with a way out."""

from dataclasses import replace
from datetime import timedelta

import pytest
from test_tickets_kit import HOUR, NO, T0, WHO, Player, actor, at_state, opening

from agent.deadlines.deadline import find, status
from agent.deadlines.policy import Policy
from agent.errors import Refused
from agent.model import Actor
from agent.plant.people import Directory
from agent.records.tickets.model import State
from agent.records.tickets.rules import ACTIONS, allowed, decide, open_ticket

FULL = {
    "text": "隔离 3 卷",
    "root_cause": "热电偶漂移",
    "countermeasure": "更换",
    "result": "ineffective",
    "reason": "误报",
    "to": "u_own2",
}


def clock(player: Player, kind: str) -> str:
    found = find(player.ticket.deadlines, kind)
    assert found is not None
    return status(found, T0 + 999 * HOUR)


def refused(player: Player, action: str, by: str | None, **args) -> Refused:
    player.run(T0 + 9 * HOUR)
    before = player.ticket
    with pytest.raises(Refused) as caught:
        player.do(9 * HOUR, action, by, **args)
    assert player.ticket == before
    return caught.value


# -- the rows of the table ------------------------------------------------------------------------------------------


def test_raise_starts_all_four():
    ticket = Player().ticket
    assert ticket.state is State.NEW
    assert [d.kind for d in ticket.deadlines if d.running] == ["R2", "C24", "A48", "V5"]


def test_respond_stops_R2():
    player = Player()
    ticket = player.do(HOUR, "respond", "u_own")
    assert ticket.state is State.RESPONDED
    assert ticket.responded.by == "u_own"
    assert clock(player, "R2") == "met"
    assert clock(player, "C24") == "breached"


def test_contain_implies_the_response():
    player = Player()
    ticket = player.do(HOUR, "contain", "u_own", text="隔离批次，全检")
    assert ticket.state is State.CONTAINED
    assert ticket.responded.at == ticket.contained.at == T0 + HOUR
    assert player.kinds() == ["opened", "responded", "contained"]
    assert (clock(player, "R2"), clock(player, "C24")) == ("met", "met")


def test_contain_after_a_response_is_one_event():
    player = at_state(State.RESPONDED)
    player.do(2 * HOUR, "contain", "u_own", text="隔离")
    assert player.kinds()[-2:] == ["responded", "contained"]


def test_analyse_stops_A48_and_names_who_does_it():
    player = at_state(State.CONTAINED)
    ticket = player.do(
        9 * HOUR, "analyse", "u_own", root_cause="a", countermeasure="b", owner="u_own2", due="2026-11-08 07:07 +0800"
    )
    assert ticket.state is State.ANALYSED
    assert (ticket.action_owner, ticket.analysed.due) == ("u_own2", "2026-11-08")
    assert clock(player, "A48") == "met"


def test_implement_stops_nothing_and_is_open_to_the_action_owner():
    player = at_state(State.CONTAINED)
    player.do(9 * HOUR, "analyse", "u_own", root_cause="a", countermeasure="b", owner="u_own2")
    ticket = player.do(10 * HOUR, "implement", "u_own2", text="已更换")
    assert ticket.state is State.IMPLEMENTED
    assert ticket.implementer == "u_own2"
    assert clock(player, "V5") == "breached"


def test_verify_effective_stops_V5():
    player = at_state(State.IMPLEMENTED)
    ticket = player.do(9 * HOUR, "verify", "u_qe", result="effective")
    assert ticket.state is State.VERIFIED
    assert ticket.effective is True
    assert clock(player, "V5") == "met"


def test_verify_ineffective_asks_for_a_new_analysis_while_V5_goes_on():
    player = at_state(State.IMPLEMENTED)
    ticket = player.do(9 * HOUR, "verify", "u_qe", result="ineffective", text="又漂了")
    assert ticket.state is State.CONTAINED
    assert ticket.failures[-1].countermeasure == "更换并每周校准"
    assert ticket.effective is False
    assert ticket.analysed is None
    assert find(ticket.deadlines, "V5").running
    again = player.do(10 * HOUR, "analyse", "u_own", root_cause="线缆", countermeasure="换线")
    assert again.state is State.ANALYSED
    assert find(again.deadlines, "A48").stopped_at == T0 + 3 * HOUR  # it was stopped once and stays


def test_verified_closes_after_the_linger_time():
    player = at_state(State.VERIFIED)
    verified_at = player.ticket.verified.at
    player.run(verified_at + 24 * HOUR - timedelta(seconds=1))
    assert player.ticket.state is State.VERIFIED
    player.run(verified_at + 24 * HOUR)
    assert player.ticket.state is State.CLOSED
    assert player.ticket.closed_at == verified_at + 24 * HOUR


@pytest.mark.parametrize("state", [s for s in State if s not in (State.CLOSED, State.CANCELLED)])
def test_cancel_from_any_open_state_voids_what_runs(state):
    player = at_state(state)
    running = [d.kind for d in player.ticket.deadlines if d.running]
    ticket = player.do(9 * HOUR, "cancel", "u_qe", reason="测头误判")
    assert ticket.state is State.CANCELLED
    assert ticket.cancelled.text == "测头误判"
    ended = {d.kind: status(d, T0 + 999 * HOUR) for d in ticket.deadlines}
    # R2 of the ticket nobody answered was missed at 2 h; it stays counted
    assert {k: ended[k] for k in running if k != "R2"} == dict.fromkeys([k for k in running if k != "R2"], "void")
    assert ended["R2"] == ("breached" if state is State.NEW else "met")


@pytest.mark.parametrize("by", ["u_op", "u_own", "u_mate", "u_qe"])
@pytest.mark.parametrize("state", [State.VERIFIED, State.CLOSED])
def test_a_person_reopens_with_a_new_cycle_and_new_clocks(state, by):
    player = at_state(state)
    at = T0 + 200 * HOUR
    ticket = player.do(at, "reopen", by, text="又出现")
    assert (ticket.state, ticket.cycle, ticket.reopen_count) == (State.NEW, 2, 1)
    assert [d.due_at - at for d in ticket.deadlines] == [2 * HOUR, 24 * HOUR, 48 * HOUR, 120 * HOUR]
    assert ticket.raised_at == T0
    assert (ticket.responded, ticket.analysed, ticket.verified) == (None, None, None)


def test_reassign_changes_the_owner_and_no_clock():
    player = at_state(State.RESPONDED)
    clocks = player.ticket.deadlines
    ticket = player.do(HOUR, "reassign", "u_lead", to="u_own2")
    assert (ticket.owner, ticket.state, ticket.deadlines) == ("u_own2", State.RESPONDED, clocks)
    assert "u_own" in ticket.team


@pytest.mark.parametrize("state", list(State))
def test_comment_changes_nothing_but_the_history(state):
    player = at_state(state)
    before = player.ticket
    after = player.do(9 * HOUR, "comment", "u_op", text="看过了")
    assert (after.state, after.owner) == (before.state, before.owner)
    assert player.events[-1].data == {"text": "看过了"}


# -- what is not in the table ----------------------------------------------------------------------------------------

LEGAL = {
    "respond": {State.NEW},
    "contain": {State.NEW, State.RESPONDED},
    "analyse": {State.CONTAINED},
    "implement": {State.ANALYSED},
    "verify": {State.IMPLEMENTED},
    "cancel": set(State) - {State.CLOSED, State.CANCELLED},
    "reopen": {State.VERIFIED, State.CLOSED},
    "reassign": {State.NEW, State.RESPONDED, State.CONTAINED, State.ANALYSED, State.IMPLEMENTED},
    "comment": set(State),
}


@pytest.mark.parametrize("action", sorted(ACTIONS))
@pytest.mark.parametrize("state", list(State))
def test_only_the_table_is_legal(state, action):
    player = at_state(state)
    player.run(T0 + 9 * HOUR)
    by = "u_own" if action == "cancel" else "u_qe"
    if state in LEGAL[action]:
        player.do(9 * HOUR, action, by, **FULL)
    else:
        refused(player, action, by, **FULL)
    assert (action in allowed(at_state(state).ticket)) == (state in LEGAL[action])


@pytest.mark.parametrize(
    ("state", "action", "key"),
    [
        (State.NEW, "analyse", "too_early"),
        (State.NEW, "verify", "too_early"),
        (State.CONTAINED, "implement", "too_early"),
        (State.CONTAINED, "contain", "done.contain"),
        (State.ANALYSED, "analyse", "done.analyse"),
        (State.IMPLEMENTED, "implement", "done.implement"),
        (State.VERIFIED, "verify", "done.verify"),
        (State.VERIFIED, "reassign", "wrong_state"),
        (State.NEW, "reopen", "wrong_state"),
        (State.CANCELLED, "respond", "over"),
        (State.CLOSED, "verify", "over"),
    ],
)
def test_a_refusal_says_which_rule(state, action, key):
    assert refused(at_state(state), action, "u_qe", **FULL).key == f"tickets.refused.{key}"


def test_the_second_response_is_told_who_was_first():
    # timeline 28: a second button is no second response (the same click again is the store's to recognise)
    player = Player()
    player.do(timedelta(minutes=10), "respond", "u_own", via="feishu")
    answer = refused(player, "respond", "u_own")
    assert answer.key == "tickets.refused.done.respond"
    assert answer.args_["who"] == "责任工程师甲"
    assert answer.args_["at"] == {"at": (T0 + timedelta(minutes=10)).isoformat()}
    assert player.kinds().count("responded") == 1
    assert player.ticket.responded.at == T0 + timedelta(minutes=10)


# -- four eyes ---------------------------------------------------------------------------------------------------------


def test_the_implementer_cannot_verify_and_is_told_who_can():
    player = at_state(State.IMPLEMENTED)
    answer = refused(player, "verify", "u_own", result="effective")
    assert (answer.key, answer.args_["who"]) == ("tickets.refused.four_eyes", ["质量工程师"])


def test_it_is_the_implementer_who_may_not_not_the_owner():
    player = at_state(State.ANALYSED)
    player.do(9 * HOUR, "implement", "u_mate", text="已更换")
    refused(player, "verify", "u_mate", result="effective")
    assert player.do(10 * HOUR, "verify", "u_own", result="effective").state is State.VERIFIED


def test_the_implementer_may_say_that_it_does_not_work():
    assert at_state(State.IMPLEMENTED).do(9 * HOUR, "verify", "u_own", result="ineffective").state is State.CONTAINED


def test_four_eyes_is_a_setting():
    player = at_state(State.IMPLEMENTED, policy=Policy(four_eyes=False))
    assert player.do(9 * HOUR, "verify", "u_own", result="effective").state is State.VERIFIED


# -- who ------------------------------------------------------------------------------------------------------------

OWNERS = {"u_own", "u_mate", "u_lead", "u_mgr", "u_qe", "u_qm", "u_duty"}
MAY = {
    (State.NEW, "respond"): OWNERS,
    (State.NEW, "contain"): OWNERS,
    (State.NEW, "cancel"): {"u_own", "u_qe", "u_qm", "u_duty", "u_op"},
    (State.RESPONDED, "cancel"): {"u_own", "u_qe", "u_qm", "u_duty"},
    (State.RESPONDED, "contain"): OWNERS,
    (State.CONTAINED, "analyse"): OWNERS,
    (State.ANALYSED, "implement"): OWNERS,
    (State.IMPLEMENTED, "verify"): OWNERS | {"u_own2", "u_lead2", "u_dir"},
    (State.NEW, "reassign"): OWNERS | {"u_lead2", "u_dir", "u_it"},
    (State.CLOSED, "reopen"): OWNERS | {"u_op"},
    (State.NEW, "comment"): set(WHO.people),
}


@pytest.mark.parametrize(("state", "action"), sorted(MAY))
def test_who_may(state, action):
    ticket = at_state(state).ticket
    can = {p for p in WHO.people if action in allowed(ticket, actor(p), WHO)}
    assert can == MAY[state, action]
    for person in set(WHO.people) - can:
        with pytest.raises(Refused):
            decide(ticket, action, FULL, actor(person), T0 + 9 * HOUR, "u", WHO)


def test_the_reporter_does_not_answer_their_own_report():
    answer = refused(Player(reporter="u_qe"), "respond", "u_qe")
    assert answer.key == "tickets.refused.own_report"
    assert refused(Player(reporter="u_qe"), "contain", "u_qe", text="x").key == "tickets.refused.own_report"
    assert Player(reporter="u_own").do(HOUR, "respond", "u_own").state is State.RESPONDED  # but an owner may


def test_who_takes_an_ownerless_ticket_owns_it():
    assert Player(owner=None).do(HOUR, "respond", "u_own2").owner == "u_own2"


def test_a_superior_who_was_told_may_act():
    player = Player(owner="u_own2", team=())
    assert "respond" not in allowed(player.ticket, actor("u_mate"), WHO)
    player.run(T0 + 2 * HOUR)
    assert player.ticket.owner == "u_own2"
    assert player.do(3 * HOUR, "respond", "u_lead2").state is State.RESPONDED


GONE = replace(WHO, people={**WHO.people, **{p: replace(WHO.people[p], active=False) for p in ("u_own", "u_qe")}})


@pytest.mark.parametrize("via", ["kiosk", "feishu", "admin"])
@pytest.mark.parametrize("person", ["u_own", "u_qe"])  # the owner; a member of the team
def test_whoever_has_left_does_nothing(person, via):
    ticket = Player().ticket
    assert {"u_own", "u_qe"} <= {ticket.owner, *ticket.members}
    for who in (actor(person, via), Actor(person, frozenset(), via)):
        for action in ACTIONS:
            with pytest.raises(Refused, match=r"refused\.inactive$"):
                decide(ticket, action, FULL, who, T0 + HOUR, "u", GONE)
        assert allowed(ticket, who, GONE) == []


def test_an_unknown_number_does_nothing_where_there_is_a_directory():
    ticket = Player().ticket
    for via in ("kiosk", "feishu"):
        stranger = Actor("77777", frozenset(), via)
        with pytest.raises(Refused, match=r"refused\.inactive$"):
            decide(ticket, "comment", FULL, stranger, T0 + HOUR, "u", WHO)
        assert [e.kind for e in decide(ticket, "comment", FULL, stranger, T0 + HOUR, "u", Directory())] == ["commented"]
    desk = Actor("77777", frozenset(), "admin")
    assert [e.kind for e in decide(ticket, "comment", FULL, desk, T0 + HOUR, "u", WHO)] == ["commented"]


@pytest.mark.parametrize(
    ("who", "key"),
    [
        (Actor(None, frozenset({"engineer"}), "kiosk"), "nobody"),
        (Actor("x", frozenset({"api"}), "api"), "machine"),
    ],
)
def test_nobody_and_machines_only_raise(who, key):
    ticket = Player().ticket
    assert allowed(ticket, who, WHO) == []
    with pytest.raises(Refused, match=key):
        decide(ticket, "comment", {"text": "x"}, who, T0, "u", WHO)
    assert open_ticket(NO, opening(), who, T0, "u", Policy()).kind == "opened"


# -- arguments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "action", "args", "key", "field"),
    [
        (State.NEW, "contain", {}, "missing", "text"),
        (State.NEW, "contain", {"text": "  \n"}, "missing", "text"),
        (State.NEW, "contain", {"text": 5}, "not_text", "text"),
        (State.NEW, "contain", {"text": "长" * 2001}, "too_long", "text"),
        (State.CONTAINED, "analyse", {"root_cause": "a"}, "missing", "countermeasure"),
        (State.CONTAINED, "analyse", {"countermeasure": "a"}, "missing", "root_cause"),
        (State.CONTAINED, "analyse", FULL | {"due": "next week"}, "bad_date", "due"),
        (State.CONTAINED, "analyse", FULL | {"owner": "u_nobody"}, "unknown_person", None),
        (State.ANALYSED, "implement", {}, "missing", "text"),
        (State.IMPLEMENTED, "verify", {}, "missing", "result"),
        (State.IMPLEMENTED, "verify", {"result": "maybe"}, "bad_result", None),
        (State.NEW, "cancel", {}, "missing", "reason"),
        (State.NEW, "reassign", {}, "missing", "to"),
        (State.NEW, "reassign", {"to": "u_nobody"}, "unknown_person", None),
        (State.NEW, "reassign", {"to": "u_own"}, "same_owner", None),
        (State.NEW, "comment", {}, "missing", "text"),
        (State.CLOSED, "reopen", {}, "missing", "text"),
        (State.NEW, "explode", {}, "unknown_action", None),
    ],
)
def test_bad_arguments_name_the_field(state, action, args, key, field):
    answer = refused(at_state(state), action, "u_qe", **args)
    assert answer.key == f"tickets.refused.{key}"
    if field is not None:
        assert answer.args_["field"]["key"] == f"tickets.field.{field}"


def test_a_button_of_an_earlier_round_is_refused():
    player = at_state(State.CLOSED)
    player.do(200 * HOUR, "reopen", "u_op", text="又出现")
    with pytest.raises(Refused, match="old_cycle"):
        player.do(201 * HOUR, "respond", "u_own", cycle=1)
    assert player.do(201 * HOUR, "respond", "u_own", cycle=2).state is State.RESPONDED


@pytest.mark.parametrize("bad", [{"severity": "awful"}, {"category": " "}, {"title": "长" * 2001}])
def test_opening_is_checked(bad):
    with pytest.raises(Refused):
        open_ticket(NO, opening(**bad), actor("u_op"), T0, "u", Policy())


# -- time ------------------------------------------------------------------------------------------------------------


def test_an_act_in_time_that_arrives_late_withdraws_the_breach():
    player = Player()
    player.run(T0 + 3 * HOUR)
    assert player.ticket.deadlines[0].breached_at == T0 + 2 * HOUR
    pressed_at = T0 + 2 * HOUR  # in Feishu, at the very second; the link was down
    player.take(decide(player.ticket, "respond", {}, actor("u_own", "feishu"), pressed_at, "click", WHO))
    assert player.kinds()[-2:] == ["responded", "breach_withdrawn"]
    assert player.events[-2].uuid == "click"
    assert player.ticket.deadlines[0].breached_at is None
    assert clock(player, "R2") == "met"


def test_an_act_before_the_raise_counts_from_the_raise():
    ticket = Player().do(-HOUR, "respond", "u_own", via="feishu")
    assert ticket.responded.at == T0


def test_the_policy_is_frozen_at_opening():
    player = Player(policy=Policy(four_eyes=False, linger_s=60))
    player.to(State.VERIFIED)
    assert player.ticket.linger_until == player.ticket.verified.at + timedelta(seconds=60)
