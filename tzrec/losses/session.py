"""SessionLoss: a loss that compares rows of the same session."""

from __future__ import annotations

from abc import abstractmethod

import torch

from tzrec.data.batch import Batch
from tzrec.losses.base import Loss


class SessionLoss(Loss):
    """A loss of rows among the others of their session in the batch.

    Attributes:
        session_name: sparse feature whose first id is a row's session; "" when all rows of a batch are one session.
    """

    session_name: str

    @abstractmethod
    def per_session(self, logits: torch.Tensor, label: torch.Tensor, session: torch.Tensor) -> torch.Tensor:
        """The loss of each row, `(B,)`.

        Args:
            logits: `(B, num_class)`.
            label: `(B,)`; above 0 is positive.
            session: int64 `(B,)`; a row below 0 has no session and is compared with nobody.
        """

    def per_sample(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return self.per_session(logits, label, torch.zeros_like(label, dtype=torch.int64))

    def in_batch(self, logits: torch.Tensor, label: torch.Tensor, batch: Batch) -> torch.Tensor:
        if not self.session_name:
            return self.per_sample(logits, label)
        return self.per_session(logits, label, batch.first_ids(self.session_name)[: batch.rows])
