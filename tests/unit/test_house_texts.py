"""Texts for people stand in both languages, with the same gaps, and the code asks only for texts that exist."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

from agent.config import Config
from agent.texts import table

AGENT = Path(__file__).parents[2] / "agent"
ZH, EN = table("zh"), table("en")
PATHS = [p for p in sorted(AGENT.rglob("*.py")) if not {"web", "migrations"} & set(p.relative_to(AGENT).parts)]
NAMESPACES = {key.split(".")[0] for key in ZH}
KEY = re.compile(r"[a-z][a-z0-9_]*(\.[A-Za-z0-9_]+)+")
SETTINGS = set(Config.model_fields)  # "tickets.quality" may also be the name of a setting
MAKERS = {("agent.model", "text"), ("agent.errors", "Refused")}  # the first argument is a key, keywords fill its gaps

Use = tuple[str, str, frozenset[str] | None]
"""Where, which key (a regular expression for an f-string), and what fills its gaps (None: not to be seen here)."""


def gaps(sentence: str) -> set[str]:
    return {field for _, field, _, _ in Formatter().parse(sentence) if field}


def pattern(node: ast.expr) -> str | None:
    """The key that an expression is, f-strings as regular expressions; None for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.escape(node.value)
    if isinstance(node, ast.JoinedStr):
        parts = [re.escape(p.value) if isinstance(p, ast.Constant) else "[A-Za-z0-9_.]+" for p in node.values]
        return "".join(parts)
    return None


def makers(tree: ast.AST) -> set[str]:
    """What `text` and `Refused` are called in a module (sqlalchemy has a `text` too)."""
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {a.asname or a.name for node in imports for a in node.names if (node.module, a.name) in MAKERS}


def uses(path: Path) -> Iterator[Use]:
    """Every text key that a module asks for: `text("key", …)`, `Refused("key", …)`, {"key": "key", "args": {…}}."""
    tree = ast.parse(path.read_text("utf-8"))
    called = makers(tree)
    for node in ast.walk(tree):
        key, filled = None, None
        if isinstance(node, ast.Call) and node.args and isinstance(node.func, ast.Name) and node.func.id in called:
            key = pattern(node.args[0])
            names = [k.arg for k in node.keywords]
            filled = None if None in names else frozenset(str(n) for n in names)
        elif isinstance(node, ast.Dict):
            fields = {k.value: v for k, v in zip(node.keys, node.values, strict=True) if isinstance(k, ast.Constant)}
            key = pattern(fields["key"]) if fields.keys() == {"key", "args"} else None
        if key:
            yield f"{path.relative_to(AGENT)}:{node.lineno}", key, filled


def all_uses() -> list[Use]:
    return [use for path in PATHS for use in uses(path)]


def test_both_languages_have_the_same_keys() -> None:
    assert ZH.keys() ^ EN.keys() == set()
    assert len(ZH) > 50


def test_both_languages_have_the_same_gaps() -> None:
    assert {key: (ZH[key], EN[key]) for key in ZH.keys() & EN.keys() if gaps(ZH[key]) != gaps(EN[key])} == {}


def test_no_text_is_empty_or_left_untranslated() -> None:
    assert [key for key in ZH if not ZH[key].strip() or not EN.get(key, "-").strip()] == []
    chinese = re.compile(r"[\u3400-\u9fff]")
    assert [key for key, sentence in EN.items() if chinese.search(sentence) and not key.startswith("lang.")] == []


def test_every_key_in_code_is_a_text() -> None:
    found = all_uses()
    assert len(found) > 30
    assert [(where, key) for where, key, _ in found if not any(re.fullmatch(key, k) for k in ZH)] == []


def test_every_gap_is_filled_by_the_code() -> None:
    """A gap left open would show as — in the middle of a message."""
    open_gaps = []
    for where, key, filled in all_uses():
        known = re.sub(r"\\(.)", r"\1", key)
        if filled is not None and known in ZH and not gaps(ZH[known]) <= filled:
            open_gaps.append((where, known, gaps(ZH[known]) - filled))
    assert open_gaps == []


def strings(path: Path) -> Iterator[tuple[int, str]]:
    """Every whole string of a module with its line, but not the columns that foreign keys name."""
    tree = ast.parse(path.read_text("utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    others = {id(arg) for c in calls if getattr(c.func, "id", "").startswith("ForeignKey") for arg in c.args}
    others |= {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in others:
            yield node.lineno, node.value


def test_every_string_that_looks_like_a_key_is_one() -> None:
    """Also keys in tables: {"respond": "card.respond"}. A namespace of the texts is used for nothing else in code."""
    strange = []
    for path in PATHS:
        for line, string in strings(path):
            namespace, *rest = string.split(".")
            setting = namespace in SETTINGS and len(rest) == 1
            if KEY.fullmatch(string) and namespace in NAMESPACES and string not in ZH and not setting:
                strange.append((f"{path.relative_to(AGENT)}:{line}", string))
    assert strange == []
