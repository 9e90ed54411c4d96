"""Everybody's open_id is learnt ahead of time, so that a click of someone who was never written to is known too."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence

from agent.errors import AgentError

log = logging.getLogger(__name__)
TURN_S = 5.0
AGAIN_S = 600.0
"""How often is asked by itself while somebody is not found."""
PRESSED_S = 30.0
"""How often a click of somebody unknown has it asked anew: an outsider who presses on costs no call each time."""


class Acquaintance:
    """Asks the far side when the directory changes, now and then while somebody is not found, and when one presses.

    `people` gives the employee numbers of the directory; `learn` asks for them (it may take long and raise AgentError)
    and returns how many are known.
    """

    def __init__(self, people: Callable[[], Awaitable[list[str]]], learn: Callable[[Sequence[str]], int]) -> None:
        self._people, self._learn = people, learn
        self._asked: list[str] = []
        self._asked_at = self._again_at = float("-inf")
        self._wanted, self._done = asyncio.Event(), asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._wanted.clear()
            await self._turn()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TURN_S):
                    await self._wanted.wait()

    def wake(self, topics: frozenset[str] = frozenset()) -> None:
        """Look now (call on the loop)."""
        self._wanted.set()

    async def _turn(self) -> None:
        people, now = await self._people(), asyncio.get_running_loop().time()
        if people != self._asked:
            self._done.clear()
        if self._done.is_set() and now <= self._again_at:
            return
        try:
            found = await asyncio.to_thread(self._learn, people)
        except AgentError as error:
            log.info("people will be looked up later: %s", error)
            return
        log.info("%d of %d people are known in Feishu", found, len(people))
        self._asked, self._asked_at = people, now
        self._again_at = now + (AGAIN_S if found < len(people) else float("inf"))
        if people:  # an empty directory is one that has not come yet
            self._done.set()

    async def settled(self, until: float) -> bool:
        """Whether the far side was asked for all there are, just before or now; waits for it until then (loop time)."""
        if asyncio.get_running_loop().time() - self._asked_at > PRESSED_S:
            self._done.clear()
        self.wake()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._done.wait()
        return self._done.is_set()
