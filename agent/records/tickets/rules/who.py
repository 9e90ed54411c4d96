"""Who may do what. Every test is about a person, their roles and their place beside the owner; never about a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from agent.model import Actor, Text, text
from agent.plant.people import Directory
from agent.records.tickets.model import WORKING, State, Ticket

SKILLED = frozenset({"engineer", "leader", "quality"})
"""Roles that may take a ticket, and verify."""

Who = Callable[[Ticket, Actor, Directory], bool]


def absent(actor: Actor, directory: Directory) -> bool:
    """Left the plant; or came through page or card and the directory, if there is one, does not know them."""
    person = actor.person
    if person is None:
        return False
    unknown = bool(directory.people) and person not in directory.people
    return directory.gone(person) or (unknown and actor.via in ("kiosk", "feishu"))


def is_owner(ticket: Ticket, actor: Actor, directory: Directory) -> bool:
    return ticket.owner is not None and actor.person == ticket.owner


def acts_for_owner(ticket: Ticket, actor: Actor, directory: Directory) -> bool:
    """The owner or a delegate: quality, the ticket's team, engineers and leaders of the owner's department.

    A ticket without an owner may be taken by anyone with one of those roles.
    """
    if is_owner(ticket, actor, directory) or "quality" in actor.roles or actor.person in ticket.members:
        return True
    skilled = bool(actor.roles & SKILLED)
    return skilled and (ticket.owner is None or directory.same_department(actor.person, ticket.owner))


def first_responder(ticket: Ticket, actor: Actor, directory: Directory) -> bool:
    """Acts for the owner, and is not the one who raised it: that would answer oneself."""
    own_report = actor.person == ticket.reporter and not is_owner(ticket, actor, directory)
    return acts_for_owner(ticket, actor, directory) and not own_report


def contains(ticket: Ticket, actor: Actor, directory: Directory) -> bool:
    """While NEW a containment is the first response too."""
    who = first_responder if ticket.state is State.NEW else acts_for_owner
    return who(ticket, actor, directory)


def implements(ticket: Ticket, actor: Actor, directory: Directory) -> bool:
    """Whoever was named for the countermeasure, or who acts for the owner."""
    return actor.person == ticket.action_owner or acts_for_owner(ticket, actor, directory)


def verifies(ticket: Ticket, actor: Actor, directory: Directory) -> bool:
    """Engineers, leaders and quality. That it is not the implementer is checked with the result (four eyes)."""
    return bool(actor.roles & SKILLED)


def cancels(ticket: Ticket, actor: Actor, directory: Directory) -> bool:
    """The owner or quality; the reporter while nobody has answered."""
    own_report = ticket.state is State.NEW and actor.person == ticket.reporter
    return is_owner(ticket, actor, directory) or "quality" in actor.roles or own_report


def reassigns(ticket: Ticket, actor: Actor, directory: Directory) -> bool:
    return acts_for_owner(ticket, actor, directory) or bool(actor.roles & {"leader", "admin"})


def reopens(ticket: Ticket, actor: Actor, directory: Directory) -> bool:
    """Who acts for the owner, or who raised it."""
    return actor.person == ticket.reporter or acts_for_owner(ticket, actor, directory)


def anyone(ticket: Ticket, actor: Actor, directory: Directory) -> bool:
    return True


def verifiers(ticket: Ticket, directory: Directory, limit: int = 2) -> list[str]:
    """People to ask for the verification: quality in the team, else any quality; never the implementer."""
    able = [p.id for p in directory.with_role("quality") if p.id != ticket.implementer]
    near = [p for p in able if p in ticket.members or p == ticket.owner]
    return (near or able)[:limit]


def next_actors(ticket: Ticket, directory: Directory) -> list[str]:
    """Whom the next step waits for; empty if nobody is named, or nothing is to be done."""
    if ticket.state is State.IMPLEMENTED:
        return verifiers(ticket, directory)
    person = ticket.action_owner if ticket.state is State.ANALYSED else ticket.owner
    return [person] if person and ticket.state in WORKING else []


def names(people: list[str], directory: Directory, default: str) -> Text | list[str]:
    """Names for a sentence, or the text `default` for nobody in particular."""
    return [directory.name(p) for p in people] if people else text(default)


def owner_name(ticket: Ticket, directory: Directory) -> Text:
    """The owner's name, or "the owner" where there is none."""
    return directory.name(ticket.owner) if ticket.owner else text("tickets.who.owner")


MAY: Mapping[str, Who] = {
    "respond": first_responder,
    "contain": contains,
    "analyse": acts_for_owner,
    "implement": implements,
    "verify": verifies,
    "cancel": cancels,
    "reassign": reassigns,
    "comment": anyone,
    "reopen": reopens,
}
