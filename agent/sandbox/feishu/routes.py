"""Which path is which API. An API's name is what limits, faults and the call log speak of."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from agent.sandbox.feishu import auth, chats, contact, media, messages
from agent.sandbox.feishu.request import Answer, Req

PREFIX = "/open-apis/"


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint: method, path (below /open-apis/ unless it starts with /) with :parameters, name, handler.

    `open` endpoints ask for no token and count for no limit.
    """

    method: str
    path: str
    api: str
    handler: Callable[[Req], Answer]
    open: bool = False

    def params(self, path: str) -> dict[str, str] | None:
        """The parameters if this is the path's endpoint, else None."""
        found = _pattern(self.path).fullmatch(path)
        return found.groupdict() if found else None


@cache
def _pattern(path: str) -> re.Pattern[str]:
    whole = path if path.startswith("/") else PREFIX + path
    return re.compile(re.sub(r":(\w+)", r"(?P<\1>[^/]+)", whole))


ROUTES: Sequence[Route] = (
    Route("POST", "auth/v3/tenant_access_token/internal", "auth.token", auth.token, open=True),
    Route("GET", "bot/v3/info", "bot.info", auth.bot_info),
    Route("GET", "application/v6/scopes", "application.scope.list", auth.scopes),
    Route("POST", "im/v1/chats", "im.chat.create", chats.create),
    Route("GET", "im/v1/chats", "im.chat.list", chats.list_),
    Route("GET", "im/v1/chats/search", "im.chat.search", chats.search),
    Route("GET", "im/v1/chats/:chat_id", "im.chat.get", chats.get),
    Route("PUT", "im/v1/chats/:chat_id", "im.chat.update", chats.update),
    Route("DELETE", "im/v1/chats/:chat_id", "im.chat.delete", chats.dissolve),
    Route("POST", "im/v1/chats/:chat_id/members", "im.chat.members_add", chats.add_members),
    Route("DELETE", "im/v1/chats/:chat_id/members", "im.chat.members_remove", chats.remove_members),
    Route("GET", "im/v1/chats/:chat_id/members", "im.chat.members_list", chats.list_members),
    Route("GET", "im/v1/chats/:chat_id/members/is_in_chat", "im.chat.is_in", chats.is_in_chat),
    Route("POST", "im/v1/messages", "im.message.create", messages.create),
    Route("GET", "im/v1/messages", "im.message.list", messages.list_),
    Route("GET", "im/v1/messages/:message_id", "im.message.get", messages.get),
    Route("PATCH", "im/v1/messages/:message_id", "im.message.patch", messages.patch),
    Route("PUT", "im/v1/messages/:message_id", "im.message.update", messages.update),
    Route("DELETE", "im/v1/messages/:message_id", "im.message.delete", messages.delete),
    Route("POST", "im/v1/messages/:message_id/reply", "im.message.reply", messages.reply),
    Route("GET", "im/v1/messages/:message_id/read_users", "im.message.read_users", messages.read_users),
    Route("PATCH", "im/v1/messages/:message_id/urgent_app", "im.message.urgent_app", messages.urgent_app),
    Route("GET", "im/v1/messages/:message_id/resources/:file_key", "im.message.resource", messages.resource),
    Route("POST", "im/v1/images", "im.image.create", media.create_image),
    Route("GET", "im/v1/images/:image_key", "im.image.get", media.get_image),
    Route("POST", "im/v1/files", "im.file.create", media.create_file),
    Route("POST", "im/v1/pins", "im.pin.create", messages.pin),
    Route("DELETE", "im/v1/pins/:message_id", "im.pin.delete", messages.unpin),
    Route("GET", "im/v1/pins", "im.pin.list", messages.pins),
    Route("GET", "contact/v3/users/batch", "contact.user.batch", contact.batch_users),
    Route("POST", "contact/v3/users/batch_get_id", "contact.user.batch_get_id", contact.batch_get_id),
    Route("GET", "contact/v3/users/find_by_department", "contact.user.find_by_department", contact.find_by_department),
    Route("GET", "contact/v3/users/:user_id", "contact.user.get", contact.get_user),
    Route("GET", "contact/v3/departments/:department_id", "contact.department.get", contact.get_department),
    Route("GET", "contact/v3/departments/:department_id/children", "contact.department.children", contact.children),
    Route("GET", "contact/v3/scopes", "contact.scope.list", contact.scopes),
)


def match(routes: Sequence[Route], method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """The endpoint of a call and its parameters; the first that fits."""
    for route in routes:
        if route.method == method and (params := route.params(path)) is not None:
            return route, params
    return None
