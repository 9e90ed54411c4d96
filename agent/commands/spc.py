"""`andon spc evaluate`: the run rules over series from a file, to compare with R, Minitab or a colleague's sheet."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable
from math import isfinite
from pathlib import Path
from typing import Any, TextIO

from agent.spc.evaluate import evaluate


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `spc evaluate --jsonl [FILE|-]`."""
    parser = subparsers.add_parser("spc", help="statistical process control on the command line")
    verbs = parser.add_subparsers(dest="spc_command", required=True)
    verb = verbs.add_parser(
        "evaluate",
        help="run rules N1-N8 and W1-W4 over series",
        description='Each input line {"x": [numbers, null for a missing point], "center": c, "sigma": s, "breaks": '
        "[indices before which a new stage starts]} gives one line {rule: [0-based indices]}. A line that cannot be "
        "read gives an error line in its place, and exit code 2 at the end.",
    )
    verb.add_argument("--jsonl", nargs="?", const="-", required=True, metavar="FILE", help="default: standard input")
    verb.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0 if every line was evaluated, 2 if one could not be, or the file not be read."""
    if args.jsonl == "-":
        return _answer(sys.stdin.buffer)
    try:
        with Path(args.jsonl).open("rb") as lines:
            return _answer(lines)
    except OSError as error:
        print(f"--jsonl {args.jsonl}: {error.strerror}; give a readable file, or - for standard input", file=sys.stderr)
        return 2


def _answer(lines: Iterable[bytes]) -> int:
    try:
        return 2 if evaluate_lines(lines, sys.stdout, sys.stderr) else 0
    except BrokenPipeError:  # the reader has seen enough; what Python flushes at exit must not fail again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2


class _BadLine(ValueError):
    """One input line cannot be evaluated."""

    def __init__(self, field: str, value: object, remedy: str) -> None:
        shown = _KINDS.get(type(value)) or json.dumps(value, ensure_ascii=False)
        super().__init__(f"{field} = {shown if len(shown) <= 60 else shown[:57] + '...'}: {remedy}")


_KINDS: dict[type, str] = {list: "(a list)", dict: "(an object)"}


def evaluate_lines(lines: Iterable[bytes], out: TextIO, err: TextIO) -> int:
    """One output line per input line, written as soon as it is known. The number of bad lines."""
    bad = 0
    for number, line in enumerate(lines, 1):
        try:
            answer: dict[str, Any] = dict(evaluate(**_series(line)))
        except _BadLine as error:
            bad += 1
            answer = {"error": f"line {number}: {error}"}
            print(answer["error"], file=err, flush=True)
        print(json.dumps(answer), file=out, flush=True)
    return bad


def _series(line: bytes) -> dict[str, Any]:
    """The arguments of `evaluate` from one line; other keys are left alone. Raises _BadLine."""
    try:
        data = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise _BadLine(
            "line", line.decode("utf-8", "replace").strip(), f"no JSON ({error}); one object a line"
        ) from None
    if not isinstance(data, dict):
        raise _BadLine("line", data, 'no object; write {"x": [...], "center": c, "sigma": s}')
    x = data.get("x")
    if not isinstance(x, list):
        raise _BadLine("x", x, "give a list of numbers, null for a missing point")
    sigma = _number("sigma", data.get("sigma"))
    if sigma <= 0:
        raise _BadLine("sigma", sigma, "give the standard deviation of the plotted points, above 0")
    return {
        "x": [v if type(v) is float and isfinite(v) else _point(i, v) for i, v in enumerate(x)],
        "center": _number("center", data.get("center")),
        "sigma": sigma,
        "breaks": _breaks(data.get("breaks"), len(x)),
    }


def _point(i: int, value: object) -> float | None:
    return None if value is None else _number(f"x[{i}]", value, ", or null for a missing point")


def _number(field: str, value: object, otherwise: str = "") -> float:
    if type(value) in (int, float):
        try:
            number = float(value)  # type: ignore[arg-type]
        except OverflowError:
            number = float("inf")
        if isfinite(number):
            return number
    raise _BadLine(field, value, f"give a finite number{otherwise}")


def _breaks(value: object, points: int) -> list[int]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise _BadLine("breaks", value, "give a list of indices, or leave it out")
    for i, index in enumerate(value):
        if type(index) is not int or not 0 <= index <= points:
            raise _BadLine(f"breaks[{i}]", index, f"give an index of x, a whole number from 0 to {points}")
    return value
