"""JRCLoss: classification and ranking within sessions."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from tzrec.losses.session import SessionLoss
from tzrec.losses.softmax_cross_entropy import SoftmaxCrossEntropy


class JRCLoss(SessionLoss):
    """`alpha CE_i + (1 - alpha) GE_i` on two logits `f0, f1` of a row i in session s.

    `CE_i = -log softmax(f(i))_y`. With `y = 1`, `GE_i = -log(exp f1(i) / (exp f1(i) + sum_j exp f1(j)))` over the
    negative rows j of s in the batch; with `y = 0` the same of `f0` over the positive rows. Without any such row,
    `GE_i = 0`. Sheng et al., "Joint Optimization of Ranking and Calibration with Contextualized Hybrid Model",
    KDD 2023; as in TorchEasyRec, and unlike equation 6, a row is compared with rows of the other label only.

    Args:
        session_name: sparse feature whose first id is the session of a row.
        alpha: weight of the classification.
    """

    integer_label = True

    def __init__(self, session_name: str, alpha: float = 0.5) -> None:
        self.session_name = session_name
        self.alpha = alpha
        self._classes = SoftmaxCrossEntropy()

    def outputs(self, logits: torch.Tensor) -> dict[str, torch.Tensor]:
        return self._classes.outputs(logits)

    def session_row_losses(self, logits: torch.Tensor, label: torch.Tensor, session: torch.Tensor) -> torch.Tensor:
        entropy = self._classes.row_losses(logits, label)  # (B,)
        return self.alpha * entropy + (1 - self.alpha) * _generative(logits, label, session)


def _generative(logits: torch.Tensor, label: torch.Tensor, session: torch.Tensor) -> torch.Tensor:
    """Compute GE of each row, `(B,)`."""
    distinct, group = torch.unique(session, return_inverse=True)  # (S,), (B,)
    positive = label > 0
    ranking = torch.zeros_like(logits[:, 0])
    for rivals, score in ((~positive, logits[:, 1]), (positive, logits[:, 0])):
        log_sums, has_any = _log_sum_exp(score, rivals, group, len(distinct))  # (S,), (S,)
        # softplus(log sum_j exp f(j) - f(i)) is -log(exp f(i) / (exp f(i) + sum_j exp f(j)))
        is_compared = ~rivals & has_any[group] & (session >= 0)
        ranking = ranking + torch.where(is_compared, F.softplus(log_sums[group] - score), torch.zeros_like(score))
    return ranking


def _log_sum_exp(
    score: torch.Tensor, rows: torch.Tensor, group: torch.Tensor, groups: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute per group the log of the sum of `exp score` over `rows`, 0 if it has none, and if it has any."""
    has_any = torch.zeros(groups, dtype=torch.bool, device=score.device)
    has_any[group[rows]] = True
    top = score.new_full((groups,), -torch.inf)
    top = top.scatter_reduce(0, group[rows], score.detach()[rows], "amax")
    top = torch.where(has_any, top, torch.zeros_like(top))
    terms = torch.exp(score[rows] - top[group[rows]])
    sums = torch.zeros_like(top).index_add(0, group[rows], terms)
    return top + torch.log(torch.where(has_any, sums, torch.ones_like(sums))), has_any
