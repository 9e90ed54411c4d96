"""Andon Gateway: the agent beside the line."""

__version__ = "0.1.0"
