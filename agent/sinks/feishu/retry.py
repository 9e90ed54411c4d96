"""What Feishu's answers mean: error code first, then HTTP status, to a kind; a kind to one of our failures.

Codes: from the generic list (ugjM14COyUjL4ITN) and the error tables of each endpoint.
"""

from __future__ import annotations

import random
import re
from enum import StrEnum

from agent.errors import Rejected, Unreachable


class Kind(StrEnum):
    """What to do next."""

    OK = "ok"
    LIMIT = "limit"
    """The gateway's rate limit: pause this API for the time it names."""
    BUSY = "busy"
    """A limit of the chat, the person or the base; or our own first attempt is still under way: same key, soon."""
    TOKEN = "token"  # noqa: S105  (a kind, not a secret)
    """Drop the token, fetch another, repeat once at once."""
    UNKNOWN = "unknown"
    """It may have happened: same key within its window, look it up after that."""
    WRONG = "wrong"
    """Our request is wrong: never repeat."""
    CONTENT = "content"
    """Content review said no: send a reduced text."""
    RIGHTS = "rights"
    """No right, no scope, not in the chat: an admin must act."""
    PERSON = "person"
    """A person is unknown, has left or cannot be seen by the app."""
    GONE = "gone"
    """The chat or the message is no more: done, or void."""
    TOO_OLD = "too_old"
    """Past 14 days for a card, 7 for its readers: send a new one."""
    URGENT = "urgent"
    """An urgent call was refused: a plain mention instead."""
    CONFLICT = "conflict"
    """The idempotency token was used for something else: look it up, then a new token."""
    STOPPED = "stopped"
    """Quota, address list, credentials, app or bot switched off: stop sending, alarm, try every few minutes."""


_GROUPS: dict[Kind, tuple[int, ...]] = {
    Kind.LIMIT: (99991400,),
    Kind.BUSY: (
        230020, 232019, 11232, 1000004, 1000005, 230049, 232068, 1470422, 1254290, 1254291, 1254607, 1255040, 1254608,
        1254036, 1254002, 1254040, 1254041, 1254042, 1254043, 1254044,
    ),
    Kind.TOKEN: (99991661, 99991663, 99991664, 99991665, 99991668, 99991671, 99991677),
    Kind.UNKNOWN: (2200, 5000, 1500, 1255001, 1255002, 1255003, 1255004, 1255005, 1470500, 232096),
    Kind.WRONG: (
        99992402, 9499, 230001, 232001, 232006, 232007, 230025, 230099, 1254015, 1254045, *range(1254060, 1254075),
        1254104, 1254037, 1470400, 1470610, 1470611,
    ),
    Kind.CONTENT: (230022, 230028, 232023),
    Kind.RIGHTS: (
        230002, 232011, 230035, 230018, 230027, 232017, 232002, 232014, 232016, 232033, 232076, 99991672, 99991676,
        1254302, 1254304, 41050, 40004, 1470403, 231203,
    ),
    Kind.PERSON: (
        230013, 230029, 230053, 232022, 232024, 230034, 232027, 232030, 232032, 232043, 99992351, 99992360, 99992361,
        99992364, 41012, 230038,
    ),
    Kind.GONE: (232009, 230011, 230110, 1470404),
    Kind.TOO_OLD: (230031, 230033),
    Kind.URGENT: (230023, 230024, 230052, 230098),
    Kind.CONFLICT: (1255006,),
    Kind.STOPPED: (99991403, 99991401, 10003, 10014, 10015, 232034, 232004, 230006, 232025),
}  # fmt: skip
KINDS: dict[int, Kind] = {code: kind for kind, codes in _GROUPS.items() for code in codes}
STOPPED_S = 120.0
"""How long to leave Feishu alone after a STOPPED answer."""

_CARD = 230099
_CARD_PERSON = re.compile(r"ErrCode:\s*100290")
_CARD_LOCKED = re.compile(r"action is lock", re.I)


def classify(code: int | None, status: int, words: str = "") -> Kind:
    """The kind of an answer. `code` is None if the body was no envelope of Feishu's; `words` is its `msg`.

    A code that nobody listed: 5xx leaves it open, everything else means that the request was refused.
    """
    if code == _CARD and _CARD_LOCKED.search(words):
        return Kind.BUSY
    if code == _CARD and _CARD_PERSON.search(words):
        return Kind.PERSON
    if code is not None and code in KINDS:
        return KINDS[code]
    if code == 0 and status < 400:
        return Kind.OK
    if status == 429:
        return Kind.LIMIT
    return Kind.UNKNOWN if code in (None, 0) or status >= 500 else Kind.WRONG


class Unknown(Unreachable):
    """No answer that can be trusted: it may or may not have happened. Same key again, or look it up."""

    def __init__(self, message: str, dropped: bool = False) -> None:
        super().__init__(message)
        self.dropped = dropped
        """The connection broke at once: one quick repeat is worth it."""


class Busy(Unreachable):
    """Feishu asks for a short pause; the same key is right again."""


class FarSays(Rejected):
    """Feishu said no; `kind` tells whether somebody here knows a way out. Nobody does: the message is dead."""

    def __init__(self, kind: Kind, code: int | None, reason: str, body: str = "") -> None:
        super().__init__(reason)
        self.kind, self.code = kind, code
        self.body = body
        """The raw answer (may name the ids that were wrong); never shown."""


def failure(kind: Kind, code: int | None, reason: str, wait_s: float | None = None, body: str = "") -> Exception:
    """The exception for a kind that is not OK. `wait_s` is what the far side asked for."""
    match kind:
        case Kind.LIMIT:
            return Unreachable(reason, wait_s)
        case Kind.BUSY:
            return Busy(reason, random.uniform(1.0, 5.0))  # noqa: S311  (jitter, not a secret)
        case Kind.TOKEN:
            return Unreachable(reason)
        case Kind.UNKNOWN:
            return Unknown(reason)
        case Kind.STOPPED:
            return Unreachable(reason, STOPPED_S)
    return FarSays(kind, code, reason, body)


_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s\"'<>，。）)]+", re.I)
_SECRET = re.compile(r"\bBearer\s+\S+|\b[tuac]-[A-Za-z0-9_.\-]{12,}|\b(?:ticket|app_secret|access_key)=[^&\s]+", re.I)


def clean(words: object, limit: int = 240) -> str:
    """Words of the far side, fit for logs and pages: no address, no token, one line, at most `limit` characters."""
    line = " ".join(str(words).split())
    return _SECRET.sub("[…]", _ADDRESS.sub("[…]", line))[:limit]
