"""The papers are true: commands, files, units and links that they name exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SKIP = {"node_modules", ".venv"}
PAPERS = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *(p for p in sorted((ROOT / "agent").rglob("*.md")) if not SKIP & set(p.parts)),
]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
UNITS = {p.name for p in (ROOT / "systemd").glob("*.service")}
COMMANDS = {p.stem.replace("_", "-"): p.read_text("utf-8") for p in (ROOT / "agent" / "commands").glob("[a-z]*.py")}
FOLDERS = "agent|config|docs|systemd|tests|tools"


def code(paper: Path) -> list[str]:
    """What stands in code spans and fenced blocks, a line each."""
    text = paper.read_text("utf-8")
    fenced = re.findall(r"^```[^\n]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    return [line for block in fenced for line in block.splitlines()] + spans


def links(paper: Path) -> list[str]:
    """The files that a paper links to, without web pages and places within a page."""
    found = re.findall(r"\]\(([^)#\s]+)[^)]*\)", paper.read_text("utf-8"))
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def unknown_command(line: str) -> str | None:
    """The part of an `andon …` line that names no command, or None."""
    match = re.match(r"(?:\S*/)?andon ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?(?:\s|$)", line.lstrip("$# "))
    if not match:
        return None
    verb, second = match.groups()
    if verb not in COMMANDS:
        return verb
    return None if second is None or f'"{second}"' in COMMANDS[verb] else f"{verb} {second}"


@pytest.mark.parametrize("paper", PAPERS, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_what_a_paper_names_exists(paper: Path) -> None:
    wrong = []
    for line in code(paper):
        made = re.match(r"make ([a-z-]+)", line.lstrip("$# "))
        if made and made[1] not in TARGETS:
            wrong.append(line)
        if unknown_command(line):
            wrong.append(line)
        wrong += [unit for unit in re.findall(r"andon-[a-z]+\.service", line) if unit not in UNITS]
        named = re.findall(rf"(?<![\w/.])((?:{FOLDERS})/[\w./-]*\w)", line)
        wrong += [path for path in named if not (ROOT / path).exists()]
    wrong += [target for target in links(paper) if not (paper.parent / target).exists()]
    assert wrong == []


def test_there_are_papers() -> None:
    names = {p.relative_to(ROOT).as_posix() for p in PAPERS}
    assert {"README.md", "CHANGELOG.md", "docs/ARCHITECTURE.md", "docs/GLOSSARY.md"} <= names
    assert sum(name.startswith("docs/adr/") for name in names) >= 8
