"""Kernel selection: the implementation of an op for `model_config.kernel` and a device.

An op with a fast path is a package. `reference.py` is the op in plain torch: it runs on every device, torch.export
traces it, and the tests compare every other implementation with it. `cpu.py` is the fast path on CPU; a Triton kernel
would be `triton.py` beside it. The package's `select` returns one of them:

    self._relu_mlp = relu_mlp.select()  # in the constructor of a module
    self._relu_mlp(x, weights, biases)  # in its forward
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, Generic, NamedTuple, TypeVar

import torch

PYTORCH = "PYTORCH"

Op = TypeVar("Op", bound=Callable[..., Any])


class KernelTarget(NamedTuple):
    """Kernel setting and device that implementations are selected for.

    Attributes:
        kernel: `model_config.kernel`.
        device: type of the device that the model runs on, e.g. "cpu".
    """

    kernel: str
    device: str


CPU = KernelTarget(PYTORCH, "cpu")

_target: ContextVar[KernelTarget] = ContextVar("kernel_target", default=CPU)


@contextmanager
def kernel_target(kernel: str, device: str) -> Iterator[None]:
    """Context manager: modules constructed inside select their kernels for this target."""
    token = _target.set(KernelTarget(kernel, device))
    try:
        yield
    finally:
        _target.reset(token)


class KernelSelector(Generic[Op]):
    """The implementations of one op.

    Args:
        reference: the op in plain torch.
        kernels: faster implementations with the same signature, by target. They run eagerly only: torch.export and
            torch.compile trace the reference instead.
    """

    def __init__(self, reference: Op, kernels: Mapping[KernelTarget, Op]) -> None:
        self.reference = reference
        self.kernels = {target: _eager_only(kernel, reference) for target, kernel in kernels.items()}

    def __call__(self, kernel: str | None = None, device: str | None = None) -> Op:
        """Return the implementation for a kernel and a device type: the reference where there is no faster one.

        Args:
            kernel: as in `model_config.kernel`; that of the enclosing `kernel_target` by default.
            device: type of the device; that of the enclosing `kernel_target` by default.
        """
        target = _target.get()
        return self.kernels.get(KernelTarget(kernel or target.kernel, device or target.device), self.reference)


def _eager_only(kernel: Op, reference: Op) -> Op:
    @wraps(kernel)
    def implementation(*args: Any, **kwargs: Any) -> Any:
        return (reference if torch.compiler.is_compiling() else kernel)(*args, **kwargs)

    return implementation  # type: ignore[return-value]
