"""The files a rig's agent runs with: one TOML file, the app's secret, the sandbox's people."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.sandbox.demo_file import APP_ID, write_people

OWNER = "10021"
"""Answers for everything of the rig's line."""
STATION = "OP10"
USL = 20.0
"""Upper specification limit of each characteristic: whatever is above it is a violation by itself."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a rig wants of its agent. `characteristics` are charted from MQTT topics `rig/<id>`."""

    characteristics: Sequence[str] = ()
    card_interval_s: int = 2
    latency_s: float = 0.0
    feishu_timeout_s: float = 2.0
    limits: bool = True
    """Whether the sandbox keeps Feishu's rate limits."""
    more: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Further settings by table."""


def write_files(folder: Path, ports: Mapping[str, int], wish: Wish) -> str:
    """Write agent.toml and what it names into `folder`; returns the app secret."""
    write_people(folder)
    secret = secrets.token_urlsafe(24)
    (folder / "secret").touch(0o600)
    (folder / "secret").write_text(secret, "utf-8")
    tables = _tables(folder, ports, wish)
    for name, values in wish.more.items():
        tables[name] = {**tables.get(name, {}), **values}
    lines = [line for name, values in tables.items() for line in _table(f"[{name}]", values)]
    lines += [line for id_ in wish.characteristics for line in _table("[[characteristics]]", _characteristic(id_))]
    (folder / "agent.toml").write_text("\n".join(lines) + "\n", "utf-8")
    return secret


def _tables(folder: Path, ports: Mapping[str, int], wish: Wish) -> dict[str, Mapping[str, Any]]:
    source = {"type": "mqtt", "port": ports["broker"], "client_id": "andon-rig", "topics": [{"filter": "rig/#"}],
              "stale_after_s": 3600.0, "reconnect_max_s": 2.0}  # fmt: skip
    return {
        "site": {"id": "SZ1", "edge": "E1", "line": {"id": "L1", "name": _name("line 1")},
                 "stations": [{"id": STATION, "name": _name("station")}]},
        "edge": {"data_dir": str(folder / "edge"), "port": ports["edge"], "admin_socket": str(folder / "edge.sock")},
        "relay": {"data_dir": str(folder / "relay"), "port": ports["relay"],
                  "admin_socket": str(folder / "relay.sock")},
        "link": {"socket": str(folder / "link.sock")},
        "feishu": {"app_id": APP_ID, "app_secret_file": str(folder / "secret"),
                   "base_url": f"http://127.0.0.1:{ports['sandbox']}", "timeout_s": wish.feishu_timeout_s},
        "directory": {"people_file": str(folder / "people.csv"),
                      "departments_file": str(folder / "departments.csv")},
        "tickets": {"default_owner": OWNER, "quality": ["10022"], "sweep_s": 0.5},
        "deadlines.escalation": {"fallback": ["10008"]},
        "deadlines.dedup": {"min_card_update_interval_s": wish.card_interval_s},
    } | ({"sources.line": source} if wish.characteristics else {})  # fmt: skip


def _characteristic(id_: str) -> dict[str, Any]:
    return {
        "id": id_, "name": _name(id_), "unit": "um", "decimals": 0, "station": STATION, "source": "line",
        "tag": f"rig/{id_}", "lsl": 0.0, "usl": USL, "limits": {"center": 10.0, "sigma": 1.0}, "owner": OWNER,
        "team": ["10031"], "category": "dimension",
    }  # fmt: skip


def _name(words: str) -> dict[str, str]:
    return {"zh": words, "en": words}


def _table(head: str, values: Mapping[str, Any]) -> Iterator[str]:
    yield head
    yield from (f"{key} = {_toml(value)}" for key, value in values.items())
    yield ""


def _toml(value: Any) -> str:
    """A TOML value; JSON's strings, numbers and booleans are TOML's too."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(inner) for inner in value) + "]"
    return json.dumps(value, ensure_ascii=False)
