"""The real lark-oapi client against the sandbox: what Feishu promises (idempotency, limits, codes) holds here too."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import httpx
import pytest

from agent.clock import ManualClock
from agent.sandbox.local import LocalSandbox
from agent.sandbox.world.people import load_directory
from agent.sandbox.world.world import AppSettings, SandboxWorld

NOON = datetime(2026, 11, 23, 4, tzinfo=UTC)
TICKET = "SZ1-E3-261122-007"
NAME = f"{TICKET} 焊缝熔宽 OP40"
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c6360000002000001e221bc330000000049454e44ae426082"
)


@pytest.fixture(scope="module")
def lark() -> ModuleType:
    import lark_oapi

    return lark_oapi


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
def sandbox(clock: ManualClock) -> Iterator[LocalSandbox]:
    app = AppSettings(app_id=f"cli_{uuid.uuid4().hex[:16]}", client_config={**FAST})
    with LocalSandbox(SandboxWorld(clock, load_directory(None, app.app_id), app)) as running:
        yield running


FAST = {"ReconnectCount": -1, "ReconnectInterval": 1, "ReconnectNonce": 0, "PingInterval": 1}


class Bot:
    """The SDK as the agent uses it, in few words."""

    def __init__(self, lark: ModuleType, sandbox: LocalSandbox) -> None:
        app = sandbox.world.app
        self.lark, self.sandbox = lark, sandbox
        self.client = (
            lark.Client.builder().app_id(app.app_id).app_secret(app.app_secret).domain(sandbox.url).timeout(5).build()
        )
        from lark_oapi.api.im import v1

        self.im = v1
        self.world = sandbox.world
        self.people = sandbox.world.directory.people

    def id(self, number: str) -> str:
        return self.people[number].open_id

    def chat(self, key: str | None = None, name: str = NAME, users: tuple[str, ...] = (), **more: Any) -> Any:
        body = self.im.CreateChatRequestBody.builder().name(name).user_id_list([self.id(u) for u in users])
        for field, value in more.items():
            body = getattr(body, field)(value)
        request = self.im.CreateChatRequest.builder().user_id_type("open_id").request_body(body.build())
        return self.client.im.v1.chat.create((request.uuid(key) if key else request).build())

    def send(self, to: str, kind: str, content: Any, key: str | None = None, id_type: str = "chat_id") -> Any:
        body = self.im.CreateMessageRequestBody.builder().receive_id(to).msg_type(kind)
        body = body.content(json.dumps(content)).uuid(key or uuid.uuid4().hex).build()
        request = self.im.CreateMessageRequest.builder().receive_id_type(id_type).request_body(body).build()
        return self.client.im.v1.message.create(request)

    def say(self, to: str, text: str, key: str | None = None, id_type: str = "chat_id") -> Any:
        return self.send(to, "text", {"text": text}, key, id_type)

    def patch(self, message_id: str, card_: Any) -> Any:
        body = self.im.PatchMessageRequestBody.builder().content(json.dumps(card_)).build()
        request = self.im.PatchMessageRequest.builder().message_id(message_id).request_body(body).build()
        return self.client.im.v1.message.patch(request)

    def members(self, act: str, chat_id: str, ids: list[str], id_type: str = "open_id", succeed: int = 1) -> Any:
        kind = "Create" if act == "create" else "Delete"
        body = getattr(self.im, f"{kind}ChatMembersRequestBody").builder().id_list(ids).build()
        request = getattr(self.im, f"{kind}ChatMembersRequest").builder().chat_id(chat_id).member_id_type(id_type)
        if act == "create":
            request = request.succeed_type(succeed)
        return getattr(self.client.im.v1.chat_members, act)(request.request_body(body).build())

    def listed(self, chat_id: str, **query: Any) -> Any:
        request = self.im.ListMessageRequest.builder().container_id_type("chat").container_id(chat_id)
        for field, value in query.items():
            request = getattr(request, field)(value)
        return self.client.im.v1.message.list(request.build())


@pytest.fixture
def bot(lark: ModuleType, sandbox: LocalSandbox) -> Bot:
    return Bot(lark, sandbox)


def control(sandbox: LocalSandbox, method: str, path: str, body: Any = None) -> Any:
    answer = httpx.request(method, f"{sandbox.url}/sandbox/api/{path}", json=body, timeout=10)
    return answer.json() | ({"status": answer.status_code} if answer.status_code != 200 else {})


def card(title: str = f"等响应 {TICKET}", cycle: int = 1) -> dict[str, Any]:
    fields = [
        {"tag": "input", "name": "text", "required": True, "label": {"tag": "plain_text", "content": "怎么遏制"}},
        {"tag": "date_picker", "name": "due"},
        {"tag": "select_person", "name": "owner", "options": []},
    ]
    submit = {
        "tag": "button",
        "name": "send",
        "form_action_type": "submit",
        "text": {"tag": "plain_text", "content": "提交"},
        "behaviors": [{"type": "callback", "value": {"ticket": TICKET, "action": "contain", "cycle": cycle}}],
    }
    respond = {
        "tag": "button",
        "type": "primary",
        "text": {"tag": "plain_text", "content": "我来处理"},
        "behaviors": [{"type": "callback", "value": {"ticket": TICKET, "action": "respond", "cycle": cycle}}],
    }
    return {
        "schema": "2.0",
        "config": {"update_multi": True},
        "header": {"title": {"tag": "plain_text", "content": title}, "template": "orange"},
        "body": {
            "elements": [
                {"tag": "markdown", "content": "请在 **12:20** 前响应"},
                {"tag": "form", "name": "contain", "elements": [*fields, submit]},
                respond,
            ]
        },
    }


RESPOND = {"ticket": TICKET, "action": "respond", "cycle": 1}


# idempotency ---------------------------------------------------------------------------------------------------------


def test_a_chat_uuid_makes_one_group_in_ten_hours_and_another_after(bot: Bot, clock: ManualClock) -> None:
    first = bot.chat("k1", users=("10021", "10022"))
    assert first.code == 0 and first.data.chat_id.startswith("oc_")
    clock.advance(timedelta(hours=9, minutes=59))
    bot.lark.core.token.manager.TokenManager.cache.cache.clear()
    assert bot.chat("k1", users=("10021", "10022")).data.chat_id == first.data.chat_id
    clock.advance(timedelta(minutes=1))
    later = bot.chat("k1", users=("10021", "10022"))
    assert later.data.chat_id != first.data.chat_id
    state = control(bot.sandbox, "GET", "state")
    assert state["counters"]["groups"] == {"created": 2, "dissolved": 0, "duplicates": 1}
    assert [v["kind"] for v in state["violations"]] == ["duplicate_group"]
    assert state["violations"][0]["text"]["args"] == {"ticket": TICKET}


def test_a_chat_uuid_counts_only_with_its_owner(bot: Bot) -> None:
    one = bot.chat("k", name="a", owner_id=bot.id("10021"))
    two = bot.chat("k", name="b", owner_id=bot.id("10022"))
    assert one.data.chat_id != two.data.chat_id and one.data.owner_id == bot.id("10021")


def test_a_message_uuid_sends_once_in_an_hour(bot: Bot, clock: ManualClock) -> None:
    chat_id = bot.chat().data.chat_id
    first = bot.say(chat_id, "又越限", "m1")
    assert bot.say(chat_id, "又越限", "m1").data.message_id == first.data.message_id
    clock.advance(timedelta(hours=1))
    assert bot.say(chat_id, "又越限", "m1").data.message_id != first.data.message_id
    assert control(bot.sandbox, "GET", "state")["counters"]["messages"]["sent"] == 2


def test_another_content_under_a_used_uuid_is_lost_and_noticed(bot: Bot) -> None:
    chat_id = bot.chat().data.chat_id
    first = bot.say(chat_id, "一", "m1")
    assert bot.say(chat_id, "二", "m1").data.message_id == first.data.message_id
    assert [v["kind"] for v in control(bot.sandbox, "GET", "violations")["violations"]] == ["uuid_reused"]


@pytest.mark.parametrize("mode", ["reset", "truncate", "html"])
def test_after_a_lost_answer_the_same_uuid_finds_the_same_group(bot: Bot, mode: str) -> None:
    kind = {"reset": "lose"}.get(mode, mode)
    control(bot.sandbox, "POST", "faults", {"api": "im.chat.create", "kind": kind, "times": 1})
    with pytest.raises(Exception) as lost:
        bot.chat("k9")
    assert type(lost.value).__name__ in ("ConnectionError", "ChunkedEncodingError", "JSONDecodeError")
    assert bot.chat("k9").code == 0
    groups = control(bot.sandbox, "GET", "state")["groups"]
    assert len(groups) == 1
    calls = [(c["fault"], c["status"]) for c in control(bot.sandbox, "GET", "calls")["calls"] if c["uuid"] == "k9"]
    lost_call = {"lose": ("lose", None), "truncate": ("truncate", 200), "html": ("html", 502)}[kind]
    assert calls[-1] == (None, 200) and (calls[0] == lost_call or lost_call[0] == "html")


def test_a_call_repeated_while_its_twin_is_under_way_is_told_so(bot: Bot) -> None:
    chat_id = bot.chat().data.chat_id
    control(bot.sandbox, "POST", "faults", {"api": "im.*", "kind": "delay", "seconds": 0.6})
    codes = together(lambda: bot.say(chat_id, "慢", "same").code, lambda: bot.say(chat_id, "慢", "same").code)
    assert sorted(codes) == [0, 230049]
    codes = together(lambda: bot.chat("twin", name="x").code, lambda: bot.chat("twin", name="x").code)
    assert sorted(codes) == [0, 232068]


def together(*acts: Callable[[], Any]) -> list[Any]:
    """Results of calls that overlap."""
    results: list[Any] = []
    threads = [threading.Thread(target=lambda act=act: results.append(act())) for act in acts]
    for thread in threads:
        thread.start()
        time.sleep(0.15)
    for thread in threads:
        thread.join(5)
    return results


# token, limits, faults -----------------------------------------------------------------------------------------------


def token_of(sandbox: LocalSandbox, **wrong: str) -> dict[str, Any]:
    app = sandbox.world.app
    body = {"app_id": app.app_id, "app_secret": app.app_secret, **wrong}
    return httpx.post(f"{sandbox.url}/open-apis/auth/v3/tenant_access_token/internal", json=body).json()


def test_the_token_stays_the_same_until_half_an_hour_is_left(sandbox: LocalSandbox, clock: ManualClock) -> None:
    first = token_of(sandbox)
    assert (first["code"], first["expire"]) == (0, 7200)
    clock.advance(timedelta(minutes=90))
    again = token_of(sandbox)
    assert (again["tenant_access_token"], again["expire"]) == (first["tenant_access_token"], 1800)
    clock.advance(1)
    assert token_of(sandbox)["tenant_access_token"] != first["tenant_access_token"]
    assert token_of(sandbox, app_id="cli_other")["code"] == 10003
    assert token_of(sandbox, app_secret="wrong")["code"] == 10015


def test_an_expired_or_revoked_token_is_refused_until_the_client_drops_it(bot: Bot, clock: ManualClock) -> None:
    assert bot.chat(name="a").code == 0
    clock.advance(timedelta(hours=2))
    assert bot.chat(name="b").code == 99991663
    bot.lark.core.token.manager.TokenManager.cache.cache.clear()
    assert bot.chat(name="c").code == 0
    assert control(bot.sandbox, "POST", "tokens/revoke") == {"revoked": 1}
    assert bot.chat(name="d").code == 99991663
    bare = httpx.get(f"{bot.sandbox.url}/open-apis/im/v1/chats")
    assert bare.json()["code"] == 99991661 and bare.headers["x-tt-logid"]
    assert bot.chat(name="e").get_log_id() is not None


def test_calls_are_limited_per_api_with_the_time_to_wait(bot: Bot, clock: ManualClock) -> None:
    token = {"Authorization": f"Bearer {token_of(bot.sandbox)['tenant_access_token']}"}
    with httpx.Client(base_url=bot.sandbox.url, headers=token) as http:
        answers = [http.get("/open-apis/im/v1/chats") for _ in range(51)]
        assert [a.status_code for a in answers].count(429) == 1
        assert answers[-1].json()["code"] == 99991400 and answers[-1].headers["x-ogw-ratelimit-reset"] == "1"
        assert http.get("/open-apis/bot/v3/info").status_code == 200
        clock.advance(1.1)
        assert http.get("/open-apis/im/v1/chats").status_code == 200


def test_a_chat_takes_five_messages_a_second(bot: Bot, clock: ManualClock) -> None:
    chat_id = bot.chat().data.chat_id
    assert [bot.say(chat_id, f"第 {n} 条").code for n in range(6)] == [0, 0, 0, 0, 0, 230020]
    clock.advance(1)
    assert bot.say(chat_id, "第 6 条").code == 0


def test_a_limit_set_on_purpose_holds_and_ignoring_it_is_noticed(bot: Bot, clock: ManualClock) -> None:
    chat_id = bot.chat().data.chat_id
    control(bot.sandbox, "POST", "faults", {"api": "im.message.*", "kind": "limit", "times": 1, "seconds": 5})
    refused = bot.say(chat_id, "一", "m")
    assert (refused.code, refused.raw.status_code) == (99991400, 429)
    assert refused.raw.headers["x-ogw-ratelimit-reset"] == "5"
    clock.advance(2)
    assert bot.say(chat_id, "一", "m").code == 99991400
    assert [v["kind"] for v in control(bot.sandbox, "GET", "violations")["violations"]] == ["called_while_limited"]
    clock.advance(3)
    assert bot.say(chat_id, "一", "m").code == 0


def test_faults_by_probability_follow_their_seed(bot: Bot) -> None:
    def struck() -> list[bool]:
        control(
            bot.sandbox,
            "POST",
            "faults",
            {"api": "im.chat.*", "kind": "code", "code": 2200, "probability": 0.4, "seed": 7},
        )
        seen = [bot.chat(name="x").code == 2200 for _ in range(12)]
        control(bot.sandbox, "DELETE", "faults")
        return seen

    first = struck()
    assert first == struck() and 0 < sum(first) < 12


def test_a_cut_office_network_lets_nothing_through_until_restored(bot: Bot) -> None:
    assert bot.chat("k").code == 0
    control(bot.sandbox, "POST", "office", {"up": False})
    with pytest.raises(Exception, match=r"(reset|aborted|closed)"):
        bot.chat("k2")
    assert control(bot.sandbox, "GET", "state")["office"]["up"] is False
    control(bot.sandbox, "POST", "office", {"up": False, "mode": "hang"})
    started = time.monotonic()
    with pytest.raises(Exception, match="timed out"):
        httpx.get(f"{bot.sandbox.url}/open-apis/bot/v3/info", timeout=0.5)
    assert time.monotonic() - started >= 0.5
    control(bot.sandbox, "POST", "office", {"up": True})
    assert bot.chat("k2", name="y").code == 0
    assert len(control(bot.sandbox, "GET", "state")["groups"]) == 2


# groups --------------------------------------------------------------------------------------------------------------


def test_a_group_with_an_unknown_or_resigned_member_is_not_made(bot: Bot) -> None:
    bad = bot.im.CreateChatRequestBody.builder().name("x").user_id_list(["ou_nobody"]).build()
    request = bot.im.CreateChatRequest.builder().user_id_type("open_id").request_body(bad).build()
    assert bot.client.im.v1.chat.create(request).code == 232043
    control(bot.sandbox, "POST", "people/10032/resign")
    assert bot.chat(users=("10021", "10032")).code == 232022
    assert control(bot.sandbox, "GET", "state")["groups"] == []
    assert bot.chat(name="长" * 61).code == 99992402


def test_members_come_and_go_by_each_way_of_counting_failures(bot: Bot) -> None:
    chat_id = bot.chat(users=("10021",)).data.chat_id
    control(bot.sandbox, "POST", "people/10032/resign")
    ids = [bot.id("10022"), bot.id("10032"), "ou_nobody"]
    assert bot.members("create", chat_id, ids, succeed=2).code == 232043
    assert bot.members("create", chat_id, ids, succeed=0).code == 232043
    added = bot.members("create", chat_id, ids, succeed=1)
    assert (added.code, added.data.invalid_id_list, added.data.not_existed_id_list) == (0, ids[1:2], ids[2:])
    request = bot.im.GetChatMembersRequest.builder().chat_id(chat_id).member_id_type("user_id").page_size(1).build()
    page = bot.client.im.v1.chat_members.get(request)
    assert (page.data.member_total, page.data.has_more) == (2, True)
    assert page.data.items[0].member_id == bot.people["10021"].user_id
    assert bot.members("delete", chat_id, [bot.id("10021")]).code == 0
    assert bot.members("delete", chat_id, [bot.world.app.app_id], "app_id").code == 0
    assert bot.say(chat_id, "还在吗").code == 230002
    group = control(bot.sandbox, "GET", "state")["groups"][0]
    assert (group["members"], group["owner"], group["bot_in"]) == (["10022"], "10022", False)


def test_two_member_changes_at_once_are_one_too_many(bot: Bot) -> None:
    chat_id = bot.chat().data.chat_id
    control(bot.sandbox, "POST", "faults", {"api": "im.chat.members_*", "kind": "delay", "seconds": 0.5})
    codes = together(
        lambda: bot.members("create", chat_id, [bot.id("10021")]).code,
        lambda: bot.members("delete", chat_id, [bot.id("10022")]).code,
    )
    assert sorted(codes) == [0, 232019]


def test_a_dissolved_group_is_done_gone_and_shown_as_such(bot: Bot) -> None:
    chat_id = bot.chat(users=("10021",)).data.chat_id
    delete = bot.im.DeleteChatRequest.builder().chat_id(chat_id).build
    assert bot.client.im.v1.chat.delete(delete()).code == 0
    assert bot.client.im.v1.chat.delete(delete()).code == 232009
    got = bot.client.im.v1.chat.get(bot.im.GetChatRequest.builder().chat_id(chat_id).build())
    assert (got.data.chat_status, got.data.name) == ("dissolved", NAME)
    assert bot.say(chat_id, "x").code == 232009


def test_only_an_owner_or_a_creator_with_the_scope_may_dissolve(lark: ModuleType, clock: ManualClock) -> None:
    app = AppSettings(app_id=f"cli_{uuid.uuid4().hex[:16]}", operate_as_owner=False)
    with LocalSandbox(SandboxWorld(clock, load_directory(None, app.app_id), app)) as sandbox:
        bot = Bot(lark, sandbox)
        chat_id = bot.chat(owner_id=bot.id("10021")).data.chat_id
        assert bot.client.im.v1.chat.delete(bot.im.DeleteChatRequest.builder().chat_id(chat_id).build()).code == 232017


def test_groups_are_found_again_by_the_ticket_in_their_name(bot: Bot) -> None:
    chat_id = bot.chat(users=("10021",), description="隔离").data.chat_id
    bot.chat(name="别的群")
    search = bot.im.SearchChatRequest.builder().query(TICKET).build()
    assert [c.chat_id for c in bot.client.im.v1.chat.search(search).data.items] == [chat_id]
    listed = bot.client.im.v1.chat.list(bot.im.ListChatRequest.builder().page_size(1).build())
    assert (listed.data.has_more, listed.data.items[0].chat_id) == (True, chat_id)
    rest = bot.im.ListChatRequest.builder().page_size(1).page_token(listed.data.page_token).build()
    assert [c.name for c in bot.client.im.v1.chat.list(rest).data.items] == ["别的群"]
    body = bot.im.UpdateChatRequestBody.builder().name(f"[已关闭] {TICKET}").build()
    assert (
        bot.client.im.v1.chat.update(
            bot.im.UpdateChatRequest.builder().chat_id(chat_id).request_body(body).build()
        ).code
        == 0
    )
    assert bot.client.im.v1.chat.search(search).data.items[0].name == f"[已关闭] {TICKET}"


# messages and cards --------------------------------------------------------------------------------------------------


def test_a_card_is_sent_updated_and_its_history_kept(bot: Bot, clock: ManualClock) -> None:
    chat_id = bot.chat(users=("10021",)).data.chat_id
    sent = bot.send(chat_id, "interactive", card())
    assert sent.code == 0, sent.msg
    assert json.loads(sent.data.body.content)["title"] == f"等响应 {TICKET}"
    clock.advance(60)
    assert bot.patch(sent.data.message_id, card(f"已响应 {TICKET}")).code == 0
    assert bot.patch(sent.data.message_id, card(f"等响应 {TICKET}")).code == 0
    message = control(bot.sandbox, "GET", f"messages/{sent.data.message_id}")
    titles = [v["content"]["header"]["title"]["content"][:3] for v in message["versions"]]
    assert (titles, message["version"]) == (["等响应", "已响应", "等响应"], 3)
    counters = control(bot.sandbox, "GET", "state")["counters"]
    assert counters["cards"] == {"sent": 1, "updates": 2, "out_of_order": 1, "duplicates": 0}
    clock.advance(timedelta(days=14))
    bot.lark.core.token.manager.TokenManager.cache.cache.clear()
    assert bot.patch(sent.data.message_id, card()).code == 230031


def test_patching_is_for_own_cards_five_times_a_second(bot: Bot) -> None:
    chat_id = bot.chat().data.chat_id
    text = bot.say(chat_id, "文字").data.message_id
    assert bot.patch(text, card()).code == 230054
    sent = bot.send(chat_id, "interactive", card()).data.message_id
    assert [bot.patch(sent, card(f"{n} {TICKET}")).code for n in range(6)] == [0, 0, 0, 0, 0, 230020]
    recall = bot.im.DeleteMessageRequest.builder().message_id(sent).build()
    assert bot.client.im.v1.message.delete(recall).code == 0
    assert bot.patch(sent, card()).code == 230011


def test_a_wrong_card_is_refused_with_feishus_sub_code_and_repeating_it_noticed(bot: Bot) -> None:
    chat_id = bot.chat().data.chat_id
    old = card()
    old["body"]["elements"].append({"tag": "action", "actions": []})
    for _ in range(2):
        refused = bot.send(chat_id, "interactive", old, "same")
        assert refused.code == 230099
        assert "ErrCode: 200861" in refused.msg and "unsupported tag action" in refused.msg
    assert [v["kind"] for v in control(bot.sandbox, "GET", "violations")["violations"]] == ["repeated_refused"]
    image = card()
    image["body"]["elements"].append({"tag": "img", "img_key": "img_x", "alt": {"tag": "plain_text", "content": ""}})
    assert "ErrCode: 200570" in bot.send(chat_id, "interactive", image).msg
    huge = card()
    huge["body"]["elements"].append({"tag": "markdown", "content": "x" * 30_720})
    assert bot.send(chat_id, "interactive", huge).code == 230025
    assert bot.say(chat_id, "长" * 52_000).code == 230025


def test_direct_messages_by_every_id_and_to_nobody(bot: Bot) -> None:
    person = bot.people["10021"]
    ids = {"open_id": person.open_id, "user_id": person.user_id, "union_id": person.union_id, "email": person.email}
    sent = [bot.say(value, f"催办 {kind}", id_type=kind) for kind, value in ids.items()]
    assert {m.code for m in sent} == {0} and len({m.data.chat_id for m in sent}) == 1
    assert bot.say("ou_nobody", "x", id_type="open_id").code == 230013
    control(bot.sandbox, "POST", "people/10021/resign")
    assert bot.say(person.open_id, "y", id_type="open_id").code == 230013


def test_messages_are_listed_by_time_and_cards_in_their_reduced_form(bot: Bot, clock: ManualClock) -> None:
    chat_id = bot.chat(users=("10021",)).data.chat_id
    bot.say(chat_id, f'<at user_id="{bot.id("10021")}">陈国栋</at> 请响应')
    clock.advance(10)
    since = str(int(clock.now().timestamp()))
    bot.send(chat_id, "interactive", card())
    items = bot.listed(chat_id, start_time=since).data.items
    assert len(items) == 1
    reduced = json.loads(items[0].body.content)
    assert TICKET in reduced["title"] and "12:20" not in items[0].body.content
    whole = bot.listed(chat_id, start_time=since, card_msg_content_type="user_card_content").data.items[0]
    assert json.loads(whole.body.content) == card()
    text = bot.listed(chat_id, end_time=since, page_size=1)
    assert text.data.has_more and json.loads(text.data.items[0].body.content)["text"] == "@_user_1 请响应"
    assert text.data.items[0].mentions[0].id == bot.id("10021")


def test_reads_are_known_for_seven_days_and_urgent_is_never_idempotent(bot: Bot, clock: ManualClock) -> None:
    chat_id = bot.chat(users=("10021",)).data.chat_id
    message_id = bot.say(chat_id, "请看").data.message_id
    control(bot.sandbox, "POST", "read", {"person": "10021", "message_id": message_id})
    request = bot.im.ReadUsersMessageRequest.builder().message_id(message_id).user_id_type("open_id").build
    read = bot.client.im.v1.message.read_users(request())
    assert [item.user_id for item in read.data.items] == [bot.id("10021")]
    people = bot.im.UrgentReceivers.builder().user_id_list([bot.id("10021"), "ou_nobody"]).build()
    for _ in range(2):
        urgent = bot.im.UrgentAppMessageRequest.builder().message_id(message_id).user_id_type("open_id")
        done = bot.client.im.v1.message.urgent_app(urgent.request_body(people).build())
        assert (done.code, done.data.invalid_user_id_list) == (0, ["ou_nobody"])
    assert [v["kind"] for v in control(bot.sandbox, "GET", "violations")["violations"]] == ["urgent_repeated"]
    clock.advance(timedelta(days=7, seconds=1))
    bot.lark.core.token.manager.TokenManager.cache.cache.clear()
    assert bot.client.im.v1.message.read_users(request()).code == 230033


def test_a_picture_goes_up_into_a_card_and_comes_down_again(bot: Bot) -> None:
    import io

    chat_id = bot.chat().data.chat_id
    body = bot.im.CreateImageRequestBody.builder().image_type("message").image(io.BytesIO(PNG)).build()
    key = bot.client.im.v1.image.create(bot.im.CreateImageRequest.builder().request_body(body).build()).data.image_key
    shown = card()
    shown["body"]["elements"].append({"tag": "img", "img_key": key, "alt": {"tag": "plain_text", "content": "控制图"}})
    assert bot.send(chat_id, "interactive", shown).code == 0
    down = bot.client.im.v1.image.get(bot.im.GetImageRequest.builder().image_key(key).build())
    assert down.file.read() == PNG
    assert httpx.get(f"{bot.sandbox.url}/sandbox/api/images/{key}").content == PNG
    text = bot.im.CreateImageRequestBody.builder().image_type("message").image(io.BytesIO(b"no picture")).build()
    refused = bot.client.im.v1.image.create(bot.im.CreateImageRequest.builder().request_body(text).build())
    assert refused.code == 234011


def test_people_and_their_leaders_are_found(bot: Bot) -> None:
    from lark_oapi.api.contact import v3

    request = v3.GetUserRequest.builder().user_id(bot.id("10021")).user_id_type("open_id").build()
    user = bot.client.contact.v3.user.get(request).data.user
    assert (user.employee_no, user.leader_user_id) == ("10021", bot.id("10007"))
    body = v3.BatchGetIdUserRequestBody.builder().emails(["10022@plant.example", "nobody@plant.example"]).build()
    ids = v3.BatchGetIdUserRequest.builder().user_id_type("user_id").request_body(body).build()
    found = bot.client.contact.v3.user.batch_get_id(ids).data.user_list
    assert [u.user_id for u in found] == [bot.people["10022"].user_id, None]
    tree = v3.ChildrenDepartmentRequest.builder().department_id("0").fetch_child(True).page_size(50).build()
    departments = bot.client.contact.v3.department.children(tree).data.items
    assert "3 号模组焊接线" in [d.name for d in departments]
    e3 = next(d.open_department_id for d in departments if d.name == "3 号模组焊接线")
    people = v3.FindByDepartmentUserRequest.builder().department_id(e3).build()
    assert "陈国栋" in [u.name for u in bot.client.contact.v3.user.find_by_department(people).data.items]
