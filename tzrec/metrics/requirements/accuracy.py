"""Requirements of Accuracy: no more scores than classes."""

from __future__ import annotations

from tzrec.metrics.requirements.recall_at_k import check

__all__ = ["check"]
