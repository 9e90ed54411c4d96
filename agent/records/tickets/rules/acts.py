"""What people do with a ticket: one table, role × state × action, the same for card, kiosk and workbench.

`decide` turns an act into events or refuses it; the refusal says the rule and the way out. It changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from agent.deadlines.deadline import disproved
from agent.errors import Refused
from agent.model import Actor, text
from agent.plant.people import Directory
from agent.records.tickets.model import OVER, WORKING, Event, State, Ticket
from agent.records.tickets.rules.fold import fold
from agent.records.tickets.rules.opening import TEXT_MAX, derived, reopening
from agent.records.tickets.rules.who import MAY, absent, acts_for_owner, names, owner_name, verifiers

Draft = tuple[str, dict[str, Any]]
"""Kind and data of an event to be."""


@dataclass(frozen=True, slots=True)
class Act:
    """An action as asked for, everything a rule may look at."""

    name: str
    ticket: Ticket
    args: Mapping[str, Any]
    actor: Actor
    at: datetime
    directory: Directory

    def refuse(self, key: str, **args: Any) -> Refused:
        return Refused(f"tickets.refused.{key}", no=self.ticket.no, **args)

    def words(self, field: str, *, required: bool = True) -> str:
        """A person's own words. Refused if missing, not text, or longer than TEXT_MAX characters."""
        value = self.args.get(field)
        label = text(f"tickets.field.{field}")
        if value is None or (isinstance(value, str) and not value.strip()):
            if required:
                raise self.refuse("missing", field=label)
            return ""
        if not isinstance(value, str):
            raise self.refuse("not_text", field=label)
        if len(value.strip()) > TEXT_MAX:
            raise self.refuse("too_long", field=label, max=TEXT_MAX)
        return value.strip()

    def person(self, field: str, *, required: bool) -> str | None:
        """An employee number of somebody who is here. Refused if missing, unknown or gone."""
        value = self.words(field, required=required)
        if value and not self.directory.active(value):
            raise self.refuse("unknown_person", person=value)
        return value or None

    def day(self, field: str) -> str | None:
        """A date YYYY-MM-DD (a time behind it, as Feishu sends, is cut off). Refused if it is none."""
        value = self.words(field, required=False)
        try:
            return date.fromisoformat(value[:10]).isoformat() if value else None
        except ValueError:
            raise self.refuse("bad_date", field=text(f"tickets.field.{field}"), value=value[:20]) from None


def _respond(act: Act) -> list[Draft]:
    return [("responded", {})]


def _contain(act: Act) -> list[Draft]:
    implied: list[Draft] = [("responded", {"implied": True})] if act.ticket.state is State.NEW else []
    return [*implied, ("contained", {"text": act.words("text")})]


def _analyse(act: Act) -> list[Draft]:
    data = {
        "root_cause": act.words("root_cause"),
        "countermeasure": act.words("countermeasure"),
        "owner": act.person("owner", required=False) or act.ticket.owner,
        "due": act.day("due"),
    }
    return [("analysed", data)]


def _implement(act: Act) -> list[Draft]:
    return [("implemented", {"text": act.words("text")})]


def _verify(act: Act) -> list[Draft]:
    """Four eyes is about saying that it works; that it does not may be said by the implementer too."""
    ticket, result = act.ticket, act.words("result")
    if result == "ineffective":
        return [("verification_failed", {"text": act.words("text", required=False)})]
    if result != "effective":
        raise act.refuse("bad_result", value=result[:20])
    if ticket.policy.four_eyes and act.actor.person == ticket.implementer:
        who = names(verifiers(ticket, act.directory, limit=1), act.directory, "tickets.who.quality")
        raise act.refuse("four_eyes", who=who)
    linger = act.at + timedelta(seconds=ticket.policy.linger_s)
    return [("verified", {"text": act.words("text", required=False), "linger_until": linger.isoformat()})]


def _cancel(act: Act) -> list[Draft]:
    linger = act.at + timedelta(seconds=act.ticket.policy.linger_s)
    return [("cancelled", {"reason": act.words("reason"), "linger_until": linger.isoformat()})]


def _reassign(act: Act) -> list[Draft]:
    to = act.person("to", required=True)
    if to == act.ticket.owner:
        raise act.refuse("same_owner", who=act.directory.name(to))
    return [("reassigned", {"from": act.ticket.owner, "to": to})]


def _comment(act: Act) -> list[Draft]:
    return [("commented", {"text": act.words("text")})]


def _reopen(act: Act) -> list[Draft]:
    return [("reopened", reopening(act.at, act.ticket.policy) | {"text": act.words("text")})]


@dataclass(frozen=True, slots=True)
class Rule:
    """An action: the states it is for, and the events it makes."""

    states: frozenset[State]
    make: Callable[[Act], list[Draft]]


OPEN = frozenset(State) - OVER
ACTIONS: Mapping[str, Rule] = {
    "respond": Rule(frozenset({State.NEW}), _respond),
    "contain": Rule(frozenset({State.NEW, State.RESPONDED}), _contain),
    "analyse": Rule(frozenset({State.CONTAINED}), _analyse),
    "implement": Rule(frozenset({State.ANALYSED}), _implement),
    "verify": Rule(frozenset({State.IMPLEMENTED}), _verify),
    "reopen": Rule(frozenset({State.VERIFIED, State.CLOSED}), _reopen),
    "reassign": Rule(WORKING, _reassign),
    "cancel": Rule(OPEN, _cancel),
    "comment": Rule(frozenset(State), _comment),
}
"""In the order in which they are offered."""

