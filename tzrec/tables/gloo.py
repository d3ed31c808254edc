"""Exchange of gradients over gloo between ranks with batches of different sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torchrec.distributed import comm_ops


def allow_uneven_gather() -> None:
    """Make the backward pass of row-wise tables accept ranks with batches of different sizes, as the last often is.

    torchrec gathers tensors of different sizes with `all_gather`, which NCCL supports and gloo rejects. With gloo each
    rank broadcasts its tensor to the others instead.
    """
    reduce_scatter: Any = comm_ops.ReduceScatterV_Wait
    original_backward = reduce_scatter.backward

    def backward(ctx: Any, grad_output: Tensor) -> tuple[None, None, Tensor]:
        request = ctx.myreq
        if request.rsi.equal_splits or dist.get_backend(ctx.pg) != "gloo":
            return original_backward(ctx, grad_output)  # type: ignore[no-any-return]
        gathered = grad_output.new_empty(request.rsi.total_input_size)
        parts = torch.split(gathered, request.rsi.input_splits)
        parts[dist.get_rank(ctx.pg)].copy_(grad_output)
        request.req = _Works([_broadcast(part, source, ctx.pg) for source, part in enumerate(parts)])
        request.tensor = gathered
        return None, None, request.dummy_tensor

    if original_backward.__module__ != __name__:
        reduce_scatter.backward = staticmethod(backward)


def _broadcast(part: Tensor, source: int, group: dist.ProcessGroup) -> Any:
    return dist.broadcast(part, dist.get_global_rank(group, source), group, async_op=True)


class _Works:
    """Several asynchronous exchanges behind the interface of one, on which torchrec waits."""

    def __init__(self, works: Sequence[Any]) -> None:
        self._works = works

    def wait(self) -> None:
        for work in self._works:
            work.wait()
