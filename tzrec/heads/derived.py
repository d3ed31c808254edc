"""Tasks that are no tower of their own: shown without a loss, split by domain, or a penalty on others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from tzrec.data.batch import Batch
from tzrec.errors import DataError
from tzrec.heads.head import Head, Predictions
from tzrec.losses.base import Loss


@dataclass(frozen=True)
class Shown(Head):
    """A task that is predicted and has no losses: it is learned through others.

    Attributes:
        shown_as: the losses whose outputs it has.
    """

    shown_as: Mapping[str, Loss] = field(default_factory=dict)

    def outputs(self, logits: torch.Tensor) -> Predictions:
        return {key: value for loss in self.shown_as.values() for key, value in loss.outputs(logits).items()}


@dataclass(frozen=True)
class DomainHead(Head):
    """A task with logits for every domain, `(B, domains * num_class)`.

    Losses and metrics look at those of the domain a row is in; predictions are of all domains, `probs_ctr_0`,
    `probs_ctr_1` and so on.

    Attributes:
        domain_name: label column with the number of each row's domain.
        domains: how many there are.
    """

    domain_name: str = ""
    domains: int = 1

    def of_rows(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        domain = batch.labels[self.domain_name].long()  # (B,)
        each = logits.unflatten(1, (self.domains, self.num_class))  # (B, domains, num_class)
        try:
            return each.gather(1, domain.view(-1, 1, 1).expand(-1, 1, self.num_class)).squeeze(1)
        except RuntimeError:  # what torch says on the CPU to a domain that does not exist
            low, high = int(domain.min()), int(domain.max())
            raise DataError(
                f'label column "{self.domain_name}" holds domains from {low} to {high}; '
                f"with task_domain_num {self.domains} they are 0 to {self.domains - 1}"
            ) from None

    def predict(self, logits: torch.Tensor) -> Predictions:
        each = logits.unflatten(1, (self.domains, self.num_class)).unbind(1)  # domains of (B, num_class)
        parts = [super(DomainHead, self).predict(part) for part in each]
        return {f"{key}_{domain}": value for domain, part in enumerate(parts) for key, value in part.items()}


class Penalty(Loss):
    """`factor * x`, for x that a model computes itself."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def outputs(self, logits: torch.Tensor) -> Predictions:
        return {}

    def per_sample(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return logits.squeeze(1) * self.factor


class RootOfSum(Loss):
    """`sqrt(sum x)` over the rows of a rank, for x from 0 up that a model computes itself."""

    def outputs(self, logits: torch.Tensor) -> Predictions:
        return {}

    def per_sample(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return logits.squeeze(1)

    def reduced(self, losses: torch.Tensor) -> torch.Tensor:
        return losses.sum().clamp(min=1e-12).sqrt()  # the root of 0 has no gradient
