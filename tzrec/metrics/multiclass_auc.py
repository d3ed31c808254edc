"""MulticlassAUC: one-vs-rest areas under ROC curves."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from tzrec.metrics.roc import RocMetric


class MulticlassAUC(RocMetric):
    """Mean over classes of the AUC of `probs[:, c]` for "the label is c".

    Classes whose area is not defined, because no row or every row has that label, are left out of the mean.

    Args:
        num_class: classes of the task, at least 2.
        thresholds: number of cuts of [0, 1]; scores between two cuts are ties. 0 for exact areas.
        average: "macro" for equal weights of all classes, or "weighted" by their rows.
    """

    def __init__(self, num_class: int, thresholds: int = 200, average: str = "macro") -> None:
        self.average = average
        self.classes = torch.arange(num_class)
        super().__init__(num_class, thresholds)

    def update(self, predictions: Mapping[str, torch.Tensor], label: torch.Tensor) -> None:
        self.roc.add(predictions["probs"], label[:, None] == self.classes.to(label.device))

    def compute(self) -> float:
        areas, rows = self.roc.areas(), self.roc.positives()
        defined = ~areas.isnan()
        weights = rows[defined] if self.average == "weighted" else torch.ones_like(rows[defined])
        return ((areas[defined] * weights).sum() / weights.sum()).item()
