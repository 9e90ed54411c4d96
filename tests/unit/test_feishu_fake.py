"""A Feishu of dicts for the sink's unit tests: chats, messages, keys that are forgotten; failures by script."""

from __future__ import annotations

import json
import threading
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from agent.clock import ManualClock
from agent.outbox.sink import Message
from agent.sinks.feishu.client import Answer, Call, NetworkDown
from agent.sinks.feishu.settings import FeishuSettings
from agent.sinks.feishu.sink import FeishuSink

NO = "SZ1-E3-261122-007"
START = datetime(2026, 11, 22, 2, 40, tzinfo=UTC)
TZ = ZoneInfo("Asia/Shanghai")
SECRET = "s3cret-of-the-app"


def reply(code: int = 0, data: Any = None, status: int | None = None, msg: str = "", **headers: str) -> Answer:
    """An answer as Feishu writes it."""
    body = {"code": code, "msg": msg or ("success" if code == 0 else "no"), "data": data or {}}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status or (200 if code == 0 else 400), named, json.dumps(body).encode())


class Names:
    """outbox.sink.Names over dicts."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}
        self.people: dict[str, dict[str, Any]] = {}
        self.files: dict[str, Path] = {}

    def far(self, logical: str) -> str | None:
        return self.known.get(logical)

    def remember(self, logical: str, far: str) -> None:
        self.known[logical] = far

    def person(self, person: str) -> Mapping[str, Any] | None:
        return self.people.get(person)

    def blob(self, sha: str) -> Path | None:
        return self.files.get(sha)


class Waits(threading.Event):
    """An event whose waits take no time and are written down."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.asked.append(timeout or 0.0)
        return self.is_set()


