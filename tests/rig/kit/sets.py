"""A set of rounds from the start of a plant to the verdict on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from rig.kit.checks import everything
from rig.kit.files import Wish
from rig.kit.load import Load
from rig.kit.plant import ROLES, Plant
from rig.kit.rounds import Rounds, Tally, characteristics, victims

Fault = Callable[[Tally], None]


def kills(rounds: Rounds, n: int, relay_every: int = 4) -> Fault:
    return rounds.killing(victims(n, relay_every))


def lost_answers(rounds: Rounds, n: int) -> Fault:
    """Answers lost by a reset connection, in every fifth round by silence."""
    return rounds.losing(0.5, lambda i: "hang" if i % 5 == 4 else "reset")


def kills_and_lost_answers(rounds: Rounds, n: int) -> Fault:
    """A kill soon after an answer was lost, while more are being lost."""
    lose, kill = rounds.losing(0.4), rounds.killing(victims(n, 3))

    def both(tally: Tally) -> None:
        lose(tally)
        kill(tally)

    return both


SETS: Mapping[str, Callable[[Rounds, int], Fault]] = {
    "kills": kills, "lost answers": lost_answers, "kills and lost answers": kills_and_lost_answers,
}  # fmt: skip


def run_set(
    name: str, fault: Callable[[Rounds, int], Fault], n: int, seed: int, folder: Path, settle_s: float
) -> tuple[str, list[str]]:
    """So many rounds on a plant of its own in `folder`: a line that sums them up, and what is wrong afterwards."""
    with Plant(folder, Wish(characteristics(n))) as plant:
        load = Load(plant, seed)
        try:
            load.start()
            rounds = Rounds(plant, load, seed)
            tally = rounds.run(n, fault(rounds, n))
            rounds.heal()
            load.stop(60)
            wrong = everything(plant, load, settle_s)
        finally:
            load.close()
        edge, relay = (sum(role == one for one, _ in plant.balances) for role in ROLES)
        killed = ", ".join(f"{who} {times}" for who, times in sorted(tally.kills.items())) or "none"
        summary = (
            f"{name}: {tally.rounds} rounds in {tally.seconds:.0f} s; killed: {killed} (again while starting: "
            f"{tally.while_starting}); answers lost: {tally.lost}; {len(load.publisher.acked)} PUBACKed, "
            f"{len(load.caller.accepted)} taken by the API ({load.caller.repeats} requests repeated), "
            f"{len(load.caller.responded)} responses; missing = 0 at {edge} starts of the edge and {relay} of the "
            f"relay: {'FAILED' if wrong else 'nothing lost, nothing twice'}"
        )
    return summary, wrong
