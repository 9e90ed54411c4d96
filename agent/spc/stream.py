"""Run rules over one live stream: a push is two table look-ups, about 0.15 µs for eight rules."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from functools import cached_property, lru_cache
from math import inf, isfinite, nan, nextafter
from typing import TypeAlias

from agent.spc.automaton import Row, compile_rules
from agent.spc.rules import RULES, RuleParams, Zone

StreamState: TypeAlias = tuple[Row, Row, float]
"""Where a stream stands. For a rollback in this process only: a restart replays points (`RuleStream.replay`)."""


class Ruleset:
    """Some rules with their parameters, compiled when the first stream needs them. Get it from `ruleset()`."""

    def __init__(self, rules: tuple[str, ...], params: RuleParams) -> None:
        self.rules, self.params = rules, params
        built = [RULES[name](params) for name in rules]
        self._built = [(1 << i, rule) for i, rule in enumerate(built)]
        self._named: dict[int, tuple[str, ...]] = {0: ()}
        self.multiples = tuple(sorted({rule.sigmas for rule in built if rule.sigmas is not None}))
        """The multiples of sigma at which lines are drawn, ascending."""
        self.memory = max((rule.memory for rule in built), default=0)
        """How many earlier points can matter: 14 for Nelson's eight."""

    def names(self, mask: int) -> tuple[str, ...]:
        """The rules in a mask that `RuleStream.push` returned, in the order of RULES."""
        named = self._named.get(mask)
        if named is None:
            named = self._named[mask] = tuple(name for i, name in enumerate(self.rules) if mask >> i & 1)
        return named

    def lines(self, center: float, sigma: float) -> list[float]:
        """Sorted numbers such that `bisect_left(lines, x)` is the letter of x's zone, counted from 1.

        Lower lines stand one double lower, for "x < line" is "x <= the double before it". -inf keeps letter 0 free.
        """
        lower = [nextafter(center - k * sigma, -inf) for k in (*reversed(self.multiples), 0.0)]
        return [-inf, *lower, center, *(center + k * sigma for k in self.multiples)]

    @cached_property
    def start(self) -> tuple[Row, Row]:
        """The first rows of the zone table and of the step table (letters: 1 up, 2 down, 3 tie or first point)."""
        beyond = (0.0, *self.multiples)
        zones = [*(Zone(-1, k) for k in reversed(beyond)), Zone(0, 0.0), *(Zone(1, k) for k in beyond)]
        by_zone = [(bit, rule, list(map(rule.sees, zones))) for bit, rule in self._built if rule.sees]
        by_step = [(bit, rule, [1, -1, 0]) for bit, rule in self._built if not rule.sees]
        return (
            compile_rules(by_zone) if by_zone else _idle(len(zones)),
            compile_rules(by_step) if by_step else _idle(3),
        )


def ruleset(rules: Iterable[str], params: RuleParams | None = None) -> Ruleset:
    """The rules of these names, in the order of RULES; the same object for the same question.

    Raises ValueError for a name that is no rule.
    """
    names = set(rules)
    if unknown := sorted(names - RULES.keys()):
        raise ValueError(f"rule {unknown[0]!r}: one of {', '.join(RULES)}")
    return _ruleset(tuple(name for name in RULES if name in names), params or RuleParams())


@lru_cache(maxsize=64)
def _ruleset(rules: tuple[str, ...], params: RuleParams) -> Ruleset:
    return Ruleset(rules, params)


def _idle(letters: int) -> Row:
    """A table without rules."""
    row: Row = [0]
    row.extend([row] * letters)
    return row


def _checked_lines(center: float, sigma: float, ruleset: Ruleset) -> list[float]:
    if not isfinite(center):
        raise ValueError(f"center = {center!r}: a finite number")
    if not (isfinite(sigma) and sigma > 0):
        raise ValueError(f"sigma = {sigma!r}: a finite number above 0")
    return ruleset.lines(center, sigma)


class RuleStream:
    """The rules of one stream of points with frozen limits. New limits: a new stream.

    `center`, `sigma`: of the plotted statistic, in its unit. Raises ValueError unless finite and sigma > 0.
    """

    __slots__ = ("_lines", "_step", "_zone", "previous", "ruleset")

    _zone: Row
    _step: Row
    previous: float
    """The latest point; NaN before the first, which is neither above nor below anything."""

    def __init__(self, center: float, sigma: float, ruleset: Ruleset) -> None:
        self.ruleset = ruleset
        self._lines = _checked_lines(center, sigma, ruleset)
        self.reset()

    def push(self, x: float) -> int:
        """Take the next point; the bits of the rules flagged at it (`ruleset.names`). 0: none.

        x must be finite: the charts see to that. NaN and -inf raise ValueError and change nothing.
        """
        letter = bisect_left(self._lines, x)
        if not letter:
            raise ValueError(f"x = {x!r}: a finite number")
        zone = self._zone = self._zone[letter]
        before = self.previous
        step = self._step = self._step[1 if x > before else 2 if x < before else 3]
        self.previous = x
        flags: int = zone[0] | step[0]
        return flags

    def push_at(self, x: float, center: float, sigma: float) -> int:
        """As `push`, for a point with limits of its own (a subgroup of another size)."""
        own = self._lines
        self._lines = _checked_lines(center, sigma, self.ruleset)
        try:
            return self.push(x)
        finally:
            self._lines = own

    def reset(self) -> None:
        """Forget all points: after a gap, at a new stage."""
        self._zone, self._step = self.ruleset.start
        self.previous = nan

    def snapshot(self) -> StreamState:
        """Where the stream stands, for `restore`: three references."""
        return self._zone, self._step, self.previous

    def restore(self, state: StreamState) -> None:
        """Go back to a snapshot of this stream."""
        self._zone, self._step, self.previous = state

    def replay(self, points: Iterable[float]) -> None:
        """Stand as after these points since the last reset, oldest first; the last `ruleset.memory` are enough."""
        self.reset()
        for x in points:
            self.push(x)