class Far:
    """The far side. `script[api]`: answers or failures of the next calls; "lose" = do it, then lose the answer."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.calls: list[Call] = []
        self.tokens: list[str | None] = []
        self.script: dict[str, deque[Any]] = defaultdict(deque)
        self.chats: dict[str, dict[str, Any]] = {}
        self.messages: list[dict[str, Any]] = []
        self.users = {f"ou_{n:02}" for n in range(99)}
        self.mails: dict[str, str] = {}
        self.keys: dict[str, tuple[datetime, dict[str, Any]]] = {}
        self.token_no = 0

    def __call__(self, call: Call, token: str | None) -> Answer:
        self.calls.append(call)
        self.tokens.append(token)
        planned = self.script[call.api].popleft() if self.script[call.api] else None
        if isinstance(planned, Answer):
            return planned
        if isinstance(planned, Exception):
            raise planned
        done = getattr(self, "_" + call.api.replace(".", "_"))(call)
        if planned == "lose":
            raise NetworkDown("no answer in time", dropped=False)
        return done

    def named(self, api: str) -> list[Call]:
        return [call for call in self.calls if call.api == api]

    def _once(self, key: str, window: timedelta, make: Any) -> Answer:
        known = self.keys.get(key)
        if known is None or self.clock.now() - known[0] >= window:
            self.keys[key] = known = (self.clock.now(), make())
        return reply(data=known[1])

    def _auth_token(self, call: Call) -> Answer:
        self.token_no += 1
        body = {"code": 0, "msg": "ok", "tenant_access_token": f"t-{self.token_no:020}", "expire": 7200}
        return Answer(200, {}, json.dumps(body).encode())

    def _im_chat_create(self, call: Call) -> Answer:
        assert call.body is not None
        body, query = dict(call.body), dict(call.query)
        if set(body.get("user_id_list", [])) - self.users:
            return reply(232043, msg="Your request contains unavailable ids.")
        assert len(body.get("user_id_list", [])) <= 50

        def make() -> dict[str, Any]:
            chat = f"oc_{len(self.chats) + 1}"
            self.chats[chat] = {
                "chat_id": chat, "name": body["name"], "description": body.get("description", ""),
                "members": list(body.get("user_id_list", [])), "owner_id": body.get("owner_id"),
                "chat_status": "normal",
            }  # fmt: skip
            return {"chat_id": chat}

        return self._once(f"{query['uuid']}+{body.get('owner_id')}", timedelta(hours=10), make)

    def _im_chat_list(self, call: Call) -> Answer:
        chats = list(self.chats.values())
        start = int(dict(call.query).get("page_token", 0))
        page = chats[start : start + 2]
        return reply(data={"items": page, "has_more": start + 2 < len(chats), "page_token": str(start + 2)})

    def _im_chat_members_create(self, call: Call) -> Answer:
        assert call.body is not None and dict(call.query)["succeed_type"] == "1"
        ids = call.body["id_list"]
        assert 1 <= len(ids) <= 50
        members = self.chats[call.paths["chat_id"]]["members"]
        members += [i for i in ids if i in self.users and i not in members]
        return reply(data={"invalid_id_list": [i for i in ids if i not in self.users]})

    def _im_chat_members_get(self, call: Call) -> Answer:
        chat = self.chats[call.paths["chat_id"]]
        if chat["chat_status"] != "normal":
            return reply(232009)
        return reply(data={"items": [{"member_id": i} for i in chat["members"]], "has_more": False})

    def _im_chat_members_delete(self, call: Call) -> Answer:
        assert call.body is not None
        chat, ids = self.chats[call.paths["chat_id"]], call.body["id_list"]
        assert 1 <= len(ids) <= 50
        if chat["owner_id"] in ids:
            return reply(232076)
        chat["members"] = [i for i in chat["members"] if i not in ids]
        if dict(call.query)["member_id_type"] == "app_id":
            chat["bot_left"] = True
        return reply()

    def _im_chat_get(self, call: Call) -> Answer:
        return reply(data={"owner_id": self.chats[call.paths["chat_id"]]["owner_id"]})

    def _im_chat_delete(self, call: Call) -> Answer:
        chat = self.chats[call.paths["chat_id"]]
        if chat["chat_status"] != "normal":
            return reply(232009)
        if chat["owner_id"]:
            return reply(232017)
        chat["chat_status"] = "dissolved"
        return reply()

    def _im_message_create(self, call: Call) -> Answer:
        assert call.body is not None
        body = dict(call.body)
        to, kind = body["receive_id"], dict(call.query)["receive_id_type"]
        if kind == "open_id" and to not in self.users:
            return reply(230013, msg="Bot has NO availability to this user.")
        chat = f"oc_p2p_{to}" if kind == "open_id" else to

        def make() -> dict[str, Any]:
            message = {
                "message_id": f"om_{len(self.messages) + 1}", "chat_id": chat, "msg_type": body["msg_type"],
                "at": self.clock.now(), "sender": {"sender_type": "app"}, "body": {"content": body["content"]},
            }  # fmt: skip
            self.messages.append(message)
            return {"message_id": message["message_id"], "chat_id": chat}

        return self._once(body["uuid"], timedelta(hours=1), make)

    def _im_message_list(self, call: Call) -> Answer:
        query = dict(call.query)
        since = datetime.fromtimestamp(int(query["start_time"]), UTC)
        found = [m for m in self.messages if m["chat_id"] == query["container_id"] and m["at"] >= since]
        return reply(data={"items": [_as_read(m) for m in found], "has_more": False})

    def _im_message_patch(self, call: Call) -> Answer:
        assert call.body is not None
        message = next(m for m in self.messages if m["message_id"] == call.paths["message_id"])
        message["body"] = {"content": call.body["content"]}
        return reply()

    def _im_image_create(self, call: Call) -> Answer:
        assert call.upload is not None and call.upload.fields == {"image_type": "message"} and call.upload.data
        return reply(data={"image_key": "img_v3_" + call.upload.name.partition(".")[0]})

    def _contact_batch_get_id(self, call: Call) -> Answer:
        assert call.body is not None
        users = [{"email": m, **({"user_id": self.mails[m]} if m in self.mails else {})} for m in call.body["emails"]]
        return reply(data={"user_list": users})

    def _contact_user_get(self, call: Call) -> Answer:
        return reply(data={"user": {"open_id": "ou_" + call.paths["user_id"][-2:]}})


def _as_read(message: Mapping[str, Any]) -> dict[str, Any]:
    """As GET hands messages out: a card by its title only, rich text without its language, mentions numbered."""
    content = json.loads(message["body"]["content"])
    if message["msg_type"] == "interactive":
        content = {"title": content["header"]["title"]["content"], "elements": []}
    elif message["msg_type"] == "post":
        rows = next(iter(content.values()))["content"]
        content = {"title": "", "content": [[_node(node) for node in row] for row in rows]}
    return {**message, "at": None, "deleted": False, "body": {"content": json.dumps(content)}}


def _node(node: Mapping[str, Any]) -> dict[str, Any]:
    return {**node, "user_id": "@_user_1", "user_name": "somebody"} if node["tag"] == "at" else {**node, "style": []}


class Rig:
    """A sink over Far, with a directory of people whose open_ids are known: p00 … p98."""

    def __init__(self, tmp: Path, language: str = "zh", last: Sequence[str] = ()) -> None:
        (tmp / "secret").write_text(SECRET + "\n")
        self.clock = ManualClock(START)
        self.far, self.names = Far(self.clock), Names()
        settings = {"app_id": "cli_a1", "app_secret_file": tmp / "secret", "language": language}
        self.sink = FeishuSink(FeishuSettings.model_validate(settings), self.clock, TZ, send=self.far, last=last)
        for n in range(99):
            self.names.people[f"p{n:02}"] = {"id": f"p{n:02}", "name": f"人{n}", "open_id": f"ou_{n:02}"}

    def message(
        self, kind: str, *, key: str = "k1", tried: datetime | None = None, attempt: int | None = None, **payload: Any
    ) -> Message:
        body = {"ticket": NO, "group": f"group:{NO}", "card": f"card:{NO}", **payload}
        return Message("u-" + key, NO, kind, body, key, START, tried, attempt or (1 if tried is None else 2))

    def deliver(self, kind: str, **more: Any) -> Any:
        return self.sink.deliver(self.message(kind, **more), self.names)


def card(title: Any = "等响应：焊缝熔宽低于控制限", **more: Any) -> dict[str, Any]:
    """A small neutral card."""
    blocks = [{"type": "lead", "text": "请在 12:20 前响应。", "people": ["p01"]}]
    return {"no": NO, "attention": "soon", "title": title, "subtitle": f"3 号线·OP40·{NO}", "tag": "观察",
            "blocks": blocks, **more}  # fmt: skip


def test_far_forgets_keys_after_their_window() -> None:
    clock = ManualClock(START)
    far = Far(clock)
    call = Call("im.chat.create", "POST", "/x", query=[("uuid", "k")], body={"name": "a"})
    first, again = far(call, None), far(call, None)
    clock.advance(timedelta(hours=10))
    assert first.content == again.content != far(call, None).content
