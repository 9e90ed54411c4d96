"""The product as a plant has it: wheels, README's steps, units, under a real systemd in a bare Debian 12.

    python tests/rig/systemd.py [--mirror URL]

Needs root, and Python 3.11 like Debian 12 (the wheels are built here). Takes a few minutes, most of it debootstrap.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rig.kit.box import Box
from rig.kit.install import FILES, SANDBOX, lay_out, steps
from rig.kit.programs import until

ROLES = ("edge", "relay")
POST = (
    "import sys, urllib.request as u; u.urlopen(u.Request(sys.argv[1], sys.argv[2].encode(), {'Authorization': "
    "'Bearer ' + sys.argv[3], 'Content-Type': 'application/json'}), timeout=5)"
)
CREDENTIAL = "/run/credentials/andon-relay.service/feishu_app_secret"


def installed(box: Box) -> str:
    """README's steps end with both units active: Type=notify, so each has said that it is ready."""
    began = time.monotonic()
    box.sh(f"set -ex; cd /srv/install\n{steps()}")
    app = re.findall(r'(?m)^app_id = "([^"]+)"', (box.root / "etc/andon/agent.toml").read_text("utf-8"))[0]
    box.sh(f"systemd-run --unit=feishu /opt/andon/bin/python -m agent.sandbox --port 8899 --app-id {app}"
           " --app-secret-file /srv/install/app_secret")  # fmt: skip
    for role in ROLES:
        shown = [box.show(role, key) for key in ("Type", "ActiveState", "SubState", "NRestarts", "WatchdogUSec")]
        assert shown == ["notify", "active", "running", "0", "30s"], (role, shown)
    until(lambda: "andon_feishu_connected 1" in metrics(box, 8444), 60, "the relay reaches Feishu's stand-in")
    return f"README's steps: both units active after {time.monotonic() - began:.0f} s, Feishu's stand-in reached"


def metrics(box: Box, port: int) -> str:
    fetch = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=5).read().decode())"
    return box.try_(f"/opt/andon/bin/python -c '{fetch}' http://127.0.0.1:{port}/metrics").stdout


def secrets(box: Box) -> str:
    """Each may read what is its own, and nothing of another."""
    wanted = {
        ("andon-relay", CREDENTIAL): True, ("andon-edge", CREDENTIAL): False, ("nobody", CREDENTIAL): False,
        ("andon-edge", "/etc/andon/secrets/welder"): True, ("andon-relay", "/etc/andon/secrets/welder"): False,
        ("andon-edge", "/etc/andon/credentials/feishu_app_secret"): False,
        ("andon-relay", "/etc/andon/credentials/feishu_app_secret"): False,
        ("andon-edge", "/var/lib/andon/relay/relay.db"): False, ("andon-relay", "/var/lib/andon/edge/edge.db"): False,
        ("andon-edge", "/etc/andon/agent.toml"): True, ("nobody", "/etc/andon/agent.toml"): False,
    }  # fmt: skip
    seen = {(user, file): box.try_(f"cat {file}", user).returncode == 0 for user, file in wanted}
    assert seen == wanted, {key: seen[key] for key in wanted if seen[key] != wanted[key]}
    box.sh(f"cat {' '.join({file for _, file in wanted})} >/dev/null")  # each is there
    for role in ROLES:
        environ = box.sh(f"tr '\\0' '\\n' </proc/{box.show(role, 'MainPID')}/environ")
        assert not any(words in environ for words in FILES.values()), f"{role} has a secret in its environment"
    return f"secrets: {len(wanted)} accesses as meant; the edge cannot read Feishu's; none in an environment"


def sockets(box: Box) -> str:
    """The link is for both roles, an admin socket for its own user and root."""
    connect = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    link, edge, relay = "/run/andon/link/relay.sock", "/run/andon/edge/admin.sock", "/run/andon/relay/admin.sock"
    wanted = {
        ("andon-edge", link): True, ("nobody", link): False, ("andon-edge", edge): True, ("andon-relay", edge): False,
        ("andon-relay", relay): True, ("andon-edge", relay): False, ("nobody", edge): False, ("root", edge): True,
    }  # fmt: skip
    seen = {(user, to): box.try_(f"python3 -c '{connect}' {to}", user).returncode == 0 for user, to in wanted}
    assert seen == wanted, {key: seen[key] for key in wanted if seen[key] != wanted[key]}
    return f"sockets: {len(wanted)} connects as meant"


def outbox(box: Box, role: str) -> dict[str, Any]:
    counters: dict[str, Any] = json.loads(box.sh(f"andon outbox status --json --role {role}"))
    assert counters["missing"] == 0, counters
    return counters


def kill(box: Box, role: str) -> None:
    """kill -9, and wait until systemd has it active again."""
    old = box.show(role, "MainPID")
    box.sh(f"kill -9 {old}")
    back = lambda: box.show(role, "MainPID") not in (old, "0") and box.show(role, "ActiveState") == "active"  # noqa: E731
    until(back, 60, f"{role} comes back", pause_s=0.2)


