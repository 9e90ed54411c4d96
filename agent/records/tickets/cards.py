"""The neutral card of a ticket: who does what until when, then the evidence, then the strip, then the next step.

A card cannot count down: it shows due times, and is made anew at every change, at 75 % and at a breach. Only the sink
knows how a card is drawn, and it escapes what people typed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from agent.deadlines.deadline import Deadline, late, marks, status
from agent.model import Text, text
from agent.plant.people import Directory
from agent.records.tickets.board import attention, clock_name, ending, moment
from agent.records.tickets.model import OVER, SOLVED, State, Ticket, beyond
from agent.records.tickets.rules.acts import allowed
from agent.records.tickets.rules.who import SKILLED, names, next_actors, owner_name
from agent.spc.rules import RULES

Block = dict[str, Any]
TITLE_MAX = 32
"""Characters of a person's own title in a card's headline; with the words before it the headline keeps to 40."""
NOTE_MAX = 120
PEOPLE_MAX = 40
PHOTOS_MAX = 3


def card(ticket: Ticket, now: datetime, directory: Directory, extra: Sequence[Block] = ()) -> dict[str, Any]:
    """The card as of `now`. `extra` are blocks of others (pre-analysis, similar cases), shown after the figures."""
    blocks = [*_leads(ticket, now, directory), *_fields(ticket, directory), *extra, *_notes(ticket, directory)]
    blocks += [{"type": "divider"}, {"type": "steps", "steps": _steps(ticket, now)}]
    blocks += [*_next_step(ticket, directory), *_side_steps(ticket, directory), _foot(ticket, now)]
    return {
        "no": ticket.no,
        "attention": str(attention(ticket, now)),
        "title": title(ticket, now),
        "subtitle": place(ticket, directory),
        "tag": text(f"tickets.severity.{ticket.severity}"),
        "blocks": blocks,
    }


def cut(words: Text, limit: int) -> Text:
    """A person's own words, shortened; a keyed text stays as it is."""
    return words[: limit - 1] + "…" if isinstance(words, str) and len(words) > limit else words


def title(ticket: Ticket, now: datetime) -> Text:
    """等对策：…, or 对策已超时：… while the deadline of the next step is missed."""
    deadline = ticket.next_deadline
    over = deadline is not None and status(deadline, now) == "breached"
    key = f"missed.{deadline.kind}" if deadline is not None and over else str(ticket.state)
    return text(f"tickets.card.title.{key}", title=cut(ticket.title, TITLE_MAX))


def place(ticket: Ticket, directory: Directory) -> Text:
    """Line · station · number: at most three parts, and the number whole."""
    parts = [directory.label(kind, id_) for kind, id_ in (("line", ticket.line), ("station", ticket.station)) if id_]
    named = dict(zip(("a", "b"), parts, strict=False))
    return text(f"tickets.card.place{len(parts)}", **named, no=ticket.no)


def _leads(ticket: Ticket, now: datetime, directory: Directory) -> list[Block]:
    if ticket.state in SOLVED:
        stay = ticket.linger_until is not None
        key = f"tickets.card.lead.{ticket.state}"
        words = text(key, end=ending(ticket, directory), until=_at(ticket.linger_until)) if stay else None
        return [_lead(words or ending(ticket, directory), [])]
    asked = next_actors(ticket, directory)
    deadline = ticket.next_deadline
    blocks = [_lead(_ask(ticket, deadline, now, directory), asked or list(ticket.team[:2]))]
    for told in ticket.escalations:
        missed = next((d for d in ticket.deadlines if d.kind == told.clock and d.running), None)
        if missed is not None:
            owner = owner_name(ticket, directory)
            reason = text(f"tickets.reason.{told.reason}", owner=owner)
            words = text("tickets.card.lead.told", reason=reason, at=moment(told.at), owner=owner)
            blocks.append(_lead(words, [told.to]))
    return blocks


def _lead(words: Text, people: list[str]) -> Block:
    return {"type": "lead", "text": words, "people": people}


def _at(at: datetime | None) -> Text:
    return "—" if at is None else moment(at)


def _ask(ticket: Ticket, deadline: Deadline | None, now: datetime, directory: Directory) -> Text:
    """What is asked of whom, until when."""
    act = text(f"tickets.next.{ticket.state}")
    if deadline is None:
        return text("tickets.card.lead.plain", act=act)
    due = moment(deadline.due_at)
    if status(deadline, now) == "breached":
        clock = clock_name(deadline.kind, deadline.amount_s)
        return text("tickets.card.lead.missed", clock=clock, due=due, act=act)
    if ticket.owner is None and ticket.state is State.NEW:
        return text("tickets.card.lead.unowned", due=due)
    if ticket.state is State.IMPLEMENTED and ticket.policy.four_eyes:
        return text("tickets.card.lead.four_eyes", due=due, implementer=directory.name(ticket.implementer))
    return text(f"tickets.card.lead.{ticket.state}", due=due)


