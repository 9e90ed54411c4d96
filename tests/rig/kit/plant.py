"""A whole agent under test: broker, Feishu stand-in, edge and relay as processes of their own, from one folder."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from rig.kit.door import Closed, ask
from rig.kit.files import Wish, write_files
from rig.kit.programs import Program, free_port, mosquitto, until

from agent.sandbox.demo_file import APP_ID

START_WITHIN_S = 40.0
ROLES = ("edge", "relay")


class Plant:
    """`with Plant(folder, wish) as plant:` starts everything and waits until it answers; leaving ends everything."""

    def __init__(self, folder: Path, wish: Wish) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.wish = folder.resolve(), wish
        self.ports = {name: free_port() for name in ("broker", "sandbox", "edge", "relay")}
        secret = write_files(self.folder, self.ports, wish)
        self.programs = {"broker": mosquitto(self.folder / "broker", self.ports["broker"])}
        words = ["agent.sandbox", "--port", str(self.ports["sandbox"]), "--app-id", APP_ID, "--app-secret", secret]
        words += ["--latency", str(wish.latency_s), *(() if wish.limits else ("--no-limits",))]
        self._add("sandbox", words)
        for role in ROLES:
            self._add(role, ["agent", "run", "--role", role, "--config", str(self.folder / "agent.toml")])
        self.balances: list[tuple[str, Mapping[str, Any]]] = []
        """What each start of a role found in its outbox."""
        self.sandbox = httpx.Client(base_url=f"http://127.0.0.1:{self.ports['sandbox']}/sandbox/api", timeout=10)

    def _add(self, name: str, words: list[str]) -> None:
        self.programs[name] = Program(name, [sys.executable, "-m", *words], self.folder / f"{name}.log")

    def __enter__(self) -> Self:
        try:
            for program in self.programs.values():
                program.start()
            until(lambda: self._sandbox_answers(), 20, "the sandbox answers")
            for role in ROLES:
                self.started(role)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End whatever still runs; no matter how."""
        for program in self.programs.values():
            if program.running:
                program.kill()
        self.sandbox.close()

    def stop(self) -> dict[str, int]:
        """Ask both roles to end, as systemd would; their exit codes. Raises AssertionError after 15 s."""
        return {role: self.programs[role].end() for role in ROLES if self.programs[role].running}

    def _sandbox_answers(self) -> bool:
        try:
            return self.sandbox.get("/clock").status_code == 200
        except httpx.TransportError:
            assert self.programs["sandbox"].running, self.programs["sandbox"].said()
            return False

    def balance(self, role: str) -> dict[str, Any] | None:
        """`/v1/outbox/status` of a role, None if it does not answer (yet)."""
        try:
            return dict(self.ask(role, "GET", "/v1/outbox/status"))
        except Closed:
            return None

    def started(self, role: str) -> Mapping[str, Any]:
        """Wait until a role answers and note its conservation; it must hold at every start."""
        program = self.programs[role]

        def found() -> dict[str, Any] | None:
            assert program.running, f"{role} ended by itself:\n{program.said()[-3000:]}"
            return self.balance(role)

        balance = until(found, START_WITHIN_S, f"{role} answers on its admin socket")
        self.balances.append((role, balance))
        return balance

    def ask(self, role: str, method: str, path: str, body: Any = None) -> Any:
        """One request on a role's admin socket. Raises Closed."""
        return ask(self.folder / f"{role}.sock", method, path, body)

    def api(self, kind: str, name: str, badge: str | None = None) -> httpx.Client:
        """The edge's HTTP API for a newly enrolled device of this kind. The caller closes it."""
        token = self.ask("edge", "POST", "/v1/devices", {"id": name, "kind": kind, "name": name})["token"]
        headers = {"Authorization": f"Bearer {token}"} | ({"X-Andon-Badge": badge} if badge else {})
        return httpx.Client(base_url=f"http://127.0.0.1:{self.ports['edge']}/api/v1", headers=headers, timeout=5)

    def source_up(self) -> None:
        """Wait until the edge is subscribed at the broker: from then on its session holds what comes."""
        up = lambda: self.ask("edge", "GET", "/v1/status")["sources"]["line"]["state"] == "up"  # noqa: E731
        until(up, 10, "the edge is connected to the broker")
