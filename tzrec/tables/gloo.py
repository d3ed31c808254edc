"""What torchrec asks of a process group and gloo does not do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torchrec.distributed import comm_ops


def gather_uneven() -> None:
    """Let gradients of row-wise tables come back from ranks with batches of different length, as a last one often is.

    torchrec gathers pieces of different sizes with `all_gather`, which NCCL does and gloo refuses. Here each rank sends
    its piece to the others instead.
    """
    wait: Any = comm_ops.ReduceScatterV_Wait
    even = wait.backward

    def backward(ctx: Any, grad_output: Tensor) -> tuple[None, None, Tensor]:
        request = ctx.myreq
        if request.rsi.equal_splits or dist.get_backend(ctx.pg) != "gloo":
            return even(ctx, grad_output)  # type: ignore[no-any-return]
        gathered = grad_output.new_empty(request.rsi.total_input_size)
        pieces = torch.split(gathered, request.rsi.input_splits)
        pieces[dist.get_rank(ctx.pg)].copy_(grad_output)
        request.req = _Sent([_send(piece, source, ctx.pg) for source, piece in enumerate(pieces)])
        request.tensor = gathered
        return None, None, request.dummy_tensor

    if even.__module__ != __name__:
        wait.backward = staticmethod(backward)


def _send(piece: Tensor, source: int, group: dist.ProcessGroup) -> Any:
    return dist.broadcast(piece, dist.get_global_rank(group, source), group, async_op=True)


class _Sent:
    """Several exchanges under way, which torchrec waits for as for one."""

    def __init__(self, works: Sequence[Any]) -> None:
        self._works = works

    def wait(self) -> None:
        for work in self._works:
            work.wait()
