"""The control API: look at the world, act as a person. Loopback only, no token."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response, StreamingResponse

from agent.errors import Refused
from agent.sandbox.control import acts, bodies, views
from agent.sandbox.control.press import Press, press
from agent.sandbox.control.stage import Here
from agent.sandbox.control.stream import events
from agent.sandbox.world import groups

router = APIRouter(prefix="/sandbox/api")


@router.get("/state")
async def state(here: Here) -> dict[str, Any]:
    return views.snapshot(here.world, here.hub, here.tz)


@router.get("/groups/{chat_id}/messages")
async def conversation(here: Here, chat_id: str, limit: Annotated[int, Query(ge=1, le=5000)] = 200) -> dict[str, Any]:
    return {"messages": views.talk(here.world, acts.group_of(here.world, chat_id), limit)}


@router.get("/messages/{message_id}")
async def message(here: Here, message_id: str) -> dict[str, Any]:
    return views.versions(here.world, acts.message_of(here.world, message_id))


@router.get("/images/{key}")
async def image(here: Here, key: str) -> Response:
    if key not in here.world.media:
        raise Refused("sandbox.error.no_message", id=key)
    return Response(here.world.media[key].data, media_type=here.world.media[key].mime)


@router.get("/calls")
async def calls(here: Here, after: int = 0, limit: Annotated[int, Query(ge=1, le=2000)] = 2000) -> dict[str, Any]:
    return {"calls": views.calls_of(here.world.journal.calls_after(after, limit))}


@router.get("/violations")
async def violations(here: Here) -> dict[str, Any]:
    return {"violations": [views.violation(item) for item in here.world.journal.violations]}


@router.get("/stream")
async def stream(here: Here) -> StreamingResponse:
    return StreamingResponse(events(here.world, here.hub, here.tz), media_type="text/event-stream")


@router.post("/press")
async def press_(here: Here, body: bodies.PressBody) -> dict[str, Any]:
    person, message = acts.person_of(here.world, body.person), acts.message_of(here.world, body.message_id)
    extra = body.model_dump(include={"option", "options", "input_value", "checked"}, exclude_none=True)
    wish = Press(body.name, body.value, body.form_value, extra)
    return views.click(await press(here.world, here.hub, person, message, wish, here.tz))


@router.post("/say")
async def say(here: Here, body: bodies.SayBody) -> dict[str, Any]:
    person = acts.person_of(here.world, body.person)
    parent = acts.message_of(here.world, body.parent_id) if body.parent_id else None
    if not body.text and body.image_base64 is None:
        raise Refused("sandbox.error.bad_request", why="text")
    message, event_id = acts.say(
        here.world, person, body.chat_id, body.text, body.mention_bot, parent, body.image_base64
    )
    return {"message_id": message.message_id, "event_id": event_id}


@router.post("/read")
async def read(here: Here, body: bodies.ReadBody) -> dict[str, Any]:
    acts.read(here.world, acts.person_of(here.world, body.person), acts.message_of(here.world, body.message_id))
    return {}


@router.post("/react")
async def react(here: Here, body: bodies.ReactBody) -> dict[str, Any]:
    person, message = acts.person_of(here.world, body.person), acts.message_of(here.world, body.message_id)
    return {"event_id": acts.react(here.world, person, message, body.emoji)}


@router.post("/menu")
async def menu(here: Here, body: bodies.MenuBody) -> dict[str, Any]:
    return {"event_id": acts.menu(here.world, acts.person_of(here.world, body.person), body.event_key)}


@router.post("/people/{number}/resign")
async def resign(here: Here, number: str) -> dict[str, Any]:
    acts.resign(here.world, acts.person_of(here.world, number))
    return views.person(acts.person_of(here.world, number))


@router.post("/people/{number}")
async def change(here: Here, number: str, body: bodies.ChangeBody) -> dict[str, Any]:
    acts.change(here.world, acts.person_of(here.world, number), body.model_dump(exclude_unset=True))
    return views.person(acts.person_of(here.world, number))


group_router = APIRouter(prefix="/sandbox/api/groups/{chat_id}")


@group_router.post("/read")
async def read_all(here: Here, chat_id: str, body: bodies.ByBody) -> dict[str, Any]:
    person, group = acts.person_of(here.world, body.person), acts.group_of(here.world, chat_id)
    return {"messages": sum(acts.read(here.world, person, here.world.messages[m]) for m in group.messages)}


@group_router.post("/leave")
async def leave(here: Here, chat_id: str, body: bodies.ByBody) -> dict[str, Any]:
    person = acts.person_of(here.world, body.person)
    groups.remove(here.world, acts.open_group(here.world, chat_id), [person], by=person.id, left=True)
    return {}


@group_router.post("/dissolve")
async def dissolve(here: Here, chat_id: str, body: bodies.MaybeByBody) -> dict[str, Any]:
    groups.dissolve(here.world, acts.open_group(here.world, chat_id), _who(here, body), body.keep_history)
    return {}


@group_router.post("/remove_bot")
async def remove_bot(here: Here, chat_id: str, body: bodies.MaybeByBody) -> dict[str, Any]:
    acts.remove_bot(here.world, acts.open_group(here.world, chat_id), _who(here, body))
    return {}


def _who(here: Here, body: bodies.MaybeByBody) -> str | None:
    return acts.person_of(here.world, body.person).id if body.person else None
