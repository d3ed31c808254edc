"""XAUC: share of pairs of rows that are predicted in the order of their labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from tzrec.metrics.base import Mean, Metric, State
from tzrec.metrics.pairs import concordance


class XAUC(Metric):
    """Share of pairs of rows with different labels whose `y` is in the order of the labels; equal `y` count a half.

    Pairs are drawn with a fixed seed from all rows, which are kept on the host, 8 bytes each; when the budget reaches
    the number of all pairs, each counts once. nan without a pair that counts.

    Args:
        num_class: classes of the task.
        sample_ratio: share of all pairs that is sampled, at least one pair.
        max_pairs: number of pairs that are sampled; 0 to use `sample_ratio`.
        in_batch: True to form pairs within each batch and average over batches.
    """

    def __init__(self, num_class: int, sample_ratio: float = 0.001, max_pairs: int = 0, in_batch: bool = False) -> None:
        self.sample_ratio = sample_ratio
        self.max_pairs = max_pairs
        self.in_batch = in_batch
        self.reset()

    def reset(self) -> None:
        self._batches = Mean()
        self._scores = [torch.zeros(0)]
        self._labels = [torch.zeros(0)]

    def update(self, predictions: Mapping[str, torch.Tensor], label: torch.Tensor) -> None:
        score, label = predictions["y"].detach().cpu(), label.cpu().float()
        if not self.in_batch:
            self._scores.append(score)
            self._labels.append(label)
            return
        share = self._share(score, label)
        if not share.isnan():
            self._batches.add(share, 1)

    def state(self) -> State:
        if self.in_batch:
            return self._batches.state()
        return {"score": torch.cat(self._scores), "label": torch.cat(self._labels)}

    def merge(self, states: Sequence[State]) -> None:
        if self.in_batch:
            self._batches.merge(states)
            return
        self._scores = [state["score"] for state in states]
        self._labels = [state["label"] for state in states]

    def compute(self) -> float:
        if self.in_batch:
            return self._batches.compute()
        return self._share(torch.cat(self._scores), torch.cat(self._labels)).item()

    def _share(self, score: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        rows = len(score)
        budget = self.max_pairs or max(round(self.sample_ratio * rows * (rows - 1) / 2), 1)
        sizes, budgets = torch.tensor([rows]), torch.tensor([budget])
        concordant, ordered = concordance(torch.zeros(rows, dtype=torch.int64), score, label, sizes, budgets)
        return (concordant / ordered + score.sum() * 0).squeeze(0)  # a NaN score makes it NaN
