"""What the gauges of the coating line show: noise, and drifts that come and go. Pure: seed and time give the value.

At one value a second chance alone breaks a run rule about every half minute over eight characteristics (9 in a row, 6
rising), and nobody would see the drifts for it. So the noise is dealt in hands of six: Gaussian in size, three up and
three down, turning often enough that no run rule is broken while the process is calm, and never beyond 2.6 sigma.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from random import Random

from agent.sandbox.plant.line import Quantity

_HAND = 6
_CLIP, _FAR, _OUT, _IN = 2.6, 1.8, 1.2, 0.8
_CYCLE_S = 960.0


@dataclass(frozen=True, slots=True)
class Drift:
    """A shift of `size` sigma that builds up within `ramp_s`, holds, and goes the same way. `start_s` is in a cycle."""

    quantity: str
    start_s: float
    duration_s: float
    ramp_s: float
    size: float

    def at(self, t: float) -> float:
        """The shift in sigma, `t` seconds into the cycle."""
        since, left = t - self.start_s, self.start_s + self.duration_s - t
        return self.size * max(0.0, min(1.0, since / self.ramp_s, left / self.ramp_s))


DRIFTS = (
    Drift("areal_density_1", 15.0, 42.0, 3.0, 5.8),  # a blocked slot die: beyond 3 sigma for certain at 19 s
    Drift("oven_zone_2", 240.0, 110.0, 40.0, -4.6),  # a heater fails slowly
    Drift("web_tension", 440.0, 35.0, 2.0, 5.0),
    Drift("wet_thickness", 600.0, 70.0, 10.0, 2.4),  # 5.4 sigma of a mean of five
    Drift("slurry_viscosity", 780.0, 90.0, 60.0, -4.8),
)


class Process:
    """The line from its start on; the same seed gives the same line."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def value(self, quantity: Quantity, t: float) -> float:
        """What the gauge shows `t` seconds after the start, rounded as it does; a new reading every second."""
        shift = sum(d.at(t % _CYCLE_S) for d in DRIFTS if d.quantity == quantity.id)
        hand, place = divmod(int(t), _HAND)
        noise = _deal(f"{self._seed}/{quantity.id}/{hand}")[place]
        return round(quantity.center + quantity.sigma * (shift + noise), quantity.decimals)


@lru_cache(maxsize=256)
def _deal(seed: str) -> tuple[float, ...]:
    """Six values of noise, in sigma."""
    random = Random(seed)  # noqa: S311  (a simulation, not a secret)
    while True:
        hand = tuple(random.gauss(0.0, 1.0) for _ in range(_HAND))
        if _calm(hand):
            return hand


def _calm(hand: tuple[float, ...]) -> bool:
    """True if no run rule (Nelson 1–5, 7, 8) can be broken by such hands one after the other.

    Three of each sign: never 8 in a row on one side. A turn at the second and the fifth: never 6 rising or falling. A
    stretch without a turn between them: never 14 alternating. Far values only in the middle, one: never 2 of 3 beyond
    2 sigma. The first within 1 sigma, one beyond: never 8 beyond, never 15 within. All with room for rounded gauges.
    """
    up = [b > a for a, b in pairwise(hand)]
    turns = [a != b for a, b in pairwise(up)]  # at the second … fifth value
    far = [abs(z) > _FAR for z in hand]
    return (
        max(map(abs, hand)) <= _CLIP
        and sum(z > 0 for z in hand) == _HAND // 2
        and turns[0]
        and turns[3]
        and not (turns[1] and turns[2])
        and sum(far) == sum(far[2:4]) <= 1
        and abs(hand[0]) < _IN
        and max(map(abs, hand)) > _OUT
    )
