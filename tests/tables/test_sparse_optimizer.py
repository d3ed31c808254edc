"""Arguments of fbgemm's kernels for each sparse optimizer. The kernels are tested with sharded models in
tests/distributed.
"""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from fbgemm_gpu.split_embedding_configs import EmbOptimType
from fbgemm_gpu.split_table_batched_embeddings_ops_training import (
    BoundsCheckMode,
    SplitTableBatchedEmbeddingBagsCodegen,
    WeightDecayMode,
)

from tzrec.config.options import is_fused, member_messages
from tzrec.config.schema import oneof_of
from tzrec.protos import optimizer_pb2 as pb
from tzrec.tables.sparse_optimizer import can_fuse, frozen_params, fused_params, kind

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def message(name: str, **fields: Any) -> pb.SparseOptimizer:
    config = pb.SparseOptimizer()
    for key, value in {"lr": 0.1, **fields}.items():
        setattr(getattr(config, name), key, value)
    return config


@pytest.mark.parametrize(
    ("name", "fields", "expected"),
    [
        ("sgd_optimizer", {"gradient_clipping": True, "max_gradient": 0.5}, {"optimizer": EmbOptimType.EXACT_SGD}),
        ("adagrad_optimizer", {"initial_accumulator_value": 0.1}, {"optimizer": EmbOptimType.EXACT_ADAGRAD}),
        (
            "rowwise_adagrad_optimizer",
            {"weight_decay": 0.25, "weight_decay_mode": pb.L2},
            {
                "optimizer": EmbOptimType.EXACT_ROWWISE_ADAGRAD,
                "weight_decay": 0.25,
                "weight_decay_mode": WeightDecayMode.L2,
            },
        ),
        (
            "adam_optimizer",
            {"beta1": 0.5},
            {"optimizer": EmbOptimType.ADAM, "beta1": 0.5, "beta2": 0.999, "weight_decay": 0},
        ),
    ],
)
def test_fused_params_of_optimizer_messages(name: str, fields: dict[str, Any], expected: dict[str, Any]) -> None:
    clipping = {key: fields.get(key, default) for key, default in (("gradient_clipping", False), ("max_gradient", 1.0))}
    always = {"learning_rate": 0.1, "eps": 1e-8, "bounds_check_mode": BoundsCheckMode.FATAL}
    assert fused_params(message(name, **fields)) == always | clipping | expected


OPTIMIZERS = member_messages(oneof_of(pb.SparseOptimizer, "optimizer"))


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if is_fused(OPTIMIZERS[name], "cuda")])
def test_fused_params_are_parameters_of_fbgemm(name: str) -> None:
    """They cannot be run without CUDA."""
    parameters = inspect.signature(SplitTableBatchedEmbeddingBagsCodegen.__init__).parameters
    assert set(fused_params(message(name))) <= set(parameters)


def test_fused_params_of_unfused_optimizer_name_no_optimizer() -> None:
    assert fused_params(message("rmsprop_optimizer", alpha=0.5)) == {
        "learning_rate": 0.0,
        "eps": 1e-8,
        "bounds_check_mode": BoundsCheckMode.FATAL,
    }


def test_frozen_params_have_rate_zero() -> None:
    assert frozen_params() == {"optimizer": EmbOptimType.EXACT_SGD, "learning_rate": 0.0}


@pytest.mark.parametrize(
    ("decay", "mode", "fused"), [(0.1, pb.L2, False), (0.1, pb.NONE, True), (0.0, pb.DECOUPLE, True)]
)
def test_rowwise_adagrad_with_weight_decay_is_not_fused_on_cpu(decay: float, mode: int, fused: bool) -> None:
    config = message("rowwise_adagrad_optimizer", weight_decay=decay, weight_decay_mode=mode)
    assert can_fuse(config, CPU) is fused
    assert can_fuse(config, CUDA)


@pytest.mark.parametrize(
    ("name", "on_cpu", "on_cuda"),
    [
        ("sgd_optimizer", True, True),
        ("adagrad_optimizer", True, True),
        ("rowwise_adagrad_optimizer", True, True),
        ("adam_optimizer", False, True),
        ("lamb_optimizer", False, True),
        ("adadelta_optimizer", False, False),
    ],
)
def test_can_fuse_depends_on_device(name: str, on_cpu: bool, on_cuda: bool) -> None:
    config = message(name)
    assert kind(config) == name
    assert (can_fuse(config, CPU), can_fuse(config, CUDA)) == (on_cpu, on_cuda)
