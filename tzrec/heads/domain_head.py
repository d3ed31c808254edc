"""DomainHead: a head with logits for every domain."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from tzrec.data.batch import Batch
from tzrec.errors import DataError
from tzrec.heads.head import Head, Predictions


@dataclass(frozen=True)
class DomainHead(Head):
    """A head with logits for every domain, `(B, num_domains * num_class)`.

    Losses and metrics read the logits of the domain of each row. Predictions are of all domains: `probs_ctr_0`,
    `probs_ctr_1` and so on.

    Attributes:
        domain_name: label column with the domain of each row.
        num_domains: number of domains.
    """

    domain_name: str = ""
    num_domains: int = 1

    def select_logits(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        domain = batch.label(self.domain_name).long()  # (B,)
        domain_logits = logits.unflatten(1, (self.num_domains, self.num_class))  # (B, num_domains, num_class)
        try:
            return domain_logits.gather(1, domain.view(-1, 1, 1).expand(-1, 1, self.num_class)).squeeze(1)
        except RuntimeError:  # torch's error on the CPU for a domain out of range
            low, high = int(domain.min()), int(domain.max())
            raise DataError(
                f'label column "{self.domain_name}" holds domains from {low} to {high}; '
                f"with task_domain_num {self.num_domains} they are 0 to {self.num_domains - 1}"
            ) from None

    def predict(self, logits: torch.Tensor) -> Predictions:
        domain_logits = logits.unflatten(1, (self.num_domains, self.num_class)).unbind(1)  # of (B, num_class)
        predictions = [super(DomainHead, self).predict(part) for part in domain_logits]
        return {f"{key}_{domain}": value for domain, part in enumerate(predictions) for key, value in part.items()}
