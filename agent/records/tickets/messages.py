"""What an event makes the agent say: messages for the outbox, in the plant's words and with logical ids. Pure.

One group, one card: a step shows on the card, only what somebody must know now is said aloud. Escalations and reminders
carry fold keys; `voided` names those that an act has overtaken, so that the unsent ones can be dropped and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agent.deadlines.deadline import find
from agent.model import Text, text
from agent.plant.people import Directory
from agent.records.tickets.board import clock_name, moment
from agent.records.tickets.cards import asked_of, card, cut, place
from agent.records.tickets.model import OVER, Event, Ticket
from agent.records.tickets.rules.who import next_actors, owner_name

NAME_TITLE_MAX = 32
"""Of a group's name, which is the number and a title in at most 60 characters."""


@dataclass(frozen=True, slots=True)
class OutMessage:
    """One message for the outbox.

    `cls` is ticket, escalation, card or fact. `fold_key`: a newer one supersedes a waiting one. `hold_s`: it may wait
    this long for a newer one (counters); None goes out at once.
    """

    kind: str
    payload: Mapping[str, Any]
    cls: str = "ticket"
    fold_key: str | None = None
    hold_s: int | None = None

    def lane(self, no: str) -> str:
        """Order holds within a lane: the ticket's for what needs its group; a direct message waits for no group."""
        return f"{no}:{self.payload['person']}" if self.kind == "nudge" else no


@dataclass(frozen=True, slots=True)
class Scene:
    """What a message is made from."""

    before: Ticket | None
    after: Ticket
    event: Event
    directory: Directory
    now: datetime

    @property
    def actor(self) -> str:
        return self.directory.name(self.event.actor.person)

    def data(self, name: str) -> str:
        return str(self.event.data.get(name) or "")

    def clock(self) -> dict[str, Any]:
        """Name and due time of the deadline that the event is about, as text arguments."""
        deadline = find(self.after.deadlines, self.data("clock"))
        if deadline is None:
            return {}
        return {"clock": clock_name(deadline.kind, deadline.amount_s), "due": moment(deadline.due_at)}

    def update(self, hold_s: int | None = None) -> OutMessage:
        payload = {"card": self.after.card, "ticket": self.after.no, "card_body": self.body()}
        return OutMessage("update_card", payload, "card", self.after.card, hold_s)

    def body(self) -> dict[str, Any]:
        return card(self.after, self.now, self.directory)

    def say(
        self, key: str, people: Iterable[str] = (), cls: str = "ticket", fold: str | None = None, **args: Any
    ) -> OutMessage:
        words = text(f"tickets.say.{key}", no=self.after.no, **args)
        payload = {"group": self.after.group, "ticket": self.after.no, "text": words, "people": list(people)}
        return OutMessage("say", payload, cls, fold)

    def nudge(self, person: str, key: str, cls: str = "ticket", fold: str | None = None, **args: Any) -> OutMessage:
        about = cut(self.after.title, NAME_TITLE_MAX)
        words = text(f"tickets.nudge.{key}", no=self.after.no, title=about, **args)
        return OutMessage("nudge", {"ticket": self.after.no, "person": person, "text": words}, cls, fold)

    def add(self, people: list[str], cls: str = "ticket", fold: str | None = None) -> OutMessage:
        payload = {"group": self.after.group, "ticket": self.after.no, "people": people}
        return OutMessage("add_people", payload, cls, fold)

    def leave(self) -> OutMessage:
        return OutMessage("leave_group", {"group": self.after.group, "ticket": self.after.no})


def messages(
    before: Ticket | None, after: Ticket, event: Event, directory: Directory, now: datetime | None = None
) -> list[OutMessage]:
    """The messages of one event, in the order they are to be sent. `now` is when the card is true (default: the event's
    time); give the present when folding something that happened earlier."""
    scene = Scene(before, after, event, directory, now or event.at)
    speak = SPEAK.get(event.kind)
    return [] if speak is None else speak(scene)


def voided(before: Ticket, after: Ticket) -> tuple[str, ...]:
    """Fold keys of reminders and escalations that are pointless now: their deadline was stopped, void or restarted."""
    running = {d.kind for d in after.deadlines if d.running} if after.cycle == before.cycle else set()
    ended = [d.kind for d in before.deadlines if d.running and d.kind not in running]
    return tuple(_fold(before, what, kind) for kind in ended for what in ("nudge", "say", "add", "remind"))


def _fold(ticket: Ticket, what: str, clock: str) -> str:
    return f"{what}:{ticket.no}.c{ticket.cycle}:{clock}"


def _crew(ticket: Ticket, directory: Directory) -> list[str]:
    """Everybody for a new group: owner, team, reporter; the fallback if that is nobody. Who is gone is left out."""
    wanted = (ticket.owner, *ticket.team, ticket.reporter)
    people = [p for p in dict.fromkeys(wanted) if p and not directory.gone(p)]
    return people or list(directory.fallback[:1])


