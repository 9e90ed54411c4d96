"""Feishu (Lark): groups, cards, direct messages out; clicks and events in. The only part that imports lark_oapi."""
