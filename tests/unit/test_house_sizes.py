"""The house stays readable: no long module, no long function, no crowded folder (docs/adr/0010)."""

from __future__ import annotations

import ast
from pathlib import Path

AGENT = Path(__file__).parents[2] / "agent"
MAX_MODULE = 400
MAX_FUNCTION = 40
MAX_FOLDER = 10

# Beyond the measure, each with its reason. Nothing else may join without one.
LONG_FUNCTIONS: dict[str, str] = {}
CROWDED_FOLDERS: dict[str, str] = {
    "spc/charts": "one chart a file",
    "store/migrations/versions": "history: one migration a file, for ever",
}
MIGRATIONS = "store/migrations/versions/"  # a migration is a list of tables, written once and never read as logic


def sources(*endings: str) -> list[Path]:
    """The agent's own sources, without what is fetched or built."""
    found = [p for p in sorted(AGENT.rglob("*")) if p.suffix in endings]
    return [p for p in found if not {"node_modules", "static"} & set(p.relative_to(AGENT).parts)]


def name(path: Path) -> str:
    return path.relative_to(AGENT).as_posix()


def functions(tree: ast.AST) -> list[tuple[str, int]]:
    """Each function's name and its lines from `def` to the end, the docstring not counted."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if ast.get_docstring(node, clean=False) is not None:
                lines -= (node.body[0].end_lineno or 0) - node.body[0].lineno + 1
            found.append((node.name, lines))
    return found


def test_no_module_is_long() -> None:
    paths = sources(".py", ".ts", ".tsx")
    assert len(paths) > 20
    lengths = {name(p): len(p.read_text("utf-8").splitlines()) for p in paths}
    assert {path: n for path, n in lengths.items() if n > MAX_MODULE} == {}


def test_no_function_is_long() -> None:
    long = {}
    for path in sources(".py"):
        for function, lines in functions(ast.parse(path.read_text("utf-8"))):
            if lines > MAX_FUNCTION and not name(path).startswith(MIGRATIONS):
                long[f"{name(path)}:{function}"] = lines
    assert {where: n for where, n in long.items() if where not in LONG_FUNCTIONS} == {}
    assert LONG_FUNCTIONS.keys() <= long.keys(), "this exception is no longer needed: remove it"


def test_no_folder_is_crowded() -> None:
    folders: dict[str, int] = {}
    for path in sources(".py", ".ts", ".tsx"):
        if path.name not in ("__init__.py", "vite-env.d.ts"):
            folders[name(path.parent)] = folders.get(name(path.parent), 0) + 1
    assert {f: n for f, n in folders.items() if n > MAX_FOLDER and f not in CROWDED_FOLDERS} == {}
