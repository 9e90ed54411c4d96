"""What a broken rule asks for: a ticket, a warning on the page, or nothing. Every flag is kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from agent.spc.rules import RULES


class Severity(StrEnum):
    TICKET = "ticket"
    WARNING = "warning"
    OFF = "off"


DEFAULT: Mapping[str, Severity] = MappingProxyType(
    dict.fromkeys(RULES, Severity.OFF) | {"N1": Severity.TICKET, "W4": Severity.TICKET, "N3": Severity.WARNING}
)
"""Few rules by default: all eight of Nelson's flag an in-control process once in 74 points, N1 alone in 370."""


@dataclass(frozen=True, slots=True)
class Split:
    """The flags of a point by severity, each in the order of RULES."""

    ticket: tuple[str, ...]
    warning: tuple[str, ...]
    off: tuple[str, ...]


def severities(configured: Mapping[str, str]) -> Mapping[str, Severity]:
    """The severity of every rule: what is configured, else the default.

    Raises ValueError for a name that is no rule or no severity.
    """
    chosen = dict(DEFAULT)
    for rule, severity in configured.items():
        if rule not in RULES:
            raise ValueError(f"rule {rule!r}: one of {', '.join(RULES)}")
        if severity not in tuple(Severity):
            raise ValueError(f"{rule} = {severity!r}: one of {', '.join(Severity)}")
        chosen[rule] = Severity(severity)
    return chosen


def watched(of: Mapping[str, Severity]) -> tuple[str, ...]:
    """The rules that are not off: those a stream needs to run."""
    return tuple(rule for rule in RULES if of[rule] is not Severity.OFF)


def split(flags: Iterable[str], of: Mapping[str, Severity]) -> Split:
    """The flags of a point by severity; none hides another."""
    flagged = set(flags)
    ticket, warning, off = (
        tuple(rule for rule in RULES if rule in flagged and of[rule] is severity) for severity in Severity
    )
    return Split(ticket, warning, off)
