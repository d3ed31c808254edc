"""SequenceLookup: the ids of all steps become vectors, one per step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchrec import EmbeddingCollection, EmbeddingConfig, JaggedTensor, KeyedJaggedTensor
from torchrec.types import DataType

from tzrec.data.batch import BASE, Batch
from tzrec.embedding.layout import Bag, Entry, Layout
from tzrec.embedding.table import Start


@dataclass(frozen=True)
class Steps:
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
    def of(cls, values: Tensor, lengths: Tensor) -> Steps:
        """All steps of all rows, row after row."""
        return cls(values, torch.ops.fbgemm.asynchronous_complete_cumsum(lengths)[:-1], lengths)


class SequenceLookup(nn.Module):
    """All tables of the sequence groups of one data group, a collection for each width."""

    def __init__(self, layout: Layout, device: torch.device | None) -> None:
        super().__init__()
        self._entries = entries_of(layout)
        self._means = means_of(layout)
        by_width: dict[int, list[Bag]] = defaultdict(list)
        for bag in layout.sequence_tables.values():
            by_width[bag.table.dim].append(bag)
        self.ec_dict = nn.ModuleDict({str(dim): _collection(bags, device) for dim, bags in sorted(by_width.items())})
        queries = {entry.feature for group in layout.sequences.values() for entry in group.query if entry.table}
        self._queries = frozenset(queries)

    def forward(self, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Steps]]:
        """Per key, what features of the row yield, `(B, D)`, and those of the steps."""
        ids = self._ids(batch)
        found: dict[str, JaggedTensor] = {}
        for each in [collection(ids) for collection in self.ec_dict.values()]:  # all of them first, then wait
            found |= dict(each.items())
        queries, steps = {}, {}
        for key, entry in self._entries.items():
            values, lengths, mean = found[key].values().float(), found[key].lengths(), key in self._means
            if entry.feature in self._queries:
                queries[key] = pool(values, lengths, mean)
            elif entry.feature in batch.step_sizes:
                sizes = batch.step_sizes[entry.feature]
                steps[key] = Steps.of(pool(values, sizes.values(), mean), sizes.lengths())
            else:
                steps[key] = Steps.of(values, lengths)
        return queries, steps

    def _ids(self, batch: Batch) -> KeyedJaggedTensor:
        """Queries and sequences side by side."""
        parts = []
        if self._queries:
            single = batch.sparse[BASE]
            places = [i for i, key in enumerate(single.keys()) if key in self._queries]
            picked = single.permute(places)
            parts.append(KeyedJaggedTensor(picked.keys(), picked.values(), lengths=picked.lengths()))
        if BASE in batch.sequences:
            parts.append(batch.sequences[BASE])
        return parts[0] if len(parts) == 1 else KeyedJaggedTensor.concat(parts)


def _collection(bags: Sequence[Bag], device: torch.device | None) -> EmbeddingCollection:
    seed = torch.initial_seed()
    return EmbeddingCollection([_config(bag, seed) for bag in bags], device=device)


def _config(bag: Bag, seed: int) -> EmbeddingConfig:
    return EmbeddingConfig(
        name=bag.table.name,
        num_embeddings=bag.table.rows,
        embedding_dim=bag.table.dim,
        feature_names=list(bag.features),
        data_type=DataType(bag.table.data_type),
        init_fn=Start(bag.table, seed),
    )


def entries_of(layout: Layout) -> dict[str, Entry]:
    """What sequence groups look up, by key."""
    groups = layout.sequences.values()
    return {entry.key: entry for group in groups for entry in (*group.query, *group.steps) if entry.table}


def means_of(layout: Layout) -> frozenset[str]:
    """Keys of sequence groups whose ids, where there are several, are averaged."""
    tables = layout.sequence_tables
    return frozenset(
        key for key, entry in entries_of(layout).items() if tables[entry.table or ""].table.pooling == "mean"
    )


def pool(values: Tensor, sizes: Tensor, mean: bool) -> Tensor:
    """Sums or means of consecutive vectors, zero where there are none: `(N, D)`, `(S,)` -> `(S, D)`."""
    count = sizes.shape[0]
    owners = torch.arange(count, device=sizes.device).repeat_interleave(sizes, output_size=values.shape[0])  # (N,)
    sums = values.new_zeros(count, values.shape[1]).index_add(0, owners, values)
    return sums / sizes.clamp(min=1).unsqueeze(1) if mean else sums
