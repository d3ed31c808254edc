"""The logit of a product of two probabilities, from their logits."""

from __future__ import annotations

import torch


def joint_logit(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """`logit(sigmoid(a) sigmoid(b)) = -log(e^-a + e^-b + e^-(a+b))`, because `1 / sigmoid(a) = 1 + e^-a`.

    Exact where a probability rounds to 0 or 1; all gradients lie in [0, 1]. Computed in float32 at least.
    """
    a, b = (x.to(torch.promote_types(x.dtype, torch.float32)) for x in (a, b))
    return -torch.logaddexp(torch.logaddexp(-a, -b), -a - b)
