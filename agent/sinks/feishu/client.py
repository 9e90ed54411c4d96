"""One call to Feishu: token, attempt, short repeats, and the answer as data or as one of our failures.

Knows nothing of sockets: `send` does one HTTP exchange (lark.py has the real one). Safe for several threads.
"""

from __future__ import annotations

import json
import logging
import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, stop_before_delay

from agent.clock import Clock
from agent.errors import Unreachable
from agent.sinks.feishu.retry import STOPPED_S, Busy, Kind, Unknown, classify, clean, failure

log = logging.getLogger(__name__)
Query = Sequence[tuple[str, str]]
_TOKEN_PATH = "/open-apis/auth/v3/tenant_access_token/internal"  # noqa: S105
_MARGIN_S = 600.0
_LIMIT_S = 5.0
_MAX_PAGES = 500


@dataclass(frozen=True, slots=True)
class Upload:
    """A file part of a multipart request, with its plain fields."""

    part: str
    name: str
    data: bytes
    content_type: str
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `path` holds `:name` places that `paths` fills; `api` names it in logs and for its rate limit."""

    api: str
    method: str
    path: str
    paths: Mapping[str, str] = field(default_factory=dict)
    query: Query = ()
    body: Mapping[str, Any] | None = None
    upload: Upload | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """One response, whatever its status."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class NetworkDown(Exception):
    """No response. `dropped`: refused or reset, as opposed to a time-out. The text names the kind, no address."""

    def __init__(self, kind: str, dropped: bool) -> None:
        super().__init__(kind)
        self.dropped = dropped


Send = Callable[[Call, str | None], Answer]
"""One exchange with this tenant token (None: without). Raises NetworkDown."""


