"""Dot products between the vectors of a row, fast on CPU.

The vectors of a row are read, multiplied and written while they are in the cache, where plain torch writes the square
of all products, selects its upper triangle, and casts between these. Products and sums are float32 also under
autocast, in which only the result is rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tzrec.ops.autocast import compute_type
from tzrec.ops.dot_pairs import reference
from tzrec.ops.threads import run_parts

_MIN_ROWS = 512
"""Rows below which a second thread costs more than it saves."""


def dot_pairs(parts: Sequence[Tensor], dim: int, num_passed: int) -> Tensor:
    """See `tzrec.ops.dot_pairs.reference`, which computes other types than float32 and bfloat16, and odd widths."""
    dtype = compute_type(parts[-1])
    is_fast = dtype in (torch.float32, torch.bfloat16) and dim % 4 == 0 and len(parts) < 3
    if not is_fast or any(part.dtype not in (torch.float32, torch.bfloat16) for part in parts):
        return reference.dot_pairs(parts, dim, num_passed)
    head, tail = parts if len(parts) == 2 else (parts[0][:, :0], parts[0])
    out: Tensor = _DotPairs.apply(dim, num_passed, dtype, head, tail)  # type: ignore[no-untyped-call]
    return out


class _DotPairs(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, dim: int, num_passed: int, dtype: torch.dtype, head: Tensor, tail: Tensor) -> Tensor:
        from tzrec.ops.dot_pairs import kernel

        fields = (head.shape[1] + tail.shape[1]) // dim
        floats = head.float().contiguous(), tail.float().contiguous()
        out = head.new_empty(len(head), fields * (fields - 1) // 2 + num_passed * dim, dtype=dtype)
        _run(kernel.forward, floats, dim, num_passed, _float_or_bits(out))
        ctx.save_for_backward(*floats)
        ctx.dim, ctx.num_passed, ctx.dtypes = dim, num_passed, (head.dtype, tail.dtype)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        from tzrec.ops.dot_pairs import kernel

        floats = ctx.saved_tensors
        grads = [torch.empty_like(part) for part in floats]
        outputs = (*_float_or_bits(grad.contiguous()), *(part.numpy() for part in grads))
        _run(kernel.backward, floats, ctx.dim, ctx.num_passed, outputs)
        return None, None, None, *(part.to(dtype) for part, dtype in zip(grads, ctx.dtypes, strict=True))


def _run(
    function: Callable[..., Any],
    floats: Sequence[Tensor],
    dim: int,
    num_passed: int,
    outputs: tuple[np.ndarray, ...],
) -> None:
    """Run a kernel on all threads, each with some of the rows."""
    num_rows = len(floats[0])
    num_parts = max(1, min(torch.get_num_threads(), num_rows // _MIN_ROWS))
    bounds = [num_rows * part // num_parts for part in range(num_parts + 1)]
    arrays = [part.detach().numpy() for part in floats]
    run_parts(
        function,
        [(*arrays, dim, num_passed, begin, end, *outputs) for begin, end in zip(bounds[:-1], bounds[1:], strict=True)],
    )


def _float_or_bits(x: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Memory of a float32 tensor, or the bits of a bfloat16 tensor; the other of the two has no columns."""
    if x.dtype is torch.float32:
        return x.numpy(), np.empty((len(x), 0), np.uint16)
    return np.empty((len(x), 0), np.float32), x.view(torch.uint16).numpy()
