"""A refusal as Feishu words it: business code, message, HTTP status (each endpoint's error table; generic codes)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MESSAGES: Mapping[int, str] = {
    10003: "invalid param",
    10014: "app secret invalid",
    10015: "wrong app secret",
    40004: "no dept. authority",
    41012: "user id invalid",
    41050: "no user authority",
    230001: "Your request contains an invalid request parameter.",
    230002: "The bot can not be outside the group.",
    230011: "The message is recalled.",
    230012: "Bot is NOT the sender of the message.",
    230013: "Bot has NO availability to this user.",
    230020: "This operation triggers the frequency limit.",
    230023: "The user has too many unread urgent messages.",
    230025: "The length of the message content reaches its limit.",
    230026: "No permission to recall this message.",
    230031: "Message can only be modified within 14 days after sending.",
    230033: "Get the reading status must be done within 7 days after the message is sent.",
    230034: "The receive_id is invalid.",
    230047: "Pin/Unpin message trigger message_id limit.",
    230049: "The message is being sent.",
    230054: "This operation is not supported for this message type.",
    230071: "The operator is not the sender of the message.",
    230072: "The message has reached the number of times it can be edited.",
    230099: "Failed to create card content.",
    230110: "Action unavailable as the message has been deleted.",
    232001: "Your request contains an invalid request parameter.",
    232002: "No Permission: Only chat owner or admin can edit chat information in the current situation.",
    232006: "Your request specifies a chat_id which is invalid.",
    232008: "Your request specifies a chat whose type is NOT supported currently.",
    232009: "Your request specifies a chat which has already been dissolved.",
    232011: "Operator can NOT be out of the chat.",
    232012: "New chat owner can NOT be out of the chat.",
    232017: "No Permission: If the operator is NOT owner or creator with the scope, "
    "the operator can NOT complete the request.",
    232019: "The request has been rate limited.",
    232020: "Name can NOT be less than two characters for public chats.",
    232021: "Bot can NOT be found.",
    232022: "User has already resigned.",
    232027: "There are no valid members in the ID list specified in your request.",
    232029: "There are no available candidates for chat owner.",
    232030: "Your request specifies a user_id which is invalid.",
    232035: "Your request specifies an owner_id which is invalid.",
    232043: "Your request contains unavailable ids.",
    232068: "The group is being created, please wait a moment.",
    232076: "Can't kick chat owner.",
    232096: "Meta writing has stopped, please try again later.",
    234001: "Invalid request param.",
    234003: "File not in message.",
    234004: "App not in chat.",
    234005: "Image has been deleted",
    234006: "The file size exceed the max value.",
    234008: "The app is not the resource sender",
    234010: "File's size can't be 0.",
    234011: "Can't regonnize the image format.",
    234039: "Image resolution exceeds limit.",
    234043: "Unsupported message type.",
    99991400: "request trigger frequency limit",
    99991661: "Missing access token for authorization. Please make a request with token attached.",
    99991663: "Invalid access token for authorization. Please make a test attempt with the correct token.",
    99991671: "Invalid access token prefix",
    99992351: "these open ids not existed",
    99992402: "field validation failed",
}
FINAL = frozenset({230001, 230025, 230099, 232001, 99992402})
"""Codes that say: the request itself is wrong."""
LOCKED = "card action is lock"


class FeishuError(Exception):
    """Feishu says no. `detail` is appended to the message, `headers` go on the HTTP answer."""

    def __init__(
        self,
        code: int,
        detail: str = "",
        *,
        msg: str | None = None,
        status: int = 400,
        headers: Mapping[str, str] | None = None,
        fields: tuple[str, ...] = (),
    ) -> None:
        text = msg if msg is not None else MESSAGES.get(code, "error")
        super().__init__(f"{code} {text}")
        self.code, self.status, self.headers = code, status, dict(headers or {})
        self.msg = f"{text} ext={detail}" if detail else text
        self.fields = fields

    @property
    def final(self) -> bool:
        """True if the very same request must never be repeated. (A card that is being pressed is free again soon.)"""
        return self.code in FINAL and LOCKED not in self.msg

    def body(self, log_id: str) -> dict[str, Any]:
        """The envelope {code, msg, error}."""
        error: dict[str, Any] = {"log_id": log_id}
        if self.fields:
            error["field_violations"] = [{"field": name, "description": f"{name} is invalid"} for name in self.fields]
        return {"code": self.code, "msg": self.msg, "error": error}


def invalid(*fields: str) -> FeishuError:
    """99992402: a field is missing or wrong."""
    return FeishuError(99992402, fields=fields)
