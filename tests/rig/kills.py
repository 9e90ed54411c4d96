"""The kill rig: edge, relay or both killed -9 under load, answers of Feishu lost, and then both at once.

    python tests/rig/kills.py [--rounds 20] [--seed N] [--only SET] [--keep FOLDER]

The rig is the supervisor. Each round adds fresh keys; at the end every accepted violation must be counted once, with
one ticket a key, one group and one card a ticket, and nothing missing at any start. Exit code 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rig.kit.sets import SETS, run_set

SETTLE_S = 180.0


def main() -> int:
    """0 if every promise was kept."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20, help="rounds of each set (default 20)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="repeat a run's dice")
    parser.add_argument("--only", choices=SETS, help="one set of rounds")
    parser.add_argument("--keep", type=Path, help="folder to leave behind")
    args = parser.parse_args()
    folder = args.keep or Path(tempfile.mkdtemp(prefix="andon-rig-"))
    print(f"seed {args.seed}", flush=True)
    failed = False
    for name in SETS if args.only is None else [args.only]:
        place = folder / name.replace(" ", "-")
        try:
            summary, wrong = run_set(name, SETS[name], args.rounds, args.seed, place, SETTLE_S)
        except AssertionError as error:
            summary, wrong = f"{name}: FAILED", [str(error)]
        failed = failed or bool(wrong)
        print("\n".join([summary, *(f"  WRONG {words}" for words in wrong)]), flush=True)
    if failed:
        print(f"logs and stores: {folder}")
    elif args.keep is None:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
