"""Requirements of MulticlassAUC: thresholds that make a curve."""

from __future__ import annotations

from tzrec.metrics.requirements.auc import check_thresholds as check

__all__ = ["check"]
