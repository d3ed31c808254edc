"""VectorGradients: gradients of the vectors that a lookup kernel returned in a step."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from torch import Tensor, nn
from torchrec import KeyedJaggedTensor

from tzrec.tables.lookup_kernel import LookupKernel


class VectorGradients:
    """Gradients of the output of a kernel, `(B, sum of widths)` or one row for each id.

    The graph of the step ends at the output of a fused kernel, whose backward pass updates its tables. Create it before
    other hooks of the kernel, so that it sees the gradients that they return.

    Attributes:
        name: of the tables of the kernel.

    Args:
        kernel: with tables that are trained.
    """

    def __init__(self, kernel: LookupKernel) -> None:
        tables = [table.name for table in kernel.module.config.embedding_tables]
        self.name = f"lookup of {', '.join(tables)}"
        self._lookups: list[tuple[KeyedJaggedTensor, Tensor, Tensor]] = []
        self._gradients: dict[int, Tensor] = {}  # by the number of the lookup in the step
        self._num_watched = 0
        kernel.module.register_forward_hook(self._defer if kernel.fused else self._watch)

    def clear(self) -> None:
        """Forget the lookups of the last step."""
        self._lookups.clear()
        self._gradients.clear()
        self._num_watched = 0

    def gradients(self) -> Iterator[Tensor]:
        """Yield the gradients of the last backward pass."""
        yield from self._gradients.values()
        yield from (gradient for _, _, gradient in self.pending())

    def pending(self) -> Iterator[tuple[KeyedJaggedTensor, Tensor, Tensor]]:
        """Yield inputs and outputs of a fused kernel whose backward pass has not run, with gradients of the outputs."""
        for ids, output, leaf in self._lookups:
            if leaf.grad is not None:
                yield ids, output, leaf.grad

    def _defer(self, module: nn.Module, inputs: tuple[KeyedJaggedTensor], output: Tensor) -> Tensor | None:
        """Return a leaf with the values of the output, which collects its gradient."""
        if not output.requires_grad:
            return None
        leaf = output.detach().requires_grad_()
        self._lookups.append((*inputs, output, leaf))
        return leaf

    def _watch(self, module: nn.Module, inputs: object, output: Tensor) -> None:
        if output.requires_grad:
            # a later backward pass of the same step replaces the gradient of an earlier one
            output.register_hook(partial(self._gradients.__setitem__, self._num_watched))
            self._num_watched += 1
