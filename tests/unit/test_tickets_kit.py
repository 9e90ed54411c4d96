"""People, a ticket and a player of timelines for the ticket tests; one test that the player itself keeps time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from agent.deadlines.policy import Policy
from agent.model import Actor
from agent.plant.people import Department, Directory, Person
from agent.records.tickets.messages import OutMessage, messages
from agent.records.tickets.model import Event, Opening, State, Ticket
from agent.records.tickets.rules import (
    Key,
    Occurrence,
    Outcome,
    decide,
    next_timer,
    on_occurrence,
    open_ticket,
    timers,
)
from agent.records.tickets.rules.fold import fold

T0 = datetime(2026, 11, 3, 1, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
NO = "SZ1-E3-261103-007"

_ROWS = (
    ("u_op", "操作员甲", "u_sl", "D1", "operator"),
    ("u_sl", "班长", "u_lead", "D1", "operator"),
    ("u_own", "责任工程师甲", "u_lead", "D1", "engineer"),
    ("u_mate", "同组工程师", "u_lead", "D1", "engineer"),
    ("u_own2", "责任工程师乙", "u_lead2", "D2", "engineer"),
    ("u_lead", "科长甲", "u_mgr", "D1", "leader"),
    ("u_lead2", "科长乙", "u_mgr", "D2", "leader"),
    ("u_mgr", "部门经理", "u_dir", "D1", "leader"),
    ("u_dir", "总监", None, "D0", "leader"),
    ("u_qe", "质量工程师", "u_qm", "DQ", "quality"),
    ("u_qm", "质量经理", "u_dir", "DQ", "quality"),
    ("u_duty", "质量值班", "u_qm", "DQ", "quality"),
    ("u_it", "系统管理员", None, "D9", "admin"),
)
WHO = Directory(
    {id_: Person(id_, name, boss, unit, frozenset({role})) for id_, name, boss, unit, role in _ROWS},
    {d: Department(d, head) for d, head in (("D0", "u_dir"), ("D1", "u_mgr"), ("D2", "u_mgr"), ("DQ", "u_qm"))},
    ("u_duty",),
    {"line:L3": "3 号模组焊接线", "station:OP40": "OP40 侧缝焊", "category:welding": "焊接"},
)
KEY = Key("SZ1", "L3", "OP40", "M12-280", "bead_width", "")
FIGURES = {"value": 431.6, "unit": "µm", "digits": 1, "stat": "mean", "center": 468, "lcl": 438, "ucl": 498,
           "lsl": 370, "usl": 570, "n": 5}  # fmt: skip


def actor(person: str | None, via: str = "kiosk") -> Actor:
    known = WHO.people.get(person or "")
    return Actor(person, known.roles if known else frozenset(), via)


def opening(**changes: Any) -> Opening:
    given: dict[str, Any] = {
        "channel": "kiosk",
        "category": "welding",
        "severity": "watch",
        "title": "涂布面密度超差",
        "line": "L3",
        "station": "OP40",
        "reporter": "u_op",
        "owner": "u_own",
        "team": ("u_qe",),
    }
    return Opening(**given | changes)


def occurrence(id_: str, at: datetime, began_at: datetime | None = None, **changes: Any) -> Occurrence:
    return Occurrence(id_, KEY, changes.pop("rules", ("N1",)), at, began_at or at, **changes)


class Player:
    """Plays inputs at their times, and the sweeper between them: inputs before timers of the same instant."""

    def __init__(self, at: datetime = T0, policy: Policy | None = None, who: Directory = WHO, **changes: Any) -> None:
        self.policy = policy or Policy()
        self.who = who
        self.events: list[Event] = []
        self.said: list[tuple[Event, OutMessage]] = []
        self._uuids = (f"00000000-0000-4000-8000-{n:012d}" for n in count(1))
        first = open_ticket(NO, opening(**changes), actor("u_op"), at, next(self._uuids), self.policy)
        self.ticket: Ticket = fold(None, first)
        self._keep(None, first)

    def _keep(self, before: Ticket | None, event: Event) -> None:
        self.events.append(event)
        self.said += [(event, message) for message in messages(before, self.ticket, event, self.who)]

    def take(self, events: list[Event] | tuple[Event, ...]) -> None:
        for event in events:
            before, self.ticket = self.ticket, fold(self.ticket, event)
            self._keep(before, event)

    def run(self, until: datetime, *, inclusive: bool = True) -> None:
        """Sweep at every moment that the ticket asks for, up to `until`."""
        while (at := next_timer(self.ticket)) is not None and (at < until or (inclusive and at == until)):
            self.take(timers(self.ticket, at, self.who))

    def do(self, after: timedelta | datetime, action: str, by: str | None, via: str = "kiosk", **args: Any) -> Ticket:
        at = after if isinstance(after, datetime) else T0 + after
        self.run(at, inclusive=False)
        self.take(decide(self.ticket, action, args, actor(by, via), at, next(self._uuids), self.who))
        return self.ticket

    def see(self, seen: Occurrence) -> Outcome:
        """A violation, for a player that has one ticket."""
        self.run(seen.at, inclusive=False)
        over = self.ticket.state in (State.CLOSED, State.CANCELLED)
        one, other = (None, self.ticket) if over else (self.ticket, None)
        outcome = on_occurrence(one, other, seen, seen.at, self.policy)
        self.take(outcome.events)
        return outcome

    def to(self, state: State) -> Player:
        """Walk the straight way to a state, one hour a step."""
        order = list(State)
        for i, step in enumerate(STRAIGHT):
            if order.index(self.ticket.state) < order.index(state):
                self.do((i + 1) * HOUR, **step)
        if state is State.CLOSED:
            self.run(T0 + 6 * 24 * HOUR)
        assert self.ticket.state is state, (self.ticket.state, state)
        return self

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    def sent(self, *kinds: str) -> list[OutMessage]:
        return [message for _, message in self.said if not kinds or message.kind in kinds]


STRAIGHT: tuple[Mapping[str, Any], ...] = (
    {"action": "respond", "by": "u_own"},
    {"action": "contain", "by": "u_own", "text": "隔离 3 卷"},
    {"action": "analyse", "by": "u_own", "root_cause": "热电偶漂移", "countermeasure": "更换并每周校准"},
    {"action": "implement", "by": "u_own", "text": "已更换"},
    {"action": "verify", "by": "u_qe", "result": "effective"},
)


def at_state(state: State, **changes: Any) -> Player:
    """A ticket in any state."""
    player = Player(**changes)
    if state is State.CANCELLED:
        player.do(HOUR, "cancel", "u_own", reason="误报")
        return player
    return player.to(state)


def test_the_player_sweeps_between_inputs():
    player = at_state(State.NEW)
    player.run(T0 + 3 * HOUR)
    assert [(e.kind, e.at - T0) for e in player.events[1:]] == [
        ("reminded", 1.5 * HOUR),
        ("breached", 2 * HOUR),
        ("escalated", 2 * HOUR),
    ]
