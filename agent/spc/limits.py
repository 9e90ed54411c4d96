"""Control limits, frozen: what a chart compares with. An immutable version; a change is a new version."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite, sqrt

from agent.spc.constants import LARGEST, d2, d3

PRINTED = "MRbar/1.128"
"""The method with the printed constant d2(2) = 1.128, to reproduce books; "MRbar/d2(2)" has it exactly."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a pair of charts: location (individuals or means) and dispersion (moving ranges or ranges).

    All in the characteristic's unit. Raises ValueError naming the field. For a constant baseline there are no limits.
    """

    chart: str
    n: int
    """Values per plotted point: 1 on an individuals chart."""
    center: float
    sigma: float
    """Standard deviation of single values within subgroups (n = 1: from moving ranges)."""
    method: str = "given"
    """How sigma came about: "given", "MRbar/d2(2)", "MRbar/1.128", "Rbar/d2"."""
    version: int = 0
    width: float = 3.0
    """The limits stand at center ± width standard deviations of the statistic; rule N1 uses the same."""

    def __post_init__(self) -> None:
        if not 1 <= self.n <= LARGEST:
            raise ValueError(f"n = {self.n!r}: 1 to {LARGEST} values per point")
        if not isfinite(self.center):
            raise ValueError(f"center = {self.center!r}: a finite number")
        for name, value in (("sigma", self.sigma), ("width", self.width)):
            if not (isfinite(value) and value > 0):
                raise ValueError(f"{name} = {value!r}: a finite number above 0")

    def at(self, n: int) -> Limits:
        """The same limits for points of n values: an incomplete subgroup."""
        return self if n == self.n else replace(self, n=n)

    @property
    def sigma_y(self) -> float:
        """Standard deviation of the plotted statistic: sigma / sqrt(n)."""
        return self.sigma / sqrt(self.n)

    @property
    def ucl(self) -> float:
        return self.center + self.width * self.sigma_y

    @property
    def lcl(self) -> float:
        return self.center - self.width * self.sigma_y

    @property
    def center_r(self) -> float:
        """Mean range, d2 sigma; on an individuals chart the mean moving range of two."""
        return (1.128 if self.method == PRINTED else d2(self._span)) * self.sigma

    @property
    def sigma_r(self) -> float:
        """Standard deviation of the range: mean range times d3/d2."""
        return self.center_r * d3(self._span) / d2(self._span)

    @property
    def ucl_r(self) -> float:
        """D4 times the mean range at width 3."""
        return self.center_r + self.width * self.sigma_r

    @property
    def lcl_r(self) -> float:
        """D3 times the mean range at width 3, never below 0."""
        return max(0.0, self.center_r - self.width * self.sigma_r)

    @property
    def _span(self) -> int:
        return max(2, self.n)
