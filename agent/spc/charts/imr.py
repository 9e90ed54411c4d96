"""Individuals and moving range: one value a point. ASTM E2587; NIST/SEMATECH e-Handbook 6.3.2.2."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise
from statistics import fmean

from agent.errors import Refused
from agent.spc.charts.base import Chart, ChartPoint, checked, checked_sigma, method_of
from agent.spc.constants import d2
from agent.spc.limits import PRINTED, Limits

EXACT = "MRbar/d2(2)"


class Imr(Chart):
    """y: the value; dispersion: its distance from the value before, None at the first point after a reset."""

    name = "imr"
    __slots__ = ()

    @classmethod
    def limits_from(
        cls,
        baseline: Sequence[float | None],
        *,
        excluded: Collection[int] = (),
        method: str | None = None,
        version: int = 0,
    ) -> Limits:
        """Center: the mean. Sigma: the mean moving range over d2(2), exact or as printed (1.128).

        A gap (None) and an excluded value make no moving range on either side. Raises Refused without two neighbours.
        """
        method = method_of(method, (EXACT, PRINTED))
        kept = [None if i in excluded else x for i, x in enumerate(baseline)]
        values = checked([x for x in kept if x is not None])
        ranges = [abs(b - a) for a, b in pairwise(kept) if a is not None and b is not None]
        if not ranges:
            raise Refused("spc.baseline.short")
        sigma = checked_sigma(fmean(ranges) / (1.128 if method == PRINTED else d2(2)))
        return Limits(cls.name, 1, fmean(values), sigma, method, version)

    def push(self, values: Sequence[float]) -> ChartPoint:
        if len(values) != 1:
            raise ValueError(f"{len(values)} values: one value a point on an individuals chart")
        (x,) = checked(values)
        before = self._location.previous
        return self._plot(x, abs(x - before) if before == before else None)
