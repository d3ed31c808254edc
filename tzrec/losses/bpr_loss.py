"""BPRLoss: pairwise loss of positive and negative rows."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from tzrec.losses.session import SessionLoss


class BPRLoss(SessionLoss):
    """`mean_j -log sigmoid(f_i - f_j)` of a positive row i over the negative rows j of its session in the batch.

    A negative row has the mean over the positive ones, so that the mean over the rows of one session is the mean over
    its pairs. A row without any pair has 0. Rendle et al., "BPR: Bayesian Personalized Ranking from Implicit
    Feedback", UAI 2009. Time and memory grow with the number of pairs: without a session, a quarter of B^2 at most.

    Args:
        session_name: sparse feature whose first id is the session of a row; "" to compare all rows of a batch.
    """

    def __init__(self, session_name: str = "") -> None:
        self.session_name = session_name

    def outputs(self, logits: torch.Tensor) -> dict[str, torch.Tensor]:
        logit = logits.squeeze(1)  # (B,)
        return {"logits": logit, "probs": torch.sigmoid(logit)}

    def session_row_losses(self, logits: torch.Tensor, label: torch.Tensor, session: torch.Tensor) -> torch.Tensor:
        score = logits.squeeze(1)  # (B,)
        i, j = _pairs(label > 0, session)  # (P,), (P,)
        loss = F.softplus(score[j] - score[i])  # (P,)
        none = torch.zeros_like(score)
        total = none.index_add(0, i, loss).index_add(0, j, loss)  # (B,)
        pairs = torch.bincount(torch.cat([i, j]), minlength=len(score))  # (B,)
        return total / pairs.clamp(min=1)


def _pairs(positive: torch.Tensor, session: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """List all pairs of a positive row i and a negative row j of one session, `(P,)` each."""
    valid = session >= 0
    rows_i = torch.nonzero(positive & valid).squeeze(1)
    rows_j = torch.nonzero(~positive & valid).squeeze(1)
    sessions_j, order = torch.sort(session[rows_j], stable=True)
    sessions_i = session[rows_i]
    first = torch.searchsorted(sessions_j, sessions_i)  # (positives,)
    count = torch.searchsorted(sessions_j, sessions_i, right=True) - first
    i = torch.repeat_interleave(torch.arange(len(rows_i), device=session.device), count)  # (P,)
    within = torch.arange(len(i), device=session.device) - (count.cumsum(0) - count)[i]  # 0, 1, ... of each positive
    return rows_i[i], rows_j[order][first[i] + within]
