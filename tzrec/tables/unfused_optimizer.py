"""Optimizers of tables whose kernel is not fused: one pass over the whole table per step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.distributed._shard.sharded_tensor import Shard, ShardedTensor, ShardedTensorMetadata
from torch.distributed._shard.sharding_spec import ShardMetadata
from torchrec.distributed.embedding_types import ShardedEmbeddingTable

from tzrec.tables.lookup_kernel import LookupKernel
from tzrec.tables.update_rules import RULES


class UnfusedTableOptimizer:
    """The tables of one kernel that is not fused, with their optimizer state.

    Args:
        kernel: with one flat parameter for all its tables.
        kind: member of `SparseOptimizer.optimizer`, a key of RULES.
        arguments: fields of its message.
        world_size: number of ranks.
    """

    def __init__(self, kernel: LookupKernel, kind: str, arguments: Mapping[str, Any], world_size: int) -> None:
        self._kernel, self._arguments = kernel, arguments
        self.weights = kernel.module.emb_module.weights  # all tables in one row
        self._rule, begin = RULES[kind]
        self.states = [{key: make(weight) for key, make in begin.items()} for _, weight in kernel.pieces]
        if arguments.get("gradient_clipping"):
            # the fused kernels clip the gradient of the pooled vectors after it has been divided by the number of
            # ranks; that of replicated tables is divided later
            bound = arguments["max_gradient"] * (world_size if kernel.replicated else 1)
            kernel.on_gradient(lambda grad: grad.clamp(-bound, bound))

    def step(self, lr: float) -> None:
        start = 0
        assert self.weights.grad is not None, "step follows a backward pass"
        for (_, weight), state in zip(self._kernel.pieces, self.states, strict=True):
            grad = self.weights.grad[start : start + weight.numel()].view_as(weight)
            self._rule(weight, grad, state, lr, self._arguments)
            start += weight.numel()

    def state(self) -> dict[str, Tensor]:
        """Live state by name, as pieces of whole tensors where the tables are in pieces."""
        found: dict[str, Tensor] = {}
        shards: dict[str, list[tuple[ShardedEmbeddingTable, Tensor]]] = defaultdict(list)
        for (table, _), state in zip(self._kernel.pieces, self.states, strict=True):
            for key, value in state.items():
                name = f"{self._kernel.name(table)}.{key}"
                if table.global_metadata is None or value.dim() == 0:
                    found[name] = value
                else:
                    shards[name].append((table, value))
        return found | {name: _sharded(pieces, self._kernel.group) for name, pieces in shards.items()}


def _sharded(pieces: list[tuple[ShardedEmbeddingTable, Tensor]], group: Any) -> ShardedTensor:
    """One tensor of which this rank holds pieces, laid out as the table, whose first dimensions it shares."""
    table, first = pieces[0]
    dim = first.dim()

    def cut(shard: ShardMetadata) -> ShardMetadata:
        return ShardMetadata(list(shard.shard_offsets[:dim]), list(shard.shard_sizes[:dim]), shard.placement)

    whole = table.global_metadata
    metadata = ShardedTensorMetadata(
        [cut(shard) for shard in whole.shards_metadata],
        torch.Size(whole.size[:dim]),
        replace(whole.tensor_properties, dtype=first.dtype, requires_grad=False),
    )
    local = [Shard(value, cut(each.local_metadata)) for each, value in pieces]
    return ShardedTensor._init_from_local_shards_and_global_metadata(local, metadata, process_group=group)