def killed(box: Box) -> str:
    """Tickets wait for the relay; both are killed; each ticket is one group."""
    token = box.sh("andon device add mes --kind api").split()[-1]
    box.sh("systemctl stop andon-relay")
    for n in range(3):
        body = {"event_id": f"mes-{n}", "rule": "N1", "at": "2026-11-25T09:20:00+08:00", "value": 1.5,
                "key": {"station": "OP40", "characteristic": f"pull_{n}"}}  # fmt: skip
        box.sh(f"python3 -c \"{POST}\" http://127.0.0.1:8443/api/v1/violations '{json.dumps(body)}' {token}")
    kill(box, "edge")
    waited = outbox(box, "edge")["waiting"]
    assert waited > 0, "rows wait over the kill"
    box.sh("systemctl start andon-relay")
    until(lambda: outbox(box, "edge")["waiting"] == 0, 60, "all is handed over", pause_s=0.5)
    kill(box, "relay")
    until(lambda: outbox(box, "relay")["waiting"] == 0, 60, "all is told", pause_s=0.5)
    tickets = json.loads(box.sh("andon tickets list --json"))
    rows = tickets if isinstance(tickets, list) else tickets["tickets"]
    state = json.loads(box.sh(f"python3 -c \"import urllib.request as u; print(u.urlopen('{SANDBOX}/sandbox/api/state')"
                              ".read().decode())\""))  # fmt: skip
    groups = [g for g in state["groups"] if g["kind"] == "group"]
    assert (len(rows), len(groups)) == (3, 3), (rows, groups)
    return f"kill -9 of the edge with {waited} rows waiting, then of the relay: back, 3 tickets, 3 groups, missing 0"


def watchdog(box: Box) -> str:
    """A hang: systemd notices, kills and restarts."""
    box.sh("systemctl restart andon-edge")
    began = time.monotonic()
    box.sh(f"kill -STOP {box.show('edge', 'MainPID')}")
    until(lambda: box.show("edge", "NRestarts") == "1", 45, "the watchdog acts", pause_s=0.5)
    took = time.monotonic() - began
    until(lambda: box.show("edge", "ActiveState") == "active", 20, "the edge comes back", pause_s=0.2)
    assert "Watchdog timeout" in box.sh("journalctl --no-pager --unit=andon-edge --lines=20")
    return f"watchdog: a stopped edge is killed and restarted after {took:.0f} s, NRestarts=1"


def misconfigured(box: Box) -> str:
    """78 and no restart; the journal says what to do."""
    box.sh("cp -p /etc/andon/agent.toml /srv/good.toml; "
           "sed -i 's#^timezone = .*#timezone = \"Mars/Base\"#' /etc/andon/agent.toml")  # fmt: skip
    for role in ROLES:
        assert box.try_(f"systemctl restart andon-{role}").returncode != 0
        time.sleep(3)
        shown = [box.show(role, key) for key in ("ActiveState", "ExecMainStatus", "NRestarts")]
        assert shown == ["failed", "78", "0"], (role, shown)
        said = box.sh(f"journalctl --no-pager --unit=andon-{role} --lines=10")
        assert "site.timezone = 'Mars/Base'" in said, said
    box.sh("cp -p /srv/good.toml /etc/andon/agent.toml; systemctl start andon-edge andon-relay")
    return "a wrong file: exit 78 at both, no restart, field, value and remedy in the journal; mended, both start"


def stopped(box: Box) -> str:
    """SIGTERM ends both cleanly and leaves no socket; the stores are whole."""
    took = []
    for role in ROLES:
        began = time.monotonic()
        box.sh(f"systemctl stop andon-{role}")
        took.append(time.monotonic() - began)
        shown = [box.show(role, key) for key in ("ActiveState", "Result", "ExecMainStatus")]
        assert took[-1] <= 10 and shown == ["inactive", "success", "0"], (role, took[-1], shown)
        box.sh(f"andon db check{' --role relay' if role == 'relay' else ''}")
    left = box.sh("find /run/andon -type s")
    assert left == "", left
    return f"stop: edge {took[0]:.1f} s, relay {took[1]:.1f} s, both with 0; no socket left; both stores check clean"


CHECKS: tuple[Callable[[Box], str], ...] = (
    installed, secrets, sockets, killed, watchdog, misconfigured, stopped,
)  # fmt: skip


def main() -> int:
    """0 if every promise was kept."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--mirror", default="", help="Debian mirror (default: debootstrap's own)")
    args = parser.parse_args()
    if os.geteuid() != 0:
        print("this rig boots a system of its own: run it as root")
        return 1
    box, failed = Box(Path(tempfile.mkdtemp(prefix="andon-systemd-")), args.mirror), True
    try:
        box.make()
        lay_out(box)
        print(f"systemd {box.boot()}: {box.sh('systemctl --version').splitlines()[0]}", flush=True)
        for check in CHECKS:
            print(check(box), flush=True)
        failed = False
    except AssertionError as error:
        print(f"  WRONG {error}", flush=True)
        if box.leader:
            print(box.try_("journalctl --no-pager --unit='andon-*' --lines=40").stdout)
    finally:
        box.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
