"""Message kinds against a Feishu of dicts: once each, whatever is lost; people, pictures, refusals."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from test_feishu_fake import NO, SECRET, START, Rig, card, reply

from agent.errors import Rejected, Unreachable
from agent.model import text
from agent.outbox.sink import Delivered, Reissue

GROUP, CARD = f"group:{NO}", f"card:{NO}"


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def opened(rig: Rig, people: int = 2, **more: object) -> Delivered:
    done = rig.deliver(
        "open_group", name=f"焊缝熔宽 {NO}", people=[f"p{n:02}" for n in range(people)], owner=None, **more
    )
    assert isinstance(done, Delivered)
    rig.names.known |= done.far
    return done


def posted(rig: Rig) -> str:
    opened(rig)
    done = rig.deliver("post_card", key="k2", card_body=card())
    rig.names.known |= done.far
    return done.far[CARD]


# --- groups


def test_a_group_has_its_people_and_belongs_to_the_bot(rig: Rig) -> None:
    assert opened(rig).far == {GROUP: "oc_1"}
    chat = rig.far.chats["oc_1"]
    assert chat["members"] == ["ou_00", "ou_01"] and chat["owner_id"] is None and NO in chat["name"]
    assert dict(rig.far.named("im.chat.create")[0].query)["uuid"] == "k1"


def test_the_number_stands_in_a_name_that_lacks_it(rig: Rig) -> None:
    rig.deliver("open_group", name="很长" * 60, description="x" * 300, people=[])
    chat = rig.far.chats["oc_1"]
    assert chat["name"].endswith(NO) and len(chat["name"]) <= 60 and len(chat["description"]) <= 100


def test_more_than_fifty_people_come_in_slices(rig: Rig) -> None:
    done = opened(rig, people=99)
    assert len(set(rig.far.chats["oc_1"]["members"])) == 99 and done.note == ""


def test_a_lost_answer_within_the_window_makes_no_second_group(rig: Rig) -> None:
    rig.far.script["im.chat.create"].append("lose")
    with pytest.raises(Unreachable):
        opened(rig)
    rig.clock.advance(timedelta(hours=8))
    assert opened(rig, tried=START).far == {GROUP: "oc_1"} and len(rig.far.chats) == 1


def test_past_the_window_the_lost_group_is_found_by_its_number(rig: Rig) -> None:
    rig.far.chats |= {f"oc_x{n}": {"chat_id": f"oc_x{n}", "name": f"{NO}{n}", "description": ""} for n in range(5)}
    rig.far.script["im.chat.create"].append("lose")
    with pytest.raises(Unreachable):
        opened(rig)
    rig.clock.advance(timedelta(hours=9, minutes=1))
    done = opened(rig, tried=START, people=3)
    assert done.far == {GROUP: "oc_6"} and "reconciliation" in done.note
    assert rig.far.chats["oc_6"]["members"] == ["ou_00", "ou_01", "ou_02"], "who was not in it yet is added"


def test_past_the_window_what_never_happened_is_sent_anew(rig: Rig) -> None:
    rig.clock.advance(timedelta(hours=11))
    assert isinstance(rig.deliver("open_group", tried=START, name="x", people=[]), Reissue)
    assert rig.far.chats == {}


def test_a_clock_that_was_set_back_counts_as_past_the_window(rig: Rig) -> None:
    assert isinstance(rig.deliver("open_group", tried=START + timedelta(hours=1), name="x", people=[]), Reissue)


def test_a_dissolved_group_is_not_taken_for_the_lost_one(rig: Rig) -> None:
    rig.far.chats["oc_old"] = {"chat_id": "oc_old", "name": NO, "chat_status": "dissolved"}
    rig.clock.advance(timedelta(hours=11))
    assert isinstance(rig.deliver("open_group", tried=START, name="x", people=[]), Reissue)


def test_people_without_an_account_do_not_stop_the_group(rig: Rig) -> None:
    rig.names.people["p00"] = {"id": "p00", "name": "新人", "email": "new@plant.cn"}
    done = opened(rig)
    assert rig.far.chats["oc_1"]["members"] == ["ou_01"] and "p00" in done.note


def test_whoever_is_to_act_and_cannot_join_is_represented_by_their_superior(rig: Rig) -> None:
    rig.names.people["p00"] = {"id": "p00", "name": "走了", "open_id": "ou_gone", "leader": "p07"}
    rig.far.script["im.chat.create"].append(reply(232022))
    done = rig.deliver("open_group", name=NO, people=["p00", "p01"], owner="p00")
    assert rig.far.chats["oc_1"]["members"] == ["ou_01", "ou_07"] and "p00" in done.note
    rig.names.known |= done.far
    rig.names.people["p08"] = {"id": "p08", "name": "走了", "leader": "p09"}
    rig.deliver("add_people", key="k5", people=["p08"])
    assert rig.far.chats["oc_1"]["members"][-1] == "ou_09"


def test_a_group_that_stands_is_not_made_again_for_a_member_who_could_not_be_asked(rig: Rig) -> None:
    rig.far.script["im.chat.members.create"].append(reply(2200, status=500))
    with pytest.raises(Unreachable):
        opened(rig, people=60)
    done = opened(rig, people=60, tried=START)
    assert done.far == {GROUP: "oc_1"} and len(rig.far.named("im.chat.create")) == 1
    assert len(rig.far.chats["oc_1"]["members"]) == 60


def test_a_repeated_uuid_that_tells_no_id_is_looked_up(rig: Rig) -> None:
    rig.far.script["im.chat.create"].extend(["lose", reply(data={"note": "exists"})])
    with pytest.raises(Unreachable):
        opened(rig)
    assert opened(rig, tried=START).far == {GROUP: "oc_1"} and len(rig.far.chats) == 1


def test_people_are_found_by_mail_and_remembered(rig: Rig) -> None:
    rig.names.people["p00"] = {"id": "p00", "name": "陈国栋", "email": "Chen@plant.cn", "open_id": None}
    rig.far.mails["chen@plant.cn"] = "ou_50"
    opened(rig)
    assert rig.far.chats["oc_1"]["members"] == ["ou_50", "ou_01"] and rig.names.known["person:p00"] == "ou_50"
    rig.deliver("add_people", key="k5", people=["p00"])
    assert len(rig.far.named("contact.batch_get_id")) == 1


def test_a_user_id_is_turned_into_an_open_id(rig: Rig) -> None:
    rig.names.people["p00"] = {"id": "p00", "name": "陈国栋", "user_id": "u-33"}
    opened(rig)
    assert "ou_33" in rig.far.chats["oc_1"]["members"]


@pytest.mark.parametrize("code", [232043, 232022, 99992351])
def test_an_id_that_feishu_refuses_is_asked_for_anew(rig: Rig, code: int) -> None:
    rig.names.people["p00"] |= {"open_id": "ou_gone", "email": "chen@plant.cn"}
    rig.far.mails["chen@plant.cn"] = "ou_50"
    rig.far.script["im.chat.create"].append(reply(code, msg="ids not existed"))
    done = opened(rig)
    assert sorted(rig.far.chats["oc_1"]["members"]) == ["ou_01", "ou_50"] and done.note == ""
    assert len(rig.far.chats) == 1 and rig.names.known["person:p00"] == "ou_50"


def test_one_bad_id_that_fails_a_whole_slice_is_singled_out(rig: Rig) -> None:
    opened(rig)
    bad = reply(232024)
    rig.far.script["im.chat.members.create"].extend([bad, None, bad, None, bad])
    done = rig.deliver("add_people", key="k5", people=["p10", "p11", "p12", "p13"])
    assert set(rig.far.chats["oc_1"]["members"]) == {"ou_00", "ou_01", "ou_10", "ou_11", "ou_12"}
    assert "p13" in done.note and "p12" not in done.note


def test_a_named_owner_is_the_same_at_each_attempt(rig: Rig) -> None:
    rig.far.script["im.chat.create"].append("lose")
    with pytest.raises(Unreachable):
        rig.deliver("open_group", name=NO, people=[], owner="p05")
    rig.names.people["p05"]["open_id"] = "ou_55"
    rig.deliver("open_group", tried=START, name=NO, people=[], owner="p05")
    assert len(rig.far.chats) == 1, "uuid and owner_id are the key together"


def test_emptying_a_group_dissolves_it(rig: Rig) -> None:
    opened(rig, people=99)
    assert rig.deliver("leave_group", key="k6") == Delivered()
    chat = rig.far.chats["oc_1"]
    assert chat["members"] == [] and chat["chat_status"] == "dissolved"
    assert rig.deliver("leave_group", key="k6").note == "already gone"
    assert rig.deliver("dissolve_group", key="k7").note == "already gone"


def test_a_group_that_is_another_ones_is_left(rig: Rig) -> None:
    rig.names.known[GROUP] = "oc_9"
    rig.far.chats["oc_9"] = {"name": NO, "members": ["ou_01", "ou_02"], "owner_id": "ou_02", "chat_status": "normal"}
    done = rig.deliver("leave_group", key="k6")
    assert rig.far.chats["oc_9"]["members"] == ["ou_02"] and rig.far.chats["oc_9"]["bot_left"] and "left" in done.note


def test_a_group_that_was_never_made_is_as_good_as_gone(rig: Rig) -> None:
    assert rig.deliver("dissolve_group").note == "no such group"


def test_followers_of_a_group_wait_until_it_is_made(rig: Rig) -> None:
    for kind, more in (
        ("post_card", {"card_body": card()}),
        ("add_people", {"people": ["p01"]}),
        ("say", {"text": "x"}),
    ):
        with pytest.raises(Unreachable, match="group not made yet") as error:
            rig.deliver(kind, **more)
        assert error.value.retry_after is not None, "one lane waits; the far side is not down"


def test_followers_of_a_group_that_never_comes_are_dead_with_the_way_out(rig: Rig) -> None:
    """Order holds within a lane: open_group was settled before them, so it was refused."""
    for kind, maker, more in (
        ("post_card", "open_group", {"card_body": card()}),
        ("add_people", "open_group", {"people": ["p01"]}),
        ("say", "open_group", {"text": "x"}),
        ("update_card", "post_card", {"card_body": card()}),
    ):
        with pytest.raises(Unreachable):
            rig.deliver(kind, attempt=3, tried=START, **more)
        with pytest.raises(Rejected, match=f"never made.*send {maker} again first"):
            rig.deliver(kind, attempt=4, tried=START, **more)
    assert rig.far.calls == []


# --- cards


def test_a_card_is_posted_once_and_updated(rig: Rig) -> None:
    assert posted(rig) == "om_1"
    assert rig.deliver("update_card", key="k3", card_body=card("已响应")) == Delivered()
    sent = json.loads(rig.far.messages[0]["body"]["content"])
    assert sent["header"]["title"]["content"] == f"已响应 · {NO}" and sent["config"]["update_multi"] is True


def test_a_lost_card_is_found_within_and_past_the_hour(rig: Rig) -> None:
    opened(rig)
    rig.far.script["im.message.create"].append("lose")
    with pytest.raises(Unreachable):
        rig.deliver("post_card", key="k2", card_body=card())
    rig.clock.advance(timedelta(minutes=50))
    assert rig.deliver("post_card", key="k2", tried=START, card_body=card()).far == {CARD: "om_1"}
    rig.clock.advance(timedelta(minutes=10))
    done = rig.deliver("post_card", key="k2", tried=START, card_body=card())
    assert done == Delivered({CARD: "om_1"}, "found by reconciliation") and len(rig.far.messages) == 1


def test_a_lost_card_is_found_in_a_list_that_escapes_every_character(rig: Rig) -> None:
    opened(rig)
    rig.far.script["im.message.create"].append("lose")
    with pytest.raises(Unreachable):
        rig.deliver("post_card", key="k2", card_body=card(title=f"等响应：{NO}【焊缝】"))
    item = {"message_id": "om_7", "msg_type": "interactive", "sender": {"sender_type": "bot"},
            "body": {"content": json.dumps({"title": f"等响应：{NO}【焊缝】"})}}  # fmt: skip
    assert f"\\uff1a{NO}" in item["body"]["content"]
    rig.far.script["im.message.list"].append(reply(data={"items": [item], "has_more": False}))
    rig.clock.advance(timedelta(hours=2))
    assert rig.deliver("post_card", key="k2", tried=START, card_body=card()).far == {CARD: "om_7"}


def test_a_card_that_never_arrived_is_sent_anew(rig: Rig) -> None:
    opened(rig)
    rig.clock.advance(timedelta(hours=2))
    assert isinstance(rig.deliver("post_card", key="k2", tried=START, card_body=card()), Reissue)
    assert rig.deliver("post_card", key="k3", card_body=card()).far == {CARD: "om_1"}


def test_a_card_past_its_fourteen_days_is_replaced_once(rig: Rig) -> None:
    posted(rig)
    rig.clock.advance(timedelta(days=15))
    now = rig.clock.now()
    rig.far.script["im.message.patch"].extend([reply(230031)] * 3)
    rig.far.script["im.message.create"].append("lose")
    with pytest.raises(Unreachable):
        rig.deliver("update_card", key="k4", card_body=card("超时"))
    assert rig.deliver("update_card", key="k4", tried=now, card_body=card("超时")).far == {CARD: "om_2"}
    rig.clock.advance(timedelta(hours=3))
    done = rig.deliver("update_card", key="k4", tried=now, card_body=card("超时"))
    assert done.far == {CARD: "om_2"} and len(rig.far.messages) == 2


@pytest.mark.parametrize("code", [232009, 230011, 230110])
def test_what_is_gone_is_done(rig: Rig, code: int) -> None:
    posted(rig)
    rig.far.script["im.message.patch"].append(reply(code))
    rig.far.script["im.message.create"].append(reply(code))
    rig.far.script["im.chat.members.create"].append(reply(code))
    assert rig.deliver("update_card", key="k3", card_body=card()).note == "already gone"
    assert rig.deliver("say", key="k4", text=f"{NO} x").note == "already gone"
    assert rig.deliver("add_people", key="k5", people=["p09"]).note == "already gone"


def test_a_card_whose_group_is_gone_has_updates_that_are_done(rig: Rig) -> None:
    opened(rig)
    rig.far.script["im.message.create"].append(reply(232009))
    done = rig.deliver("post_card", key="k2", card_body=card())
    assert done.note == "already gone" and CARD not in done.far
    rig.names.known |= done.far
    assert rig.deliver("update_card", key="k3", card_body=card()) == Delivered(note="group is gone")


def test_the_new_card_of_a_later_round_goes_to_the_group_of_that_round(rig: Rig) -> None:
    rig.names.known |= {f"group:{NO}": "oc_old", f"group:{NO}.c2": "oc_new", f"card:{NO}.c2": "om_0"}
    rig.far.script["im.message.patch"].append(reply(230031))
    rig.deliver("update_card", key="k4", card=f"card:{NO}.c2", card_body=card())
    assert rig.far.messages[0]["chat_id"] == "oc_new"


def test_people_who_cannot_be_mentioned_are_not_asked_for_at_each_update(rig: Rig) -> None:
    rig.names.people["p01"] = {"id": "p01", "name": "陈国栋", "email": "chen@plant.cn"}
    opened(rig)
    for n in range(3):
        rig.deliver("post_card", key=f"c{n}", card_body=card())
    assert len(rig.far.named("contact.batch_get_id")) == 2, "once for the group, once for the cards"
    rig.clock.advance(timedelta(minutes=11))
    rig.far.mails["chen@plant.cn"] = "ou_44"
    rig.deliver("post_card", key="c9", card_body=card())
    assert "<at id=ou_44>" in rig.far.messages[-1]["body"]["content"]


def test_a_mention_that_feishu_refuses_becomes_a_name(rig: Rig) -> None:
    opened(rig)
    words = "Failed to create card content, ext=ErrCode: 100290; ErrMsg: There is an invalid user resource(at/person)"
    rig.far.script["im.message.create"].append(reply(230099, msg=words))
    rig.deliver("post_card", key="k2", card_body=card())
    lead = json.loads(rig.far.messages[0]["body"]["content"])["body"]["elements"][0]["content"]
    assert "<at" not in lead and "人1" in lead


def test_content_review_gets_the_words_without_numbers_then_without_words(rig: Rig) -> None:
    opened(rig)
    body = card("漏液，电话 13812345678，mail a.b@c.cn")
    rig.far.script["im.message.create"].append(reply(230028))
    rig.deliver("post_card", key="k2", card_body=body)
    title = json.loads(rig.far.messages[0]["body"]["content"])["header"]["title"]["content"]
    assert title == f"漏液，电话 •••，mail ••• · {NO}"
    rig.far.script["im.message.create"].extend([reply(230022)] * 2)
    rig.deliver("post_card", key="k3", card_body=body)
    content = rig.far.messages[1]["body"]["content"]
    assert "漏液" not in content and NO in json.loads(content)["header"]["title"]["content"]


def test_a_card_that_is_wrong_is_dead_with_feishus_words(rig: Rig) -> None:
    opened(rig)
    rig.far.script["im.message.create"].extend([reply(230099, msg="ErrCode: 200621; parse card json err")] * 4)
    with pytest.raises(Rejected, match="200621"):
        rig.deliver("post_card", key="k2", card_body=card())
    assert len(rig.far.named("im.message.create")) == 1, "a request that is wrong is never repeated"


# --- pictures


def test_a_picture_is_uploaded_once(rig: Rig, tmp_path: Path) -> None:
    opened(rig)
    rig.names.files["ab" * 32] = tmp_path / "chart.png"
    (tmp_path / "chart.png").write_bytes(b"\x89PNG....")
    body = card(
        blocks=[
            {"type": "picture", "sha": "ab" * 32, "alt": "控制图"},
            {"type": "picture", "sha": "cd" * 32, "alt": "x"},
        ]
    )
    for key in ("k2", "k3"):
        rig.deliver("post_card", key=key, card_body=body)
    images = [e for m in rig.far.messages for e in json.loads(m["body"]["content"])["body"]["elements"]]
    assert [i["img_key"] for i in images] == ["img_v3_abababababab"] * 2 and len(rig.far.named("im.image.create")) == 1


def test_a_picture_that_feishu_refuses_is_left_out(rig: Rig, tmp_path: Path) -> None:
    opened(rig)
    rig.names.files["ab" * 32] = tmp_path / "chart.png"
    (tmp_path / "chart.png").write_bytes(b"\x89PNG....")
    rig.far.script["im.image.create"].append(reply(234001))
    body = card(blocks=[{"type": "picture", "sha": "ab" * 32, "alt": "控制图"}])
    rig.deliver("post_card", key="k2", card_body=body)
    assert json.loads(rig.far.messages[0]["body"]["content"])["body"]["elements"] == []


# --- words


def spoken(rig: Rig, n: int = -1) -> list[dict[str, str]]:
    return json.loads(rig.far.messages[n]["body"]["content"])["zh_cn"]["content"][0]


def test_words_in_the_group_mention_people_and_stay_words(rig: Rig) -> None:
    opened(rig)
    rig.deliver("say", key="k3", text='<at user_id="all"></at> **停线** [x](http://evil)', people=["p01", "p77"])
    *people, words = spoken(rig)
    assert people == [{"tag": "at", "user_id": "ou_01"}, {"tag": "at", "user_id": "ou_77"}]
    assert words == {"tag": "text", "text": f' <at user_id="all"></at> **停线** [x](http://evil) {NO}'}


def test_of_several_texts_the_lost_one_is_recognised(rig: Rig) -> None:
    opened(rig)
    texts = [f"{NO} 第 {n} 次提醒" for n in range(3)]
    rig.deliver("say", key="s0", text=texts[0], people=["p01"])
    rig.far.script["im.message.create"].append("lose")
    with pytest.raises(Unreachable):
        rig.deliver("say", key="s1", text=texts[1], people=["p01"])
    rig.clock.advance(timedelta(hours=1))
    assert rig.deliver("say", key="s1", tried=START, text=texts[1], people=["p01"]).note == "found by reconciliation"
    assert isinstance(rig.deliver("say", key="s2", tried=START, text=texts[2], people=["p01"]), Reissue)


def test_the_same_words_said_earlier_are_not_taken_for_the_lost_ones(rig: Rig) -> None:
    opened(rig)
    rig.deliver("say", key="s0", text=f"{NO} 好了吗", people=[])
    rig.clock.advance(timedelta(minutes=3))
    tried = rig.clock.now()
    rig.clock.advance(timedelta(hours=1))
    assert isinstance(rig.deliver("say", key="s1", tried=tried, text=f"{NO} 好了吗", people=[]), Reissue)


def test_the_words_of_a_repeat_are_those_of_the_first_attempt(rig: Rig) -> None:
    opened(rig)
    due = {"key": "{at}", "args": {"at": {"at": (START + timedelta(hours=2)).isoformat()}}}
    rig.deliver("say", key="s1", text=due)
    rig.clock.advance(timedelta(days=1))
    assert rig.deliver("say", key="s1", tried=START, text=due).note == "found by reconciliation", (
        "12:40, not 11-22 12:40"
    )


def test_a_nudge_reaches_the_person(rig: Rig) -> None:
    assert rig.deliver("nudge", key="n1", person="p03", text=text("feishu.reduced", no=NO)) == Delivered()
    assert rig.far.messages[0]["chat_id"] == "oc_p2p_ou_03" and NO in spoken(rig)[0]["text"]


def test_a_nudge_to_nobody_says_who(rig: Rig) -> None:
    rig.names.people["p03"] = {"id": "p03", "name": "周敏"}
    with pytest.raises(Rejected, match=r"p03 \(周敏\) cannot be reached"):
        rig.deliver("nudge", key="n1", person="p03", text=NO)
    rig.names.people["p04"]["open_id"] = "ou_gone"
    with pytest.raises(Rejected, match="p04"):
        rig.deliver("nudge", key="n2", person="p04", text=NO)


def test_a_nudge_to_somebody_who_has_left_goes_to_their_superior(rig: Rig) -> None:
    rig.names.people["p03"] = {"id": "p03", "name": "周敏", "leader": "p04"}
    rig.names.people["p04"] = {"id": "p04", "name": "也走了", "leader": "p05", "open_id": "ou_gone"}
    rig.names.people["p05"] |= {"leader": "p03"}
    rig.far.script["im.message.create"].extend([None, "lose"])
    with pytest.raises(Unreachable):
        rig.deliver("nudge", key="n1", person="p03", text=f"{NO} 一")
    rig.clock.advance(timedelta(minutes=5))
    assert "p05" in rig.deliver("nudge", key="n1", tried=START, person="p03", text=f"{NO} 一").note
    assert [m["chat_id"] for m in rig.far.messages] == ["oc_p2p_ou_05"]
    assert "周敏" in spoken(rig)[0]["text"] and "一" in spoken(rig)[0]["text"]
    rig.clock.advance(timedelta(minutes=55))
    found = rig.deliver("nudge", key="n1", tried=START, person="p03", text=f"{NO} 一")
    assert isinstance(found, Delivered) and len(rig.far.messages) == 1


def test_where_no_leader_can_be_reached_either_the_default_owner_is_told(tmp_path: Path) -> None:
    rig = Rig(tmp_path, last=("p02",))
    rig.names.people["p03"] = {"id": "p03", "name": "周敏", "leader": "p04"}
    rig.names.people["p04"] = {"id": "p04", "name": "也走了"}
    assert "to p02" in rig.deliver("nudge", key="n1", person="p03", text=f"{NO} 一").note
    rig.deliver("open_group", name=NO, people=["p03", "p01"], owner="p03")
    assert rig.far.chats["oc_1"]["members"] == ["ou_01", "ou_02"]
    rig.names.people["p02"] = {"id": "p02", "name": "也没有"}
    with pytest.raises(Rejected, match="p02"):
        rig.deliver("nudge", key="n2", person="p02", text=NO)


def test_a_nudge_to_a_stale_id_asks_anew(rig: Rig) -> None:
    rig.names.people["p03"] |= {"open_id": "ou_gone", "email": "z@plant.cn"}
    rig.far.mails["z@plant.cn"] = "ou_60"
    rig.deliver("nudge", key="n1", person="p03", text=NO)
    assert rig.far.messages[0]["chat_id"] == "oc_p2p_ou_60"


def test_a_lost_nudge_is_looked_up_where_the_chat_is_known_else_sent_again(rig: Rig) -> None:
    rig.far.script["im.message.create"].append("lose")
    with pytest.raises(Unreachable):
        rig.deliver("nudge", key="n1", person="p03", text=f"{NO} 一")
    rig.clock.advance(timedelta(minutes=58))
    assert isinstance(rig.deliver("nudge", key="n1", tried=START, person="p03", text=f"{NO} 一"), Reissue)
    rig.deliver("nudge", key="n2", person="p03", text=f"{NO} 二")
    assert rig.deliver("nudge", key="n1", tried=START, person="p03", text=f"{NO} 一").note == "found by reconciliation"


def test_an_app_that_may_not_read_the_chat_sends_again(rig: Rig) -> None:
    opened(rig)
    rig.clock.advance(timedelta(hours=2))
    rig.far.script["im.message.list"].append(reply(230027))
    assert isinstance(rig.deliver("say", key="s1", tried=START, text=NO), Reissue)


# --- the whole


def test_unknown_kinds_are_rejected(rig: Rig) -> None:
    with pytest.raises(Rejected):
        rig.deliver("upsert_row")
    assert set(rig.sink.kinds) == {
        "open_group", "post_card", "update_card", "add_people", "nudge", "say", "leave_group", "dissolve_group",
    }  # fmt: skip


def test_the_card_of_a_verdict_asks_nobody(rig: Rig) -> None:
    rig.names.people["p01"] = {"id": "p01", "name": "陈国栋", "email": "chen@plant.cn"}
    rig.names.known["person:p01"] = "ou_77"
    drawn = rig.sink.card(card(), rig.names)
    assert drawn["body"]["elements"][0]["content"].startswith("<at id=ou_77></at>") and rig.far.calls == []


def test_the_secret_comes_from_a_credential_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from agent.errors import ConfigError
    from agent.sinks.feishu.settings import FeishuSettings

    settings = FeishuSettings(app_id="cli_a1", app_secret_file=tmp_path / "absent" / "feishu")
    with pytest.raises(ConfigError, match="app_secret_file"):
        settings.secret()
    (tmp_path / "feishu").write_text(f"{SECRET}\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert settings.secret() == SECRET


def test_a_file_in_a_closed_folder_leaves_the_credential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.11 raises PermissionError even when asked whether there is a file."""
    from agent.sinks.feishu.settings import FeishuSettings

    closed = tmp_path / "closed" / "feishu"
    for name in ("stat", "read_text"):
        there = getattr(Path, name)

        def refuse(path: Path, *args: object, _there: object = there, **more: object) -> object:
            if path == closed:
                raise PermissionError(13, "Permission denied")
            return _there(path, *args, **more)

        monkeypatch.setattr(Path, name, refuse)
    (tmp_path / "feishu").write_text(f"{SECRET}\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert FeishuSettings(app_id="cli_a1", app_secret_file=closed).secret() == SECRET


@pytest.mark.parametrize(
    ("url", "good"),
    [("https://open.larksuite.com", True), ("http://127.0.0.1:8899", True), ("http://localhost:1", True),
     ("http://10.0.0.1:8899", False), ("https://host/path", False), ("https://u@host", False),
     ("ftp://127.0.0.1", False)],
)  # fmt: skip
def test_only_origins_that_lark_accepts(url: str, good: bool, tmp_path: Path) -> None:
    from pydantic import ValidationError

    from agent.sinks.feishu.settings import FeishuSettings

    if good:
        FeishuSettings(app_id="a", app_secret_file=tmp_path, base_url=url)
    else:
        with pytest.raises(ValidationError, match="base_url"):
            FeishuSettings(app_id="a", app_secret_file=tmp_path, base_url=url)
