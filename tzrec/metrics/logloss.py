"""LogLoss: mean log loss of predicted probabilities."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from tzrec.metrics.base import MeanMetric


class LogLoss(MeanMetric):
    """`mean -log p_i` of the probability of each row's class; with one logit the class is whether the label is above 0.

    Probabilities are kept away from 0 by the resolution of their type, as scikit-learn does, so one wrong row that the
    model was sure of costs no more than 16 in float32. Unlike a loss it knows no sample weights.
    """

    larger_is_better = False

    def score(self, predictions: Mapping[str, torch.Tensor], label: torch.Tensor) -> torch.Tensor:
        probs = predictions["probs"]
        if self.num_class == 1:
            return binary_log_loss(probs, label > 0)
        return _log_loss(probs.gather(1, label.long()[:, None]).squeeze(1))


def binary_log_loss(probs: torch.Tensor, positive: torch.Tensor) -> torch.Tensor:
    """`-log p` of positive rows, `-log(1 - p)` of the others, float64 `(B,)`."""
    return _log_loss(torch.where(positive, probs.double(), 1 - probs.double()), torch.finfo(probs.dtype).eps)


def _log_loss(own: torch.Tensor, least: float | None = None) -> torch.Tensor:
    """Log loss of the probabilities of the right classes."""
    least = torch.finfo(own.dtype).eps if least is None else least
    return -torch.log(own.double().clamp(least, 1 - least))
