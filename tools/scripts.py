"""scripts.py FOLDER PATTERN [--except PATTERN]: run each script there, one after the other; fail if one failed.

A script is a file that can be run (it has a `__main__` part); helper modules beside it are left alone.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path


def main() -> int:
    """0 if there was something to run and all of it went well."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("pattern")
    parser.add_argument("--except", dest="unwanted", default="")
    args = parser.parse_args()
    scripts = [p for p in sorted(args.folder.glob(args.pattern)) if "__main__" in p.read_text("utf-8")]
    scripts = [p for p in scripts if not (args.unwanted and p.match(args.unwanted))]
    failed = []
    for script in scripts:
        print(f"── {script}", flush=True)
        started = time.monotonic()
        if subprocess.run([sys.executable, script], check=False).returncode:
            failed.append(script)
        print(f"   {time.monotonic() - started:.1f} s{', FAILED' if script in failed else ''}\n", flush=True)
    if not scripts:
        print(f"nothing to run: no {args.pattern} in {args.folder}", file=sys.stderr)
    return 1 if failed or not scripts else 0


if __name__ == "__main__":
    sys.exit(main())
