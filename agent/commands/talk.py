"""How commands reach the agent: over the admin socket of the running process; reading works on the file alone too."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from agent.config import Config, read_config
from agent.errors import AgentError, Unreachable

DEFAULT = Path("/etc/andon/agent.toml")


def common(parser: argparse.ArgumentParser, *, roles: bool = False) -> None:
    """Options all these commands have."""
    parser.add_argument("--config", type=Path, default=DEFAULT, help=f"the TOML file (default {DEFAULT})")
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    if roles:
        parser.add_argument("--role", choices=("edge", "relay"), default="edge", help="whose store (default edge)")


def socket_of(config: Config, role: str) -> Path:
    """The admin socket of a role."""
    return config.edge.admin_socket if role == "edge" else config.relay.admin_socket


def segment(name: str, value: str) -> str:
    """A number or id as a part of a path. Raises AgentError for what would be another path."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", value):
        raise AgentError(f"{name} = {value!r}: letters, digits, _ . - only; the lists show it")
    return value


def ask(args: argparse.Namespace, method: str, path: str, body: Mapping[str, Any] | None = None, **query: Any) -> Any:
    """One request to the running process. Raises Unreachable if it does not run, AgentError if it says no."""
    import httpx

    config = read_config(args.config)
    socket = socket_of(config, getattr(args, "role", "edge"))
    wanted = {name: value for name, value in query.items() if value is not None}
    try:
        transport = httpx.HTTPTransport(uds=str(socket))
        with httpx.Client(transport=transport, base_url="http://localhost", timeout=30) as client:
            answer = client.request(method, path, json=body, params=wanted)
    except httpx.TransportError as error:
        raise Unreachable(f"no answer on {socket}: is `andon run` running, and may you use its socket?") from error
    try:
        data = answer.json()
    except ValueError as error:
        raise AgentError(f"{socket} answered {answer.status_code} and no JSON; is it the socket of andon?") from error
    if answer.status_code >= 400:
        refusal = data.get("error", data)
        words = refusal.get("text", {}).get("en") if isinstance(refusal, dict) else None
        raise AgentError(words or str(refusal))
    return data


def local(at: str | None, zone: ZoneInfo, *, seconds: bool = False) -> str | None:
    """A time of an answer as people at the site read it; --json keeps UTC."""
    if at is None:
        return None
    form = "%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M"
    return datetime.fromisoformat(at).astimezone(zone).strftime(form)


def show(args: argparse.Namespace, data: Any, rows: Sequence[Sequence[object]], head: Sequence[str]) -> None:
    """Print JSON, or the rows as a table."""
    if args.json:
        print(json.dumps(data, ensure_ascii=False, indent=2))
        return
    table = [tuple(head), *[tuple("" if cell is None else str(cell) for cell in row) for row in rows]]
    widths = [max(len(row[i]) for row in table) for i in range(len(head))]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
