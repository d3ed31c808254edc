"""Optimizer of tables with a dense kernel: one update of the whole table per step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torchrec.distributed.embedding_types import ShardedEmbeddingTable

from tzrec.tables.lookup_kernel import LookupKernel
from tzrec.tables.update_rules import RULES
from tzrec.torchrec_adapter import shard_like_tables


class UnfusedTableOptimizer:
    """Tables of one dense kernel with their optimizer state.

    Attributes:
        kernel: of the tables.
        states: of each table shard, by name.

    Args:
        kernel: with one flat parameter for all its tables.
        kind: member of `SparseOptimizer.optimizer`, a key of RULES.
        arguments: fields of its message.
        world_size: number of ranks.
    """

    def __init__(self, kernel: LookupKernel, kind: str, arguments: Mapping[str, Any], world_size: int) -> None:
        self.kernel, self._arguments = kernel, arguments
        self.weights = kernel.module.emb_module.weights  # all tables in one row
        self._rule, initial_state = RULES[kind]
        self.states = [{key: make(weight) for key, make in initial_state.items()} for _, weight in kernel.shards]
        if arguments.get("gradient_clipping"):
            # the fused kernels clip the gradient of the pooled vectors after it has been divided by the number of
            # ranks; that of replicated tables is divided later
            bound = arguments["max_gradient"] * (world_size if kernel.replicated else 1)
            kernel.on_gradient(lambda grad: grad.clamp(-bound, bound))

    def step(self, lr: float) -> None:
        start = 0
        assert self.weights.grad is not None, "step follows a backward pass"
        for (_, weight), state in zip(self.kernel.shards, self.states, strict=True):
            grad = self.weights.grad[start : start + weight.numel()].view_as(weight)
            self._rule(weight, grad, state, lr, self._arguments)
            start += weight.numel()

    def state(self) -> dict[str, Tensor]:
        """Live state by name; of sharded tables as a `ShardedTensor`."""
        tensors: dict[str, Tensor] = {}
        shards: dict[str, list[tuple[ShardedEmbeddingTable, Tensor]]] = defaultdict(list)
        for (table, _), state in zip(self.kernel.shards, self.states, strict=True):
            for key, value in state.items():
                name = f"{self.kernel.parameter_name(table)}.{key}"
                if table.global_metadata is None or value.dim() == 0:
                    tensors[name] = value
                else:
                    shards[name].append((table, value))
        return tensors | {name: shard_like_tables(parts, self.kernel.group) for name, parts in shards.items()}
