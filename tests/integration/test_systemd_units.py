"""The units, users and folders as systemd itself reads them."""

from __future__ import annotations

import grp
import os
import pwd
import re
import subprocess
from pathlib import Path

import pytest

from agent.outbox.settings import LinkSettings
from agent.relay.settings import RelaySettings
from agent.ui.settings import EdgeSettings

SYSTEMD = Path(__file__).parents[2] / "systemd"
ROLES = ("edge", "relay")
THRESHOLD = 15  # tenths; redis 1.2 and resolved 2.2 are good, a bare unit has 9.2


def tool(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=60, check=False)


def settings(role: str) -> dict[str, list[str]]:
    """What a unit file sets, in order."""
    found: dict[str, list[str]] = {}
    for line in (SYSTEMD / f"andon-{role}.service").read_text("utf-8").splitlines():
        if re.match(r"[A-Z]\w+=", line):
            key, value = line.split("=", 1)
            found.setdefault(key, []).append(value)
    return found


@pytest.fixture
def units(tmp_path: Path) -> dict[str, Path]:
    """Copies whose program exists here, as verify demands."""
    copies = {}
    for role in ROLES:
        text = (SYSTEMD / f"andon-{role}.service").read_text("utf-8")
        assert text.count("ExecStart=/usr/bin/andon ") == 1
        copies[role] = tmp_path / f"andon-{role}.service"
        copies[role].write_text(text.replace("ExecStart=/usr/bin/andon ", "ExecStart=/bin/true "), "utf-8")
    return copies


@pytest.mark.parametrize("role", ROLES)
def test_unit_verifies_clean(role: str, units: dict[str, Path]) -> None:
    done = tool("systemd-analyze", "verify", "--man=no", units[role])
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("role", ROLES)
def test_unit_is_hardened(role: str, units: dict[str, Path]) -> None:
    done = tool("systemd-analyze", "security", "--no-pager", "--offline=true", f"--threshold={THRESHOLD}", units[role])
    assert done.returncode == 0, done.stdout[-400:]


@pytest.mark.parametrize("role", ROLES)
def test_unit_keeps_the_agents_promises(role: str) -> None:
    unit = settings(role)
    assert unit["Type"] == ["notify"]
    assert unit["WatchdogSec"] == ["30"]
    assert unit["Restart"] == ["always"]
    assert unit["RestartPreventExitStatus"] == ["78"]
    assert unit["StartLimitIntervalSec"] == ["0"]
    assert unit["TimeoutStopSec"] == ["10"]
    assert unit["StateDirectory"] == [f"andon/{role}"]
    assert unit["User"] == [f"andon-{role}"]
    assert f"--role {role} " in unit["ExecStart"][0]
    assert "network-online.target" not in str(unit), "it boots with the office network cut"


def test_only_the_relay_gets_the_app_secret() -> None:
    assert settings("relay")["LoadCredential"] == ["feishu_app_secret:/etc/andon/credentials/feishu_app_secret"]
    assert "LoadCredential" not in settings("edge")


def test_the_defaults_lie_where_the_units_may_write() -> None:
    edge, relay = settings("edge"), settings("relay")
    assert str(EdgeSettings().data_dir) == f"/var/lib/{edge['StateDirectory'][0]}"
    assert str(RelaySettings().data_dir) == f"/var/lib/{relay['StateDirectory'][0]}"
    assert str(EdgeSettings().admin_socket.parent) == f"/run/{edge['RuntimeDirectory'][0]}"
    assert str(RelaySettings().admin_socket.parent) == f"/run/{relay['RuntimeDirectory'][0]}"
    assert str(LinkSettings().socket.parent) == relay["ReadWritePaths"][0]


def test_users_and_folders(tmp_path: Path) -> None:
    """Both files do what they say, in a root of their own (owned by whoever runs this)."""
    users = SYSTEMD / "sysusers.d" / "andon.conf"
    debian = tmp_path / "usr" / "lib" / "sysusers.d" / "basic.conf"
    debian.parent.mkdir(parents=True)
    debian.write_text("g dialout 20 -\n", "utf-8")
    done = tool("systemd-sysusers", "--dry-run", f"--root={tmp_path}", "--replace=/etc/sysusers.d/andon.conf", users)
    assert done.returncode == 0, done.stderr
    assert "Conflict" not in done.stderr and "Creating group 'dialout' with GID 20" in done.stdout + done.stderr
    for name in ("andon-edge", "andon-relay"):
        assert f"Creating user '{name}'" in done.stdout + done.stderr

    me, my_group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
    folders = (SYSTEMD / "tmpfiles.d" / "andon.conf").read_text("utf-8")
    mine = re.sub(r"^(\S+ \S+ \d+) \S+ \S+ -", rf"\1 {me} {my_group} -", folders, flags=re.MULTILINE)
    (tmp_path / "andon.conf").write_text(mine, "utf-8")
    (tmp_path / "etc").mkdir()
    for database in ("passwd", "group"):
        (tmp_path / "etc" / database).write_bytes(Path("/etc", database).read_bytes())
    done = tool("systemd-tmpfiles", "--create", f"--root={tmp_path}", tmp_path / "andon.conf")
    assert (done.returncode, done.stderr) == (0, "")
    wanted = {"etc/andon": 0o750, "etc/andon/secrets": 0o750, "etc/andon/credentials": 0o700, "run/andon/link": 0o2750}
    assert {path: (tmp_path / path).stat().st_mode & 0o7777 for path in wanted} == wanted


def test_every_user_a_file_names_is_made() -> None:
    users = (SYSTEMD / "sysusers.d" / "andon.conf").read_text("utf-8")
    made = set(re.findall(r"^[ug] (\S+)", users, re.MULTILINE))
    made |= set(re.findall(r"^m \S+ (\S+)", users, re.MULTILINE))  # a group that is missing is made (sysusers.d(5))
    named = {"root"}
    for line in (SYSTEMD / "tmpfiles.d" / "andon.conf").read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            named |= set(line.split()[3:5])
    for role in ROLES:
        unit = settings(role)
        named |= {*unit["User"], *unit["Group"], *unit.get("SupplementaryGroups", [""])[0].split()}
    assert named - {"root"} <= made
