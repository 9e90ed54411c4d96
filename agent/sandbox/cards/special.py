"""What is special about single components: pictures, people, inputs, options, charts, tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from agent.sandbox.cards import schema
from agent.sandbox.cards.fault import CardFault, malformed
from agent.sandbox.cards.parts import known_image, known_person, marked, text

if TYPE_CHECKING:
    from agent.sandbox.cards.check import Walk


def details(walk: Walk, tag: str, node: dict[str, Any], path: str) -> None:
    """Check what only this component has."""
    if tag in _SPECIAL:
        _SPECIAL[tag](walk, node, path)


def _markdown(walk: Walk, node: Mapping[str, Any], path: str) -> None:
    if not isinstance(node["content"], str):
        raise malformed("content is not a string", path)
    marked(walk, node["content"], path)


def _img(walk: Walk, node: Mapping[str, Any], path: str) -> None:
    known_image(walk, node["img_key"], path)


def _img_list(walk: Walk, node: Mapping[str, Any], path: str) -> None:
    for image in _objects(node["img_list"], path):
        known_image(walk, image.get("img_key"), path)


def _people(walk: Walk, node: Mapping[str, Any], path: str) -> None:
    if node["tag"] == "person":
        known_person(walk, node["user_id"], path)
    elif not node.get("drop_invalid_user_id"):
        for person in _objects(node["persons"], path):
            known_person(walk, person.get("id"), path)


def _panel(walk: Walk, node: Mapping[str, Any], path: str) -> None:
    title = node["header"].get("title") if isinstance(node["header"], dict) else None
    if not isinstance(title, dict) or title.get("tag") not in ("plain_text", "markdown", "lark_md"):
        raise malformed("header.title is required", path)
    if title["tag"] != "plain_text":
        marked(walk, str(title.get("content", "")), path)


def _input(walk: Walk, node: Mapping[str, Any], path: str) -> None:
    length = node.get("max_length", 1000)
    if not isinstance(length, int) or not 1 <= length <= 1000:
        raise malformed(f"invalid max_length: {length}", path)
    if len(node.get("placeholder", {}).get("content", "")) > 100:
        raise malformed("placeholder is longer than 100", path)


def _options(walk: Walk, node: Mapping[str, Any], path: str) -> None:
    people = node["tag"].endswith("select_person")
    values = []
    for option in _objects(node.get("options", []), path):
        if not isinstance(option.get("value"), str) or not option["value"]:
            raise malformed("option needs value", path)
        values.append(option["value"])
        if people:
            known_person(walk, option["value"], path)
        elif node["tag"].endswith("select_static"):
            text(walk, option.get("text"), f"{path} -> options")
        elif node["tag"] == "select_img":
            known_image(walk, option.get("img_key"), path)
    if "initial_option" in node and node["initial_option"] not in values:
        raise malformed("initial_option is not an option", path)


def _chart(walk: Walk, node: Mapping[str, Any], path: str) -> None:
    spec = node["chart_spec"]
    if not isinstance(spec, dict) or not isinstance(spec.get("type"), str) or "data" not in spec:
        raise CardFault(200550, "chart spec is invalid", "(root): type and data are required", path)


def _table(walk: Walk, node: Mapping[str, Any], path: str) -> None:
    columns = list(_objects(node["columns"], path))
    names = [column.get("name") for column in columns]
    if len(columns) > schema.TABLE_COLUMNS_MAX or not all(isinstance(n, str) and n for n in names):
        raise malformed("table columns need names, at most 50", path)
    for column in columns:
        if column.get("data_type", "text") not in schema.COLUMN_TYPES:
            raise malformed(f"invalid data_type: {column['data_type']}", path)
    if not isinstance(node.get("page_size", 5), int) or not 1 <= node.get("page_size", 5) <= 10:
        raise malformed("page_size is 1 to 10", path)
    rows = node.get("rows", [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise CardFault(200914, "table rows is invalid", path=path)
    stray = {name for row in rows for name in row} - set(names)
    if stray:
        raise CardFault(200915, "table rows name is invalid", ", ".join(sorted(stray)), path)


def _objects(items: Any, path: str) -> Iterator[dict[str, Any]]:
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise malformed("not an array of objects", path)
    yield from items


_SPECIAL: Mapping[str, Callable[[Walk, dict[str, Any], str], None]] = {
    "markdown": _markdown,
    "img": _img,
    "img_combination": _img_list,
    "person": _people,
    "person_list": _people,
    "collapsible_panel": _panel,
    "input": _input,
    "select_static": _options,
    "multi_select_static": _options,
    "select_person": _options,
    "multi_select_person": _options,
    "select_img": _options,
    "chart": _chart,
    "table": _table,
}
