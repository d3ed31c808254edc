"""CandidateHead: the head of a model that compares a query with candidate items."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from tzrec.data.batch import Batch
from tzrec.heads.head import Head, Predictions


@dataclass(frozen=True)
class CandidateHead(Head):
    """A head whose classes are the candidates of a row: its item and the negatives. The label column is not used.

    Attributes:
        is_in_batch: True if the item of row i is candidate i; otherwise it is candidate 0 of every row.
    """

    is_in_batch: bool = False

    @property
    def has_tower(self) -> bool:
        return False

    def targets(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        rows = torch.arange(batch.rows, device=logits.device)
        return rows if self.is_in_batch else torch.zeros_like(rows)

    def outputs(self, logits: torch.Tensor) -> Predictions:
        return {"logits": logits}
