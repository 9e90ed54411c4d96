"""Twenty rounds of kill -9 under load and twenty of answers that Feishu loses: counted once, one group, one card.

The long form with more kills of the relay, and kills while answers are lost: `make rig`.
"""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path

import pytest
from rig.kit.sets import kills, lost_answers, run_set

ROUNDS = 20


@pytest.mark.timeout(110)
def test_kills_at_random_moments_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    # the relay takes five seconds to start: it is killed in every third round, the edge in the others
    summary, wrong = run_set("kills", partial(kills, relay_every=6), ROUNDS, seed, tmp_path, 40)
    assert wrong == [], f"seed {seed}: {summary}"


@pytest.mark.timeout(90)
def test_lost_answers_make_nothing_twice(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    summary, wrong = run_set("lost answers", lost_answers, ROUNDS, seed, tmp_path, 40)
    assert wrong == [], f"seed {seed}: {summary}"
