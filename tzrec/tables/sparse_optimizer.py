"""What trains the embedding tables: optimizers fused into the backward pass, and plain ones where there are none.

On CPU fbgemm fuses SGD, Adagrad, and row-wise Adagrad without weight decay, on CUDA everything but Adadelta and
RMSprop. Tables whose kernel is not fused (every data-parallel table, and all tables under any other optimizer) have
ordinary gradients and are moved by `step`. That costs one pass over the whole table per step, where the fused kernels
touch the looked-up rows only: fine for small tables, slow for large ones.
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

from tzrec import registry
from tzrec.config.kwargs import kwargs
from tzrec.config.options import is_fused, table_optimizer
from tzrec.config.schema import descriptor_of
from tzrec.protos import optimizer_pb2 as pb
from tzrec.tables.lookup_kernel import lookup_kernels
from tzrec.tables.unfused_optimizer import UnfusedTableOptimizer
from tzrec.tables.update_rules import EPS


def kind(config: pb.SparseOptimizer) -> str:
    """Which member of the `optimizer` oneof is set."""
    name = config.WhichOneof("optimizer")
    assert name, "config.check has seen that an optimizer is set"
    return str(name)


def fuses(config: pb.SparseOptimizer, device: torch.device) -> bool:
    """Whether the optimizer runs inside the backward pass on this device."""
    is_decay_ignored = device.type == "cpu" and _decays(config)
    return is_fused(_descriptor(config), device.type) and not is_decay_ignored


def _descriptor(config: pb.SparseOptimizer) -> Descriptor:
    return descriptor_of(getattr(config, kind(config)))


def _decays(config: pb.SparseOptimizer) -> bool:
    """Whether row-wise Adagrad has weight decay, which the kernel on CPU takes as an argument and then ignores."""
    message = config.rowwise_adagrad_optimizer
    return message.weight_decay > 0 and message.weight_decay_mode != pb.NONE


def fused_params(config: pb.SparseOptimizer) -> dict[str, Any]:
    """Arguments of fbgemm's kernels: the optimizer's type, its learning rate and what else its message says.

    Ids out of range stop the kernel: the loader has already dealt with those in the data, so one that gets here is
    an error of ours, and training row 0 in its place would hide it.
    """
    params: dict[str, Any] = {"bounds_check_mode": BoundsCheckMode.FATAL, "learning_rate": 0.0, "eps": EPS}
    fbgemm_name = table_optimizer(_descriptor(config)).fbgemm_name
    if not fbgemm_name:
        return params  # of the tables that do not learn
    arguments = _arguments(config)
    params |= {"optimizer": EmbOptimType[fbgemm_name], "learning_rate": arguments.pop("lr")}
    arguments.pop("initial_accumulator_value", None)  # written into the state by SparseOptimizer
    if "weight_decay_mode" in arguments:
        arguments["weight_decay_mode"] = WeightDecayMode[arguments["weight_decay_mode"]]
    return params | arguments


def frozen_params() -> dict[str, Any]:
    """Arguments of the kernels of tables that do not learn: the cheapest fused optimizer, at rate 0."""
    return {"optimizer": EmbOptimType.EXACT_SGD, "learning_rate": 0.0}


def _arguments(config: pb.SparseOptimizer) -> dict[str, Any]:
    member = registry.oneof_member(config, "optimizer")
    assert member is not None
    return kwargs(member[1])


class SparseOptimizer:
    """Everything that trains the tables of one rank.

    Use: set the rate in `param_groups`, call `zero_grad` before the forward pass (it hands the rate to the fused
    kernels, which note it there and learn during the backward pass) and `step` after the backward pass (it moves the
    tables whose kernel is not fused).

    Attributes:
        param_groups: one group with the learning rate; frozen tables are not in it.

    Args:
        model: a sharded model without its wrappers; accumulators are filled with `initial_accumulator_value`.
        config: `train_config.sparse_optimizer`.
        world_size: number of ranks.
        guard: changes the gradients that reach the tables.
    """

    def __init__(
        self,
        model: nn.Module,
        config: pb.SparseOptimizer,
        world_size: int = 1,
        guard: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        learning = [kernel for kernel in lookup_kernels(model) if not kernel.frozen]
        if guard is not None:
            for kernel in learning:
                kernel.on_gradient(guard)
        self._fused = [kernel for kernel in learning if kernel.fused]
        self._arguments = _arguments(config)
        self.param_groups: list[dict[str, Any]] = [{"lr": self._arguments.pop("lr")}]
        self._plain = [
            UnfusedTableOptimizer(k, kind(config), self._arguments, world_size) for k in learning if not k.fused
        ]
        for first in self._accumulators():
            first.fill_(self._arguments.get("initial_accumulator_value", 0.0))

    def zero_grad(self) -> None:
        for kernel in self._fused:
            kernel.module.emb_module.set_learning_rate(self.param_groups[0]["lr"])
        for plain in self._plain:
            plain.weights.grad = None

    def step(self) -> None:
        for plain in self._plain:
            plain.step(self.param_groups[0]["lr"])

    def state(self) -> dict[str, Tensor]:
        """All live state, as `<parameter>.<name of the state>`; loading into it in place restores the optimizer."""
        found: dict[str, Tensor] = {}
        for kernel in self._fused:
            for param, states in kernel.module.fused_optimizer.state_dict()["state"].items():
                found |= {f"{kernel.path}.{param}.{key.rpartition('.')[2]}": value for key, value in states.items()}
        for plain in self._plain:
            found |= plain.state()
        return found

    def _accumulators(self) -> Iterator[Tensor]:
        for kernel in self._fused:
            for states in kernel.module.emb_module.split_optimizer_states():
                yield states[0]
        for plain in self._plain:
            for state in plain.states:
                if "momentum1" in state:
                    yield state["momentum1"]
