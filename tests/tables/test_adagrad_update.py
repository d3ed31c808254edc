"""AdagradUpdate against the backward pass of fbgemm's kernel: weights and state are equal to the bit."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from fbgemm_gpu.split_embedding_configs import EmbOptimType, SparseType
from fbgemm_gpu.split_table_batched_embeddings_ops_common import PoolingMode
from fbgemm_gpu.split_table_batched_embeddings_ops_training import (
    ComputeDevice,
    EmbeddingLocation,
    SplitTableBatchedEmbeddingBagsCodegen,
)
from torch import Tensor
from torchrec import KeyedJaggedTensor

from tzrec.tables.adagrad_update import AdagradUpdate

TABLES, OWNERS, BATCH_SIZE = ((300, 16), (2, 16), (40, 16)), (0, 1, 2, 2), 60  # (rows, width), table of each feature


def fbgemm_kernel(pooling: PoolingMode, **arguments: Any) -> SplitTableBatchedEmbeddingBagsCodegen:
    torch.manual_seed(1)
    defaults = {"optimizer": EmbOptimType.EXACT_ADAGRAD, "learning_rate": 0.03, "eps": 1e-8}
    module = SplitTableBatchedEmbeddingBagsCodegen(
        [(rows, width, EmbeddingLocation.HOST, ComputeDevice.CPU) for rows, width in TABLES],
        feature_table_map=list(OWNERS),
        pooling_mode=pooling,
        **{**defaults, **arguments},
    )
    module.init_embedding_weights_uniform(-1, 1)
    return module


def lookup_kernel(module: SplitTableBatchedEmbeddingBagsCodegen, fused: bool = True) -> Any:
    return SimpleNamespace(module=SimpleNamespace(emb_module=module), fused=fused)


def ids(weighted: bool) -> KeyedJaggedTensor:
    """Up to three ids per row and feature, low ids often."""
    lengths = torch.randint(0, 4, (len(OWNERS), BATCH_SIZE))
    values = [(torch.rand(int(n)) ** 3 * TABLES[table][0]).long() for table, n in zip(OWNERS, lengths.sum(1))]
    weights = torch.rand(int(lengths.sum())) if weighted else None
    keys = [f"f{index}" for index in range(len(OWNERS))]
    return KeyedJaggedTensor(keys, torch.cat(values), weights, lengths.flatten())


@pytest.mark.parametrize(
    ("pooling", "weighted", "arguments"),
    [
        (PoolingMode.SUM, False, {}),
        (PoolingMode.SUM, True, {}),
        (PoolingMode.MEAN, False, {}),
        (PoolingMode.NONE, False, {}),
        (PoolingMode.SUM, False, {"gradient_clipping": True, "max_gradient": 0.1}),
        (PoolingMode.SUM, False, {"eps": 0.3, "learning_rate": 0.7}),
    ],
)
def test_adagrad_update_equals_fbgemm(pooling: PoolingMode, weighted: bool, arguments: dict[str, Any]) -> None:
    expected, received = fbgemm_kernel(pooling, **arguments), fbgemm_kernel(pooling, **arguments)
    update = AdagradUpdate(lookup_kernel(received))
    for _ in range(6):
        lookups = ids(weighted)
        output: Tensor = expected(lookups.values(), lookups.offsets(), lookups.weights_or_none())
        gradient = torch.randn_like(output) * 0.1
        output.backward(gradient)
        update(lookups, gradient, arguments.get("learning_rate", 0.03))
    assert torch.equal(received.weights_host, expected.weights_host)
    assert torch.equal(received.momentum1_host, expected.momentum1_host)
    assert (received.momentum1_host > 0).any()


@pytest.mark.parametrize(
    ("arguments", "fused", "supported"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"optimizer": EmbOptimType.EXACT_SGD}, True, False),
        ({"weights_precision": SparseType.FP16}, True, False),
        ({"output_dtype": SparseType.BF16}, True, False),
    ],
)
def test_adagrad_update_supports_float32(arguments: dict[str, Any], fused: bool, supported: bool) -> None:
    assert AdagradUpdate.is_supported(lookup_kernel(fbgemm_kernel(PoolingMode.SUM, **arguments), fused)) is supported


def test_adagrad_update_leaves_tables_of_too_many_rows_to_fbgemm(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = lookup_kernel(fbgemm_kernel(PoolingMode.SUM))
    monkeypatch.setattr(kernel.module.emb_module, "hash_size_cumsum", torch.tensor([0, 5, 2**31 + 5, 2**31 + 9]))
    assert not AdagradUpdate.is_supported(kernel)
