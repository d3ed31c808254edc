"""Loss: what a head needs to know of a loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch

from tzrec.data.batch import Batch


class Loss(ABC):
    """A loss with the outputs it gives its task. Subclasses live in the file their oneof member names.

    Their constructors take the fields of their message as keyword arguments. Which `num_class` goes with which loss is
    for `config.check` to say.

    Attributes:
        integer_label: whether labels are class numbers in `[0, num_class)`.
    """

    integer_label: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """Its name in logs and configs: by the naming rule that of its file."""
        return type(self).__module__.rpartition(".")[2]

    @abstractmethod
    def outputs(self, logits: torch.Tensor) -> dict[str, torch.Tensor]:
        """What a task with this loss predicts, from logits `(B, num_class)`."""

    @abstractmethod
    def per_sample(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """The loss of each row, `(B,)`, for logits `(B, num_class)` and labels `(B,)`."""

    def in_batch(self, logits: torch.Tensor, label: torch.Tensor, batch: Batch) -> torch.Tensor:
        """The same of the rows of a batch that count; a loss that compares rows looks there which belong together."""
        return self.per_sample(logits, label)
