"""BagLookup: look up the ids of each row and pool their vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torchrec import EmbeddingBagCollection, EmbeddingBagConfig, KeyedJaggedTensor, KeyedTensor, PoolingType
from torchrec.types import DataType

from tzrec.tables.id_exchange import LookupInput
from tzrec.tables.id_map import map_ids
from tzrec.tables.initialization import TableInitializer
from tzrec.tables.layout import Layout
from tzrec.tables.shared_table import SharedTable, id_maps


class BagLookup(nn.Module):
    """Tables of the DEEP and WIDE groups of one data group.

    Tables in which a weighted feature is looked up are a collection of their own: the kernels for weighted ids cost
    half as much again, which the other tables should not pay.
    """

    def __init__(self, layout: Layout, device: torch.device | None) -> None:
        super().__init__()
        unweighted = [shared for shared in layout.tables.values() if not shared.weighted]
        weighted = [shared for shared in layout.tables.values() if shared.weighted]
        self.ebc = _collection(unweighted, False, device) if unweighted else None
        self.weighted_ebc = _collection(weighted, True, device) if weighted else None
        self._means = frozenset(
            name for shared in weighted if shared.table.pooling == "mean" for name in shared.features
        )
        self._id_maps = id_maps(layout.tables.values())

    def inputs(self, ids: KeyedJaggedTensor) -> dict[str, KeyedJaggedTensor]:
        """Input of each collection by its name, from the ids of a batch."""
        if self._id_maps:
            ids = map_ids(ids, self._id_maps)
        inputs = {}
        if self.ebc is not None:
            inputs["ebc"] = _unweighted(ids)
        if self.weighted_ebc is not None:
            inputs["weighted_ebc"] = _weighted(ids, self._means)
        return inputs

    def forward(self, inputs: Mapping[str, LookupInput]) -> list[KeyedTensor]:
        """Pooled vectors, one KeyedTensor per collection, `(B, sum of widths)` each."""
        return [self.get_submodule(name)(ids) for name, ids in inputs.items()]


def _collection(tables: Sequence[SharedTable], weighted: bool, device: torch.device | None) -> EmbeddingBagCollection:
    seed = torch.initial_seed()
    configs = [_config(shared, seed) for shared in tables]
    return EmbeddingBagCollection(configs, is_weighted=weighted, device=device)


def _config(shared: SharedTable, seed: int) -> EmbeddingBagConfig:
    table = shared.table
    is_mean = table.pooling == "mean" and not shared.weighted  # weighted means are sums: their weights are normalized
    return EmbeddingBagConfig(
        name=table.name,
        num_embeddings=table.rows,
        embedding_dim=table.dim,
        feature_names=list(shared.features),
        pooling=PoolingType.MEAN if is_mean else PoolingType.SUM,
        data_type=DataType(table.data_type),
        init_fn=TableInitializer(table, seed),
    )


def _unweighted(ids: KeyedJaggedTensor) -> KeyedJaggedTensor:
    return ids if ids.weights_or_none() is None else _with_weights(ids, None)


def _weighted(ids: KeyedJaggedTensor, means: frozenset[str]) -> KeyedJaggedTensor:
    """Add weights, which are normalized for the features in `means` so that their sums are means."""
    weights = ids.weights_or_none()
    if weights is None:
        weights = torch.ones_like(ids.values(), dtype=torch.float32)  # (N,)
    if means:
        totals = torch.ops.fbgemm.segment_sum_csr(1, ids.offsets(), weights).view(len(ids.keys()), -1)  # (F, B)
        divisors = torch.ones_like(totals)
        for index in (index for index, key in enumerate(ids.keys()) if key in means):
            divisors[index] = totals[index]
        divisors = divisors.where(divisors != 0, 1.0).reshape(-1)  # (F * B,)
        weights = weights / divisors.repeat_interleave(ids.lengths())
    return _with_weights(ids, weights)


def _with_weights(ids: KeyedJaggedTensor, weights: Tensor | None) -> KeyedJaggedTensor:
    return KeyedJaggedTensor(
        keys=ids.keys(),
        values=ids.values(),
        weights=weights,
        lengths=ids.lengths(),
        offsets=ids.offsets_or_none(),
        stride=ids.stride(),
        length_per_key=ids.length_per_key_or_none(),
    )
