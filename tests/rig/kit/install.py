"""What an administrator has at hand at a plant, and the commands that README.md gives him."""

from __future__ import annotations

import re

from rig.kit.box import Box
from rig.kit.programs import ROOT

SANDBOX = "http://127.0.0.1:8899"
FILES = {"app_secret": "rig-app-secret-of-24-byte", "password": "welder-pw"}


def steps() -> str:
    """README's commands for the target, as they stand there."""
    part = (ROOT / "README.md").read_text("utf-8").split("## Install at a plant", 1)[1]
    block = re.findall(r"```sh\n(.*?)```", part, re.DOTALL)[0]
    return "".join(line for line in block.splitlines(keepends=True) if "pip wheel" not in line)


def lay_out(box: Box) -> None:
    """What an administrator has at hand: the example configuration, people, secrets, units."""
    place = box.root / "srv" / "install"
    example = (ROOT / "config" / "agent.example.toml").read_text("utf-8")
    text, changed = re.subn(r'(?m)^base_url = "[^"]*"', f'base_url = "{SANDBOX}"', example)
    text, also = re.subn(r'_file = "(people|departments)\.example\.csv"', r'_file = "\1.csv"', text)
    assert changed == 1, "the example has one base_url"
    assert also in (0, 2), "both lists are named alike"
    (place / "agent.toml").write_text(text, "utf-8")
    for name in ("people", "departments"):
        (place / f"{name}.csv").write_bytes((ROOT / "config" / f"{name}.example.csv").read_bytes())
    for name, words in FILES.items():
        (place / name).write_text(words, "utf-8")
    (place / "README.md").write_bytes((ROOT / "README.md").read_bytes())
    for file in (ROOT / "systemd").rglob("*"):
        if file.is_file():
            to = place / "systemd" / file.relative_to(ROOT / "systemd")
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(file.read_bytes())
