"""All rules over a whole series at once: for history, for comparison with other programs."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from agent.spc.rules import RULES, RuleParams
from agent.spc.stream import RuleStream, ruleset


def evaluate(
    x: Sequence[float | None],
    center: float,
    sigma: float,
    breaks: Collection[int] = (),
    params: RuleParams | None = None,
) -> dict[str, list[int]]:
    """Which rules of RULES are flagged at which points: rule → 0-based indices, ascending; no key for a silent rule.

    `x`: the plotted points, finite, in one unit with `center` and `sigma`; None: a missing point, which ends every run.
    `breaks`: before these indices a new stage starts, which ends every run too. Raises ValueError as RuleStream does.
    """
    stream = RuleStream(center, sigma, ruleset(RULES, params))
    push, stages = stream.push, frozenset(breaks)
    hits = []
    for i, value in enumerate(x):
        if value is None:
            stream.reset()
            continue
        if i in stages:
            stream.reset()
        if mask := push(value):
            hits.append((i, mask))
    found: dict[str, list[int]] = {}
    for i, mask in hits:
        for rule in stream.ruleset.names(mask):
            found.setdefault(rule, []).append(i)
    return {rule: found[rule] for rule in RULES if rule in found}