def _fields(ticket: Ticket, directory: Directory) -> list[Block]:
    figures = ticket.figures
    count = text("tickets.card.count", n=ticket.occurrences, at=moment(ticket.last_at))
    fields: list[tuple[str, Text | None]] = [
        ("mean" if figures.get("stat") == "mean" else "measured", _measured(figures)),
        ("worst", _measured(ticket.worst) if ticket.worst.get("value") != figures.get("value") else None),
        ("limits", _between(figures, "lcl", "ucl")),
        ("spec", _between(figures, "lsl", "usl")),
        ("rules", _rules(ticket.rules)),
        ("category", None if figures else directory.label("category", ticket.category)),
        ("reporter", directory.name(ticket.reporter) if ticket.reporter else None),
        ("count", count if ticket.rules or ticket.occurrences > 1 else None),
    ]
    shown = [{"label": text(f"tickets.label.{name}"), "value": value} for name, value in fields if value is not None]
    return [{"type": "fields", "fields": shown}]


def _number(figures: Mapping[str, Any], name: str) -> Text:
    return {"num": figures[name], "digits": int(figures.get("digits", 2))}


def _measured(figures: Mapping[str, Any]) -> Text | None:
    """The value with its unit, and the limit it lies outside of."""
    value = figures.get("value")
    if value is None:
        return None
    number, unit = _number(figures, "value"), figures.get("unit")
    shown = text("tickets.value", value=number, unit=unit) if unit else number
    name = beyond(figures)
    if name is None:
        return text("tickets.measured.inside", value=shown)
    return text(f"tickets.measured.{name}", value=shown, limit=_number(figures, name))


def _between(figures: Mapping[str, Any], low: str, high: str) -> Text | None:
    given = {
        name: _number(figures, key) for name, key in (("low", low), ("high", high)) if figures.get(key) is not None
    }
    return text(f"tickets.between.{'_'.join(given)}", **given) if given else None


def _rules(rules: Sequence[str]) -> Text | None:
    """The broken rules with their plain words; "SPEC" stands for a piece outside specification, and comes last."""
    outside = [text("tickets.card.rule.SPEC")] if "SPEC" in rules else []
    broken = [_rule(rule) for rule in rules if rule != "SPEC"]
    if broken:
        return text("tickets.card.rules", rules=[*broken, *outside])
    return outside[0] if outside else None


def _rule(rule: str) -> Text:
    """R-N1 is N1 of the range chart; a rule of another system stands as it came."""
    name = rule.removeprefix("R-")
    if name not in RULES:
        return rule
    return text(f"tickets.card.rule.{'plain' if name == rule else 'spread'}", rule=rule, words=text(f"spc.rule.{name}"))


def _notes(ticket: Ticket, directory: Directory) -> list[Block]:
    """The story so far: what was seen, what was done, what did not work."""
    blocks: list[Block] = []

    def note(name: str, words: str, who: str | None = None, at: datetime | None = None, **args: Any) -> None:
        if words:
            label = text(f"tickets.note.{name}", who=directory.name(who), at=_at(at), **args)
            blocks.append({"type": "note", "label": label, "text": cut(words, NOTE_MAX)})

    note("description", ticket.description)
    if ticket.state in (State.NEW, State.RESPONDED):
        alt = text("tickets.card.photo")
        blocks += [{"type": "picture", "sha": sha, "alt": alt} for sha in ticket.photos[:PHOTOS_MAX]]
        if ticket.picture:
            blocks.append({"type": "picture", "sha": ticket.picture, "alt": text("tickets.card.chart")})
    note("recurrence", ticket.recurrence_of or "")
    if ticket.failures and ticket.state not in OVER:
        note("failure", ticket.failures[-1].countermeasure, at=ticket.failures[-1].at)
    if ticket.contained:
        note("containment", ticket.contained.text, ticket.contained.by, ticket.contained.at)
    if analysed := ticket.analysed:
        note("root_cause", analysed.root_cause, analysed.by, analysed.at)
        dated = "countermeasure_due" if analysed.due else "countermeasure"
        note(dated, analysed.countermeasure, analysed.owner or ticket.owner, analysed.at, due=analysed.due)
    if ticket.implemented:
        note("implementation", ticket.implemented.text, ticket.implemented.by, ticket.implemented.at)
    if ticket.verified:
        note("verification", ticket.verified.text, ticket.verified.by, ticket.verified.at)
    return blocks


