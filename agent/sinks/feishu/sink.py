"""The Feishu sink: message kinds to their handlers, words and cards in the configured language, pictures uploaded."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Any

from agent.clock import Clock
from agent.errors import Rejected
from agent.outbox.sink import Delivered, Message, Names, Reissue
from agent.sinks.feishu.card.draw import Look, content, draw
from agent.sinks.feishu.card.elements import Pen
from agent.sinks.feishu.client import FeishuClient, Send, Upload
from agent.sinks.feishu.kinds.groups import Groups
from agent.sinks.feishu.kinds.messages import Messages
from agent.sinks.feishu.people import People, local_open_id, name_of
from agent.sinks.feishu.retry import FarSays
from agent.sinks.feishu.settings import FeishuSettings
from agent.texts import render

log = logging.getLogger(__name__)
Handler = Callable[[Message, Names], "Delivered | Reissue"]
_MAX_PICTURE = 10 * 1024 * 1024
_SAFE_PART = 0.9
"""Share of an idempotency window in which a repeat is trusted to be recognised."""


class FeishuSink:
    """Implements outbox.sink.Sink. May be called by several threads; each lane by one at a time.

    `send` replaces the network in tests. `last`: who is told when neither somebody nor their leaders can be reached.
    The constructor imports lark_oapi (seconds), opens no connection.
    Raises ConfigError if there is no app secret.
    """

    kinds: Sequence[str] = (
        "open_group", "post_card", "update_card", "add_people", "nudge", "say", "leave_group", "dissolve_group",
    )  # fmt: skip

    def __init__(
        self, settings: FeishuSettings, clock: Clock, tz: tzinfo, send: Send | None = None, last: Sequence[str] = ()
    ) -> None:
        self._settings, self._clock, self._tz = settings, clock, tz
        self._stop = threading.Event()
        self._client = FeishuClient(
            send or _lark(settings, self._stop), settings.app_id, settings.secret(), clock, self._stop
        )
        self._people = People(self._client, clock, last)
        groups = Groups(self._client, self._people, self._words, self._expired, settings.app_id)
        messages = Messages(
            self._client, self._people, self._words, self._draw_content, self._expired, settings.language
        )
        self._handlers: dict[str, Handler] = {
            "open_group": groups.open, "add_people": groups.add, "leave_group": groups.leave,
            "dissolve_group": groups.dissolve, "post_card": messages.post_card, "update_card": messages.update_card,
            "nudge": messages.nudge, "say": messages.say,
        }  # fmt: skip

    def deliver(self, message: Message, names: Names) -> Delivered | Reissue:
        """Deliver one message. Raises Unreachable (with a pause if Feishu or an earlier message asks for one) or
        Rejected (with Feishu's words and log id)."""
        handler = self._handlers.get(message.kind)
        if handler is None:
            raise Rejected(f"Feishu knows no message of kind {message.kind}")
        return handler(message, names)

    def learn(self, people: Sequence[str], names: Names) -> int:
        """Learn the open_ids of people ahead of time, so that whoever clicks is known; returns how many are known.

        Raises Unreachable when Feishu cannot be asked.
        """
        return len(self._people.open_ids(people, names))

    def close(self) -> None:
        """End waits and calls under way; later calls raise Unreachable."""
        self._stop.set()

    @property
    def trouble(self) -> str:
        """Why Feishu refuses the whole app at present (quota, credentials, bot off), or nothing."""
        return self._client.trouble

    def card(self, neutral: Mapping[str, Any], names: Names) -> dict[str, Any]:
        """Card JSON of a neutral card by what is known here, without asking Feishu (for the answer to a click)."""
        return draw(neutral, self._pen(names, lambda sha: names.far(f"image:{sha}")))

    def _draw_content(self, neutral: Mapping[str, Any], names: Names, look: Look) -> str:
        mentioned = [p for b in neutral["blocks"] if b["type"] == "lead" for p in b.get("people") or ()]
        if look.mentions:
            self._people.learn(mentioned, names)
        return content(draw(neutral, self._pen(names, lambda sha: self._image(sha, names)), look))

    def _pen(self, names: Names, image: Callable[[str], str | None]) -> Pen:
        def person(one: str) -> tuple[str | None, str]:
            return local_open_id(one, names.person(one) or {}, names), name_of(one, names)

        return Pen(self._words, person, image)

    def _words(self, text: Any, today: datetime | None = None) -> str:
        return render(text, self._settings.language, self._tz, today or self._clock.now())

    def _expired(self, message: Message, window: timedelta) -> bool:
        """True if Feishu may have forgotten this message's key. A clock that was set back tells nothing: then too."""
        if message.first_tried_at is None:
            return False
        age = self._clock.now() - message.first_tried_at
        return not timedelta(minutes=-1) < age < window * _SAFE_PART

    def _image(self, sha: str, names: Names) -> str | None:
        """The image key of a picture, uploaded if need be; None (left out) if it is missing or refused."""
        known, file = names.far(f"image:{sha}"), names.blob(sha)
        if known or file is None:
            return known
        try:
            data = file.read_bytes()
        except OSError as error:
            log.warning("picture %s cannot be read: %s", sha[:12], error.strerror)
            return None
        if not 0 < len(data) <= _MAX_PICTURE:
            return None
        kind = "jpeg" if data.startswith(b"\xff\xd8") else "png"
        upload = Upload("image", f"{sha[:12]}.{kind}", data, f"image/{kind}", {"image_type": "message"})
        try:
            key = self._client.call("im.image.create", "POST", "/open-apis/im/v1/images", upload=upload).get(
                "image_key"
            )
        except FarSays as error:
            log.warning("picture %s refused: %s", sha[:12], error.reason)
            return None
        if isinstance(key, str) and key:
            names.remember(f"image:{sha}", key)
            return key
        return None


def _lark(settings: FeishuSettings, stop: threading.Event) -> Send:
    """The real exchange; imported here, since lark_oapi takes seconds and 170 MB."""
    from agent.sinks.feishu.lark import LarkTransport

    return LarkTransport(settings, stop)
