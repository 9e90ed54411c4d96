"""The plant's MQTT broker: amqtt on 127.0.0.1, MQTT 3.1.1, users with passwords.

Named, authenticated sessions keep messages while their client is away; amqtt's anonymous ones lose them.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from amqtt.broker import Broker
from amqtt.plugins.base import BaseAuthPlugin
from amqtt.session import Session


class UserList(BaseAuthPlugin):  # type: ignore[misc]
    """Lets in whoever knows the password of a user in the configuration."""

    @dataclass
    class Config:
        """`users`: name → password."""

        users: dict[str, str] = field(default_factory=dict)

    async def authenticate(self, *, session: Session) -> bool:
        """True if name and password fit."""
        known = self.config.users.get(session.username or "")
        return known is not None and hmac.compare_digest(known.encode(), str(session.password or "").encode())


async def run_broker(port: int, users: Mapping[str, str], ready: asyncio.Event | None = None) -> None:
    """Serve on 127.0.0.1 until cancelled; `ready` is set once clients can connect.

    Raises amqtt's BrokerError if the port is taken.
    """
    for name in ("amqtt", "transitions"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    config = {
        "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
        "plugins": {f"{UserList.__module__}.{UserList.__qualname__}": {"users": dict(users)}},
    }
    broker = Broker(config)
    await broker.start()
    try:
        if ready is not None:
            ready.set()
        await asyncio.Event().wait()
    finally:
        await broker.shutdown()
