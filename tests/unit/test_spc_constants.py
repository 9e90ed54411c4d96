"""The table of constants against the printed one, against closed forms and against another way to compute it."""

from __future__ import annotations

from math import erf, exp, isclose, pi, sqrt

import pytest

from agent.spc.constants import LARGEST, a2, c4, d2, d3, d3_factor, d4_factor

# n: d2, d3, c4, A2, D3, D4 as printed in Montgomery, "Introduction to Statistical Quality Control", appendix VI
PRINTED = {
    2: (1.128, 0.853, 0.7979, 1.880, 0, 3.267),
    3: (1.693, 0.888, 0.8862, 1.023, 0, 2.574),
    4: (2.059, 0.880, 0.9213, 0.729, 0, 2.282),
    5: (2.326, 0.864, 0.9400, 0.577, 0, 2.114),
    6: (2.534, 0.848, 0.9515, 0.483, 0, 2.004),
    7: (2.704, 0.833, 0.9594, 0.419, 0.076, 1.924),
    8: (2.847, 0.820, 0.9650, 0.373, 0.136, 1.864),
    9: (2.970, 0.808, 0.9693, 0.337, 0.184, 1.816),
    10: (3.078, 0.797, 0.9727, 0.308, 0.223, 1.777),
    15: (3.472, 0.756, 0.9823, 0.223, 0.347, 1.653),
    20: (3.735, 0.729, 0.9869, 0.180, 0.415, 1.585),
    25: (3.931, 0.708, 0.9896, 0.153, 0.459, 1.541),
}


@pytest.mark.parametrize("n", PRINTED)
def test_printed_table(n: int) -> None:
    got = (d2(n), d3(n), c4(n), a2(n), d3_factor(n), d4_factor(n))
    # one unit of the last printed digit: the old tables were themselves computed from rounded constants
    for mine, printed, unit in zip(got, PRINTED[n], (5e-4, 5e-4, 5.1e-5, 1e-3, 1e-3, 1e-3), strict=True):
        assert abs(mine - printed) <= unit


def test_closed_forms() -> None:
    assert isclose(d2(2), 2 / sqrt(pi), rel_tol=1e-12) and isclose(d3(2), sqrt(2 - 4 / pi), rel_tol=1e-12)
    assert isclose(d2(3), 3 / sqrt(pi), rel_tol=1e-12)
    assert isclose(c4(2), sqrt(2 / pi), rel_tol=1e-14)


@pytest.mark.parametrize("n", range(2, LARGEST + 1))
def test_by_integration(n: int) -> None:
    """d2 = integral of 1 - P(R <= w), d2² + d3² = integral of 2 w (1 - P(R <= w)); Simpson's rule, step 0.1."""
    step, most = 0.1, 90
    normal = [(k, exp(-((k * step) ** 2) / 2) / sqrt(2 * pi)) for k in range(-60, 61)]
    below = [0.5 * (1 + erf(k * step / sqrt(2))) for k in range(-60, 61 + most)]
    first = second = 0.0
    for i in range(most + 1):
        within = sum(n * f * (below[k + 60 + i] - below[k + 60]) ** (n - 1) for k, f in normal) * step
        weight = step / 3 * (1 if i in (0, most) else 4 if i % 2 else 2) * (1 - within)
        first += weight
        second += 2 * i * step * weight
    assert isclose(first, d2(n), abs_tol=2e-5)
    assert isclose(sqrt(second - first**2), d3(n), abs_tol=2e-5)


@pytest.mark.parametrize("constant", [d2, d3, c4, a2])
def test_no_constant_of_one_value(constant) -> None:
    with pytest.raises(ValueError, match="n = 1"):
        constant(1)
