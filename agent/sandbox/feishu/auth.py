"""The app itself: its token, its bot, its scopes (auth/v3, bot/v3, application/v6)."""

from __future__ import annotations

from agent.sandbox.feishu.request import Answer, Flat, Req
from agent.sandbox.rules.refusal import FeishuError

SCOPES = (
    "im:chat",
    "im:chat:operate_as_owner",
    "im:chat.members:read",
    "im:message",
    "im:message:send_as_bot",
    "im:message.group_at_msg:readonly",
    "im:message.p2p_msg:readonly",
    "im:message.urgent",
    "im:message.pins:write_only",
    "im:resource",
    "contact:contact.base:readonly",
    "contact:user.base:readonly",
    "contact:user.department:readonly",
    "contact:user.employee_id:readonly",
    "contact:user.employee_number:read",
    "contact:user.id:readonly",
    "contact:department.organize:readonly",
)
"""What the app has been granted; im:message.group_msg comes with AppSettings.all_messages."""


def token(req: Req) -> Answer:
    """POST auth/v3/tenant_access_token/internal. The SDK sends it without a Content-Type."""
    app, body = req.world.app, req.body
    if not isinstance(body.get("app_id"), str) or not isinstance(body.get("app_secret"), str):
        raise FeishuError(10003)
    if body["app_id"] != app.app_id:
        raise FeishuError(10003, msg="invalid app_id")
    if body["app_secret"] != app.app_secret:
        raise FeishuError(10015)
    issued, left = req.world.issue_token()
    return Flat({"tenant_access_token": issued, "expire": left})


def bot_info(req: Req) -> Answer:
    """GET bot/v3/info."""
    bot = {
        "activate_status": 2,
        "app_name": req.world.app.bot_name,
        "avatar_url": "",
        "ip_white_list": [],
        "open_id": req.world.bot_open_id,
    }
    return Flat({"bot": bot})


def scopes(req: Req) -> Answer:
    """GET application/v6/scopes: every scope that the sandbox acts upon, granted or not."""
    app = req.world.app
    granted = set(SCOPES) - (set() if app.operate_as_owner else {"im:chat:operate_as_owner"})
    names = [*SCOPES, "im:message.group_msg"]
    if app.all_messages:
        granted.add("im:message.group_msg")
    return {
        "scopes": [{"scope_name": n, "scope_type": "tenant", "grant_status": 1 if n in granted else 2} for n in names]
    }
