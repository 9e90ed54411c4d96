"""Who presses before Feishu was asked who they are is not told that nobody knows them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Sequence

from agent.errors import Unreachable
from agent.relay.acquaintance import Acquaintance


class Feishu:
    """Answers when it is let; `found` of those asked for are known."""

    def __init__(self) -> None:
        self.people, self.found = ["1", "2"], 2
        self.asked: list[Sequence[str]] = []
        self.free, self.down = threading.Event(), False
        self.free.set()

    async def directory(self) -> list[str]:
        return list(self.people)

    def learn(self, people: Sequence[str]) -> int:
        assert self.free.wait(5)
        self.asked.append(people)
        if self.down:
            raise Unreachable("no route")
        return self.found


def play(feishu: Feishu, story: Callable[[Acquaintance], Coroutine[None, None, None]]) -> None:
    async def main() -> None:
        them = Acquaintance(feishu.directory, feishu.learn)
        running = asyncio.create_task(them.run())
        try:
            await story(them)
        finally:
            feishu.free.set()
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running

    asyncio.run(main())


def within(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


def test_a_click_waits_for_the_answer_but_not_for_ever() -> None:
    feishu = Feishu()
    feishu.free.clear()

    async def story(them: Acquaintance) -> None:
        assert not await them.settled(within(0.01))
        waiting = asyncio.create_task(them.settled(within(5)))
        feishu.free.set()
        assert await waiting

    play(feishu, story)


def test_without_an_answer_or_without_a_directory_nobody_is_called_unknown() -> None:
    feishu = Feishu()

    async def story(them: Acquaintance) -> None:
        assert not await them.settled(within(0.05))

    feishu.down = True
    play(feishu, story)
    feishu.down, feishu.people = False, []
    play(feishu, story)


def test_a_stranger_who_presses_on_costs_one_call() -> None:
    feishu = Feishu()
    feishu.found = 1

    async def story(them: Acquaintance) -> None:
        for _ in range(20):
            assert await them.settled(within(5))

    play(feishu, story)
    assert feishu.asked == [["1", "2"]]


def test_a_changed_directory_is_asked_for_anew() -> None:
    feishu = Feishu()

    async def story(them: Acquaintance) -> None:
        assert await them.settled(within(5))
        feishu.people.append("3")
        them.wake()
        while len(feishu.asked) < 2:
            await asyncio.sleep(0)
        assert await them.settled(within(5))

    play(feishu, story)
    assert feishu.asked == [["1", "2"], ["1", "2", "3"]]
