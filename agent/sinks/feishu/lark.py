"""The only door to lark_oapi: its import made harmless, its HTTP exchange, its log made discreet.

Why not lark's Client.request: it takes any 2xx without a JSON content type for success and hides the body of the rest,
and its token cache is process-wide and keeps a revoked token. Its Transport has neither fault.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import threading
from concurrent.futures import Future
from importlib import import_module

import requests
from requests_toolbelt import MultipartEncoder  # type: ignore[import-untyped]

from agent.sinks.feishu.client import Answer, Call, NetworkDown
from agent.sinks.feishu.retry import clean
from agent.sinks.feishu.settings import FeishuSettings


def _import_on_own_loop() -> None:
    """lark's websocket module takes the current event loop at import: give it one of its own, gone afterwards."""
    loop = asyncio.new_event_loop()
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.set_event_loop(loop)
        import_module("lark_oapi")
        asyncio.set_event_loop(None)
    else:
        import_module("lark_oapi")
    loop.close()


_import_on_own_loop()

from lark_oapi.core.enum import HttpMethod  # noqa: E402
from lark_oapi.core.http import Transport  # noqa: E402
from lark_oapi.core.model import BaseRequest, Config, RequestOption  # noqa: E402
from lark_oapi.ws import client as ws  # noqa: E402

__all__ = ["LarkTransport", "quiet_lark", "ws"]
_MAX_UNDER_WAY = 32
_LOOK_S = 0.25


class LarkTransport:
    """One HTTP exchange by lark's transport (requests.request: no session, no repeats).

    Its time-out holds for each read only, so an answer that drips would hold the caller for ever. Therefore each
    exchange has a daemon thread of its own, which is left behind when it overruns or when the process stops.
    """

    def __init__(self, settings: FeishuSettings, stop: threading.Event) -> None:
        quiet_lark()
        self._config = Config()
        self._config.app_id = settings.app_id
        self._config.domain = settings.base_url
        self._config.timeout = settings.timeout_s
        self._stop = stop
        self._slots = threading.BoundedSemaphore(_MAX_UNDER_WAY)

    def __call__(self, call: Call, token: str | None) -> Answer:
        """Send `call` and wait for the whole answer, at most 2.5 times the time-out. Raises NetworkDown."""
        if not self._slots.acquire(blocking=False):
            raise NetworkDown(f"{_MAX_UNDER_WAY} calls hang already", dropped=False)
        answer: Future[Answer] = Future()
        threading.Thread(target=self._exchange, args=(answer, call, token), daemon=True, name="feishu-http").start()
        for _ in range(math.ceil(2.5 * self._config.timeout / _LOOK_S)):
            if self._stop.is_set():
                raise NetworkDown("stopping", dropped=False)
            with contextlib.suppress(TimeoutError):
                return answer.result(timeout=_LOOK_S)
        raise NetworkDown("no whole answer in time", dropped=False)

    def _exchange(self, answer: Future[Answer], call: Call, token: str | None) -> None:
        try:
            raw = Transport.execute(self._config, *_request(call, token))
            answer.set_result(Answer(int(raw.status_code), raw.headers, raw.content or b""))
        except requests.Timeout:
            answer.set_exception(NetworkDown("no answer in time", dropped=False))
        except requests.ConnectionError as error:
            late = "timed out" in str(error)  # requests calls a time-out in the body a ConnectionError
            answer.set_exception(NetworkDown("connection refused or broken", dropped=not late))
        except requests.RequestException as error:
            answer.set_exception(NetworkDown(f"no whole answer ({type(error).__name__})", dropped=False))
        finally:
            answer.cancel()  # nothing after an answer; after a bug it ends the wait
            self._slots.release()


def _request(call: Call, token: str | None) -> tuple[BaseRequest, RequestOption]:
    request, option = BaseRequest(), RequestOption()
    request.http_method = HttpMethod[call.method]
    request.uri, request.paths, request.queries = call.path, dict(call.paths), list(call.query)
    option.headers = {"Content-Type": "application/json; charset=utf-8"}
    if token is not None:
        option.headers["Authorization"] = f"Bearer {token}"
    if call.upload is not None:
        file = (call.upload.name, call.upload.data, call.upload.content_type)
        request.body = MultipartEncoder({**call.upload.fields, call.upload.part: file})
        option.headers["Content-Type"] = request.body.content_type
    elif call.body is not None:
        request.body = dict(call.body)
    return request, option


class _Discreet(logging.Filter):
    """Takes addresses and tokens out of what lark and its libraries log."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = clean(record.getMessage(), 500), ()
        record.exc_info = None
        return True


_discreet = _Discreet()


def quiet_lark() -> None:
    """No own handler for lark (journald has ours), nothing below WARNING, no secrets. Harmless to repeat."""
    lark = logging.getLogger("Lark")
    lark.handlers.clear()
    for name in ("Lark", "websockets.client", "urllib3.connectionpool"):
        logger = logging.getLogger(name)
        logger.setLevel(max(logger.level, logging.WARNING))
        if _discreet not in logger.filters:
            logger.addFilter(_discreet)
