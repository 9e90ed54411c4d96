"""What each part of a 2.0 card may carry: attributes, required ones, allowed words.

Sources: Feishu's pages "card-json-v2-structure" and "card-json-v2-components/…", the 230099 table of
im-v1/message/create, and the release notes ("unknown attributes are errors"). Attributes that only JSON 1.0 knows are
left out on purpose.
"""

from __future__ import annotations

from collections.abc import Mapping


def names(*lines: str) -> frozenset[str]:
    """The set of blank-separated words."""
    return frozenset(word for line in lines for word in line.split())


GONE = frozenset({"action", "note"})
"""Components of 1.0 that 2.0 refuses by name (200861)."""

ROOT = names("schema config card_link header body")
CONFIG = names(
    "streaming_mode streaming_config summary locales enable_forward update_multi width_mode use_custom_translation "
    "enable_forward_interaction style"
)
LINK = names("url android_url ios_url pc_url")
HEADER = names("title subtitle text_tag_list i18n_text_tag_list template icon padding")
_FLOW = "direction horizontal_spacing horizontal_align vertical_spacing vertical_align padding"
BODY = names(f"elements {_FLOW}")
TEXT = names("tag element_id content i18n_content text_size text_align text_color lines")
ICON = names("tag token color size img_key")
BEHAVIOR: Mapping[str, frozenset[str]] = {
    "callback": frozenset({"type", "value"}),
    "open_url": names("type default_url android_url ios_url pc_url"),
}

_ANY = "tag element_id margin"
_HELD = f"{_ANY} name required disabled disabled_tips hover_tips width behaviors confirm"
_SELECT = f"{_HELD} type placeholder options initial_option initial_index selected_values"
ATTRIBUTES: Mapping[str, frozenset[str]] = {
    tag: names(words)
    for tag, words in {
        "column_set": f"{_ANY} flex_mode horizontal_spacing horizontal_align background_style action columns",
        "column": f"{_ANY} {_FLOW} background_style width weight elements action",
        "form": f"{_ANY} {_FLOW} name elements confirm",
        "interactive_container": f"{_ANY} {_FLOW} width height background_style has_border border_color corner_radius "
        "disabled disabled_tips hover_tips confirm behaviors elements name",
        "collapsible_panel": f"{_ANY} {_FLOW} background_color expanded header border elements",
        "div": f"{_ANY} text icon width",
        "markdown": f"{_ANY} content i18n_content text_size text_align icon",
        "img": f"{_ANY} img_key alt title corner_radius scale_type size transparent preview",
        "img_combination": f"{_ANY} combination_mode combination_transparent corner_radius img_list",
        "person": f"{_ANY} user_id size show_avatar show_name style",
        "person_list": f"{_ANY} persons lines size show_avatar show_name drop_invalid_user_id icon",
        "chart": f"{_ANY} chart_spec aspect_ratio height color_theme preview",
        "table": f"{_ANY} columns rows page_size row_height row_max_height freeze_first_column header_style",
        "hr": _ANY,
        "input": f"{_HELD} placeholder default_value input_type max_length rows auto_resize max_rows show_icon label "
        "label_position",
        "button": f"{_HELD} type size text icon form_action_type",
        "overflow": f"{_HELD} options",
        "select_static": _SELECT,
        "multi_select_static": _SELECT,
        "select_person": _SELECT,
        "multi_select_person": _SELECT,
        "date_picker": f"{_HELD} placeholder initial_date",
        "picker_time": f"{_HELD} placeholder initial_time",
        "picker_datetime": f"{_HELD} placeholder initial_datetime",
        "select_img": f"{_HELD} multi_select layout can_preview aspect_ratio options",
        "checker": f"{_HELD} checked text overall_checkable button_area checked_style padding",
    }.items()
}
REQUIRED: Mapping[str, tuple[str, ...]] = {
    "column_set": ("columns",),
    "column": ("elements",),
    "form": ("name", "elements"),
    "interactive_container": ("elements",),
    "collapsible_panel": ("header", "elements"),
    "markdown": ("content",),
    "img": ("img_key", "alt"),
    "img_combination": ("img_list",),
    "person": ("user_id",),
    "person_list": ("persons",),
    "chart": ("chart_spec",),
    "table": ("columns",),
    "button": ("text",),
    "overflow": ("options",),
    "select_static": ("options",),
    "multi_select_static": ("options",),
    "select_img": ("options",),
}
CONTAINERS = frozenset({"column_set", "form", "interactive_container", "collapsible_panel"})
"""What counts for the five levels of nesting; a column belongs to its column_set."""
ROOT_ONLY = frozenset({"form", "table"})
FORM_ONLY = frozenset({"multi_select_static", "multi_select_person"})
FIELDS = names(
    "input select_static multi_select_static select_person multi_select_person date_picker picker_time picker_datetime "
    "select_img checker"
)
"""What a form collects: each needs a name of its own."""

_COLORS = names("blue wathet turquoise green yellow orange red carmine violet purple indigo grey default lime neutral")
WORDS: Mapping[tuple[str, str], frozenset[str]] = {
    ("header", "template"): _COLORS - {"lime", "neutral"},
    ("config", "width_mode"): frozenset({"default", "compact", "fill"}),
    ("text_tag", "color"): _COLORS,
    ("button", "type"): names(
        "default primary danger text primary_text danger_text primary_filled danger_filled laser"
    ),
    ("button", "size"): frozenset({"tiny", "small", "medium", "large"}),
    ("button", "form_action_type"): frozenset({"submit", "reset"}),
    ("input", "input_type"): frozenset({"text", "multiline_text", "password"}),
    ("column_set", "flex_mode"): frozenset({"none", "stretch", "flow", "bisect", "trisect"}),
    ("chart", "aspect_ratio"): frozenset({"1:1", "2:1", "4:3", "16:9"}),
    ("img", "scale_type"): frozenset({"crop_center", "crop_top", "fit_horizontal"}),
    ("img_combination", "combination_mode"): frozenset({"double", "triple", "bisect", "trisect"}),
    ("person", "size"): frozenset({"extra_small", "small", "medium", "large"}),
    ("person_list", "size"): frozenset({"extra_small", "small", "medium", "large"}),
}
"""Attributes with a fixed vocabulary, by component."""
ALIGN: Mapping[str, frozenset[str]] = {
    "direction": frozenset({"vertical", "horizontal"}),
    "horizontal_align": frozenset({"left", "center", "right"}),
    "vertical_align": frozenset({"top", "center", "bottom"}),
    "text_align": frozenset({"left", "center", "right"}),
}
"""The same, wherever they stand."""
COLUMN_TYPES = names("text lark_md options number persons date markdown")
ELEMENTS_MAX, TABLES_MAX, DEPTH_MAX, TABLE_COLUMNS_MAX = 200, 5, 5, 50
