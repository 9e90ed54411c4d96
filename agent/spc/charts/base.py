"""What every chart can do: take the values of a point, say which rules are broken, go back, start again from points."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeAlias

from agent.errors import Refused
from agent.spc.limits import Limits
from agent.spc.rules import RuleParams
from agent.spc.stream import RuleStream, StreamState, ruleset

DISPERSION_RULES = frozenset({"N1", "N2", "N3", "N4", "W1", "W4"})
"""Rules that make sense where the distribution is skewed (Minitab: tests 1-4 on MR, R and S charts)."""

ChartState: TypeAlias = tuple[StreamState, StreamState]


@dataclass(slots=True)
class ChartPoint:
    """One plotted point: the statistic, the dispersion (None: there is none), and every rule flagged on each chart."""

    y: float
    dispersion: float | None
    flags: tuple[str, ...]
    dispersion_flags: tuple[str, ...]


class Chart(ABC):
    """A location chart and its dispersion chart with frozen limits, fed point by point.

    New limits, another stage: a new chart. `rules` and `dispersion_rules` are names in RULES; `params` their lengths
    and lines, but N1's line comes from `limits.width`. Raises ValueError if limits or rules do not fit the chart.
    """

    name: ClassVar[str]
    __slots__ = ("_dispersion", "_location", "limits")

    def __init__(
        self,
        limits: Limits,
        rules: Iterable[str],
        params: RuleParams | None = None,
        dispersion_rules: Collection[str] = ("N1",),
    ) -> None:
        if limits.chart != self.name:
            raise ValueError(f"chart = {limits.chart!r}: limits of a chart {self.name!r}")
        if unfit := sorted(set(dispersion_rules) - DISPERSION_RULES):
            raise ValueError(f"dispersion rule {unfit[0]!r}: one of {', '.join(sorted(DISPERSION_RULES))}")
        params = replace(params or RuleParams(), n1_sigma=limits.width)
        self.limits = limits
        self._location = RuleStream(limits.center, limits.sigma_y, ruleset(rules, params))
        self._dispersion = RuleStream(limits.center_r, limits.sigma_r, ruleset(dispersion_rules, params))

    @classmethod
    @abstractmethod
    def limits_from(
        cls, baseline: Sequence[Any], *, excluded: Collection[int] = (), method: str | None = None, version: int = 0
    ) -> Limits:
        """Limits from a baseline; the shape of the baseline is the chart's own. `excluded`: indices left out.

        Raises Refused (a text for a person) if the baseline is too short or constant, ValueError for an unknown method.
        """

    @abstractmethod
    def push(self, values: Sequence[float]) -> ChartPoint:
        """Plot the next point from its values. Raises ValueError, changing nothing, for values that are no point."""

    @property
    def memory(self) -> int:
        """How many plotted points since the last reset `replay` needs."""
        return max(1, self._location.ruleset.memory, self._dispersion.ruleset.memory)

    def reset(self) -> None:
        """A gap or a stage: the past no longer counts."""
        self._location.reset()
        self._dispersion.reset()

    def snapshot(self) -> ChartState:
        """For a rollback: where the chart stands."""
        return self._location.snapshot(), self._dispersion.snapshot()

    def restore(self, state: ChartState) -> None:
        self._location.restore(state[0])
        self._dispersion.restore(state[1])

    def replay(self, history: Iterable[tuple[float, float | None] | tuple[float, float | None, int]]) -> None:
        """Stand as after these plotted points (y, dispersion) or (y, dispersion, n), oldest first.

        For a restart: the last `memory` points since the last reset are enough. Without n: `limits.n` values each.
        """
        self.reset()
        for y, dispersion, *n in history:
            self._plot(y, dispersion, *n)

    def _plot(self, y: float, dispersion: float | None, n: int | None = None) -> ChartPoint:
        limits, location, spread = self.limits, self._location, self._dispersion
        if n is None or n == limits.n:
            flags = location.push(y)
            spread_flags = 0 if dispersion is None else spread.push(dispersion)
        else:
            own = limits.at(n)
            flags = location.push_at(y, own.center, own.sigma_y)
            spread_flags = 0 if dispersion is None else spread.push_at(dispersion, own.center_r, own.sigma_r)
        return ChartPoint(
            y,
            dispersion,
            location.ruleset.names(flags) if flags else (),
            spread.ruleset.names(spread_flags) if spread_flags else (),
        )


VALUE_MAX = 1e150
"""Values are smaller than this, so that they can be squared and added."""


def plottable(value: float) -> bool:
    """Whether a value can be charted: finite, and smaller than VALUE_MAX."""
    return -VALUE_MAX < value < VALUE_MAX


def checked(values: Sequence[float]) -> Sequence[float]:
    """The values, all finite and of a size that can be squared and added. Raises ValueError otherwise."""
    for value in values:
        if not plottable(value):
            raise ValueError(f"value = {value!r}: a finite number of less than {VALUE_MAX:g}")
    return values


def checked_sigma(sigma: float) -> float:
    """The sigma of a baseline. Raises Refused if it is 0: the gauge shows no variation."""
    if sigma <= 0:
        raise Refused("spc.baseline.flat")
    return sigma


def method_of(method: str | None, known: Sequence[str]) -> str:
    """The method asked for, by default the first. Raises ValueError for one that the chart does not know."""
    if method is not None and method not in known:
        raise ValueError(f"method = {method!r}: one of {', '.join(known)}")
    return method or known[0]
