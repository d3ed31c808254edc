"""Loss scaling: small gradients that FP16 would round to 0 survive (Micikevicius et al., ICLR 2018, section 3.2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from tzrec.errors import TrainingError

_LOWEST = 2.0**-30


class LossScale:
    """The factor that the loss is multiplied by, and what becomes of it.

    Dense gradients are divided by it before the step, and where one has overflowed on any rank, the step is left out.
    Embedding tables learn during the backward pass, so their gradients are divided where they reach the tables; a value
    that has overflowed counts as 0 there, all others are exact. So the scale changes nothing that a table learns.

    Attributes:
        value: the factor.

    Args:
        any_rank: from whether this rank has seen an overflow to whether any has.
        init_scale: the factor at the start.
        growth_factor: what it is multiplied by after `growth_interval` steps without an overflow.
        backoff_factor: what it is multiplied by after an overflow.
        growth_interval: number of steps.
    """

    def __init__(
        self,
        any_rank: Callable[[bool], bool],
        init_scale: float,
        growth_factor: float,
        backoff_factor: float,
        growth_interval: int,
    ) -> None:
        self.value = init_scale
        self._any_rank = any_rank
        self._growth, self._backoff, self._interval = growth_factor, backoff_factor, growth_interval
        self._clean = 0
        self._overflows: list[Tensor] = []

    def guard(self, grad: Tensor) -> Tensor:
        """The gradient of what a table yields, unscaled, 0 where it is not finite."""
        finite = torch.isfinite(grad)
        self._overflows.append(~finite.all())
        return torch.where(finite, grad / self.value, 0.0)

    def unscale(self, grads: Sequence[Tensor]) -> bool:
        """Divide gradients in place; whether all are finite, on all ranks. The scale of the next batch follows from it.

        Raises:
            TrainingError: gradients overflow whatever the scale.
        """
        for grad in grads:
            grad.div_(self.value)
        overflows = [*self._overflows, *(~torch.isfinite(grad).all() for grad in grads)]
        self._overflows = []
        overflow = self._any_rank(bool(torch.stack(overflows).any()))
        self._follow(overflow)
        return not overflow

    def _follow(self, overflow: bool) -> None:
        self._clean = 0 if overflow else self._clean + 1
        if overflow:
            self.value *= self._backoff
        elif self._clean == self._interval:
            self.value *= self._growth
            self._clean = 0
        if self.value < _LOWEST:
            raise TrainingError(
                f"gradients overflow even with a loss scale of {self.value:.1e}, so no step has been taken for long. "
                'Lower the learning rates, look for extreme values in the data, or use mixed_precision: "BF16", which '
                "needs no grad_scaler"
            )

    def numbers(self) -> dict[str, float]:
        """Its state by name."""
        return {"loss_scale": self.value, "loss_scale_clean_steps": self._clean}

    def set_numbers(self, numbers: Mapping[str, float]) -> None:
        """Go on from what `numbers` gave; what is missing stays as it is."""
        self.value = numbers.get("loss_scale", self.value)
        self._clean = int(numbers.get("loss_scale_clean_steps", self._clean))
