"""SequenceLookup: look up the ids of sequence features, one vector per element."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchrec import EmbeddingCollection, EmbeddingConfig, JaggedTensor, KeyedJaggedTensor, KeyedTensor
from torchrec.types import DataType

from tzrec.data.batch import Batch
from tzrec.tables.id_exchange import LookupInput
from tzrec.tables.id_map import map_ids
from tzrec.tables.initialization import TableInitializer
from tzrec.tables.layout import SEQUENCE_PREFIX, Layout, LayoutEntry
from tzrec.tables.shared_table import SharedTable, id_maps


@dataclass(frozen=True)
class SequenceElements:
    """One vector for each element of a feature: those of row b are `values[starts[b] : starts[b] + lengths[b]]`.

    Attributes:
        values: `(S, D)`.
        starts: int `(B,)`.
        lengths: int `(B,)`.
    """

    values: Tensor
    starts: Tensor
    lengths: Tensor

    @classmethod
    def of(cls, values: Tensor, lengths: Tensor) -> SequenceElements:
        """Elements of all rows, row after row."""
        return cls(values, torch.ops.fbgemm.asynchronous_complete_cumsum(lengths)[:-1], lengths)


class SequenceLookup(nn.Module):
    """Tables of the sequence groups of one data group, a collection for each width."""

    def __init__(self, layout: Layout, device: torch.device | None) -> None:
        super().__init__()
        groups = layout.sequences.values()
        self._data_group = layout.data_group
        self._elements = {entry.key: entry for group in groups for entry in group.elements if entry.table}
        self._queries = {entry.key: entry for group in groups for entry in group.query if entry.table}
        self._means = {key for key, entry in (self._elements | self._queries).items() if _is_mean(entry, layout)}
        self._query_features = {entry.feature for entry in self._queries.values()}
        self._id_maps = id_maps(layout.sequence_tables.values())
        by_width: dict[int, list[SharedTable]] = defaultdict(list)
        for shared in layout.sequence_tables.values():
            by_width[shared.table.dim].append(shared)
        self.ec_dict = nn.ModuleDict(
            {str(dim): _collection(tables, device) for dim, tables in sorted(by_width.items())}
        )

    def inputs(self, batch: Batch) -> dict[str, KeyedJaggedTensor]:
        """Input of each collection by its name."""
        ids = self._ids(batch)
        return {f"ec_dict.{dim}": ids for dim in self.ec_dict}

    def forward(
        self, inputs: Mapping[str, LookupInput], batch: Batch
    ) -> tuple[list[KeyedTensor], dict[str, SequenceElements]]:
        """Pooled vectors of the queries, `(B, D)` each, and the elements of sequence features by key."""
        vectors: dict[str, JaggedTensor] = {}
        # start all of them, then wait
        for output in [self.get_submodule(name)(ids) for name, ids in inputs.items()]:
            vectors |= {f"{SEQUENCE_PREFIX}{name}": jagged for name, jagged in output.items()}
        queries = [KeyedTensor([key], [entry.dim], self._pooled(key, vectors)) for key, entry in self._queries.items()]
        return queries, {key: self._pool_elements(key, vectors, batch) for key in self._elements}

    def _pooled(self, key: str, vectors: Mapping[str, JaggedTensor]) -> Tensor:
        return pool(vectors[key].values().float(), vectors[key].lengths(), key in self._means)

    def _pool_elements(self, key: str, vectors: Mapping[str, JaggedTensor], batch: Batch) -> SequenceElements:
        values, sizes = vectors[key].values().float(), batch.element_sizes.get(self._elements[key].feature)
        if sizes is None:
            return SequenceElements.of(values, vectors[key].lengths())
        return SequenceElements.of(pool(values, sizes.values(), key in self._means), sizes.lengths())

    def _ids(self, batch: Batch) -> KeyedJaggedTensor:
        """Ids of queries and sequences side by side."""
        parts = []
        if self._query_features:
            sparse = batch.sparse[self._data_group]
            selected = sparse.permute([i for i, key in enumerate(sparse.keys()) if key in self._query_features])
            parts.append(KeyedJaggedTensor(selected.keys(), selected.values(), lengths=selected.lengths()))
        if self._data_group in batch.sequences:
            parts.append(batch.sequences[self._data_group])
        ids = parts[0] if len(parts) == 1 else KeyedJaggedTensor.concat(parts)
        return map_ids(ids, self._id_maps) if self._id_maps else ids


def _is_mean(entry: LayoutEntry, layout: Layout) -> bool:
    return layout.all_tables[entry.table or ""].table.pooling == "mean"


def _collection(tables: Sequence[SharedTable], device: torch.device | None) -> EmbeddingCollection:
    seed = torch.initial_seed()
    return EmbeddingCollection([_config(shared, seed) for shared in tables], device=device)


def _config(shared: SharedTable, seed: int) -> EmbeddingConfig:
    return EmbeddingConfig(
        name=shared.table.name,
        num_embeddings=shared.table.rows,
        embedding_dim=shared.table.dim,
        feature_names=list(shared.features),
        data_type=DataType(shared.table.data_type),
        init_fn=TableInitializer(shared.table, seed),
    )


def pool(values: Tensor, sizes: Tensor, mean: bool) -> Tensor:
    """Sums or means of consecutive vectors, zero where there are none: `(N, D)`, `(S,)` -> `(S, D)`."""
    count = sizes.shape[0]
    owners = torch.arange(count, device=sizes.device).repeat_interleave(sizes, output_size=values.shape[0])  # (N,)
    sums = values.new_zeros(count, values.shape[1]).index_add(0, owners, values)
    return sums / sizes.clamp(min=1).unsqueeze(1) if mean else sums
