"""SequenceLookup: the ids of all steps become vectors, one per step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchrec import EmbeddingCollection, EmbeddingConfig, JaggedTensor, KeyedJaggedTensor, KeyedTensor
from torchrec.types import DataType

from tzrec.data.batch import BASE, Batch
from tzrec.tables.initialization import TableInitializer
from tzrec.tables.layout import SEQUENCE_PREFIX, Layout
from tzrec.tables.shared_table import SharedTable


@dataclass(frozen=True)
class SequenceElements:
    """A vector for each step of one feature: those of row b are `values[starts[b] : starts[b] + lengths[b]]`.

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
        """All steps of all rows, row after row."""
        return cls(values, torch.ops.fbgemm.asynchronous_complete_cumsum(lengths)[:-1], lengths)


class SequenceLookup(nn.Module):
    """All tables of the sequence groups of one data group, a collection for each width."""

    def __init__(self, layout: Layout, device: torch.device | None) -> None:
        super().__init__()
        groups, tables = layout.sequences.values(), layout.tables
        self._steps = {entry.key: entry for group in groups for entry in group.steps if entry.table}
        self._queries = {entry.key: entry for group in groups for entry in group.query if entry.table}
        looked_up = (self._steps | self._queries).items()
        self._means = {key for key, entry in looked_up if tables[entry.table or ""].table.pooling == "mean"}
        self._names = {entry.feature for entry in self._queries.values()}
        by_width: dict[int, list[SharedTable]] = defaultdict(list)
        for bag in layout.sequence_tables.values():
            by_width[bag.table.dim].append(bag)
        self.ec_dict = nn.ModuleDict({str(dim): _collection(bags, device) for dim, bags in sorted(by_width.items())})

    def forward(self, batch: Batch) -> tuple[list[KeyedTensor], dict[str, SequenceElements]]:
        """What features of the row yield, `(B, D)` each, and per key the vectors of those of the steps."""
        ids = self._ids(batch)
        found: dict[str, JaggedTensor] = {}
        for each in [collection(ids) for collection in self.ec_dict.values()]:  # all of them first, then wait
            found |= {f"{SEQUENCE_PREFIX}{name}": jagged for name, jagged in each.items()}
        queries = [KeyedTensor([key], [entry.dim], self._pooled(key, found)) for key, entry in self._queries.items()]
        return queries, {key: self._stepped(key, found, batch) for key in self._steps}

    def _pooled(self, key: str, found: Mapping[str, JaggedTensor]) -> Tensor:
        return pool(found[key].values().float(), found[key].lengths(), key in self._means)

    def _stepped(self, key: str, found: Mapping[str, JaggedTensor], batch: Batch) -> SequenceElements:
        values, sizes = found[key].values().float(), batch.element_sizes.get(self._steps[key].feature)
        if sizes is None:
            return SequenceElements.of(values, found[key].lengths())
        return SequenceElements.of(pool(values, sizes.values(), key in self._means), sizes.lengths())

    def _ids(self, batch: Batch) -> KeyedJaggedTensor:
        """Queries and sequences side by side."""
        parts = []
        if self._names:
            single = batch.sparse[BASE]
            places = [i for i, key in enumerate(single.keys()) if key in self._names]
            picked = single.permute(places)
            parts.append(KeyedJaggedTensor(picked.keys(), picked.values(), lengths=picked.lengths()))
        if BASE in batch.sequences:
            parts.append(batch.sequences[BASE])
        return parts[0] if len(parts) == 1 else KeyedJaggedTensor.concat(parts)


def _collection(bags: Sequence[SharedTable], device: torch.device | None) -> EmbeddingCollection:
    seed = torch.initial_seed()
    return EmbeddingCollection([_config(bag, seed) for bag in bags], device=device)


def _config(bag: SharedTable, seed: int) -> EmbeddingConfig:
    return EmbeddingConfig(
        name=bag.table.name,
        num_embeddings=bag.table.rows,
        embedding_dim=bag.table.dim,
        feature_names=list(bag.features),
        data_type=DataType(bag.table.data_type),
        init_fn=TableInitializer(bag.table, seed),
    )


def pool(values: Tensor, sizes: Tensor, mean: bool) -> Tensor:
    """Sums or means of consecutive vectors, zero where there are none: `(N, D)`, `(S,)` -> `(S, D)`."""
    count = sizes.shape[0]
    owners = torch.arange(count, device=sizes.device).repeat_interleave(sizes, output_size=values.shape[0])  # (N,)
    sums = values.new_zeros(count, values.shape[1]).index_add(0, owners, values)
    return sums / sizes.clamp(min=1).unsqueeze(1) if mean else sums
