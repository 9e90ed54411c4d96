"""What is to go wrong: faults by API, for the next N calls, until cleared, or by probability with a seed."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from agent.errors import Refused

BEFORE = frozenset({"delay", "hang", "reset", "html", "limit", "token", "code"})
AFTER = frozenset({"lose", "truncate"})
SOCKET = frozenset({"double"})
KINDS = BEFORE | AFTER | SOCKET


@dataclass(slots=True)
class Fault:
    """One fault. `api` is a name or a glob; `left` None = until cleared; the rest is read by the kind that needs it."""

    id: str
    api: str
    kind: str
    times: int | None = None
    left: int | None = None
    probability: float = 1.0
    seed: int | None = None
    seconds: float = 1.0
    status: int = 0
    code: int = 0
    msg: str = ""
    mode: str = "reset"
    hits: int = 0
    dice: random.Random = field(default_factory=random.Random, repr=False)

    def matches(self, api: str) -> bool:
        """True if this fault is meant for that API. `*` means all of HTTP; the long connection must be named (ws.…)."""
        if api.startswith("ws.") and not self.api.startswith("ws."):
            return False
        if self.kind == "token" and api.startswith("auth."):
            return False
        return (self.left is None or self.left > 0) and fnmatchcase(api, self.api)


class Faults:
    """The list of faults, tried in the order they were set."""

    def __init__(self) -> None:
        self.active: list[Fault] = []
        self._next = 1

    def add(self, raw: Mapping[str, Any]) -> Fault:
        """Set a fault. Raises Refused(sandbox.error.bad_fault) for one that cannot be."""
        kind, mode = str(raw.get("kind", "")), str(raw.get("mode", "reset"))
        times = raw.get("times")
        try:
            fault = Fault(
                id=f"f{self._next}",
                api=str(raw.get("api", "*")),
                kind=kind,
                times=None if times is None else int(times),
                left=None if times is None else int(times),
                probability=float(raw.get("probability", 1.0)),
                seed=None if raw.get("seed") is None else int(raw["seed"]),
                seconds=float(raw.get("seconds", 1.0)),
                status=int(raw.get("status", 0)),
                code=int(raw.get("code", 0)),
                msg=str(raw.get("msg", "")),
                mode=mode,
            )
        except (TypeError, ValueError) as error:
            raise Refused("sandbox.error.bad_fault", why=str(error)) from error
        if kind not in KINDS or mode not in ("reset", "hang") or fault.seconds < 0:
            raise Refused("sandbox.error.bad_fault", why=f"kind {kind}, mode {mode}, seconds {fault.seconds:g}")
        if (fault.times is not None and fault.times < 1) or not 0 < fault.probability <= 1:
            raise Refused("sandbox.error.bad_fault", why=f"times {fault.times}, probability {fault.probability:g}")
        fault.dice.seed(fault.seed)
        self._next += 1
        self.active.append(fault)
        return fault

    def clear(self, id_: str | None = None) -> int:
        """Take away one fault or all; how many were taken."""
        gone = [f for f in self.active if id_ is None or f.id == id_]
        self.active = [f for f in self.active if f not in gone]
        return len(gone)

    def pick(self, api: str) -> Fault | None:
        """The fault that strikes this call, counted; spent faults are dropped."""
        for fault in self.active:
            if not fault.matches(api) or fault.dice.random() >= fault.probability:
                continue
            fault.hits += 1
            if fault.left is not None:
                fault.left -= 1
                if fault.left == 0:
                    self.active.remove(fault)
            return fault
        return None
