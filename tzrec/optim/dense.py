"""What trains the dense parameters: gradients of several batches, unscaled, clipped, then one step and its average.

The optimizers of the embedding tables are fused with the backward pass and learn from every batch; everything here
concerns the dense parameters alone. All ranks hold the same dense parameters with the same averaged gradients, so a
norm over the gradients of one rank is the norm over all ranks, each parameter counted once.
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
"""Bounds the gradients of parameters in place."""


def no_clip(params: Sequence[Tensor]) -> None:
    """Gradients stay as they are."""


class DenseOptimizer:
    """The dense parameters of a model with their optimizers, one for each part that a config singles out.

    Use, for each batch: `zero_grad`, then the backward pass of `scaled(loss)`, then `step`.

    Attributes:
        parts: optimizer, its schedule and the parameters it moves; every parameter is in one part.
        scale: of the loss; None for none.
        average: of the parameters; None for none.

    Args:
        parts: as above.
        batches: whose gradients are averaged for one step.
        clip: applied before each step.
        scale: as above.
        average: as above.
    """

    def __init__(
        self,
        parts: list[tuple[Optimizer, Schedule, dict[str, Tensor]]],
        batches: int = 1,
        clip: Clip = no_clip,
        scale: LossScale | None = None,
        average: MovingAverage | None = None,
    ) -> None:
        self.parts, self.scale, self.average = parts, scale, average
        self._params = {name: param for _, _, params in parts for name, param in params.items()}
        self._batches, self._clip = batches, clip
        self._gathered = 0

    def zero_grad(self) -> None:
        """Forget gradients, unless those of more batches are to come."""
        if not self._gathered:
            for optimizer, _, _ in self.parts:
                optimizer.zero_grad(set_to_none=True)

    def scaled(self, loss: Tensor) -> Tensor:
        """What the backward pass begins with: the loss over the number of batches, times the loss scale."""
        mean = loss / self._batches
        return mean if self.scale is None else mean * self.scale.value

    def step(self) -> None:
        """Take a batch's gradients in; with those of the last one of a step, take the step."""
        self._gathered += 1
        if self._gathered < self._batches:
            return
        self._gathered = 0
        grads = [param.grad for param in self._params.values() if param.grad is not None]
        if self.scale is not None and not self.scale.unscale(grads):
            return
        self._clip(list(self._params.values()))
        for optimizer, _, _ in self.parts:
            optimizer.step()
        if self.average is not None:
            self.average.update()

    def state(self) -> dict[str, Tensor]:
        """Every tensor of optimizer state, as `<parameter>.<name of the state>`; allocates what has not been used yet.

        The tensors are the live ones, so that loading into them in place restores the optimizer.
        """
        found: dict[str, Tensor] = {}
        for optimizer, _, params in self.parts:
            if not optimizer.state:
                _allocate(optimizer)
            for name, param in params.items():
                found |= {f"{name}.{key}": value for key, value in optimizer.state[param].items() if value is not None}
        return found

    def gathered(self) -> dict[str, Tensor]:
        """The live gradients of the batches since the last step, by parameter; empty right after a step."""
        return {name: param.grad for name, param in self._params.items() if self._gathered and param.grad is not None}

    def expect(self, names: Iterable[str]) -> dict[str, Tensor]:
        """Make room for gradients of batches before this one; the tensors to fill, by parameter."""
        expected = {name: torch.zeros_like(self._params[name]) for name in names if name in self._params}
        for name, grad in expected.items():
            self._params[name].grad = grad
        return expected

    def numbers(self) -> dict[str, float]:
        """What a continued run must know besides tensors, by name."""
        return {"batches_gathered": self._gathered, **({} if self.scale is None else self.scale.numbers())}

    def set_numbers(self, numbers: Mapping[str, float]) -> None:
        """Go on from what `numbers` gave; what is missing stays as it is."""
        self._gathered = min(int(numbers.get("batches_gathered", 0)), self._batches - 1)
        if self.scale is not None:
            self.scale.set_numbers(numbers)


def _allocate(optimizer: Optimizer) -> None:
    """Make torch create the state of an unused optimizer: one step along nothing, then parameters and state as new."""
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
                state.zero_()  # of weight decay; Adagrad, whose state may begin elsewhere, never comes here
