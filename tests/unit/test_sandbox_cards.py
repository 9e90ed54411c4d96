"""The sandbox takes a good card 2.0 and refuses each wrong one in Feishu's words."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from agent.sandbox.cards import read
from agent.sandbox.cards.check import check
from agent.sandbox.cards.fault import CardFault

Card = dict[str, Any]
KNOWN = {"img_v3_ok", "ou_chen", "ou_zhou"}


def plain(content: str) -> Card:
    return {"tag": "plain_text", "content": content}


def button(**more: Any) -> Card:
    return {
        "tag": "button",
        "text": plain("我来处理"),
        "type": "primary",
        "behaviors": [{"type": "callback", "value": {"action": "respond"}}],
        **more,
    }


def form(*fields: Card) -> Card:
    send = button(name="send", form_action_type="submit")
    return {"tag": "form", "name": "contain", "elements": [*fields, send]}


def whole() -> Card:
    """A card with about everything that the agent may want to send."""
    fields = [
        {"tag": "input", "name": "text", "required": True, "input_type": "multiline_text", "max_length": 500},
        {"tag": "date_picker", "name": "due", "placeholder": plain("到期")},
        {"tag": "select_static", "name": "why", "options": [{"text": plain("来料"), "value": "lot"}]},
        {"tag": "select_person", "name": "owner", "options": [{"value": "ou_zhou"}]},
        {"tag": "multi_select_person", "name": "team"},
    ]
    column = {
        "tag": "column",
        "width": "weighted",
        "weight": 1,
        "elements": [{"tag": "markdown", "content": "**431.6**"}],
    }
    elements = [
        {"tag": "markdown", "content": "<at id=ou_chen></at> 请在 12:20 前响应", "element_id": "lead"},
        {"tag": "column_set", "flex_mode": "bisect", "columns": [column, copy.deepcopy(column)]},
        {"tag": "img", "img_key": "img_v3_ok", "alt": plain("控制图"), "scale_type": "fit_horizontal"},
        {"tag": "hr", "margin": "4px 0px"},
        {"tag": "div", "text": plain("两条相似"), "icon": {"tag": "standard_icon", "token": "chart_outlined"}},
        {"tag": "collapsible_panel", "header": {"title": plain("历史")}, "elements": [button()]},
        {
            "tag": "table",
            "columns": [{"name": "t"}, {"name": "v", "data_type": "number"}],
            "rows": [{"t": "8:40", "v": 1}],
        },
        {"tag": "chart", "chart_spec": {"type": "line", "data": {"values": []}}, "aspect_ratio": "16:9"},
        {"tag": "person_list", "persons": [{"id": "ou_zhou"}]},
        form(*fields),
        button(confirm={"title": plain("误报？"), "text": plain("计入误报")}, disabled=False),
        {
            "tag": "button",
            "text": plain("打开"),
            "behaviors": [{"type": "open_url", "default_url": "https://a.example"}],
        },
    ]
    header = {
        "title": plain("等响应 SZ1-E3-261122-007"),
        "subtitle": plain("OP40"),
        "template": "orange",
        "text_tag_list": [{"tag": "text_tag", "text": plain("观察"), "color": "neutral"}],
    }
    return {
        "schema": "2.0",
        "config": {"update_multi": True, "width_mode": "fill"},
        "header": header,
        "body": {"direction": "vertical", "elements": elements},
    }


def judged(card: Any) -> None:
    check(card, KNOWN.__contains__, KNOWN.__contains__)


def test_a_whole_card_is_taken() -> None:
    assert judged(whole()) is None  # it raises where it refuses


def put(*path: str | int, value: Any) -> Callable[[Card], None]:
    def change(card: Card) -> None:
        node: Any = card
        for step in path[:-1]:
            node = node[step]
        node[path[-1]] = value

    return change


def add(*elements: Card) -> Callable[[Card], None]:
    return lambda card: card["body"]["elements"].extend(elements)


def column_of(element: Card) -> Card:
    return {"tag": "column_set", "columns": [{"tag": "column", "elements": [element]}]}


def deep(levels: int) -> Card:
    inner: Card = {"tag": "hr"}
    for _ in range(levels):
        inner = {"tag": "interactive_container", "elements": [inner]}
    return inner


TABLE: Card = {"tag": "table", "columns": [{"name": "t"}], "rows": []}

WRONG: dict[str, tuple[int, str, Callable[[Card], None]]] = {
    "schema 1.0": (200621, "schema must be 2.0", put("schema", value="1.0")),
    "elements at the root": (200621, "unknown property: elements", put("elements", value=[])),
    "wide_screen_mode of 1.0": (200621, "wide_screen_mode", put("config", "wide_screen_mode", value=True)),
    "update_multi false": (200621, "update_multi", put("config", "update_multi", value=False)),
    "unknown attribute": (200621, "unknown property: colour", put("body", "elements", 0, "colour", value="red")),
    "value beside behaviors": (200621, "unknown property: value", add(button(value={"a": 1}))),
    "unknown tag": (200621, "not support tag: countdown", add({"tag": "countdown"})),
    "tag action": (200861, "unsupported tag action", add({"tag": "action", "actions": []})),
    "tag note": (200861, "unsupported tag note", add({"tag": "note", "elements": []})),
    "action inside a column": (200861, "unsupported tag action", add(column_of({"tag": "action"}))),
    "200 elements": (11310, "element exceeds the limit", add(*[{"tag": "hr"} for _ in range(165)])),
    "form in a column": (200621, "not supported tag: form", add(column_of({**form(), "name": "f2"}))),
    "form in a form": (200621, "not supported tag: form", add({**form(form()), "name": "f3"})),
    "form without name": (200621, "name is required", add({"tag": "form", "elements": []})),
    "form without submit": (200621, "form_action_type submit", add({"tag": "form", "name": "f", "elements": []})),
    "field without name": (200530, "name is empty", add({**form({"tag": "input"}), "name": "f"})),
    "one name twice": (200530, "duplicated", add({**form({"tag": "input", "name": "text"}), "name": "f"})),
    "form name twice": (200530, "duplicated", add(form())),
    "required outside a form": (200621, "unknown property: required", add({"tag": "input", "required": True})),
    "multi select outside a form": (200621, "multi_select_person", add({"tag": "multi_select_person"})),
    "string as button value": (
        200621,
        "must be an object",
        add(button(behaviors=[{"type": "callback", "value": "x"}])),
    ),
    "button without text": (200621, "text is required", add({"tag": "button"})),
    "unknown button type": (200621, "invalid value of type", add(button(type="green"))),
    "confirm without text": (200621, "not an object", add(button(confirm={"title": plain("?")}))),
    "six tables": (11310, "table number over limit", add(*[TABLE] * 5)),
    "table in a column": (200621, "not supported tag: table", add(column_of(TABLE))),
    "row of an unknown column": (200915, "rows name is invalid", add({**TABLE, "rows": [{"x": 1}]})),
    "rows no list of objects": (200914, "rows is invalid", add({**TABLE, "rows": ["x"]})),
    "unknown picture": (200570, "img_x", add({"tag": "img", "img_key": "img_x", "alt": plain("")})),
    "unknown picture in markdown": (200570, "img_x", add({"tag": "markdown", "content": "![a](img_x)"})),
    "picture without alt": (200621, "alt is required", add({"tag": "img", "img_key": "img_v3_ok"})),
    "unknown person": (100290, "invalid user resource", add({"tag": "person", "user_id": "ou_x"})),
    "unknown person in markdown": (100290, "ou_x", add({"tag": "markdown", "content": "<at id=ou_x></at>"})),
    "unknown person as option": (100290, "ou_x", add({"tag": "select_person", "options": [{"value": "ou_x"}]})),
    "header without title": (200621, "header.title is required", put("header", value={"template": "red"})),
    "unknown header colour": (200621, "invalid value of template", put("header", "template", value="pink")),
    "four header tags": (200621, "at most 3", put("header", "text_tag_list", value=[{}] * 4)),
    "element_id with a digit first": (
        200621,
        "invalid element_id",
        put("body", "elements", 0, "element_id", value="1a"),
    ),
    "element_id twice": (200621, "element_id is duplicated", add({"tag": "hr", "element_id": "lead"})),
    "chart without data": (200550, "chart spec is invalid", add({"tag": "chart", "chart_spec": {"type": "line"}})),
    "six levels": (200621, "nested too deep", add(deep(6))),
    "a column by itself": (200621, "not supported tag: column", add({"tag": "column", "elements": []})),
    "margin without unit": (200621, "invalid margin", add({"tag": "hr", "margin": "4"})),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_card_is_refused(name: str) -> None:
    code, words, spoil = WRONG[name]
    card = whole()
    spoil(card)
    with pytest.raises(CardFault) as refused:
        judged(card)
    assert (refused.value.code, words in str(refused.value)) == (code, True), str(refused.value)


@pytest.mark.parametrize("thing", [[], "x", None, {"body": {"elements": "x"}}, {"schema": "2.0", "body": []}])
def test_what_is_no_card_at_all_is_refused(thing: Any) -> None:
    with pytest.raises(CardFault, match="200621"):
        judged(thing)


def test_five_levels_and_empty_cards_are_allowed() -> None:
    card = whole()
    add(deep(5))(card)
    assert judged(card) is None  # it raises where it refuses
    assert judged({"schema": "2.0"}) is None


def test_a_card_is_read_as_a_person_reads_it() -> None:
    card = whole()
    assert read.title(card) == "等响应 SZ1-E3-261122-007"
    assert "请在 12:20 前响应" in read.words(card) and "**" not in read.words(card)
    send = read.find(card, "send", None)
    assert send is not None and send.submits and set(send.fields) == {"text", "due", "why", "owner", "team"}
    respond = read.find(card, None, {"action": "respond"})
    assert respond is not None and respond.calls_back
    assert read.find(card, None, {"action": "other"}) is None
    link = [part for part in read.parts(card) if not part.calls_back and part.tag == "button"]
    assert len(link) == 1


def test_by_default_only_the_title_comes_back() -> None:
    reduced = read.reduced(whole())
    assert reduced["title"] == "等响应 SZ1-E3-261122-007" and "OP40" not in str(reduced)
