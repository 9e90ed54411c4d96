"""Feishu's HTTP interface over the world: routes, envelope, limits, faults."""
