"""What many components share: texts, icons, names, questions, behaviours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agent.sandbox.cards import schema
from agent.sandbox.cards.fault import CardFault, aligned, malformed, only
from agent.sandbox.cards.read import inside

if TYPE_CHECKING:
    from agent.sandbox.cards.check import Walk

_ID = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,19}")
_MARGIN = re.compile(r"-?\d{1,2}px(?: -?\d{1,2}px){0,3}")
_PADDING = re.compile(r"\d{1,2}px(?: \d{1,2}px){0,3}")
_AT = re.compile(r"<(?:at|person)\b([^>]*)>")
_AT_ID = re.compile(r"\b(?:id|ids|user_id)\s*=\s*[\"']?([^\"'\s>/]+)")
_PICTURE = re.compile(r"!\[[^\]]*\]\(([^)\s]+)")


def header(walk: Walk, node: Any) -> None:
    """The title bar: a title is required, at most three tags."""
    path = "ROOT -> header"
    only(node, schema.HEADER, path)
    if not isinstance(node.get("title"), dict) or not node["title"].get("content"):
        raise malformed("header.title is required", path)
    aligned(node, "header", path)
    text(walk, node["title"], f"{path} -> title")
    if "subtitle" in node:
        text(walk, node["subtitle"], f"{path} -> subtitle")
    tags = node.get("text_tag_list", [])
    if not isinstance(tags, list) or len(tags) > 3:
        raise malformed("text_tag_list holds at most 3 tags", path)
    for tag in tags:
        only(tag, frozenset({"tag", "element_id", "text", "color"}), f"{path} -> text_tag_list")
        aligned(tag, "text_tag", f"{path} -> text_tag_list")
        text(walk, tag.get("text"), f"{path} -> text_tag_list")
    icon(walk, node, path)


def text(walk: Walk, node: Any, path: str) -> None:
    """A text object: plain_text or lark_md with content."""
    only(node, schema.TEXT, path)
    if node.get("tag") not in ("plain_text", "lark_md") or not isinstance(node.get("content"), str):
        raise malformed("text needs tag plain_text or lark_md, and content", path)
    aligned(node, "text", path)
    if node["tag"] == "lark_md":
        marked(walk, node["content"], path)
    _element_id(walk, node, path)


def marked(walk: Walk, content: str, path: str) -> None:
    """People and pictures named in markdown exist."""
    for attributes in _AT.findall(content):
        found = _AT_ID.search(attributes)
        for name in found.group(1).split(",") if found else ():
            known_person(walk, name, path)
    for key in _PICTURE.findall(content):
        known_image(walk, key, path)


def known_person(walk: Walk, name: Any, path: str) -> None:
    if name != "all" and not (isinstance(name, str) and walk.person(name)):
        raise CardFault(100290, "There is an invalid user resource(at/person) in your card", str(name), path)


def known_image(walk: Walk, key: Any, path: str) -> None:
    if not isinstance(key, str) or not walk.image(key):
        raise CardFault(200570, "card contains invalid image keys", f"image key {key}", path)


def icon(walk: Walk, node: Mapping[str, Any], path: str) -> None:
    """An icon from the library, or an own picture."""
    if "icon" not in node:
        return
    only(node["icon"], schema.ICON, f"{path} -> icon")
    if node["icon"].get("tag") == "custom_icon":
        known_image(walk, node["icon"].get("img_key"), f"{path} -> icon")


def _element_id(walk: Walk, node: Mapping[str, Any], path: str) -> None:
    if "element_id" not in node:
        return
    value = node["element_id"]
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise malformed(f"invalid element_id: {value}", path)
    if value in walk.ids:
        raise malformed(f"element_id is duplicated: {value}", path)
    walk.ids.add(value)


def identity(walk: Walk, tag: str, node: Mapping[str, Any], path: str, in_form: bool) -> None:
    """element_id, spacing, and the name that everything in a form needs, once in the card (200530)."""
    _element_id(walk, node, path)
    for attribute, shape in (("margin", _MARGIN), ("padding", _PADDING)):
        if attribute in node and not shape.fullmatch(str(node[attribute])):
            raise malformed(f"invalid {attribute}: {node[attribute]}", path)
    named = tag == "form" or (in_form and (tag in schema.FIELDS or tag == "button"))
    if not named:
        return
    name = node.get("name")
    if not isinstance(name, str) or not name:
        raise CardFault(200530, "form element name is empty", path=path)
    if name in walk.names:
        raise CardFault(200530, "form element name is duplicated", name, path)
    walk.names.add(name)


def submit_button(node: Mapping[str, Any], path: str) -> None:
    """A form can be sent."""
    if not any(c.get("tag") == "button" and c.get("form_action_type") == "submit" for c in inside(node)):
        raise malformed("form needs a button with form_action_type submit", path)


def common(walk: Walk, node: dict[str, Any], path: str) -> None:
    """What many components have: texts, an icon, a question, behaviours."""
    for name in ("text", "alt", "title", "placeholder", "label", "disabled_tips", "hover_tips"):
        if name in node:
            text(walk, node[name], f"{path} -> {name}")
    icon(walk, node, path)
    confirm(walk, node, path)
    behaviors(node, path)


def confirm(walk: Walk, node: Mapping[str, Any], path: str) -> None:
    """The question before pressing needs both its texts."""
    if "confirm" not in node:
        return
    only(node["confirm"], frozenset({"title", "text"}), f"{path} -> confirm")
    for name in ("title", "text"):
        text(walk, node["confirm"].get(name), f"{path} -> confirm -> {name}")


def behaviors(node: Mapping[str, Any], path: str) -> None:
    """What pressing does: a callback whose value is an object, or a link."""
    found = node.get("behaviors", [])
    if not isinstance(found, list):
        raise malformed("behaviors is not an array", path)
    for behavior in found:
        kind = behavior.get("type") if isinstance(behavior, dict) else None
        if not isinstance(kind, str) or kind not in schema.BEHAVIOR:
            raise malformed(f"invalid behavior type: {kind}", path)
        only(behavior, schema.BEHAVIOR[kind], f"{path} -> behaviors")
        if kind == "callback" and not isinstance(behavior.get("value"), dict):
            raise malformed("value of a callback must be an object", path)
