"""Constants of control charts for normal data: what the range and the standard deviation of n values are on average.

d2 = E(R)/sigma and d3 = SD(R)/sigma, R the range of n independent normal values (Tippett 1925; Harter 1960): integrals
over the normal distribution, computed to 13 decimals; rounded to 3 they are the printed tables (ASTM E2587, Montgomery
"Introduction to Statistical Quality Control", appendix VI). The tests compute them another way and compare both.
"""

from __future__ import annotations

from math import exp, lgamma, sqrt

_RANGE = {
    2: (1.1283791670955, 0.8525024664274),
    3: (1.6925687506433, 0.8883680040452),
    4: (2.0587507460079, 0.879808202825),
    5: (2.325928947281, 0.8640819410995),
    6: (2.5344127212229, 0.8480396861175),
    7: (2.7043567512138, 0.8332053356223),
    8: (2.8472006120906, 0.8198314897919),
    9: (2.9700263244185, 0.8078342745533),
    10: (3.0775054616703, 0.7970506735194),
    11: (3.172872703816, 0.7873146205503),
    12: (3.2584552797438, 0.7784783412034),
    13: (3.3359803540983, 0.7704162020638),
    14: (3.4067631082, 0.7630230956248),
    15: (3.4718268898821, 0.756211429728),
    16: (3.5319827861096, 0.7499080894099),
    17: (3.5878839617654, 0.7440517839607),
    18: (3.6400637579374, 0.7385908533782),
    19: (3.6889630232076, 0.7334814955189),
    20: (3.7349501195966, 0.7286863457073),
    21: (3.7783358298426, 0.7241733407175),
    22: (3.8193846433628, 0.7199148084342),
    23: (3.858323423285, 0.7158867354918),
    24: (3.8953481484514, 0.7120681751479),
    25: (3.9306292195071, 0.7084407658887),
}

LARGEST = max(_RANGE)
"""The largest subgroup for which a range is used; from about ten on, the standard deviation is the better measure."""


def d2(n: int) -> float:
    """The mean of the range of n values, in sigma. Raises ValueError unless 2 <= n <= 25."""
    return _range(n)[0]


def d3(n: int) -> float:
    """The standard deviation of the range of n values, in sigma. Raises ValueError unless 2 <= n <= 25."""
    return _range(n)[1]


def c4(n: int) -> float:
    """The mean of the standard deviation of n values (divisor n - 1), in sigma. Raises ValueError unless n >= 2."""
    if n < 2:
        raise ValueError(f"n = {n}: at least 2 values")
    return sqrt(2 / (n - 1)) * exp(lgamma(n / 2) - lgamma((n - 1) / 2))


def a2(n: int) -> float:
    """Limits of the mean: center ± A2 times the mean range."""
    return 3 / (d2(n) * sqrt(n))


def d3_factor(n: int) -> float:
    """D3, the lower limit of the range in mean ranges: 0 up to n = 6."""
    return max(0.0, 1 - 3 * d3(n) / d2(n))


def d4_factor(n: int) -> float:
    """D4, the upper limit of the range in mean ranges."""
    return 1 + 3 * d3(n) / d2(n)


def _range(n: int) -> tuple[float, float]:
    try:
        return _RANGE[n]
    except KeyError:
        raise ValueError(f"n = {n}: 2 to {LARGEST} values in a subgroup whose range is charted") from None
