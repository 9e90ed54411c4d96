"""One push → one answer in time, without holding up the connection's loop.

Feishu waits 3 s. A click waits for its answer at most `click_wait_s`. Whoever takes it says "received" in time once it
is durable, so silence until then means that it may be lost: the person is told to look and to press again. An event is
answered 200 once the caller has it safe, else 500: Feishu pushes it again after 15 s, 5 min, 1 h and 6 h.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from datetime import tzinfo
from typing import Any, TypeVar

from agent.clock import Clock
from agent.model import Click, Verdict
from agent.sinks.feishu.callbacks import answers
from agent.sinks.feishu.callbacks.answers import CLICK, EVENTS, Push
from agent.sinks.feishu.settings import FeishuSettings

log = logging.getLogger(__name__)
OnClick = Callable[[Click], "Future[Verdict]"]
OnEvent = Callable[[str, Mapping[str, Any], str], "Future[None]"]
"""(kind, event, id) → resolved once it is durable. A repeat has the same id: the caller drops it."""
DrawCard = Callable[[Mapping[str, Any]], dict[str, Any]]
_DRAW_S = 0.3
T = TypeVar("T")


class Handler:
    """Answers pushes. All callables are called on the pool's threads and may take a while; the loop stays free."""

    def __init__(
        self,
        settings: FeishuSettings,
        clock: Clock,
        tz: tzinfo,
        pool: Executor,
        on_click: OnClick,
        on_event: OnEvent,
        card: DrawCard,
        person: Callable[[str], str | None],
    ) -> None:
        self._settings, self._clock, self._tz, self._pool = settings, clock, tz, pool
        self._on_click, self._on_event, self._card, self._person = on_click, on_event, card, person

    async def answer(self, payload: bytes, frame_id: str) -> tuple[int, dict[str, Any] | None]:
        """The status and, for a click, the body of the answer."""
        push = answers.read_push(payload, frame_id)
        if push is None:
            log.warning("a push of %d bytes cannot be read", len(payload))
            return 200, None
        if push.kind == CLICK:
            return 200, {} if answers.is_quiet(push) else await self._click(push)
        if push.kind not in EVENTS:
            return 200, None
        taken = asyncio.create_task(self._follow(lambda: self._on_event(push.kind, push.event, push.id)))
        await self._settled(taken, self._settings.click_wait_s, f"event {push.kind}")
        return 200 if taken.done() and taken.exception() is None else 500, None

    async def _click(self, push: Push) -> dict[str, Any]:
        decided = asyncio.create_task(self._decide(push))
        if not await self._settled(decided, self._settings.click_wait_s, "click"):
            return self._toast(answers.UNSURE)
        if decided.exception() is not None:
            return self._toast(answers.FAILED)
        verdict = decided.result()
        answer = self._toast(verdict)
        if verdict.card is not None:
            neutral = verdict.card
            drawn = asyncio.create_task(self._off_loop(lambda: self._card(neutral)))
            if await self._settled(drawn, _DRAW_S, "card of a verdict") and drawn.exception() is None:
                answer["card"] = {"type": "raw", "data": drawn.result()}
        return answer

    async def _decide(self, push: Push) -> Verdict:
        click = await self._off_loop(lambda: answers.as_click(push, self._person))
        return answers.UNKNOWN if click is None else await self._follow(lambda: self._on_click(click))

    def _toast(self, verdict: Verdict) -> dict[str, Any]:
        return answers.toast(verdict.level, verdict.toast, self._settings.language, self._tz, self._clock.now())

    @staticmethod
    async def _settled(task: asyncio.Task[Any], wait_s: float, what: str) -> bool:
        """Whether the task ended in time. One that did not goes on unheeded; failures are logged."""

        def note(ended: asyncio.Task[Any]) -> None:
            if not ended.cancelled() and ended.exception() is not None:
                log.error("%s failed", what, exc_info=ended.exception())

        task.add_done_callback(note)
        done, _ = await asyncio.wait({task}, timeout=wait_s)
        if not done:
            log.warning("%s not answered within %.1f s", what, wait_s)
        return bool(done)

    async def _off_loop(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, call)

    async def _follow(self, call: Callable[[], Future[T]]) -> T:
        """Call off the loop, then await its future. Our own cancellation does not reach into it (wrap_future's would):
        the click or event is taken, even if this connection ends before it is answered."""
        theirs = await self._off_loop(call)
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        theirs.add_done_callback(lambda _: loop.is_closed() or loop.call_soon_threadsafe(ended.set))
        await ended.wait()
        return theirs.result(timeout=0)
