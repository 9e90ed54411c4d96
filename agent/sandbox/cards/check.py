"""Is this a card that Feishu takes? As strict as the platform: an unknown attribute refuses the whole card."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from agent.sandbox.cards import parts, schema, special
from agent.sandbox.cards.fault import CardFault, aligned, malformed, only

Known = Callable[[str], bool]


def check(card: Any, image: Known, person: Known) -> None:
    """Raises CardFault for a card that Feishu would refuse. `image` and `person` know the keys and ids that exist."""
    if not isinstance(card, dict):
        raise malformed("card is not an object", "ROOT")
    if card.get("schema") != "2.0":
        raise malformed("schema must be 2.0", "ROOT")
    only(card, schema.ROOT, "ROOT")
    _config(card.get("config"))
    if _count(card) > schema.ELEMENTS_MAX:
        raise CardFault(11310, "element exceeds the limit")
    walk = Walk(image, person)
    if "header" in card:
        parts.header(walk, card["header"])
    if "card_link" in card:
        only(card["card_link"], schema.LINK, "ROOT -> card_link")
    body = card.get("body", {})
    only(body, schema.BODY, "ROOT -> body")
    aligned(body, "body", "ROOT -> body")
    walk.children(body.get("elements", []), "ROOT -> body -> elements", [])


def _config(config: Any) -> None:
    if config is None:
        return
    only(config, schema.CONFIG, "ROOT -> config")
    if config.get("update_multi", True) is not True:
        raise malformed("update_multi can only be true", "ROOT -> config")
    aligned(config, "config", "ROOT -> config")


def _count(node: Any) -> int:
    """Everything with a tag counts, also texts and icons."""
    if isinstance(node, dict):
        return isinstance(node.get("tag"), str) + sum(_count(child) for child in node.values())
    return sum(_count(child) for child in node) if isinstance(node, list) else 0


class Walk:
    """One pass over the components, with what must be unique in the whole card."""

    def __init__(self, image: Known, person: Known) -> None:
        self.image, self.person = image, person
        self.ids: set[str] = set()
        self.names: set[str] = set()
        self.tables = 0

    def children(self, elements: Any, path: str, above: list[str]) -> None:
        """Check the components of a container; `above` are the tags of the containers around them."""
        if not isinstance(elements, list):
            raise malformed("elements is not an array", path)
        for index, component in enumerate(elements):
            if not isinstance(component, dict) or not isinstance(component.get("tag"), str):
                raise malformed("element has no tag", f"{path} -> [{index}]")
            self.component(component, f"{path} -> [{index}](tag: {component['tag']})", above)

    def component(self, node: dict[str, Any], path: str, above: list[str]) -> None:
        """Check one component and what it holds."""
        tag = node["tag"]
        if tag in schema.GONE:
            message = "cards of schema V2 no longer support this capability"
            raise CardFault(200861, message, f"unsupported tag {tag}", path)
        if tag not in schema.ATTRIBUTES:
            raise malformed(f"not support tag: {tag}", path)
        only(node, schema.ATTRIBUTES[tag], path)
        for name in schema.REQUIRED.get(tag, ()):
            if node.get(name) in (None, ""):
                raise malformed(f"{name} is required", path)
        aligned(node, tag, path)
        self._placed(tag, node, path, above)
        parts.identity(self, tag, node, path, "form" in above)
        parts.common(self, node, path)
        special.details(self, tag, node, path)
        within = [*above, tag]
        if "elements" in node:
            self.children(node["elements"], f"{path} -> elements", within)
        if tag == "column_set":
            self._columns(node["columns"], f"{path} -> columns", within)
        if tag == "form":
            parts.submit_button(node, path)

    def _columns(self, columns: Any, path: str, above: list[str]) -> None:
        if not isinstance(columns, list) or any(not isinstance(c, dict) or c.get("tag") != "column" for c in columns):
            raise malformed("columns may hold only tag column", path)
        self.children(columns, path, above)

    def _placed(self, tag: str, node: Mapping[str, Any], path: str, above: list[str]) -> None:
        """Where a component may stand."""
        stray = tag in schema.ROOT_ONLY and bool(above)
        stray |= (tag == "column") != (bool(above) and above[-1] == "column_set")
        stray |= tag in schema.FORM_ONLY and "form" not in above
        stray |= tag == "chart" and "form" in above
        if stray:
            raise CardFault(200621, f"type of element is not supported tag: {tag}", path=path)
        if sum(t in schema.CONTAINERS for t in [*above, tag]) > schema.DEPTH_MAX:
            raise malformed("containers are nested too deep", path)
        if "required" in node and "form" not in above:
            raise malformed("unknown property: required", path)
        self.tables += tag == "table"
        if self.tables > schema.TABLES_MAX:
            raise CardFault(11310, "card table number over limit", path=path)
