"""The six kinds of failure, named by what to do next. A docstring is the default message.

No message may carry a URL, a token, a secret or an answer key: messages reach logs, cards and pages.
"""

from __future__ import annotations


class AgentError(Exception):
    """Something went wrong."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)


class ConfigError(AgentError):
    """The configuration is wrong; the process ends with exit code 78 and is not restarted."""

    def __init__(self, field: str, value: object, hint: str) -> None:
        super().__init__(f"{field} = {value!r}: {hint}")
        self.field, self.value, self.hint = field, value, hint


class Unreachable(AgentError):
    """The other side cannot be had now; try again for ever.

    `retry_after` is the pause in seconds that the other side asked for, or None for the usual backoff.
    """

    def __init__(self, message: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Rejected(AgentError):
    """The other side said no for good; the message is dead and shown with "send again"."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BadSignal(AgentError):
    """A device said something that cannot be read; it is counted, a sample is kept, the source is acknowledged."""

    def __init__(self, kind: str, sample: str = "") -> None:
        super().__init__(f"{kind}: {sample[:200]}" if sample else kind)
        self.kind, self.sample = kind, sample[:200]


class Refused(AgentError):
    """The rules say no; the person is told why and what is possible instead.

    `key` and `args` name a text in `agent/texts`, so that the reason can be told in the reader's language.
    """

    def __init__(self, key: str, **args: object) -> None:
        super().__init__(key)
        self.key, self.args_ = key, args
