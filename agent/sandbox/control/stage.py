"""What every control endpoint works on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from agent.sandbox.push.hub import Hub
from agent.sandbox.world.world import SandboxWorld


@dataclass(frozen=True, slots=True)
class Stage:
    """The world, its long connections, and the time zone its people live in."""

    world: SandboxWorld
    hub: Hub
    tz: str


def _stage(request: Request) -> Stage:
    stage: Stage = request.app.state.stage
    return stage


Here = Annotated[Stage, Depends(_stage)]
