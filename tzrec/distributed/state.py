"""What a checkpoint holds of a sharded model, as flat names to live tensors.

Loading in place into these tensors restores the model. Names and sizes do not depend on the number of ranks or the
sharding types, so `torch.distributed.checkpoint` moves a checkpoint between them. No rank has an empty entry for
what it does not hold: those make a checkpoint unreadable elsewhere.
"""

from __future__ import annotations

from torch import Tensor
from torchrec.distributed.model_parallel import DistributedModelParallel

from tzrec.optim.kernels import kernels


def model_state(model: DistributedModelParallel) -> dict[str, Tensor]:
    """All parameters and buffers; tables as this rank's shards, replicated ones whole."""
    state = dict(model.state_dict())
    for kernel in kernels(model.module):
        if kernel.replicated:
            state |= {kernel.name(table): weight for table, weight in kernel.pieces}
    return {name: value.detach() if isinstance(value, Tensor) else value for name, value in state.items()}
