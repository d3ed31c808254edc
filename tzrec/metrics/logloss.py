"""LogLoss: mean log loss of predicted probabilities."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from tzrec.metrics.base import MeanMetric


class LogLoss(MeanMetric):
    """`mean -log p_i` with the probability p_i of the class of each row; with one logit, labels above 0 are positive.

    Probabilities are clamped by the resolution of their type, as in scikit-learn, so one row adds at most 16 in
    float32. Unlike a loss it has no sample weights.
    """

    larger_is_better = False

    def score(self, predictions: Mapping[str, torch.Tensor], label: torch.Tensor) -> torch.Tensor:
        probs = predictions["probs"]
        if self.num_class == 1:
            return binary_log_loss(probs, label > 0)
        return _log_loss(probs.gather(1, label.long()[:, None]).squeeze(1))


def binary_log_loss(probs: torch.Tensor, positive: torch.Tensor) -> torch.Tensor:
    """Compute `-log p` of positive rows and `-log(1 - p)` of all others, float64 `(B,)`."""
    return _log_loss(torch.where(positive, probs.double(), 1 - probs.double()), torch.finfo(probs.dtype).eps)


def _log_loss(probs: torch.Tensor, least: float | None = None) -> torch.Tensor:
    """Compute the log loss of the probabilities of the true classes."""
    least = torch.finfo(probs.dtype).eps if least is None else least
    return -torch.log(probs.double().clamp(least, 1 - least))
