"""Mean and range of subgroups. ASTM E2587; R package qcc for subgroups of different sizes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from statistics import fmean, mode

from agent.errors import Refused
from agent.spc.charts.base import Chart, ChartPoint, checked, checked_sigma, method_of
from agent.spc.constants import d2
from agent.spc.limits import Limits


class XbarR(Chart):
    """y: the subgroup's mean; dispersion: its range, None for a subgroup of one value."""

    name = "xbar_r"
    __slots__ = ()

    @classmethod
    def limits_from(
        cls,
        baseline: Sequence[Sequence[float]],
        *,
        excluded: Collection[int] = (),
        method: str | None = None,
        version: int = 0,
    ) -> Limits:
        """Center: the mean of all values. Sigma: the mean of R_i/d2(n_i), which is Rbar/d2(n) for equal subgroups.

        n of the limits is the most common size. Empty subgroups are left out. Raises Refused without any range.
        """
        method = method_of(method, ("Rbar/d2",))
        groups = [checked(group) for i, group in enumerate(baseline) if group and i not in excluded]
        ranges = [(max(group) - min(group)) / d2(len(group)) for group in groups if len(group) > 1]
        if not ranges:
            raise Refused("spc.baseline.short")
        center = fmean([x for group in groups for x in group])
        return Limits(cls.name, mode(map(len, groups)), center, checked_sigma(fmean(ranges)), method, version)

    def push(self, values: Sequence[float]) -> ChartPoint:
        """Of a subgroup that is not of `limits.n` values, the mean and range are judged by limits for its own size."""
        n = len(values)
        if not n:
            raise ValueError("0 values: at least one in a subgroup")
        checked(values)
        return self._plot(fmean(values), max(values) - min(values) if n > 1 else None, n)
