"""SessionLoss: base class of losses that compare the rows of a session."""

from __future__ import annotations

from abc import abstractmethod

import torch

from tzrec.data.batch import Batch
from tzrec.losses.base import Loss


class SessionLoss(Loss):
    """A loss that compares the rows of a session within a batch.

    Attributes:
        session_name: sparse feature whose first id is the session of a row; "" if all rows of a batch are one session.
    """

    session_name: str

    @abstractmethod
    def session_row_losses(self, logits: torch.Tensor, label: torch.Tensor, session: torch.Tensor) -> torch.Tensor:
        """Compute the loss of each row, `(B,)`.

        Args:
            logits: `(B, num_class)`.
            label: `(B,)`; above 0 is positive.
            session: int64 `(B,)`; a row below 0 has no session and is compared with no other row.
        """

    def row_losses(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return self.session_row_losses(logits, label, torch.zeros_like(label, dtype=torch.int64))

    def batch_row_losses(self, logits: torch.Tensor, label: torch.Tensor, batch: Batch) -> torch.Tensor:
        if not self.session_name:
            return self.row_losses(logits, label)
        return self.session_row_losses(logits, label, batch.first_ids(self.session_name)[: batch.rows])
