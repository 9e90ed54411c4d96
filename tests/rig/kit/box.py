"""A bare Debian 12 with its own systemd, in a folder: debootstrap makes it, systemd-nspawn boots it. Needs root."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from rig.kit.programs import ROOT, until

PACKAGES = "systemd,systemd-sysv,dbus,python3-venv,procps"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEBIAN = ("debootstrap", "systemd-container")


def run(*words: str | Path, within_s: float = 600) -> str:
    """What a command prints. Raises AssertionError with its words when it fails."""
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, timeout=within_s, check=False)
    assert done.returncode == 0, f"{words[0]} ended with {done.returncode}: {(done.stdout + done.stderr)[-800:]}"
    return done.stdout


class Box:
    """The booted system. It has a loopback network only: nothing outside is reached, no port of the host is taken."""

    def __init__(self, folder: Path, mirror: str) -> None:
        self.folder, self.root, self.mirror = folder, folder / "root", mirror
        self.nspawn: subprocess.Popen[bytes] | None = None
        self.leader = 0

    def make(self) -> None:
        """A Debian with what the README takes for granted at a plant, and the agent's wheels beside it."""
        run(ROOT / "tools" / "debian.sh", *DEBIAN)
        words = ("debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", self.root)
        run(*words, *([self.mirror] if self.mirror else []))
        wheels = self.root / "srv" / "install" / "wheels"
        run(sys.executable, "-m", "pip", "wheel", "--quiet", "--wheel-dir", wheels, f"{ROOT}[relay]")

    def boot(self) -> str:
        """Start systemd as its process 1; the state it comes to."""
        with (self.folder / "console.log").open("wb") as console:
            self.nspawn = subprocess.Popen(
                ["systemd-nspawn", "--quiet", "--boot", "--directory", self.root, "--register=no", "--keep-unit",
                 "--private-network", "--machine", f"andon-rig-{os.getpid()}", "--console=pipe"],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console,
            )  # fmt: skip
        children = Path(f"/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children")
        self.leader = int(until(lambda: children.read_text().split(), 30, "systemd-nspawn started nothing")[0])
        return until(self._state, 60, "systemd did not come up", pause_s=0.5)

    def _state(self) -> str | None:
        done = self.try_("systemctl is-system-running")
        state = done.stdout.strip()
        return state if state in ("running", "degraded") else None

    def try_(self, script: str, user: str = "root") -> subprocess.CompletedProcess[str]:
        """Run shell words inside, as that user (who has no shell of his own)."""
        inside = ["runuser", "-u", user, "--", "bash", "-c", script] if user != "root" else ["bash", "-c", script]
        enter = ["nsenter", "--target", str(self.leader), "--all", "env", "-i", f"PATH={PATH}", "LANG=C.UTF-8"]
        return subprocess.run([*enter, *inside], capture_output=True, text=True, timeout=180, check=False)

    def sh(self, script: str, user: str = "root") -> str:
        """The same, of what must succeed; what it prints."""
        done = self.try_(script, user)
        assert done.returncode == 0, f"{script!r} ended with {done.returncode}: {(done.stdout + done.stderr)[-800:]}"
        return done.stdout.strip()

    def show(self, role: str, key: str) -> str:
        """A property of a role's unit (systemctl show)."""
        return self.sh(f"systemctl show andon-{role} --property={key} --value")

    def close(self) -> None:
        """Halt it, and delete the folder unless something is still mounted there."""
        if self.nspawn is not None:
            for wait_s in (15, 15):  # a second SIGTERM ends it at once
                self.nspawn.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.nspawn.wait(wait_s)
                    break
        assert self.nspawn is None or self.nspawn.poll() is not None, "systemd-nspawn does not end"
        mounts = [line for line in Path("/proc/self/mounts").read_text("utf-8").splitlines() if str(self.root) in line]
        assert not mounts, f"still mounted: {mounts}"
        shutil.rmtree(self.folder)
