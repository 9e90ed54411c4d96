"""The neutral card as card JSON 2.0: structure, hostile words, limits."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_feishu_fake import NO, TZ

from agent.sinks.feishu.card.draw import MAX_BYTES, Look, content, draw, fits, mask
from agent.sinks.feishu.card.elements import Pen, escape
from agent.texts import render

PEOPLE = {"p1": ("ou_1", "陈国栋"), "p2": (None, "周<敏>")}
PEN = Pen(lambda t: render(t, "zh", TZ), lambda p: PEOPLE.get(p, (None, p)), lambda sha: f"img_{sha[:2]}")
VALUE = {"ticket": NO, "action": "respond", "cycle": 1}
FULL: dict[str, Any] = {
    "no": NO, "attention": "now", "title": "对策已超时：端板平面度超规格", "subtitle": f"3 号线·OP20 端板焊·{NO}",
    "tag": "隔离",
    "blocks": [
        {"type": "lead", "text": "48 h 对策超 1 小时 37 分，请现在交。", "people": ["p1", "p2"]},
        {"type": "fields", "fields": [{"label": "测得", "value": "0.62 mm"}, {"label": "规格", "value": "≤ 0.50"},
                                      {"label": "次数", "value": "5 次"}]},
        {"type": "note", "label": "遏制，周敏", "text": "端板全检，\n0.50 以上挑出"},
        {"type": "picture", "sha": "ab12", "alt": "控制图"},
        {"type": "divider"},
        {"type": "steps", "steps": [{"mark": "met", "label": "2 h 响应", "text": "用时 25 分"},
                                    {"mark": "missed", "label": "48 h 对策", "text": "超 1 小时 37 分"},
                                    {"mark": "near", "label": "5 天验证", "text": "剩 3 小时"},
                                    {"mark": "wait", "label": "x", "text": "y"}]},
        {"type": "form", "name": "analyse", "title": "原因与对策", "submit": "提交",
         "value": {**VALUE, "action": "analyse"},
         "fields": [{"name": "root_cause", "label": "根本原因", "kind": "multiline", "required": True},
                    {"name": "owner", "label": "负责人", "kind": "person", "required": False},
                    {"name": "due", "label": "日期", "kind": "date", "required": True},
                    {"name": "why", "label": "类", "kind": "select", "required": True,
                     "options": [{"value": "m", "text": "料"}]},
                    {"name": "text", "label": "备注", "kind": "text", "required": False}]},
        {"type": "actions", "actions": [{"label": "求助", "style": "primary", "value": VALUE, "confirm": None},
                                        {"label": "误报", "style": "danger", "value": VALUE, "confirm": "计入误报？"}]},
        {"type": "foot", "text": "10:42 更新。"},
    ],
}  # fmt: skip


def tagged(part: Any, tag: str | None = None) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        if "tag" in part and tag in (None, part["tag"]):
            yield part
        for value in part.values():
            yield from tagged(value, tag)
    elif isinstance(part, list):
        for value in part:
            yield from tagged(value, tag)


def words_of(part: Any) -> str:
    return "\n".join(e["content"] for e in tagged(part) if "content" in e)


def test_header_tells_attention_number_place_and_severity() -> None:
    header = draw(FULL, PEN)["header"]
    assert header["template"] == "red" and header["title"] == {
        "tag": "plain_text",
        "content": f"{FULL['title']} · {NO}",
    }
    assert header["subtitle"]["content"] == "3 号线·OP20 端板焊"
    assert [t["text"]["content"] for t in header["text_tag_list"]] == ["隔离"]
    templates = [draw({**FULL, "attention": a}, PEN)["header"]["template"] for a in ("none", "soon", "now")]
    assert templates == ["grey", "orange", "red"]
    assert draw({**FULL, "title": f"{NO} 已关闭"}, PEN)["header"]["title"]["content"] == f"{NO} 已关闭"


def test_the_body_is_feishus_components_in_order() -> None:
    drawn = draw(FULL, PEN)
    assert (
        drawn["schema"] == "2.0"
        and drawn["config"] == {"update_multi": True}
        and set(drawn) == {"schema", "config", "header", "body"}
    )
    tags = [e["tag"] for e in drawn["body"]["elements"]]
    assert tags == [
        "markdown",
        "column_set",
        "column_set",
        "div",
        "div",
        "img",
        "hr",
        "markdown",
        "form",
        "column_set",
        "div",
    ]
    lead, steps = drawn["body"]["elements"][0], drawn["body"]["elements"][7]
    assert lead["content"].startswith("<at id=ou_1></at> &#64;周&#60;敏&#62; 48 h 对策超")
    assert steps["content"].split("\n") == [
        "✓ 2 h 响应　用时 25 分", "<font color='red'>■ 48 h 对策　超 1 小时 37 分</font>",
        "<font color='orange'>▲ 5 天验证　剩 3 小时</font>", "○ x　y",
    ]  # fmt: skip
    assert drawn["body"]["elements"][1]["flex_mode"] == "bisect"
    assert [len(e["columns"]) for e in drawn["body"]["elements"][1:3]] == [2, 1]
    assert drawn["body"]["elements"][5] == {
        "tag": "img", "img_key": "img_ab", "alt": {"tag": "plain_text", "content": "控制图"},
    }  # fmt: skip


def test_the_form_stands_on_the_root_with_names_of_its_own() -> None:
    drawn = draw(FULL, PEN)
    form = next(e for e in drawn["body"]["elements"] if e["tag"] == "form")
    named = {e["name"]: e for e in tagged(form) if "name" in e}
    assert form["name"] == "analyse" and list(named) == [
        "analyse", "analyse__multiline__root_cause", "analyse__person__owner", "analyse__date__due",
        "analyse__select__why", "analyse__text__text", "analyse__submit",
    ]  # fmt: skip
    tags = [named[n]["tag"] for n in list(named)[1:]]
    assert tags == ["input", "select_person", "date_picker", "select_static", "input", "button"]
    assert named["analyse__multiline__root_cause"]["input_type"] == "multiline_text"
    assert [e["required"] for e in list(named.values())[1:-1]] == [True, False, True, True, False]
    submit = named["analyse__submit"]
    assert submit["form_action_type"] == "submit"
    assert submit["behaviors"] == [{"type": "callback", "value": {**VALUE, "action": "analyse"}}]
    assert "根本原因（必填）" in words_of(form) and "负责人（必填）" not in words_of(form)


def test_people_to_choose_from_go_by_their_numbers() -> None:
    people = [{"value": "10021", "text": "陈国栋"}, {"value": "10022", "text": "周敏"}]
    field = {"name": "to", "label": "转给", "kind": "person", "required": True, "options": people}
    block = {**FULL["blocks"][6], "name": "reassign", "fields": [field]}
    form = draw({**FULL, "blocks": [block]}, PEN)["body"]["elements"][0]
    select = next(tagged(form, "select_static"))
    assert select["name"] == "reassign__person__to" and not list(tagged(form, "select_person"))
    assert [(o["value"], o["text"]["content"]) for o in select["options"]] == [("10021", "陈国栋"), ("10022", "周敏")]


def test_buttons_carry_their_value_as_an_object() -> None:
    bar = draw(FULL, PEN)["body"]["elements"][9]
    first, second = [column["elements"][0] for column in bar["columns"]]
    assert (first["type"], second["type"]) == ("primary", "danger") and "confirm" not in first
    assert first["behaviors"][0]["value"] == VALUE
    assert second["confirm"]["title"]["content"] == "误报" and second["confirm"]["text"]["content"] == "计入误报？"


def test_a_missing_picture_is_left_out() -> None:
    drawn = draw(FULL, Pen(PEN.words, PEN.person, lambda sha: None))
    assert not list(tagged(drawn, "img")) and "省略" not in words_of(drawn)


HOSTILE = [
    "<at id=all></at>", "<at id=ou_1></at>", "</font><at id=all></at>", "**bold** _i_ ~~s~~ `code`",
    "[here](http://evil.cn)", "![img](img_v3_x)", "http://evil.cn/x", "www.evil.cn",
    "# head\n- a\n1. b\n> q\n---\n***", "a@evil.cn", ":DONE: :OK:",
    "&lt;at id=all&gt;&#60;at id=all&#62;", "<font color='red'>x</font>", "|a|b|\n|-|-|", "<person id=ou_1></person>",
    "<text_tag color='red'>x</text_tag>", "\\<at id=all\\>", "$x$", "<!-- x -->",
    "<local_datetime millisecond='1'></local_datetime>",
]  # fmt: skip


@pytest.mark.parametrize("words", HOSTILE)
def test_hostile_words_stay_words(words: str) -> None:
    card = {
        **FULL, "title": words, "subtitle": words, "tag": words,
        "blocks": [{"type": "lead", "text": words, "people": ["p9"]}, {"type": "note", "label": words, "text": words},
                   {"type": "fields", "fields": [{"label": words, "value": words}]},
                   {"type": "steps", "steps": [{"mark": "met", "label": words, "text": words}]},
                   {"type": "foot", "text": words}],
    }  # fmt: skip
    drawn = draw(card, Pen(PEN.words, lambda p: (None, words), PEN.image))
    marked = [e["content"] for e in tagged(drawn) if e["tag"] not in ("plain_text",) and "content" in e]
    assert len(marked) == 2 and not list(tagged(drawn, "lark_md"))
    for one in marked:
        assert not re.search(r"[<>*`\[\]~_|$\\]", one), "nothing left that means something in markdown"
        assert "://" not in one and not re.search(r"(?m)^\s*(?:[-+#=]|\d+[.)])", one)
        assert words.replace("\n", " ") in html.unescape(one).replace("\n", " "), "and it reads as it was typed"
    assert sum(e["content"].startswith(words) for e in tagged(drawn, "plain_text")) >= 6


@given(st.text(max_size=60))
def test_escaped_text_reads_as_typed_and_means_nothing(words: str) -> None:
    safe = escape(words)
    assert html.unescape(safe) == html.unescape(escape(html.unescape(safe)))
    assert not re.search(r"[<>*`\[\]~_|$\\#!]", safe.replace("&#", ""))


def test_open_ids_that_are_none_are_not_written_into_tags() -> None:
    drawn = draw(FULL, Pen(PEN.words, lambda p: ("x></at><at id=all", "某人"), PEN.image))
    assert "<at" not in drawn["body"]["elements"][0]["content"]


def test_numbers_and_times_stay_readable() -> None:
    assert escape(f"请在 12:20 前响应 {NO}，剩 1 小时 38 分。") == f"请在 12:20 前响应 {NO}，剩 1 小时 38 分。"


def test_marks_that_hide_words_are_taken_out() -> None:
    drawn = draw({**FULL, "title": "a\u202eb\x00c\ud800d"}, PEN)
    assert drawn["header"]["title"]["content"] == f"abcd · {NO}"
    content(drawn).encode()


def big(blocks: list[dict[str, Any]]) -> dict[str, Any]:
    return {**FULL, "blocks": [FULL["blocks"][0], *blocks, FULL["blocks"][7]]}


@pytest.mark.parametrize("words", ["长" * 2000, '"\\\n' * 700, "x" * 9000])
def test_a_card_that_is_too_long_loses_notes_from_the_bottom_and_says_so(words: str) -> None:
    notes = [{"type": "note", "label": f"第 {n} 段", "text": words} for n in range(20)]
    drawn = draw(big(notes), PEN)
    told = words_of(drawn)
    assert fits(drawn) and len(content(drawn).encode()) <= MAX_BYTES
    kept = [n for n in range(20) if f"第 {n} 段" in told]
    assert kept == list(range(len(kept))) and 2 <= len(kept) < 20
    assert f"省略了 {20 - len(kept)} 段" in told
    assert len(list(tagged(drawn, "button"))) == 2 and list(tagged(drawn, "markdown"))


def test_a_card_of_too_many_parts_is_cut_to_the_limit() -> None:
    fields = {"type": "fields", "fields": [{"label": f"项 {n}", "value": "v"} for n in range(18)]}
    assert len(content(draw(big([fields, fields]), PEN))) < MAX_BYTES / 2, "few bytes, many parts"
    drawn = draw(big([fields, fields]), PEN)
    assert sum(1 for _ in tagged(drawn)) <= 200 and len(list(tagged(drawn, "column_set"))) == 9 + 1
    assert len(list(tagged(drawn, "button"))) == 2 and "省略了 1 段" in words_of(drawn)


def test_even_a_monster_becomes_a_card() -> None:
    actions = [
        {"label": "x" * 900, "style": "primary", "value": {"ticket": NO, "action": "y" * 900}} for _ in range(300)
    ]
    drawn = draw({**FULL, "title": "t" * 99999, "blocks": [{"type": "actions", "actions": actions}]}, PEN)
    assert fits(drawn) and NO in drawn["header"]["title"]["content"] and "省略了 1 段" in words_of(drawn)


def test_plainer_looks() -> None:
    assert "<at" not in words_of(draw(FULL, PEN, Look(mentions=False)))
    assert not list(tagged(draw(FULL, PEN, Look(pictures=False)), "img"))
    bare = draw({**FULL, "title": "漏液"}, PEN, Look(reduced=2))
    assert "漏液" not in words_of(bare) and "端板" not in words_of(bare) and len(list(tagged(bare, "button"))) == 3


@pytest.mark.parametrize(
    ("words", "masked"),
    [("打 13812345678 给他", "打 ••• 给他"), ("电话13812345678。", "电话•••。"), ("138-1234-5678", "•••"), (NO, NO),
     ("a.b@plant.com.cn 收", "••• 收"), ("431.6 µm，46 组", "431.6 µm，46 组"), ("+8613812345678", "•••")],
)  # fmt: skip
def test_phone_numbers_and_mails_are_masked(words: str, masked: str) -> None:
    assert mask(words) == masked


def test_english_cards_speak_english() -> None:
    pen = Pen(lambda t: render(t, "en", TZ), PEN.person, PEN.image)
    assert "根本原因 (required)" in words_of(draw(FULL, pen)) and json.loads(content(draw(FULL, pen)))
