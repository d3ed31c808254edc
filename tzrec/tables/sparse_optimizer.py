"""Optimizer of the embedding tables: fused into the backward pass where fbgemm can do that, unfused otherwise.

A fused kernel updates its tables as soon as it gets a gradient. So the graph of a step ends at the vectors that these
kernels return, and `step` passes the gradients on: until then a step can be dropped with all of its effects. On CPU,
Adagrad gets the gradients from `AdagradUpdate`, because fbgemm's kernel runs on one thread.

On CPU fbgemm fuses SGD, Adagrad, and row-wise Adagrad without weight decay, on CUDA everything but Adadelta, RMSprop
and FTRL. Tables with a dense kernel (every data-parallel table, and all tables under any other optimizer) have ordinary
gradients and are updated by `step`. That reads the whole table at each step, where the fused kernels touch only the
rows that were looked up: fine for small tables, slow for large ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from fbgemm_gpu.split_embedding_configs import EmbOptimType
from fbgemm_gpu.split_table_batched_embeddings_ops_common import BoundsCheckMode
from fbgemm_gpu.split_table_batched_embeddings_ops_training import WeightDecayMode
from google.protobuf.descriptor import Descriptor
from torch import Tensor, nn
from torchrec.distributed.embedding_types import ShardedEmbeddingTable

from tzrec import registry
from tzrec.config.kwargs import kwargs
from tzrec.config.options import is_fused, table_optimizer
from tzrec.config.schema import descriptor_of
from tzrec.protos import optimizer_pb2 as pb
from tzrec.tables.adagrad_update import AdagradUpdate
from tzrec.tables.lookup_kernel import lookup_kernels
from tzrec.tables.unfused_optimizer import UnfusedTableOptimizer
from tzrec.tables.update_rules import EPS
from tzrec.tables.vector_gradients import VectorGradients


def kind(config: pb.SparseOptimizer) -> str:
    """Name of the member of the `optimizer` oneof that is set."""
    name = config.WhichOneof("optimizer")
    assert name, "config.check reports a missing optimizer"
    return str(name)


def can_fuse(config: pb.SparseOptimizer, device: torch.device) -> bool:
    """True if the optimizer runs inside the backward pass on this device."""
    is_decay_ignored = device.type == "cpu" and _has_weight_decay(config)
    return is_fused(optimizer_descriptor(config), device.type) and not is_decay_ignored


def optimizer_descriptor(config: pb.SparseOptimizer) -> Descriptor:
    """Descriptor of the message that is set."""
    return descriptor_of(getattr(config, kind(config)))


def _has_weight_decay(config: pb.SparseOptimizer) -> bool:
    """True for row-wise Adagrad with weight decay, which the kernel on CPU accepts as an argument and ignores."""
    message = config.rowwise_adagrad_optimizer
    return message.weight_decay > 0 and message.weight_decay_mode != pb.NONE


def fused_params(config: pb.SparseOptimizer) -> dict[str, Any]:
    """Arguments of fbgemm's kernels: the optimizer's type, its learning rate and the other fields of its message.

    Ids out of range stop the kernel: the loader has already handled those in the data, so an id out of range here is an
    error of this package, which training row 0 in its place would hide.
    """
    params: dict[str, Any] = {"bounds_check_mode": BoundsCheckMode.FATAL, "learning_rate": 0.0, "eps": EPS}
    fbgemm_name = table_optimizer(optimizer_descriptor(config)).fbgemm_name
    if not fbgemm_name:
        return params  # for frozen tables
    arguments = _arguments(config)
    params |= {"optimizer": EmbOptimType[fbgemm_name], "learning_rate": arguments.pop("lr")}
    arguments.pop("initial_accumulator_value", None)  # written into the state by SparseOptimizer
    if "weight_decay_mode" in arguments:
        arguments["weight_decay_mode"] = WeightDecayMode[arguments["weight_decay_mode"]]
    return params | arguments


def frozen_params() -> dict[str, Any]:
    """Arguments of the kernels of frozen tables: the cheapest fused optimizer with learning rate 0."""
    return {"optimizer": EmbOptimType.EXACT_SGD, "learning_rate": 0.0}


def _arguments(config: pb.SparseOptimizer) -> dict[str, Any]:
    member = registry.oneof_member(config, "optimizer")
    assert member is not None
    return kwargs(member[1])


def _first_row(table: ShardedEmbeddingTable) -> int:
    return int(table.local_metadata.shard_offsets[0]) if table.local_metadata else 0


class SparseOptimizer:
    """Optimizer of all tables on one rank.

    Set the learning rate in `param_groups`, call `zero_grad` before the forward pass (it passes the rate to the fused
    kernels) and `step` after the backward pass (it runs the backward passes of the fused kernels, which update their
    tables, and updates the tables with a dense kernel).

    Attributes:
        is_clipped: True if gradients are clipped, so that large ones are no danger.
        param_groups: one group with the learning rate; frozen tables are not in it.

    Args:
        model: a sharded model without its wrappers; accumulators are filled with `initial_accumulator_value`.
        config: `train_config.sparse_optimizer`.
        world_size: number of ranks.
        gradient_hook: applied to the gradients that reach the tables.
    """

    def __init__(
        self,
        model: nn.Module,
        config: pb.SparseOptimizer,
        world_size: int = 1,
        gradient_hook: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        trained = [kernel for kernel in lookup_kernels(model) if not kernel.frozen]
        self._vectors = [VectorGradients(kernel) for kernel in trained]
        self._updates = [AdagradUpdate(kernel) if AdagradUpdate.is_supported(kernel) else None for kernel in trained]
        if gradient_hook is not None:
            for kernel in trained:
                kernel.on_gradient(gradient_hook)
        self._fused = [kernel for kernel in trained if kernel.fused]
        self._arguments = _arguments(config)
        self.is_clipped = bool(self._arguments.get("gradient_clipping"))
        self.param_groups: list[dict[str, Any]] = [{"lr": self._arguments.pop("lr")}]
        self._unfused = [
            UnfusedTableOptimizer(k, kind(config), self._arguments, world_size) for k in trained if not k.fused
        ]
        for accumulator in self._accumulators():
            accumulator.fill_(self._arguments.get("initial_accumulator_value", 0.0))

    def zero_grad(self) -> None:
        for vectors in self._vectors:
            vectors.clear()
        for kernel in self._fused:
            kernel.module.emb_module.set_learning_rate(self.param_groups[0]["lr"])
        for optimizer in self._unfused:
            optimizer.weights.grad = None

    def gradients(self) -> list[tuple[str, Tensor]]:
        """List the gradients of the vectors that the kernels returned, `(B, sum of widths)`, with names of tables."""
        return [(vectors.name, gradient) for vectors in self._vectors for gradient in vectors.gradients()]

    def step(self) -> None:
        lr, backward = self.param_groups[0]["lr"], []
        for vectors, update in zip(self._vectors, self._updates, strict=True):
            for ids, output, gradient in vectors.pending():
                if update is not None:
                    update(ids, gradient, lr)
                else:
                    backward.append((output, gradient))
        if backward:
            outputs, gradients = zip(*backward, strict=True)
            torch.autograd.backward(outputs, gradients)
        for optimizer in self._unfused:
            optimizer.step(lr)

    def state(self) -> dict[str, Tensor]:
        """All live state, as `<parameter>.<name of the state>`; loading into it in place restores the optimizer."""
        tensors: dict[str, Tensor] = {}
        for kernel in self._fused:
            for param, states in kernel.module.fused_optimizer.state_dict()["state"].items():
                tensors |= {f"{kernel.path}.{param}.{key.rpartition('.')[2]}": value for key, value in states.items()}
        for optimizer in self._unfused:
            tensors |= optimizer.state()
        return tensors

    def row_states(self) -> Iterator[tuple[str, int, dict[str, Tensor], float]]:
        """Yield the full name of each table shard, its first row, its state by name and the start of `momentum1`."""
        start = self._arguments.get("initial_accumulator_value", 0.0)
        for kernel in self._fused:
            all_states = kernel.module.emb_module.split_optimizer_states()
            for (table, _), states in zip(kernel.shards, all_states, strict=True):
                named = {f"momentum{number}": state for number, state in enumerate(states, start=1)}
                yield kernel.tables[table.name].full_name, _first_row(table), named, start
        for optimizer in self._unfused:
            for (table, _), state in zip(optimizer.kernel.shards, optimizer.states, strict=True):
                yield optimizer.kernel.tables[table.name].full_name, _first_row(table), state, start

    def _accumulators(self) -> Iterator[Tensor]:
        for kernel in self._fused:
            for states in kernel.module.emb_module.split_optimizer_states():
                yield states[0]
        for optimizer in self._unfused:
            for state in optimizer.states:
                if "momentum1" in state:
                    yield state["momentum1"]
