"""Rules compiled to one table: a step costs one list look-up, whatever the number of rules.

For each rule a machine whose state is what can still matter of the past; their product, minimised; and that as rows
that point to each other: `row = row[letter]; flags = row[0]`. Letters count from 1. Moore 1956 (partition refinement).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, TypeAlias

from agent.spc.rules import Letters, Rule

Row: TypeAlias = list[Any]
"""[bits of the rules that hold at the point that led here, row after letter 1, row after letter 2, ...]"""


@dataclass(frozen=True, slots=True)
class Machine:
    """`after[state][letter]` is the next state, `bits[state][letter]` what is flagged on the way. 0 is the start."""

    after: list[list[int]]
    bits: list[list[int]]


def compile_rules(rules: Sequence[tuple[int, Rule, Letters]]) -> Row:
    """The starting row of the table for `rules`: (bit, rule, what the rule sees of each letter of the alphabet)."""
    machines = [_minimal(_machine(bit, rule, seen)) for bit, rule, seen in rules]
    return _rows(_minimal(reduce(_product, machines)))


def _machine(bit: int, rule: Rule, seen: Letters) -> Machine:
    """States are pasts, kept as short as the rule allows."""
    states: dict[tuple[int, ...], int] = {(): 0}
    queue: list[tuple[int, ...]] = [()]
    after, bits = [], []
    for past in queue:
        nexts: dict[int, int] = {}
        flags: dict[int, int] = {}
        for letter in set(seen):
            window = (*past, letter)
            kept = _kept(window, rule, seen)
            if kept not in states:
                states[kept] = len(states)
                queue.append(kept)
            nexts[letter] = states[kept]
            flags[letter] = bit if rule.holds(window) else 0
        after.append([nexts[letter] for letter in seen])
        bits.append([flags[letter] for letter in seen])
    return Machine(after, bits)


def _kept(window: tuple[int, ...], rule: Rule, alphabet: Letters) -> tuple[int, ...]:
    """The part of the past that a later flag may need: the longest end of it that can begin a window that holds.

    Two letters in turn are enough to complete a window of any rule, if it can be completed at all; the tests compare
    the tables with the definitions.
    """
    letters = set(alphabet)
    window = window[max(0, len(window) + 1 - rule.span) :]
    while window:
        missing = rule.span - len(window)
        if any(rule.holds((*window, *((a, b) * missing)[:missing])) for a in letters for b in letters):
            return window
        window = window[1:]
    return ()


def _product(one: Machine, two: Machine) -> Machine:
    """Both at once: the pairs of states that can be reached."""
    states: dict[tuple[int, int], int] = {(0, 0): 0}
    after, bits = [], []
    for a, b in (queue := [(0, 0)]):
        row = []
        for pair in zip(one.after[a], two.after[b], strict=True):
            number = states.get(pair)
            if number is None:
                number = states[pair] = len(states)
                queue.append(pair)
            row.append(number)
        after.append(row)
        bits.append([x | y for x, y in zip(one.bits[a], two.bits[b], strict=True)])
    return Machine(after, bits)


def _minimal(machine: Machine) -> Machine:
    """The same behaviour with the fewest states: split the states until those of a class go to the same classes."""
    classes = _numbered([tuple(flags) for flags in machine.bits])
    known = 0
    while (count := max(classes) + 1) > known:
        known, of = count, classes.__getitem__
        classes = _numbered([(own, *map(of, row)) for own, row in zip(classes, machine.after, strict=True)])
    first: dict[int, int] = {}
    for state, own in enumerate(classes):
        first.setdefault(own, state)
    after = [[classes[state] for state in machine.after[state]] for state in first.values()]
    return Machine(after, [machine.bits[state] for state in first.values()])


def _numbered(keys: Sequence[tuple[int, ...]]) -> list[int]:
    """Equal keys, equal numbers, from 0 in order of appearance: the start stays 0."""
    numbers: dict[tuple[int, ...], int] = {}
    return [numbers.setdefault(key, len(numbers)) for key in keys]


def _rows(machine: Machine) -> Row:
    """A row for each state and each way its flags can be when it is entered."""
    start: Row = [0]
    rows = {(0, 0): start}
    for (state, _), row in (queue := [((0, 0), start)]):
        for entry in zip(machine.after[state], machine.bits[state], strict=True):
            if entry not in rows:
                rows[entry] = [entry[1]]
                queue.append((entry, rows[entry]))
            row.append(rows[entry])
    return start
