"""What each run rule means: plain predicates, written to be read. `automaton` compiles them; nothing else defines them.

Nelson 1984 (J. Quality Technology 16, 237-239) N1-N8; Western Electric 1956 W1-W4. Where the books leave room:
"beyond" is strict against the double c + k*s, so a point on a line belongs to the inner zone; a point on the centre
line belongs to no side; a tie ends a trend; the latest point must itself take part; a signal clears nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from math import isfinite
from typing import NamedTuple, TypeAlias


class Zone(NamedTuple):
    """Where a point lies."""

    side: int
    """-1 below, 0 on, 1 above the centre line."""
    beyond: float
    """The largest watched multiple of sigma that the point is beyond; 0.0 if none."""


Letters: TypeAlias = Sequence[int]
"""What a rule sees of the latest points, oldest first; fewer than its span after a start, gap or stage."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. Its flag at a point depends on at most `span` letters, the point's own last.

    `sees` reads a point's zone as a letter; None: the letters are the steps between points (1 up, -1 down, 0 tie).
    """

    span: int
    holds: Callable[[Letters], bool]
    sees: Callable[[Zone], int] | None = None
    sigmas: float | None = None
    """The multiple of sigma at which `sees` draws its line, if it draws one besides the centre line."""

    @property
    def memory(self) -> int:
        """How many points before the latest can matter."""
        return self.span - 1 if self.sees else self.span


@dataclass(frozen=True, slots=True)
class RuleParams:
    """Lengths in points, lines in multiples of sigma. The defaults are the published rules.

    Raises ValueError for a length for which no rule is left or whose table would be too large.
    """

    n1_sigma: float = 3.0
    n2_points: int = 9
    n3_points: int = 6
    n4_points: int = 14
    n5_sigma: float = 2.0
    n5_points: int = 2
    n5_span: int = 3
    n6_sigma: float = 1.0
    n6_points: int = 4
    n6_span: int = 5
    n7_sigma: float = 1.0
    n7_points: int = 15
    n8_sigma: float = 1.0
    n8_points: int = 8
    n8_both_sides: bool = True
    w4_points: int = 8

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("_sigma") and not (isfinite(value) and value > 0):
                raise ValueError(f"{field.name} = {value!r}: a finite multiple of sigma above 0")
            least, most = _LENGTHS.get(field.name, (2, 20))
            if field.name.endswith(("_points", "_span")) and not least <= value <= most:
                raise ValueError(f"{field.name} = {value!r}: from {least} to {most} points")
        for points, span in ((self.n5_points, self.n5_span), (self.n6_points, self.n6_span)):
            if points > span:
                raise ValueError(f"{points} of {span} points: at most all of them")


_LENGTHS = {"n4_points": (3, 20), "n5_span": (2, 5), "n6_span": (2, 6), "n8_points": (2, 10)}


def _side(zone: Zone) -> int:
    return zone.side


def _beyond(sigmas: float) -> Callable[[Zone], int]:
    return lambda zone: zone.side if zone.beyond >= sigmas else 0


def _within(sigmas: float) -> Callable[[Zone], int]:
    return lambda zone: 1 if zone.beyond < sigmas else 0


def _in_a_row(length: int) -> Callable[[Letters], bool]:
    return lambda seen: seen[-1] != 0 and len(seen) >= length and all(a == seen[-1] for a in seen[-length:])


def _some_of(length: int, span: int) -> Callable[[Letters], bool]:
    return lambda seen: seen[-1] != 0 and sum(a == seen[-1] for a in seen[-span:]) >= length


def _alternating(steps: int) -> Callable[[Letters], bool]:
    return lambda seen: len(seen) >= steps and all(a * b == -1 for a, b in pairwise(seen[-steps:]))


def _outside(length: int, both_sides: bool) -> Callable[[Letters], bool]:
    def holds(seen: Letters) -> bool:
        latest = seen[-length:]
        return len(latest) == length and all(latest) and (not both_sides or len(set(latest)) == 2)

    return holds


def _n1(p: RuleParams) -> Rule:
    return Rule(1, _in_a_row(1), _beyond(p.n1_sigma), p.n1_sigma)


def _n2(p: RuleParams) -> Rule:
    return Rule(p.n2_points, _in_a_row(p.n2_points), _side)


def _n3(p: RuleParams) -> Rule:
    return Rule(p.n3_points - 1, _in_a_row(p.n3_points - 1))


def _n4(p: RuleParams) -> Rule:
    return Rule(p.n4_points - 1, _alternating(p.n4_points - 1))


def _n5(p: RuleParams) -> Rule:
    return Rule(p.n5_span, _some_of(p.n5_points, p.n5_span), _beyond(p.n5_sigma), p.n5_sigma)


def _n6(p: RuleParams) -> Rule:
    return Rule(p.n6_span, _some_of(p.n6_points, p.n6_span), _beyond(p.n6_sigma), p.n6_sigma)


def _n7(p: RuleParams) -> Rule:
    return Rule(p.n7_points, _in_a_row(p.n7_points), _within(p.n7_sigma), p.n7_sigma)


def _n8(p: RuleParams) -> Rule:
    return Rule(p.n8_points, _outside(p.n8_points, p.n8_both_sides), _beyond(p.n8_sigma), p.n8_sigma)


def _w4(p: RuleParams) -> Rule:
    return Rule(p.w4_points, _in_a_row(p.w4_points), _side)


RULES: dict[str, Callable[[RuleParams], Rule]] = {
    "N1": _n1,
    "N2": _n2,
    "N3": _n3,
    "N4": _n4,
    "N5": _n5,
    "N6": _n6,
    "N7": _n7,
    "N8": _n8,
    "W1": _n1,
    "W2": _n5,
    "W3": _n6,
    "W4": _w4,
}
"""Name → definition. W1-W3 are N1, N5 and N6 under their older names. A rule's text is `spc.rule.<name>`."""


def zone_of(x: float, center: float, sigma: float, multiples: Sequence[float]) -> Zone:
    """The zone of x, by comparing it with every line of `multiples`."""
    side = (x > center) - (x < center)
    return Zone(side, max((k for k in multiples if x > center + k * sigma or x < center - k * sigma), default=0.0))


def by_definition(
    points: Sequence[float], center: float, sigma: float, name: str, params: RuleParams | None = None
) -> list[int]:
    """The indices at which rule `name` is flagged in points without a gap: slow, and right by reading.

    The compiled tables are tested against this.
    """
    rule = RULES[name](params or RuleParams())
    if rule.sees:
        multiples = () if rule.sigmas is None else (rule.sigmas,)
        letters = [rule.sees(zone_of(x, center, sigma, multiples)) for x in points]
    else:
        letters = [(b > a) - (b < a) for a, b in pairwise(points)]
    first = len(points) - len(letters)
    return [i + first for i in range(len(letters)) if rule.holds(letters[max(0, i + 1 - rule.span) : i + 1])]
