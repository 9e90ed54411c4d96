"""The rounds of the fault rigs: kill -9 at random moments, answers of Feishu that are lost, and both at once."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rig.kit.load import Load
from rig.kit.plant import ROLES, Plant
from rig.kit.programs import until

STEADY = 4
"""Characteristics that have load in every round; each round adds one of its own."""
APIS = ("im.chat.create", "im.message.create", "im.message.patch")


def characteristics(rounds: int) -> list[str]:
    """What to chart for so many rounds."""
    return [f"steady{i}" for i in range(STEADY)] + [f"round{i}" for i in range(rounds)]


@dataclass(slots=True)
class Tally:
    """What the rounds did."""

    rounds: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    while_starting: int = 0
    lost: int = 0
    seconds: float = 0.0


class Rounds:
    """Rounds against a plant under load, which its supervisor, this class, starts again."""

    def __init__(self, plant: Plant, load: Load, seed: int) -> None:
        self.plant, self.load = plant, load
        self._dice = random.Random(seed)
        self._round = 0
        self.starting: set[str] = set()
        """Roles that were started again and have not answered yet."""

    def run(self, rounds: int, fault: Callable[[Tally], None]) -> Tally:
        """So many rounds, each with fresh keys under load and one fault."""
        tally, started = Tally(), time.monotonic()
        for _ in range(rounds):
            fresh = self._round
            mqtt = (*(f"steady{i}" for i in range(STEADY)), f"round{fresh}")
            self.load.aim(mqtt, ("api-steady", f"api-{fresh}", f"api-{fresh}-b"))
            self._round += 1
            fault(tally)
            tally.rounds += 1
        self.wait_all()
        tally.seconds = time.monotonic() - started
        return tally

    def killing(self, victims: Sequence[str]) -> Callable[[Tally], None]:
        """A fault that kills edge, relay or both, as `victims` says in turn."""
        turn = iter(victims)

        def kill(tally: Tally) -> None:
            who = next(turn)
            roles = ROLES if who == "both" else (who,)
            for role in roles:
                self._wait(role)
            time.sleep(self._dice.uniform(0.02, 0.7))
            self._kill(roles)
            if self._dice.random() < 0.2:  # once more, at a random moment of its start
                time.sleep(self._dice.uniform(0.0, 1.2))
                self._kill(roles)
                tally.while_starting += 1
            tally.kills[who] += 1

        return kill

    def losing(
        self, probability: float = 0.5, mode: Callable[[int], str] = lambda n: "reset"
    ) -> Callable[[Tally], None]:
        """A fault by which Feishu does what it is asked and its answer is lost; at least one a round."""

        def lose(tally: Tally) -> None:
            self.plant.sandbox.delete("/faults").raise_for_status()
            before = self._lost()
            for api in APIS:
                fault = {"api": api, "kind": "lose", "probability": probability, "seed": self._dice.randrange(10**6),
                         "mode": mode(self._round)}  # fmt: skip
                self.plant.sandbox.post("/faults", json=fault).raise_for_status()
            until(lambda: self._lost() > before, 20, "an answer was lost", 0.1)
            time.sleep(self._dice.uniform(0.1, 0.5))
            tally.lost += self._lost() - before

        return lose

    def heal(self) -> None:
        """Feishu answers again."""
        self.plant.sandbox.delete("/faults").raise_for_status()

    def wait_all(self) -> None:
        """Wait until every role that was started has said how it found its outbox."""
        for role in ROLES:
            self._wait(role)

    def _lost(self) -> int:
        return int(self.plant.sandbox.get("/state").raise_for_status().json()["counters"]["calls"]["lost"])

    def _wait(self, role: str) -> None:
        if role in self.starting:
            self.plant.started(role)
            self.starting.discard(role)

    def _kill(self, roles: Sequence[str]) -> None:
        """Kill and start again. Who was killed while starting has not said anything; its log is looked at anyhow."""
        for role in roles:
            self.plant.programs[role].kill()
        for role in roles:
            self.plant.programs[role].start()
            self.starting.add(role)


def victims(rounds: int, relay_every: int) -> list[str]:
    """Whom to kill in turn: the relay alone and both together once each in so many rounds, else the edge.

    The edge starts in a second, the relay in five: a small `relay_every` makes a long run.
    """
    turn = ["edge"] * (relay_every - 2) + ["relay", "both"]
    return [turn[i % relay_every] for i in range(rounds)]
