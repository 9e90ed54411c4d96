"""Signal → measurement → chart → violation → ticket: one transaction a batch, acknowledged after its commit."""

from agent.pipeline.judge import Occur, Violation
from agent.pipeline.pipeline import Applied, Pipeline

__all__ = ["Applied", "Occur", "Pipeline", "Violation"]
