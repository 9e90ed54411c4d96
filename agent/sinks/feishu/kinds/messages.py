"""Messages: the card of a ticket, words in its group, words to one person (im/v1/messages; README.md, Once each).

Sending is idempotent by `uuid` for 1 h; later a message is looked up in its chat first. A direct message can only be
looked up once the id of that chat is known (Feishu tells it with each answer): until then it is sent again after the
hour, since a reminder that comes twice is better than none. A card's update sets all of it, so repeating is harmless.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from agent.errors import Rejected
from agent.outbox.sink import Delivered, Message, Names, Reissue
from agent.sinks.feishu.card.draw import Look, mask
from agent.sinks.feishu.card.elements import cut
from agent.sinks.feishu.client import FeishuClient
from agent.sinks.feishu.kinds.groups import Expired, carries, needed
from agent.sinks.feishu.kinds.lookup import MESSAGES, WORDS_EARLIER, card_of, look_up, same_words
from agent.sinks.feishu.people import People, name_of
from agent.sinks.feishu.retry import FarSays, Kind, Unknown

log = logging.getLogger(__name__)
WINDOW = timedelta(hours=1)
_MESSAGE = MESSAGES + "/:message_id"
_TRIES = 4
_LANGUAGES = {"zh": "zh_cn", "en": "en_us"}
Words = Callable[[Any, datetime | None], str]
"""A Text in words; the time is what counts as today."""
Draw = Callable[[Mapping[str, Any], Names, Look], str]
"""A neutral card as the content of a message; may upload pictures."""


class Messages:
    """The message kinds post_card, update_card, say, nudge."""

    def __init__(
        self, client: FeishuClient, people: People, words: Words, draw: Draw, expired: Expired, language: str
    ) -> None:
        self._client, self._people, self._words, self._draw, self._expired = client, people, words, draw, expired
        self._locale = _LANGUAGES[language]

    def post_card(self, message: Message, names: Names) -> Delivered | Reissue:
        """The ticket's card, once."""
        known = names.far(message.payload["card"])
        if known is not None:
            return Delivered({message.payload["card"]: known}, "already posted")
        return self._post(message, names, needed(message, names, message.payload["group"]), "")

    def update_card(self, message: Message, names: Names) -> Delivered | Reissue:
        """The card as it is now; past its 14 days a new card takes its place."""
        logical = message.payload["card"]
        if names.far(f"gone:{logical}") is not None:
            return Delivered(note="group is gone")
        card = needed(message, names, logical)

        def patch(look: Look) -> None:
            content = self._draw(message.payload["card_body"], names, look)
            self._client.call(
                "im.message.patch", "PATCH", _MESSAGE, paths={"message_id": card}, body={"content": content}
            )

        try:
            _ever_plainer(patch, Look())
            return Delivered()
        except FarSays as error:
            if error.kind is Kind.GONE:
                return Delivered(note="already gone")
            if error.kind is not Kind.TOO_OLD:
                raise
        chat = needed(message, names, logical.replace("card:", "group:", 1))
        return self._post(message, names, chat, "new card, the old one was past its time")

    def say(self, message: Message, names: Names) -> Delivered | Reissue:
        """Words in the group, mentioning people."""
        payload = message.payload
        chat = needed(message, names, payload["group"])
        text = self._text(message)
        if self._expired(message, WINDOW):
            return _found(look_up(self._client, message, chat, same_words(text), WORDS_EARLIER)) or Reissue()
        ids = list(self._people.open_ids(payload.get("people") or (), names).values())

        def send(look: Look) -> None:
            self._send(message, "chat_id", chat, "post", self._post_content(text, ids, look, payload["ticket"]))

        try:
            _ever_plainer(send, Look())
        except FarSays as error:
            if error.kind is not Kind.GONE:
                raise
            return Delivered(note="already gone")
        return Delivered()

    def nudge(self, message: Message, names: Names) -> Delivered | Reissue:
        """Words to one person, or to whoever is above them if Feishu cannot reach them. Raises Rejected for nobody."""
        person = str(message.payload["person"])
        expired = self._expired(message, WINDOW)
        for recipient in (person, *self._people.instead_of(person, names)):
            text = self._text(message, None if recipient == person else name_of(person, names))
            if expired:
                chat = names.far(f"p2p:{recipient}")
                found = None if chat is None else look_up(self._client, message, chat, same_words(text), WORDS_EARLIER)
                done = _found(found)
            else:
                done = self._nudge_one(message, names, recipient, text)
            if done is not None:
                return done if recipient == person else replace(done, note=f"{person} is not in Feishu: to {recipient}")
        if expired:
            return Reissue()
        raise Rejected(f"person {person} ({name_of(person, names)}) cannot be reached in Feishu")

    def _nudge_one(self, message: Message, names: Names, person: str, text: str) -> Delivered | None:
        """None: Feishu knows no such person, also when asked anew."""
        refused: set[str] = set()
        for _ in range(2):
            open_id = self._people.open_ids([person], names, refused).get(person)
            if open_id is None:
                return None
            try:
                return self._nudge(message, names, person, open_id, text)
            except FarSays as error:
                if error.kind is not Kind.PERSON:
                    raise
                log.info("%s: asking for the person's id anew", error.reason)
                refused.add(open_id)
        return None

    def _nudge(self, message: Message, names: Names, person: str, open_id: str, text: str) -> Delivered:
        def send(look: Look) -> Mapping[str, Any]:
            content = self._post_content(text, (), look, message.payload["ticket"])
            return self._send(message, "open_id", open_id, "post", content)

        chat = _ever_plainer(send, Look(mentions=False)).get("chat_id")
        if isinstance(chat, str) and chat and names.far(f"p2p:{person}") != chat:
            names.remember(f"p2p:{person}", chat)
        return Delivered()

    def _post(self, message: Message, names: Names, chat: str, note: str) -> Delivered | Reissue:
        payload = message.payload
        if self._expired(message, WINDOW):
            found = look_up(self._client, message, chat, card_of(payload["ticket"]))
            return _found(found, payload["card"]) or Reissue()

        def send(look: Look) -> Mapping[str, Any]:
            return self._send(message, "chat_id", chat, "interactive", self._draw(payload["card_body"], names, look))

        try:
            data = _ever_plainer(send, Look())
        except FarSays as error:
            if error.kind is not Kind.GONE:
                raise
            return Delivered({f"gone:{payload['card']}": chat}, "already gone")  # its updates are to know
        return Delivered({payload["card"]: str(data["message_id"])}, note)

    def _send(self, message: Message, id_type: str, to: str, kind: str, content: str) -> dict[str, Any]:
        data = self._client.call(
            "im.message.create", "POST", MESSAGES, query=[("receive_id_type", id_type)],
            body={"receive_id": to, "msg_type": kind, "content": content, "uuid": message.key},
        )  # fmt: skip
        if not data.get("message_id"):
            raise Unknown("im.message.create: no message_id in the answer")
        return data

    def _text(self, message: Message, instead_of: str | None = None) -> str:
        """The message's words, the same at each attempt: "today" is the day of the first one."""
        said = message.payload["text"]
        if instead_of is not None:
            said = {"key": "feishu.instead", "args": {"name": instead_of, "words": said}}
        text = cut(self._words(said, message.first_tried_at), 2000)
        number = str(message.payload["ticket"])
        return text if carries(text, number) else f"{text} {number}"

    def _post_content(self, text: str, ids: Sequence[str], look: Look, number: str) -> str:
        """Rich text of mentions and plain words: a text message would read tags and links in them."""
        if look.reduced:
            plain = mask(text)
            refused = look.reduced > 1 or plain == text
            text = self._words({"key": "feishu.reduced", "args": {"no": number}}, None) if refused else plain
        people = [{"tag": "at", "user_id": open_id} for open_id in ids] if look.mentions else []
        rows: list[list[dict[str, str]]] = [[{"tag": "text", "text": row}] for row in text.split("\n")]
        if people:
            rows[0] = [*people, {"tag": "text", "text": f" {rows[0][0]['text']}"}]
        return json.dumps({self._locale: {"content": rows}}, ensure_ascii=False)


def _found(message_id: str | None, *logical: str) -> Delivered | None:
    return None if message_id is None else Delivered(dict.fromkeys(logical, message_id), "found by reconciliation")


def _ever_plainer(send: Callable[[Look], Any], look: Look) -> Any:
    """Send; leave away what Feishu refuses: mentions of people it does not know, pictures, words it holds back."""
    for _ in range(_TRIES):
        try:
            return send(look)
        except FarSays as error:
            plainer = _plainer(look, error)
            if plainer is None:
                raise
            log.info("%s: sent in a plainer form", error.reason)
            look = plainer
    return send(look)


def _plainer(look: Look, error: FarSays) -> Look | None:
    if error.kind is Kind.CONTENT:
        return replace(look, reduced=look.reduced + 1) if look.reduced < 2 else None
    if "200570" in error.reason and look.pictures:
        return replace(look, pictures=False)
    if error.kind is Kind.PERSON and look.mentions:
        return replace(look, mentions=False)
    return None
