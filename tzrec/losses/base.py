"""Loss: base class of losses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch

from tzrec.data.batch import Batch


class Loss(ABC):
    """A loss and the outputs of a task that has it. The oneof member of a subclass names its file.

    Constructors take the fields of the message as keyword arguments. `config.check` validates the `num_class` of each
    loss.

    Attributes:
        integer_label: True if labels are class numbers in `[0, num_class)`.
    """

    integer_label: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """Name in logs and configs: that of its file."""
        return type(self).__module__.rpartition(".")[2]

    @abstractmethod
    def outputs(self, logits: torch.Tensor) -> dict[str, torch.Tensor]:
        """Compute the predictions of a task with this loss from logits `(B, num_class)`."""

    @abstractmethod
    def row_losses(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """Compute the loss of each row, `(B,)`, from logits `(B, num_class)` and labels `(B,)`."""

    def batch_row_losses(self, logits: torch.Tensor, label: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Compute the loss of each row of a batch; a loss that compares rows reads their sessions from the batch."""
        return self.row_losses(logits, label)
