"""Loss scaling, which keeps FP16 from rounding small gradients to 0 (Micikevicius et al., ICLR 2018, section 3.2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from tzrec.errors import TrainingError

_LOWEST = 2.0**-30


class LossScale:
    """Dynamic loss scale.

    Dense gradients are divided by it before the step; if one overflowed on any rank, the step is skipped. Embedding
    tables are updated during the backward pass, so their gradients are divided where they reach the tables; a value
    that overflowed counts as 0 there, all others are exact. So the scale does not change the updates of tables.

    Attributes:
        value: the scale.

    Args:
        any_rank: reduces a flag of this rank to True if it is set on any rank.
        init_scale: initial scale.
        growth_factor: multiplies the scale after `growth_interval` steps without an overflow.
        backoff_factor: multiplies the scale after an overflow.
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
        self._num_finite_steps = 0
        self._overflows: list[Tensor] = []

    def unscale_table_gradient(self, grad: Tensor) -> Tensor:
        """Divide the gradient of a lookup's output; values that are not finite become 0."""
        finite = torch.isfinite(grad)
        self._overflows.append(~finite.all())
        return torch.where(finite, grad / self.value, 0.0)

    def forget_overflows(self) -> None:
        """Forget the overflows of table gradients of a step that is not applied."""
        self._overflows = []

    def unscale(self, grads: Sequence[Tensor]) -> bool:
        """Divide gradients in place and update the scale.

        Returns:
            True if all gradients are finite on all ranks.

        Raises:
            TrainingError: gradients overflow at any scale.
        """
        for grad in grads:
            grad.div_(self.value)
        overflows = [*self._overflows, *(~torch.isfinite(grad).all() for grad in grads)]
        self._overflows = []
        overflow = self._any_rank(bool(torch.stack(overflows).any()))
        self._update(overflow)
        return not overflow

    def _update(self, overflow: bool) -> None:
        self._num_finite_steps = 0 if overflow else self._num_finite_steps + 1
        if overflow:
            self.value *= self._backoff
        elif self._num_finite_steps == self._interval:
            self.value *= self._growth
            self._num_finite_steps = 0
        if self.value < _LOWEST:
            raise TrainingError(
                f"gradients overflow even with a loss scale of {self.value:.1e}, so all recent steps were skipped. "
                'Lower the learning rates, look for extreme values in the data, or use mixed_precision: "BF16", which '
                "needs no grad_scaler"
            )

    def scalar_state(self) -> dict[str, float]:
        """State by name."""
        return {"loss_scale": self.value, "loss_scale_clean_steps": self._num_finite_steps}

    def load_scalar_state(self, state: Mapping[str, float]) -> None:
        """Restore `scalar_state`; values that are missing stay unchanged."""
        self.value = state.get("loss_scale", self.value)
        self._num_finite_steps = int(state.get("loss_scale_clean_steps", self._num_finite_steps))
