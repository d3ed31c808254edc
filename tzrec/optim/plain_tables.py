"""Optimizers of tables whose kernel is not fused: one pass over the whole table per step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.distributed._shard.sharded_tensor import Shard, ShardedTensor, ShardedTensorMetadata
from torch.distributed._shard.sharding_spec import ShardMetadata
from torchrec.distributed.embedding_types import ShardedEmbeddingTable

from tzrec.optim.kernels import Kernel

EPS = 1e-8
"""Of the optimizers whose message has no such field, as in the fused kernels."""

State = dict[str, Tensor]


def _sgd(weight: Tensor, grad: Tensor, state: State, lr: float, arguments: Mapping[str, Any]) -> None:
    weight.sub_(lr * grad)


def _adagrad(weight: Tensor, grad: Tensor, state: State, lr: float, arguments: Mapping[str, Any]) -> None:
    state["momentum1"].addcmul_(grad, grad)
    weight.addcdiv_(grad, state["momentum1"].sqrt().add_(EPS), value=-lr)


def _rowwise_adagrad(weight: Tensor, grad: Tensor, state: State, lr: float, arguments: Mapping[str, Any]) -> None:
    rows, old, grad = _looked_up(weight, grad)
    decay, mode = arguments["weight_decay"], arguments["weight_decay_mode"]
    if mode == "L2":
        grad = grad + decay * old
    momentum = state["momentum1"][rows] + grad.square().mean(1)  # (R,)
    state["momentum1"][rows] = momentum
    kept = old * (1 - lr * decay) if mode == "DECOUPLE" else old
    weight[rows] = kept - (lr / (momentum.sqrt() + EPS)).unsqueeze(1) * grad


def _adam(weight: Tensor, grad: Tensor, state: State, lr: float, arguments: Mapping[str, Any]) -> None:
    """Adam as the fused GPU kernel has it: the moments of rows that were not looked up rest, decay is decoupled."""
    beta1, beta2, step = arguments["beta1"], arguments["beta2"], int(state["step"].add_(1))
    rows, old, grad = _looked_up(weight, grad)
    first = state["momentum1"][rows].lerp_(grad, 1 - beta1)  # (R, D)
    second = state["exp_avg_sq"][rows].lerp_(grad.square(), 1 - beta2)
    state["momentum1"][rows], state["exp_avg_sq"][rows] = first, second
    scale = (second / (1 - beta2**step)).sqrt_().add_(EPS)
    weight[rows] = old - lr * (first / (1 - beta1**step) / scale + arguments["weight_decay"] * old)


def _looked_up(weight: Tensor, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The rows that have a gradient: their numbers `(R,)`, values and gradients `(R, D)`."""
    rows = grad.count_nonzero(1).nonzero().squeeze(1)
    return rows, weight[rows], grad[rows]


def _per_value(weight: Tensor) -> Tensor:
    return torch.zeros_like(weight, dtype=torch.float32)


def _per_row(weight: Tensor) -> Tensor:
    return weight.new_zeros(len(weight), dtype=torch.float32)


def _count(weight: Tensor) -> Tensor:
    return torch.zeros((), dtype=torch.int64)


Rule = Callable[[Tensor, Tensor, State, float, Mapping[str, Any]], None]
"""One step of one table in place: weight (R, D), gradient (R, D), state, learning rate, fields of the message."""

RULES: dict[str, tuple[Rule, dict[str, Callable[[Tensor], Tensor]]]] = {
    "sgd_optimizer": (_sgd, {}),
    "adagrad_optimizer": (_adagrad, {"momentum1": _per_value}),
    "rowwise_adagrad_optimizer": (_rowwise_adagrad, {"momentum1": _per_row}),
    "adam_optimizer": (_adam, {"momentum1": _per_value, "exp_avg_sq": _per_value, "step": _count}),
}
"""Per member of `SparseOptimizer.optimizer`, its rule and its state, both named as in the fused kernels."""


class PlainTables:
    """The tables of one kernel that is not fused, with their optimizer state.

    Args:
        kernel: with one flat parameter for all its tables.
        kind: member of `SparseOptimizer.optimizer`, a key of RULES.
        arguments: fields of its message.
        world_size: number of ranks.
    """

    def __init__(self, kernel: Kernel, kind: str, arguments: Mapping[str, Any], world_size: int) -> None:
        self._kernel, self._arguments = kernel, arguments
        self.weights = kernel.module.emb_module.weights  # all tables in one row
        self._rule, begin = RULES[kind]
        self.states = [{key: make(weight) for key, make in begin.items()} for _, weight in kernel.pieces]
        if arguments.get("gradient_clipping"):
            # the fused kernels clip the gradient of the pooled vectors after it has been divided by the number of
            # ranks; that of replicated tables is divided later
            bound = arguments["max_gradient"] * (world_size if kernel.replicated else 1)
            kernel.module.register_forward_hook(lambda _module, _inputs, output: _clip_gradient(output, bound))

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


def _clip_gradient(output: Tensor, bound: float) -> None:
    if output.requires_grad:
        output.register_hook(lambda grad: grad.clamp(-bound, bound))
