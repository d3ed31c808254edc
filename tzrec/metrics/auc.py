"""AUC: area under the ROC curve of a binary task."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from tzrec.metrics.base import positive_probs
from tzrec.metrics.roc import RocMetric


class AUC(RocMetric):
    """Probability that a positive scores higher than a negative; ties count a half.

    Reads `probs`, or `probs1` of a task with two classes. Labels above 0 are positive. nan with only one kind of label.

    Args:
        num_class: classes of the task, 1 or 2.
        thresholds: number of cuts of [0, 1]; scores between two cuts are ties. 0 for the exact area.
    """

    decays_state = True

    def __init__(self, num_class: int, thresholds: int = 200) -> None:
        self.output_name = positive_probs(num_class)
        super().__init__(1, thresholds)

    def update(self, predictions: Mapping[str, torch.Tensor], label: torch.Tensor) -> None:
        self.roc.add(predictions[self.output_name][:, None], label[:, None] > 0)

    def compute(self) -> float:
        return self.roc.areas().item()
