"""Optimizer of the dense parameters: accumulate gradients, unscale and clip them, update parameters and average.

The optimizers of the embedding tables run in the backward pass of every batch; this module concerns the dense
parameters alone. All ranks hold the same dense parameters with the same averaged gradients, so the gradient norm of one
rank is the norm over all ranks, each parameter counted once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor
from torch.optim import Optimizer

from tzrec.optim.average import MovingAverage
from tzrec.optim.loss_scale import LossScale
from tzrec.optim.schedule import Schedule

Clip = Callable[[Sequence[Tensor]], object]
"""Function that clips the gradients of parameters in place."""


def no_clip(params: Sequence[Tensor]) -> None:
    """Leave the gradients unchanged."""


class DenseOptimizer:
    """Dense parameters of a model with their optimizers, one for each part of the config.

    For each batch call `zero_grad`, run the backward pass of `scale_loss(loss)`, then call `step`.

    Attributes:
        parts: optimizer, its schedule and its parameters; every parameter is in one part.
        scale: loss scale or None.
        average: moving average of the parameters or None.

    Args:
        parts: see above.
        num_batches: number of batches whose gradients are averaged for one step.
        clip: applied before each step.
        scale: see above.
        average: see above.
    """

    def __init__(
        self,
        parts: list[tuple[Optimizer, Schedule, dict[str, Tensor]]],
        num_batches: int = 1,
        clip: Clip = no_clip,
        scale: LossScale | None = None,
        average: MovingAverage | None = None,
    ) -> None:
        self.parts, self.scale, self.average = parts, scale, average
        self._params = {name: param for _, _, params in parts for name, param in params.items()}
        self._num_batches, self._clip = num_batches, clip
        self._num_accumulated = 0

    def zero_grad(self) -> None:
        """Reset the gradients, unless more batches are accumulated before the next step."""
        if not self._num_accumulated:
            for optimizer, _, _ in self.parts:
                optimizer.zero_grad(set_to_none=True)

    def scale_loss(self, loss: Tensor) -> Tensor:
        """Divide the loss by the number of batches and multiply it by the loss scale, for the backward pass."""
        mean = loss / self._num_batches
        return mean if self.scale is None else mean * self.scale.value

    def step(self) -> None:
        """Accumulate the gradients of a batch; update the parameters after the last batch of a step."""
        self._num_accumulated += 1
        if self._num_accumulated < self._num_batches:
            return
        self._num_accumulated = 0
        grads = [param.grad for param in self._params.values() if param.grad is not None]
        if self.scale is not None and not self.scale.unscale(grads):
            return
        self._clip(list(self._params.values()))
        for optimizer, _, _ in self.parts:
            optimizer.step()
        if self.average is not None:
            self.average.update()

    @property
    def is_clipped(self) -> bool:
        """True if gradients are clipped, so that large ones are no danger."""
        return self._clip is not no_clip

    def gradients(self) -> list[tuple[str, Tensor]]:
        """List the gradients by parameter, before they are unscaled and clipped."""
        return [(name, param.grad) for name, param in self._params.items() if param.grad is not None]

    def discard(self) -> None:
        """Remove all gradients, with those of the batches that were accumulated before."""
        self._num_accumulated = 0
        self.zero_grad()
        if self.scale is not None:
            self.scale.forget_overflows()

    def state(self) -> dict[str, Tensor]:
        """All tensors of optimizer state, as `<parameter>.<name of the state>`; allocates those not used yet.

        They are live: loading into them in place restores the optimizer.
        """
        tensors: dict[str, Tensor] = {}
        for optimizer, _, params in self.parts:
            if not optimizer.state:
                _allocate(optimizer)
            for name, param in params.items():
                tensors |= {
                    f"{name}.{key}": value for key, value in optimizer.state[param].items() if value is not None
                }
        return tensors

    def accumulated_gradients(self) -> dict[str, Tensor]:
        """Live gradients of the batches since the last step, by parameter; empty right after a step."""
        return {
            name: param.grad for name, param in self._params.items() if self._num_accumulated and param.grad is not None
        }

    def allocate_gradients(self, names: Iterable[str]) -> dict[str, Tensor]:
        """Allocate gradients for restoring `accumulated_gradients`; returns the tensors to fill, by parameter."""
        gradients = {name: torch.zeros_like(self._params[name]) for name in names if name in self._params}
        for name, grad in gradients.items():
            self._params[name].grad = grad
        return gradients

    def scalar_state(self) -> dict[str, float]:
        """State besides tensors, by name."""
        return {"batches_gathered": self._num_accumulated, **({} if self.scale is None else self.scale.scalar_state())}

    def load_scalar_state(self, state: Mapping[str, float]) -> None:
        """Restore `scalar_state`; values that are missing stay unchanged."""
        self._num_accumulated = min(int(state.get("batches_gathered", 0)), self._num_batches - 1)
        if self.scale is not None:
            self.scale.load_scalar_state(state)


def _allocate(optimizer: Optimizer) -> None:
    """Allocate the state of an unused optimizer: one step with zero gradients, then reset parameters and state."""
    params = [param for group in optimizer.param_groups for param in group["params"]]
    values = [param.detach().clone() for param in params]
    grads = [param.grad for param in params]
    for param in params:
        param.grad = torch.zeros_like(param)
    optimizer.step()
    for param, value, grad in zip(params, values, grads, strict=True):
        param.detach().copy_(value)
        param.grad = grad
        for state in optimizer.state[param].values():
            if state is not None:
                # changed by weight decay; Adagrad, whose initial state is not 0, allocates it in its constructor
                state.zero_()
