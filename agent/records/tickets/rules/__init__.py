"""The rules of a ticket: what people may do (acts), what a repeat does (repeats), what time does (timers). Pure."""

from agent.records.tickets.rules.acts import ACTIONS, allowed, decide
from agent.records.tickets.rules.opening import open_ticket
from agent.records.tickets.rules.repeats import Key, Occurrence, Outcome, on_occurrence, recurrence
from agent.records.tickets.rules.timers import next_timer, timers

__all__ = [
    "ACTIONS",
    "Key",
    "Occurrence",
    "Outcome",
    "allowed",
    "decide",
    "next_timer",
    "on_occurrence",
    "open_ticket",
    "recurrence",
    "timers",
]