def _group(s: Scene) -> list[OutMessage]:
    """A new group with its card, and a word to somebody when nobody is responsible."""
    ticket = s.after
    opened = {
        "group": ticket.group,
        "ticket": ticket.no,
        "name": text("tickets.group.name", no=ticket.no, title=cut(ticket.title, NAME_TITLE_MAX)),
        "description": text("tickets.group.description", place=place(ticket, s.directory)),
        "people": _crew(ticket, s.directory),
        "owner": ticket.owner,
    }
    posted = {"card": ticket.card, "group": ticket.group, "ticket": ticket.no, "card_body": s.body()}
    made = [OutMessage("open_group", opened), OutMessage("post_card", posted)]
    if ticket.owner is None and s.directory.fallback:
        to, _ = s.directory.superior(None)
        made.append(s.nudge(to, "unowned"))
    return made


def _update(s: Scene) -> list[OutMessage]:
    return [s.update()]


def _counted(s: Scene) -> list[OutMessage]:
    """A counter may wait; a changed severity may not. An archived card is left alone."""
    if s.after.state in OVER:
        return []
    same = s.before is not None and s.before.severity == s.after.severity
    return [s.update(hold_s=s.after.policy.card_interval_s if same else None)]


def _analysed(s: Scene) -> list[OutMessage]:
    """Somebody else than the owner was given the countermeasure: bring them in and tell them."""
    to = s.after.action_owner
    if to is None or to == s.after.owner or to == s.event.actor.person:
        return [s.update()]
    about: dict[str, Any] = {"who": s.actor, "countermeasure": cut(s.data("countermeasure"), 80)}
    return [s.add([to]), s.nudge(to, "action", **about), s.update()]


def _implemented(s: Scene) -> list[OutMessage]:
    asked = next_actors(s.after, s.directory)
    return [s.update(), s.say("implemented", asked, who=s.actor, asked=asked_of(s.after, s.directory))]


def _failed(s: Scene) -> list[OutMessage]:
    """A countermeasure did not work; of an archived ticket nobody is told (the new one speaks)."""
    if s.after.state in OVER:
        return []
    asked = next_actors(s.after, s.directory)
    args: dict[str, Any] = {"who": s.actor, "asked": asked_of(s.after, s.directory), "at": moment(s.after.last_at)}
    return [s.update(), s.say(s.event.kind, asked, **args)]


def _reopened(s: Scene) -> list[OutMessage]:
    if s.before is not None and s.before.group != s.after.group:
        return _group(s)
    asked = next_actors(s.after, s.directory)
    return [s.update(), s.say("reopened", asked, asked=asked_of(s.after, s.directory), cycle=s.after.cycle)]


def _ended(s: Scene) -> list[OutMessage]:
    return [s.update(), s.leave()]


def _left(s: Scene) -> list[OutMessage]:
    return [s.leave()]


def _reassigned(s: Scene) -> list[OutMessage]:
    to = s.data("to")
    deadline = s.after.next_deadline
    due: Text = moment(deadline.due_at) if deadline else "—"
    act = text(f"tickets.next.{s.after.state}")
    return [s.add([to]), s.nudge(to, "reassigned", who=s.actor, act=act, due=due), s.update()]


def _commented(s: Scene) -> list[OutMessage]:
    """Into the group, unless it came from there or the group is gone."""
    if s.after.state in OVER or s.event.source == "feishu":
        return []
    return [s.say("commented", who=s.actor, text=s.data("text"))]


def _reminded(s: Scene) -> list[OutMessage]:
    key = _fold(s.after, "remind", s.data("clock"))
    return [s.nudge(s.data("to"), "reminded", fold=key, **s.clock()), s.update()]


def _escalated(s: Scene) -> list[OutMessage]:
    """The superior is brought in and told why; the group hears it; the owner stays the owner."""
    to, clock, owner = s.data("to"), s.data("clock"), owner_name(s.after, s.directory)
    reason = text(f"tickets.reason.{s.data('reason')}", owner=owner)

    def fold(what: str) -> str:
        return _fold(s.after, what, clock)

    return [
        s.add([to], "escalation", fold("add")),
        s.nudge(to, "escalated", "escalation", fold("nudge"), owner=owner, reason=reason, **s.clock()),
        s.say("escalated", [to], "escalation", fold("say"), owner=owner, who=s.directory.name(to), **s.clock()),
        s.update(),
    ]


def _withdrawn(s: Scene) -> list[OutMessage]:
    told = [e.to for e in s.after.escalations if e.clock == s.data("clock")]
    said = [s.say("breach_withdrawn", told, "escalation", **s.clock())] if told else []
    return [s.update(), *said]


SPEAK: Mapping[str, Callable[[Scene], list[OutMessage]]] = {
    "opened": _group,
    "counted": _counted,
    "responded": _update,
    "contained": _update,
    "analysed": _analysed,
    "implemented": _implemented,
    "verified": _update,
    "verification_failed": _failed,
    "recurred": _failed,
    "reopened": _reopened,
    "closed": _ended,
    "cancelled": _update,
    "left": _left,
    "reassigned": _reassigned,
    "commented": _commented,
    "reminded": _reminded,
    "breached": _update,
    "escalated": _escalated,
    "breach_withdrawn": _withdrawn,
    "attached": _update,
}
