"""Loss: what a head needs to know of a loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch


class Loss(ABC):
    """A loss with the outputs it gives its task. Subclasses live in the file their oneof member names.

    Their constructors take the fields of their message as keyword arguments.

    Attributes:
        classes: the least and the largest `num_class` it can be used with; None for no upper limit.
        integer_label: whether labels are class numbers in `[0, max(num_class, 2))`.
    """

    classes: ClassVar[tuple[int, int | None]]
    integer_label: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """Its name in logs and configs: by the naming rule that of its file."""
        return type(self).__module__.rpartition(".")[2]

    @classmethod
    def allows(cls, num_class: int) -> bool:
        least, most = cls.classes
        return least <= num_class and (most is None or num_class <= most)

    @abstractmethod
    def outputs(self, logits: torch.Tensor) -> dict[str, torch.Tensor]:
        """What a task with this loss predicts, from logits `(B, num_class)`."""

    @abstractmethod
    def per_sample(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """The loss of each row, `(B,)`, for logits `(B, num_class)` and labels `(B,)`."""
