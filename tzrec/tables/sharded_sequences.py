"""Collections of sequences on all ranks."""

from __future__ import annotations

from functools import partial
from itertools import accumulate

import torch
from torch import Tensor
from torch.nn import functional
from torchrec import EmbeddingCollection, JaggedTensor, KeyedJaggedTensor
from torchrec.distributed.batched_embedding_kernel import BatchedDenseEmbedding
from torchrec.distributed.embedding import EmbeddingCollectionSharder, ShardedEmbeddingCollection
from torchrec.distributed.types import ParameterSharding, ShardingEnv


class LocalSequences(ShardedEmbeddingCollection):
    """A sharded collection on the only rank: the kernels without the exchange of ids and vectors around them."""

    _has_uninitialized_input_dist: bool

    def forward(self, features: KeyedJaggedTensor) -> dict[str, JaggedTensor]:  # type: ignore[override]
        if self._has_uninitialized_input_dist:
            self._create_input_dist(features.keys())
            self._has_uninitialized_input_dist = False
        if self._features_order:
            features = features.permute(self._features_order, self._features_order_tensor)
        features = features.split(self._feature_splits)[0]  # without those behind that are looked up elsewhere
        values = self._lookups[0](features).view(-1, self._embedding_dim)  # (N, width)
        lengths = features.lengths().view(len(features.keys()), -1)  # (F, B)
        parts = values.split(features.length_per_key())
        names = self._embedding_names_per_sharding[0]
        return {name: JaggedTensor(part, lengths=row) for name, part, row in zip(names, parts, lengths, strict=True)}


class SequenceSharder(EmbeddingCollectionSharder):
    """torchrec's sharder of sequences, with plain kernels that work on CPU."""

    def shard(
        self,
        module: EmbeddingCollection,
        params: dict[str, ParameterSharding],
        env: ShardingEnv,
        device: torch.device | None = None,
        module_fqn: str | None = None,
    ) -> ShardedEmbeddingCollection:
        kind = LocalSequences if alone(params, env) else ShardedEmbeddingCollection
        made = kind(module, params, env, fused_params=self.fused_params, device=device, module_fqn=module_fqn)
        for kernel in (kernel for lookup in made._lookups for kernel in lookup.modules()):
            if isinstance(kernel, BatchedDenseEmbedding) and kernel.emb_module.weights.device.type == "cpu":
                kernel.forward = partial(_vectors, kernel)  # type: ignore[method-assign]
        return made


def alone(params: dict[str, ParameterSharding], env: ShardingEnv) -> bool:
    """Whether this rank holds all tables whole."""
    return env.world_size == 1 and {each.sharding_type for each in params.values()} == {"table_wise"}


def _vectors(kernel: BatchedDenseEmbedding, features: KeyedJaggedTensor) -> Tensor:
    """One vector per id `(N, width)`, from the tables of a plain kernel: fbgemm's own on CPU adds up those of a row."""
    tables = kernel.config.embedding_tables
    begins = list(accumulate((table.local_rows for table in tables), initial=0))
    rows = [begins[index] for index, table in enumerate(tables) for _ in table.feature_names]  # per feature
    counts = torch.tensor(features.length_per_key())
    ids = features.values() + torch.tensor(rows).repeat_interleave(counts)
    return functional.embedding(ids, kernel.emb_module.weights.view(-1, tables[0].local_cols))
