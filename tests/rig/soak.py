"""The soak: load for as long as asked, the office network cut and the relay hanging now and then; memory is watched.

    python tests/rig/soak.py [--minutes 60] [--seed N]

Prints memory, disk and waiting messages of both roles once a round; at the end everything must be counted once, as
after the kill rig. Exit code 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import psutil
from rig.kit.checks import everything
from rig.kit.files import Wish
from rig.kit.load import Load
from rig.kit.plant import ROLES, Plant
from rig.kit.rounds import Rounds, Tally, characteristics

ROUND_S = 15.0
CUT_S = 5.0


def disturb(plant: Plant, n: int) -> str:
    """What happens in a round: nothing, the office network cut, or a relay that hangs."""
    what = ("nothing", "office cut", "nothing", "relay hangs")[n % 4]
    if what == "office cut":
        plant.sandbox.post("/office", json={"up": False, "mode": "reset"}).raise_for_status()
        time.sleep(CUT_S)
        plant.sandbox.post("/office", json={"up": True}).raise_for_status()
    if what == "relay hangs":
        relay = psutil.Process(plant.programs["relay"].pid)
        relay.suspend()
        time.sleep(CUT_S)
        relay.resume()
    time.sleep(ROUND_S if what == "nothing" else ROUND_S - CUT_S)
    return what


def figures(plant: Plant) -> str:
    """Memory, file and waiting messages of both roles."""
    said = []
    for role in ROLES:
        rss = psutil.Process(plant.programs[role].pid).memory_info().rss / 2**20
        size = sum(f.stat().st_size for f in (plant.folder / role).glob("*.db*")) / 2**20
        said.append(f"{role} {rss:.0f} MiB, store {size:.1f} MiB, waiting {(plant.balance(role) or {}).get('waiting')}")
    return "; ".join(said)


def main() -> int:
    """Run the soak."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    args = parser.parse_args()
    rounds = max(1, round(args.minutes * 60 / ROUND_S))
    with tempfile.TemporaryDirectory(prefix="andon-soak-") as folder, Plant(
        Path(folder), Wish(characteristics(rounds))
    ) as plant:  # fmt: skip
        load = Load(plant, args.seed)
        try:
            load.start()

            def fault(tally: Tally) -> None:
                what = disturb(plant, tally.rounds)
                print(f"{(tally.rounds + 1) * ROUND_S / 60:6.2f} min  {what:11}  {figures(plant)}", flush=True)

            Rounds(plant, load, args.seed).run(rounds, fault)
            load.stop(60)
            wrong = everything(plant, load, 180)
        finally:
            load.close()
        print(f"{len(load.publisher.acked)} PUBACKed, {len(load.caller.accepted)} taken by the API")
        print("\n".join(f"WRONG {words}" for words in wrong) or "nothing lost, nothing twice")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
