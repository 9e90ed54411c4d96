"""`andon spc evaluate`: a line in, a line out, and errors that say where and what to do."""

from __future__ import annotations

import argparse
import io
import json
import sys
from pathlib import Path

import pytest

from agent.commands.spc import add_parser

DATA = Path(__file__).parents[1] / "data" / "spc-reference.json"
GOOD = '{"x": [0, 4, null, 3.5], "center": 0, "sigma": 1}'


class Stdin:
    def __init__(self, data: bytes) -> None:
        self.buffer = io.BytesIO(data)


def run(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="andon")
    add_parser(parser.add_subparsers())
    args = parser.parse_args(["spc", "evaluate", *argv])
    return args.run(args)


@pytest.fixture
def feed(monkeypatch, capsys):
    """Run over bytes on standard input: (exit code, output lines read as JSON, standard error)."""

    def go(data: bytes, argv: tuple[str, ...] = ("--jsonl",)) -> tuple[int, list, str]:
        monkeypatch.setattr(sys, "stdin", Stdin(data))
        code = run(list(argv))
        out, err = capsys.readouterr()
        return code, [json.loads(line) for line in out.splitlines()], err

    return go


def test_reference_from_a_file(tmp_path: Path, capsys) -> None:
    sequences = json.loads(DATA.read_text("utf-8"))["sequences"]
    file = tmp_path / "sequences.jsonl"
    file.write_text("".join(json.dumps(case) + "\n" for case in sequences), "utf-8")
    assert run(["--jsonl", str(file)]) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [c["expected"] for c in sequences]


def test_standard_input_with_and_without_dash(feed) -> None:
    expected = (0, [{"N1": [1, 3], "N5": [3], "W1": [1, 3], "W2": [3]}], "")
    two = b'{"x": [0, 4, 0, 3.5], "center": 0, "sigma": 1}'
    assert feed(two) == feed(two, ("--jsonl", "-")) == expected


def test_a_stage_starts_at_a_break(feed) -> None:
    series = {"x": [0.5] * 16, "center": 0, "sigma": 1}
    lines = [json.dumps(series | {"breaks": breaks}) for breaks in ([], [7], [0, 16], None)]
    code, answers, _ = feed("\n".join(lines).encode())
    assert code == 0 and [a["W4"][0] for a in answers] == [7, 14, 7, 7]


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        (b"", "line", '""'),
        (b"{", "line", "{"),
        (b"[1]", "line", "(a list)"),
        (b"\xff\xfe", "line", ""),
        (b"[" * 100_000, "line", "[[["),
        (b'{"center": 0, "sigma": 1}', "x", "null"),
        (b'{"x": "1,2", "center": 0, "sigma": 1}', "x", '"1,2"'),
        (b'{"x": [0, NaN], "center": 0, "sigma": 1}', "x[1]", "NaN"),
        (b'{"x": [0, -Infinity], "center": 0, "sigma": 1}', "x[1]", "-Infinity"),
        (b'{"x": [1e999], "center": 0, "sigma": 1}', "x[0]", "Infinity"),
        (b'{"x": [1' + b"0" * 400 + b'], "center": 0, "sigma": 1}', "x[0]", "1000"),
        (b'{"x": [true], "center": 0, "sigma": 1}', "x[0]", "true"),
        (b'{"x": [0, 0, "3.5"], "center": 0, "sigma": 1}', "x[2]", '"3.5"'),
        (b'{"x": [[1]], "center": 0, "sigma": 1}', "x[0]", "(a list)"),
        (b'{"x": [0], "centre": 0, "sigma": 1}', "center", "null"),
        (b'{"x": [0], "center": false, "sigma": 1}', "center", "false"),
        (b'{"x": [0], "center": 0, "sigma": 0}', "sigma", "0"),
        (b'{"x": [0], "center": 0, "sigma": -1}', "sigma", "-1"),
        (b'{"x": [0], "center": 0, "sigma": "1"}', "sigma", '"1"'),
        (b'{"x": [0], "center": 0, "sigma": 1, "breaks": 3}', "breaks", "3"),
        (b'{"x": [0], "center": 0, "sigma": 1, "breaks": [0, 2]}', "breaks[1]", "2"),
        (b'{"x": [0], "center": 0, "sigma": 1, "breaks": [true]}', "breaks[0]", "true"),
    ],
)
def test_a_bad_line_is_named_and_the_others_go_on(feed, line: bytes, field: str, value: str) -> None:
    code, answers, err = feed(GOOD.encode() + b"\n" + line + b"\n" + GOOD.encode() + b"\n")
    assert code == 2
    assert answers[0] == answers[2] == {"N1": [1, 3], "W1": [1, 3]}
    assert err.startswith(f"line 2: {field} = ") and value in err and len(err.splitlines()) == 1
    assert answers[1] == {"error": err.rstrip("\n")}


def test_a_missing_file(capsys) -> None:
    assert run(["--jsonl", "no-such-file.jsonl"]) == 2
    assert "no-such-file.jsonl" in capsys.readouterr().err