def _steps(ticket: Ticket, now: datetime) -> list[dict[str, Any]]:
    """The strip with due times instead of countdowns."""
    steps = []
    for d, mark in zip(ticket.deadlines, marks(ticket.deadlines, now), strict=True):
        args: dict[str, Any] = {"due": moment(d.due_at), "late": {"seconds": late(d, now).total_seconds()}}
        taken = (d.stopped_at or now) - d.started_at
        args["used"] = {"seconds": max(timedelta(0), taken).total_seconds()}
        words = text(f"tickets.card.step.{mark}", **args)
        steps.append({"mark": mark, "label": clock_name(d.kind, d.amount_s), "text": words})
    return steps


def _value(ticket: Ticket, action: str, **more: Any) -> dict[str, Any]:
    """What a button carries back; the cycle tells a press on an old card from one on this."""
    return {"ticket": ticket.no, "action": action, "cycle": ticket.cycle, **more}


def _button(ticket: Ticket, name: str, action: str, style: str, *, confirm: bool = False, **more: Any) -> Block:
    linger = {"seconds": ticket.policy.linger_s}
    asked = text(f"tickets.confirm.{name}", no=ticket.no, linger=linger) if confirm else None
    value = _value(ticket, action, **more)
    return {"label": text(f"tickets.button.{name}"), "style": style, "value": value, "confirm": asked}


def _form(ticket: Ticket, action: str, fields: list[Block]) -> Block:
    return {
        "type": "form",
        "name": action,
        "title": text(f"tickets.form.{action}"),
        "fields": fields,
        "submit": text("tickets.button.submit"),
        "value": _value(ticket, action),
    }


def _field(name: str, kind: str, *, required: bool = True, options: list[Block] | None = None) -> Block:
    field = {"name": name, "label": text(f"tickets.field.{name}"), "kind": kind, "required": required}
    return field if options is None else field | {"options": options}


def _next_step(ticket: Ticket, directory: Directory) -> list[Block]:
    match ticket.state:
        case State.NEW:
            respond = {"type": "actions", "actions": [_button(ticket, "respond", "respond", "primary")]}
            return [respond, _form(ticket, "contain", [_field("text", "multiline")])]
        case State.RESPONDED:
            return [_form(ticket, "contain", [_field("text", "multiline")])]
        case State.CONTAINED:
            fields = [_field("root_cause", "multiline"), _field("countermeasure", "multiline")]
            people = _people(ticket, directory)
            fields.append(_field("owner", "person", required=False, options=people))
            fields.append(_field("due", "date", required=False))
            return [_form(ticket, "analyse", fields)]
        case State.ANALYSED:
            return [_form(ticket, "implement", [_field("text", "multiline")])]
        case State.IMPLEMENTED:
            good = _button(ticket, "effective", "verify", "primary", confirm=True, result="effective")
            bad = _button(ticket, "ineffective", "verify", "default", confirm=True, result="ineffective")
            return [{"type": "actions", "actions": [good, bad]}]
        case State.VERIFIED:
            return [_form(ticket, "reopen", [_field("text", "multiline")])]
    return []


def _side_steps(ticket: Ticket, directory: Directory) -> list[Block]:
    """Hand over and cancel as a false alarm, while somebody has to act."""
    possible = allowed(ticket) if ticket.state not in SOLVED else []
    blocks = []
    if "reassign" in possible:
        others = _people(ticket, directory, without=ticket.owner)
        if others:
            blocks.append(_form(ticket, "reassign", [_field("to", "person", options=others)]))
    if "cancel" in possible:
        blocks.append(_form(ticket, "cancel", [_field("reason", "text")]))
    return blocks


def _people(ticket: Ticket, directory: Directory, without: str | None = None) -> list[Block]:
    """Whom a step can be given to: skilled people, those of the owner's department and the ticket first."""
    known = [p for p in directory.with_role(*SKILLED) if p.id != without]
    near = [p for p in known if p.id in ticket.members or directory.same_department(p.id, ticket.owner)]
    ordered = near + [p for p in known if p not in near]
    return [{"value": p.id, "text": p.name} for p in ordered[:PEOPLE_MAX]]


def _foot(ticket: Ticket, now: datetime) -> Block:
    key = "tickets.card.foot" if ticket.cycle == 1 else "tickets.card.foot_cycle"
    return {"type": "foot", "text": text(key, at=moment(now), cycle=ticket.cycle)}


def asked_of(ticket: Ticket, directory: Directory) -> Text | list[str]:
    """Names of those the next step waits for, for a sentence in the group."""
    default = "tickets.who.quality" if ticket.state is State.IMPLEMENTED else "tickets.who.owner"
    return names(next_actors(ticket, directory), directory, default)