STEPS = ("respond", "contain", "analyse", "implement", "verify")


def allowed(ticket: Ticket, actor: Actor | None = None, directory: Directory | None = None) -> list[str]:
    """Actions possible in this state, by anyone (`actor` None) or by this actor, the next step first."""
    possible = [name for name, rule in ACTIONS.items() if ticket.state in rule.states]
    if actor is None:
        return possible
    known = directory or Directory()
    if actor.person is None or "api" in actor.roles or absent(actor, known):
        return []
    return [name for name in possible if MAY[name](ticket, actor, known)]


def decide(
    ticket: Ticket,
    action: str,
    args: Mapping[str, Any],
    actor: Actor,
    now: datetime,
    event_uuid: str,
    directory: Directory,
) -> list[Event]:
    """The events that an act makes, in order; `event_uuid` becomes the uuid of the act's own event.

    `now` is when the act was done (a remote act counts at its Feishu time); before the cycle began counts as its
    beginning. `args` may carry "cycle", the cycle of the card that was pressed. Raises Refused.
    """
    at = max(now, ticket.cycle_at)
    act = Act(action, ticket, args, actor, at, directory)
    _check(act)
    drafts = ACTIONS[action].make(act)
    return _events(ticket, drafts, actor, at, event_uuid)


def _check(act: Act) -> None:
    ticket, actor = act.ticket, act.actor
    if act.name not in ACTIONS:
        raise act.refuse("unknown_action", action=act.name[:40])
    if "api" in actor.roles:
        raise act.refuse("machine")
    if actor.person is None:
        raise act.refuse("nobody")
    if absent(actor, act.directory):
        raise act.refuse("inactive", person=actor.person)
    if act.args.get("cycle") not in (None, ticket.cycle):
        raise act.refuse("old_cycle", cycle=ticket.cycle)
    if ticket.state not in ACTIONS[act.name].states:
        raise _wrong_state(act)
    if not MAY[act.name](ticket, actor, act.directory):
        raise _wrong_person(act)


def _wrong_state(act: Act) -> Refused:
    """Over, done already (by whom, when), or too early (what comes first)."""
    ticket = act.ticket
    state = text(f"tickets.state.{ticket.state}")
    if ticket.state in OVER:
        return act.refuse("over", state=state)
    done = {
        "respond": ticket.responded,
        "contain": ticket.contained,
        "analyse": ticket.analysed,
        "implement": ticket.implemented,
        "verify": ticket.verified,
    }.get(act.name)
    if done is not None:
        who, at = act.directory.name(done.by), {"at": done.at.isoformat()}
        return act.refuse(f"done.{act.name}", who=who, at=at, next=text(f"tickets.next.{ticket.state}"))
    if act.name in STEPS:
        return act.refuse("too_early", act=text(f"tickets.act.{act.name}"), next=text(f"tickets.next.{ticket.state}"))
    return act.refuse("wrong_state", act=text(f"tickets.act.{act.name}"), state=state)


def _wrong_person(act: Act) -> Refused:
    ticket, who = act.ticket, owner_name(act.ticket, act.directory)
    own_report = act.actor.person == ticket.reporter and acts_for_owner(ticket, act.actor, act.directory)
    if act.name in ("respond", "contain") and own_report:
        return act.refuse("own_report", who=who)
    if act.name == "verify":
        asked = names(verifiers(ticket, act.directory, limit=1), act.directory, "tickets.who.quality")
        return act.refuse("who.verify", who=asked)
    if act.name in ("cancel", "reopen"):
        return act.refuse(f"who.{act.name}", who=who)
    inside = act.actor.person in (ticket.owner, ticket.reporter, *ticket.members)
    key = "who.step" if inside or act.actor.via == "kiosk" else "who.outside"  # a comment takes the group or a kiosk
    return act.refuse(key, act=text(f"tickets.act.{act.name}"), who=who)


def _events(ticket: Ticket, drafts: Sequence[Draft], actor: Actor, at: datetime, event_uuid: str) -> list[Event]:
    """Number the events; add withdrawals of breaches which the act, though it came later, disproves."""
    events: list[Event] = []
    after, last = ticket, len(drafts) - 1
    for i, (kind, data) in enumerate(drafts):
        uuid = event_uuid if i == last else derived(event_uuid, kind)
        cycle = ticket.cycle + (kind == "reopened")
        events.append(Event(uuid, ticket.no, cycle, after.seq + 1, at, actor, actor.via, kind, data))
        after = fold(after, events[-1])
    for deadline in disproved(after.deadlines):
        uuid = derived(event_uuid, "breach_withdrawn", deadline.kind)
        data = {"clock": deadline.kind}
        events.append(Event(uuid, ticket.no, after.cycle, after.seq + 1, at, actor, "timer", "breach_withdrawn", data))
        after = fold(after, events[-1])
    return events
