"""The specification: what the customer accepts of a single value. Not to be confused with control limits (`limits`)."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Literal


@dataclass(frozen=True, slots=True)
class Specification:
    """Limits of single values, in the characteristic's unit; None: open on that side. A value on a limit is inside.

    Raises ValueError unless lsl < usl and both are finite.
    """

    lsl: float | None = None
    usl: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("lsl", self.lsl), ("usl", self.usl)):
            if value is not None and not isfinite(value):
                raise ValueError(f"{name} = {value!r}: a finite number, or none")
        if self.lsl is not None and self.usl is not None and self.lsl >= self.usl:
            raise ValueError(f"lsl = {self.lsl!r}: below usl = {self.usl!r}")

    def check(self, x: float) -> Literal["above", "below"] | None:
        """On which side the single value x is out of specification, if it is."""
        if self.usl is not None and x > self.usl:
            return "above"
        if self.lsl is not None and x < self.lsl:
            return "below"
        return None
