"""Sharders: torchrec's, with the sharding types and kernels that they lack on CPU, and without exchange on one rank."""

from __future__ import annotations

from functools import partial
from itertools import accumulate

import torch
from torch import Tensor
from torch.nn import functional
from torchrec import EmbeddingBagCollection, EmbeddingCollection, JaggedTensor, KeyedJaggedTensor, KeyedTensor
from torchrec.distributed.batched_embedding_kernel import BatchedDenseEmbedding
from torchrec.distributed.embedding import EmbeddingCollectionSharder, ShardedEmbeddingCollection
from torchrec.distributed.embeddingbag import EmbeddingBagCollectionSharder, ShardedEmbeddingBagCollection
from torchrec.distributed.types import ParameterSharding, ShardingEnv

from tzrec.protos.optimizer_pb2 import SparseOptimizer
from tzrec.tables.id_exchange import ExchangedBags, ExchangedSequences
from tzrec.tables.sharding_plan import TYPES, Sharders
from tzrec.tables.sparse_optimizer import fused_params
from tzrec.torchrec_adapter import (
    collection_lookups,
    local_bag_forward,
    local_sequence_forward,
    skip_mean_division,
)


class LocalBags(ShardedEmbeddingBagCollection):
    """Sharded bag collection of a single rank: runs the kernels without exchanging ids and vectors."""

    def forward(self, features: KeyedJaggedTensor) -> KeyedTensor:  # type: ignore[override]
        return local_bag_forward(self, features)


class LocalSequences(ShardedEmbeddingCollection):
    """Sharded sequence collection of a single rank: runs the kernels without exchanging ids and vectors."""

    def forward(self, features: KeyedJaggedTensor) -> dict[str, JaggedTensor]:  # type: ignore[override]
        return local_sequence_forward(self, features)


class BagSharder(EmbeddingBagCollectionSharder):
    """Sharder of bag collections that also offers row-wise tables and dense kernels on CPU."""

    def sharding_types(self, compute_device_type: str) -> list[str]:
        return list(TYPES) if compute_device_type == "cpu" else super().sharding_types(compute_device_type)

    def compute_kernels(self, sharding_type: str, compute_device_type: str) -> list[str]:
        kernels = super().compute_kernels(sharding_type, compute_device_type)
        return _with_dense(kernels) if compute_device_type == "cpu" else kernels

    def shard(
        self,
        module: EmbeddingBagCollection,
        params: dict[str, ParameterSharding],
        env: ShardingEnv,
        device: torch.device | None = None,
        module_fqn: str | None = None,
    ) -> ShardedEmbeddingBagCollection:
        collection_class = LocalBags if _is_local(params, env) else ExchangedBags
        sharded = collection_class(
            module, params, env, fused_params=self.fused_params, device=device, module_fqn=module_fqn
        )
        for config in module.embedding_bag_configs():
            if params[config.name].sharding_type != "row_wise":
                skip_mean_division(sharded, config.feature_names)
        return sharded


class SequenceSharder(EmbeddingCollectionSharder):
    """Sharder of sequence collections with dense kernels that work on CPU."""

    def compute_kernels(self, sharding_type: str, compute_device_type: str) -> list[str]:
        kernels = super().compute_kernels(sharding_type, compute_device_type)
        return _with_dense(kernels) if compute_device_type == "cpu" else kernels

    def shard(
        self,
        module: EmbeddingCollection,
        params: dict[str, ParameterSharding],
        env: ShardingEnv,
        device: torch.device | None = None,
        module_fqn: str | None = None,
    ) -> ShardedEmbeddingCollection:
        collection_class = LocalSequences if _is_local(params, env) else ExchangedSequences
        sharded = collection_class(
            module, params, env, fused_params=self.fused_params, device=device, module_fqn=module_fqn
        )
        for kernel in (kernel for lookup in collection_lookups(sharded) for kernel in lookup.modules()):
            if isinstance(kernel, BatchedDenseEmbedding) and kernel.emb_module.weights.device.type == "cpu":
                kernel.forward = partial(_look_up_each_id, kernel)  # type: ignore[method-assign]
        return sharded


def make_sharders(config: SparseOptimizer) -> Sharders:
    """Create the sharders of both kinds of collections, with the arguments of kernels for an optimizer."""
    fused = fused_params(config)
    return [BagSharder(fused_params=fused), SequenceSharder(fused_params=fused)]


def _with_dense(kernels: list[str]) -> list[str]:
    """Add the dense kernel, which torchrec offers for replicated tables alone."""
    return list(dict.fromkeys([*kernels, "dense"]))


def _is_local(params: dict[str, ParameterSharding], env: ShardingEnv) -> bool:
    """True if this rank is the only one and holds all tables whole."""
    return env.world_size == 1 and {sharding.sharding_type for sharding in params.values()} == {"table_wise"}


def _look_up_each_id(kernel: BatchedDenseEmbedding, features: KeyedJaggedTensor) -> Tensor:
    """Look up one vector per id `(N, width)` in the tables of a dense kernel; that of fbgemm sums those of a row."""
    tables = kernel.config.embedding_tables
    first_rows = list(accumulate((table.local_rows for table in tables), initial=0))
    row_offsets = [first_rows[index] for index, table in enumerate(tables) for _ in table.feature_names]  # per feature
    counts = torch.tensor(features.length_per_key())
    ids = features.values() + torch.tensor(row_offsets).repeat_interleave(counts)
    return functional.embedding(ids, kernel.emb_module.weights.view(-1, tables[0].local_cols))
