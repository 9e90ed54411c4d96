"""The demo's files: what a plant would write by hand, made from the simulated line and the sandbox's people."""

from __future__ import annotations

import csv
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agent.sandbox.plant.line import plant_config
from agent.sandbox.world.people import load_directory

APP_ID = "cli_andon_demo"
WRITTEN_BY = "# Written by `andon demo`."
"""How the file begins: by this a folder is known as a demo's, whose stores may be deleted."""
OWNERS = {"coating": "10021", "slurry": "10021", "drying": "10021", "quality": "10022"}
"""Who of the sandbox's people answers for what of the simulated line."""
ROLES = {"owner": "engineer", "engineer": "engineer", "quality": "quality", "manager": "leader",
         "plant_manager": "leader", "shift_leader": "operator", "operator": "operator", "it": "admin"}  # fmt: skip


def write_people(folder: Path) -> None:
    """people.csv and departments.csv; without open_ids, so that the agent asks Feishu for them by mail."""
    known = load_directory(None, APP_ID)
    with (folder / "people.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "name", "leader", "department", "roles", "email"])
        for p in known.people.values():
            roles = " ".join(sorted({ROLES[r] for r in p.roles if r in ROLES})) or "operator"
            writer.writerow([p.id, p.name, p.leader or "", p.department, roles, p.email])
    with (folder / "departments.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "head"])
        writer.writerows([d.id, d.leader or ""] for d in known.departments.values())


def write_config(folder: Path, ports: Mapping[str, int]) -> None:
    """Write agent.toml and the app secret into the demo's folder."""
    hidden = folder / "secrets"
    hidden.mkdir(mode=0o700, exist_ok=True)
    secret = hidden / "feishu"
    if not secret.exists():
        with os.fdopen(os.open(secret, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(24))
    line = plant_config(ports["broker"], ports["plc"], hidden)
    (folder / "agent.toml").write_text("\n".join(_lines(folder, ports, line)) + "\n", "utf-8")


def _lines(folder: Path, ports: Mapping[str, int], line: Mapping[str, Any]) -> Iterator[str]:
    yield f"{WRITTEN_BY} A plant's own file looks the same; see config/agent.example.toml."
    yield from _table("site", {"id": "SZ1", "edge": "E1", "timezone": "Asia/Shanghai", "line": line["line"],
                               "stations": line["stations"]})  # fmt: skip
    yield from _table("edge", {"data_dir": str(folder / "edge"), "port": ports["kiosk"],
                               "admin_socket": str(folder / "edge.sock")})  # fmt: skip
    yield from _table("relay", {"data_dir": str(folder / "relay"), "port": ports["desk"],
                                "admin_socket": str(folder / "relay.sock")})  # fmt: skip
    yield from _table("link", {"socket": str(folder / "link.sock")})
    yield from _table("feishu", {"app_id": APP_ID, "app_secret_file": str(folder / "secrets" / "feishu"),
                                 "base_url": f"http://127.0.0.1:{ports['sandbox']}"})  # fmt: skip
    yield from _table("directory", {"people_file": str(folder / "people.csv"),
                                    "departments_file": str(folder / "departments.csv")})  # fmt: skip
    yield from _table("tickets", {"default_owner": "10021", "quality": ["10022"]})
    yield from _table("deadlines.escalation", {"fallback": ["10008"]})
    for source in line["sources"]:
        yield from _table(f"sources.{source['name']}", {k: v for k, v in source.items() if k != "name"})
    for c in line["characteristics"]:
        yield from _table("[characteristics]", _characteristic(c))


def _characteristic(c: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("id", "name", "unit", "decimals", "station", "entry", "source", "tag", "chart", "n", "lsl", "usl")
    return {name: c[name] for name in kept if c[name] is not None} | {
        "limits": {"center": c["center"], "sigma": c["sigma"]}, "owner": OWNERS[c["owner"]], "team": ["10031"],
        "category": "dimension", "rules": {"R-N1": "off"} if c["n"] == 1 else {},
    }  # fmt: skip


def _table(name: str, values: Mapping[str, Any]) -> Iterator[str]:
    """A TOML table; `[name]` in brackets for an array of tables."""
    yield ""
    yield f"[{name}]"
    for key, value in values.items():
        yield f"{key} = {_toml(value)}"


def _toml(value: Any) -> str:
    """A TOML value: strings, numbers, booleans, lists and inline tables (JSON's strings are TOML's)."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    return json.dumps(value, ensure_ascii=False)
