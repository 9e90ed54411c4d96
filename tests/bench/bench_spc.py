"""Speed of the live path: ns per sample, beside the floor of this machine in this run.

    python tests/bench/bench_spc.py

The floor is what no Python code can beat: a loop that calls a method which compares once. No assertion: read it.
"""

from __future__ import annotations

import gc
import platform
import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from agent.spc.charts.imr import Imr
from agent.spc.charts.xbar_r import XbarR
from agent.spc.evaluate import evaluate
from agent.spc.limits import Limits
from agent.spc.rules import RULES
from agent.spc.severity import DEFAULT, watched
from agent.spc.stream import Ruleset, RuleStream, ruleset
from agent.spc.subgroups import Subgroups

N, STREAMS, ROUNDS = 200_000, 1_000, 7
NELSON = tuple(rule for rule in RULES if rule.startswith("N"))
NORMAL = random.Random(7)
POINTS = [NORMAL.gauss(0.0, 1.0) for _ in range(N)]


class Floor:
    __slots__ = ("limit",)

    def __init__(self) -> None:
        self.limit = 3.0

    def push(self, x: float) -> bool:
        return x > self.limit


def ns(task: Callable[[], object], samples: int = N) -> float:
    """CPU time per sample in ns, median of ROUNDS runs."""
    times = []
    for _ in range(ROUNDS):
        gc.collect()
        start = process_time()
        task()
        times.append(process_time() - start)
    return median(times) / samples * 1e9


def floor() -> None:
    push = Floor().push
    for x in POINTS:
        push(x)


def one_stream(rules: Ruleset) -> None:
    push = RuleStream(0.0, 1.0, rules).push
    for x in POINTS:
        push(x)


def interleaved(streams: list[RuleStream]) -> None:
    for i in range(0, N, len(streams)):
        for stream, x in zip(streams, POINTS[i : i + len(streams)], strict=True):
            stream.push(x)


def individuals(rules: tuple[str, ...]) -> None:
    push = Imr(Limits("imr", 1, 0.0, 1.0), rules).push
    for x in POINTS:
        push((x,))


def subgroups(rules: tuple[str, ...]) -> None:
    push, gather = XbarR(Limits("xbar_r", 5, 0.0, 1.0), rules).push, Subgroups(5).push
    for x in POINTS:
        if (closed := gather(x)) is not None:
            push(closed)


def run_length(names: Sequence[str]) -> float:
    """Mean number of in-control points from a fresh start to the first flag."""
    dice, stream, flags = random.Random(1), RuleStream(0.0, 1.0, ruleset(names)), 0
    for _ in range(2 * N):
        if stream.push(dice.gauss(0.0, 1.0)):
            flags += 1
            stream.reset()
    return 2 * N / flags


def main() -> None:
    start = perf_counter()
    eight = Ruleset(NELSON, ruleset(NELSON).params)
    _ = eight.start
    build = perf_counter() - start
    streams = [RuleStream(0.0, 1.0, eight) for _ in range(STREAMS)]
    least = ns(floor)
    default = watched(DEFAULT)
    print(f"Python {platform.python_version()}, {N:,} samples N(0,1), CPU time, median of {ROUNDS}")
    print(f"table of N1-N8 built in {build * 1e3:.0f} ms; floor (call + one compare) {least:.0f} ns/sample\n")
    for what, value in (
        ("one stream, N1-N8", ns(lambda: one_stream(eight))),
        (f"one stream, {' '.join(default)} (default)", ns(lambda: one_stream(ruleset(default)))),
        (f"{STREAMS:,} interleaved streams, N1-N8", ns(lambda: interleaved(streams))),
        ("I-MR chart with moving range, N1-N8", ns(lambda: individuals(NELSON))),
        ("subgroups of 5 and Xbar-R chart, N1-N8", ns(lambda: subgroups(NELSON))),
        ("evaluate(), N1-N8 and W1-W4", ns(lambda: evaluate(POINTS, 0.0, 1.0))),
    ):
        print(f"{what:<42} {value:6.0f} ns/sample  {value / least:5.1f} x floor")
    eight_rules, one_rule = run_length(NELSON), run_length(["N1"])
    print(f"\npoints in control until the first flag: N1-N8 {eight_rules:.0f}, N1 alone {one_rule:.0f}")


if __name__ == "__main__":
    main()