class FeishuClient:
    """The app's calls. Each may raise Unreachable (also Unknown, Busy) or Rejected (as FarSays)."""

    def __init__(self, send: Send, app_id: str, secret: str, clock: Clock, stop: threading.Event) -> None:
        self._send, self._app_id, self._secret, self._clock, self._stop = send, app_id, secret, clock, stop
        self._lock = threading.Lock()
        self._token: tuple[str, float] | None = None
        self._not_before: dict[str, float] = {}
        self._trouble = ""

    @property
    def trouble(self) -> str:
        """Why Feishu refuses the whole app at present (quota, credentials, …), for health and alarms.

        Nothing once the pause is long over: then it is not known, since nobody has asked."""
        since = self._not_before.get("*", float("-inf"))
        return self._trouble if self._clock.monotonic() < since + STOPPED_S else ""

    def call(self, api: str, method: str, path: str, **more: Any) -> dict[str, Any]:
        """Make one call (`more`: the other fields of Call) and return its `data`.

        Repeats by itself only what is safe and short (at most 8 s): Feishu busy, connection dropped at once.
        """
        request = Call(api, method, path, **more)
        repeat = Retrying(
            retry=retry_if_exception(_soon), wait=_pause, stop=stop_after_attempt(4) | stop_before_delay(8),
            sleep=self._sleep, reraise=True,
        )  # fmt: skip
        return repeat(self._once, request)

    def pages(
        self, api: str, path: str, query: Query, paths: Mapping[str, str] | None = None
    ) -> Iterator[dict[str, Any]]:
        """The items of all pages of a list. Raises what `call` raises."""
        token = ""
        for _ in range(_MAX_PAGES):
            more = [("page_token", token)] if token else []
            data = self.call(api, "GET", path, paths=paths or {}, query=[*query, *more])
            yield from (item for item in data.get("items") or () if isinstance(item, dict))
            last, token = token, str(data.get("page_token") or "")
            if data.get("has_more") is False or not token or token == last:
                return

    def _sleep(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise Unreachable("stopping")

    def _once(self, request: Call) -> dict[str, Any]:
        for last in (False, True):
            self._wait_over(request.api)
            token = self._tenant_token()
            kind, body, error = self._exchange(request, token)
            if kind is Kind.OK:
                self._trouble = ""
                data = body.get("data")
                return data if isinstance(data, dict) else {}
            if kind is not Kind.TOKEN or last:
                raise error
            log.info("%s: token refused, fetching another", request.api)
            self._drop(token)
        raise AssertionError("unreachable")

    def _exchange(self, request: Call, token: str | None) -> tuple[Kind, dict[str, Any], Exception]:
        try:
            answer = self._send(request, token)
        except NetworkDown as error:
            raise Unknown(f"{request.api}: {error}", error.dropped) from error
        body, code = _envelope(answer)
        words = str(body.get("msg", ""))
        kind = classify(code, answer.status, words)
        if kind is Kind.OK:
            return kind, body, AssertionError("nothing failed")
        reason = f"{request.api}: {_told(code, answer.status, words)}{_log_id(answer, body)}"
        wait = self._note(request.api, kind, answer, reason)
        return kind, body, failure(kind, code, reason, wait, answer.content.decode("utf-8", "replace")[:65536])

    def _note(self, api: str, kind: Kind, answer: Answer, reason: str) -> float | None:
        """Remember pauses; returns how long to wait."""
        if kind is Kind.LIMIT:
            wait = _reset_s(answer.headers)
            self._not_before[api] = self._clock.monotonic() + wait
            return wait
        if kind is Kind.STOPPED:
            self._not_before["*"] = self._clock.monotonic() + STOPPED_S
            if self._trouble != reason:
                self._trouble = reason
                log.error("Feishu refuses this app: %s", reason)
        return None

    def _wait_over(self, api: str) -> None:
        now = self._clock.monotonic()
        for name in (api, "*"):
            left = self._not_before.get(name, now) - now
            if left > 0.001:  # less is the rounding of clocks
                raise Unreachable(self._trouble or f"{api}: paused after a rate limit", left)
        if self._stop.is_set():
            raise Unreachable("stopping")

    def _tenant_token(self) -> str:
        """The cached token, or a new one (tenant_access_token_internal: flat answer, `expire` in seconds)."""
        with self._lock:
            if self._token is not None and self._clock.monotonic() < self._token[1]:
                return self._token[0]
            body = {"app_id": self._app_id, "app_secret": self._secret}
            request = Call("auth.token", "POST", _TOKEN_PATH, body=body)
            self._wait_over(request.api)
            kind, found, error = self._exchange(request, None)
            if kind is not Kind.OK:
                raise error
            token, expire = found.get("tenant_access_token"), found.get("expire")
            if not isinstance(token, str) or not token or not isinstance(expire, (int, float)):
                raise Unknown("auth.token: no token in the answer")
            lasts = expire - min(_MARGIN_S, expire / 2)
            self._token = (token, self._clock.monotonic() + lasts)
            return token

    def _drop(self, token: str) -> None:
        with self._lock:
            if self._token is not None and self._token[0] == token:
                self._token = None


def _soon(error: BaseException) -> bool:
    return isinstance(error, Busy) or (isinstance(error, Unknown) and error.dropped)


def _pause(state: RetryCallState) -> float:
    """1–3 s when Feishu is busy; a dropped connection is tried once more at once, then left to the outbox."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, Unknown):
        return 0.2 if state.attempt_number == 1 else 60.0  # 60 s is past the limit of `call`: no more repeats
    return random.uniform(1.0, 3.0)  # noqa: S311  (jitter, not a secret)


def _envelope(answer: Answer) -> tuple[dict[str, Any], int | None]:
    """The JSON object of an answer and its code; ({}, None) for HTML, half a body, or JSON that is no envelope."""
    try:
        body = json.loads(answer.content)
    except ValueError:
        return {}, None
    if not isinstance(body, dict) or type(body.get("code")) is not int:
        return {}, None
    return body, body["code"]


def _told(code: int | None, status: int, words: str) -> str:
    return f"HTTP {status}, no answer of Feishu's" if code is None else f"code {code}, {clean(words)}"


def _header(headers: Mapping[str, str], name: str) -> str | None:
    """Proxies change the case of header names; lark keeps them in a plain dict."""
    return next((value for key, value in headers.items() if key.lower() == name), None)


def _log_id(answer: Answer, body: Mapping[str, Any]) -> str:
    error = body.get("error")
    found = _header(answer.headers, "x-tt-logid") or (error.get("log_id") if isinstance(error, dict) else None)
    return f" (log {clean(found, 64)})" if found else ""


def _reset_s(headers: Mapping[str, str]) -> float:
    """Seconds until the rate limit ends (x-ogw-ratelimit-reset), with jitter so that callers do not return together."""
    try:
        asked = float(_header(headers, "x-ogw-ratelimit-reset") or _LIMIT_S)
    except ValueError:
        asked = _LIMIT_S
    asked = min(max(asked, 0.5), 3600.0) if asked == asked else _LIMIT_S
    return asked + random.uniform(0.1, 0.5)  # noqa: S311  (jitter, not a secret)
