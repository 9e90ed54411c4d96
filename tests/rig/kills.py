"""The kill rig: edge, relay or both killed -9 under load, answers of Feishu lost, and then both at once.

    python tests/rig/kills.py [--rounds 20] [--seed N] [--keep FOLDER]

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

from rig.kit.checks import everything
from rig.kit.files import Wish
from rig.kit.load import Load
from rig.kit.plant import Plant
from rig.kit.rounds import Rounds, Tally, characteristics, victims

SETTLE_S = 180.0


def kill_rounds(rounds: Rounds, n: int) -> Tally:
    return rounds.run(n, rounds.killing(victims(n, 4)))


def lost_rounds(rounds: Rounds, n: int) -> Tally:
    """Answers lost by a reset connection, in every fifth round by silence."""
    return rounds.run(n, rounds.losing(0.5, lambda i: "hang" if i % 5 == 4 else "reset"))


def both_rounds(rounds: Rounds, n: int) -> Tally:
    """Kills while answers are being lost."""
    lose, kill = rounds.losing(0.4), rounds.killing(victims(n, 3))

    def fault(tally: Tally) -> None:
        if "relay" not in rounds.starting:
            lose(tally)
        kill(tally)

    return rounds.run(n, fault)


SETS = {"kills": kill_rounds, "lost answers": lost_rounds, "kills and lost answers": both_rounds}


def one_set(name: str, rounds: int, seed: int, folder: Path) -> list[str]:
    """One set of rounds on a plant of its own; what is wrong afterwards."""
    with Plant(folder, Wish(characteristics(rounds))) as plant:
        load = Load(plant, seed)
        try:
            load.start()
            running = Rounds(plant, load, seed)
            tally = SETS[name](running, rounds)
            running.heal()
            load.stop(60)
            wrong = everything(plant, load, SETTLE_S)
        finally:
            load.close()
        said = {role: sum(role == one for one, _ in plant.balances) for role in ("edge", "relay")}
        print(
            f"{name}: {tally.rounds} rounds in {tally.seconds:.0f} s, kills {dict(tally.kills)} "
            f"(+{tally.while_starting} while starting), {tally.lost} answers lost; "
            f"{len(load.publisher.acked)} PUBACKed, {len(load.caller.accepted)} taken by the API "
            f"({load.caller.repeats} requests repeated), {len(load.caller.responded)} responses; "
            f"missing = 0 at {said['edge']} starts of the edge, {said['relay']} of the relay: "
            f"{'FAILED' if wrong else 'nothing lost, nothing twice'}",
            flush=True,
        )
    return wrong


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
        try:
            wrong = one_set(name, args.rounds, args.seed, folder / name.replace(" ", "-"))
        except AssertionError as error:
            wrong = [f"{name}: {error}"]
        failed = failed or bool(wrong)
        print("".join(f"  WRONG {words}\n" for words in wrong), end="", flush=True)
    if failed:
        print(f"logs and stores: {folder}")
    elif args.keep is None:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
