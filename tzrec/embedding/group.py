"""EmbeddingGroup: the ids and dense values of a batch become one tensor per feature group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torchrec import EmbeddingBagCollection, EmbeddingBagConfig, KeyedJaggedTensor, KeyedTensor, PoolingType
from torchrec.types import DataType

from tzrec.data.batch import BASE, Batch
from tzrec.embedding.assemble import assemble
from tzrec.embedding.dense import DenseEmbeddings
from tzrec.embedding.encoders.build import Encoders, build_encoders
from tzrec.embedding.regroup import GroupPlan, plan_groups, regroup
from tzrec.embedding.sequence import SequenceElements, SequenceLookup
from tzrec.features.base import Feature
from tzrec.protos.model_pb2 import FeatureGroupConfig
from tzrec.tables.initialization import TableInitializer
from tzrec.tables.layout import Layout, build_layout
from tzrec.tables.shared_table import SharedTable


class Dims(Mapping[str, int]):
    """Width of each group of features of rows, in config order; and the two widths of each sequence group.

    Attributes:
        sequences: per SEQUENCE or JAGGED_SEQUENCE group, the widths of its query (0 without one) and of its steps.
    """

    def __init__(
        self, widths: Mapping[str, Sequence[int]], sequences: Mapping[str, tuple[int, int]] | None = None
    ) -> None:
        self._widths = {group: list(row) for group, row in widths.items()}
        self.sequences = dict(sequences or {})

    def __getitem__(self, group: str) -> int:
        return sum(self._widths[group])

    def __iter__(self) -> Iterator[str]:
        return iter(self._widths)

    def __len__(self) -> int:
        return len(self._widths)

    def only(self) -> tuple[str, int]:
        """Name and width of the first group, for models that read one."""
        group = next(iter(self._widths))
        return group, self[group]

    def features(self, group: str) -> list[int]:
        """Width of each feature of a group, in listed order, then of what its encoders yield."""
        return self._widths[group]


class EmbeddingGroup(nn.Module):
    """Looks ids up, pools them and puts every group together in listed order.

    Attributes:
        layout: tables, and where each feature stands in each group.
        dims: widths.
        emb_impls: per data group, its lookup; tables are the parameters
            `emb_impls.__BASE__.ebc.embedding_bags.<table>.weight`.
        dense_impls: the embeddings of dense values; replicated, and drawn from torch's current generator.
        seq_emb_impls: the same of sequence groups, which have tables of their own:
            `seq_emb_impls.__BASE__.ec_dict.<width>.embeddings.<table>.weight`.
        encoders: per DEEP group, what makes vectors of its sequences.

    Args:
        features: all features of the config by name.
        groups: `model_config.feature_groups`.
        wide_dim: width of the tables of WIDE groups.
        wide_init_fn: first values of the tables of WIDE groups; empty: as the feature says.
        device: where the tables are made; `meta` makes none, for a module that is sharded next. Their values
            depend on torch's seed and the table's name alone.

    Raises:
        ConfigError: see `build_layout`.
    """

    def __init__(
        self,
        features: Mapping[str, Feature],
        groups: Sequence[FeatureGroupConfig],
        wide_dim: int | None = None,
        wide_init_fn: str = "",
        device: torch.device | None = None,
    ) -> None:
        super().__init__()
        self.layout = build_layout(features, groups, wide_dim, wide_init_fn)
        layout = self.layout
        self.emb_impls = nn.ModuleDict({BASE: Lookup(layout, device)} if layout.bags else {})
        self.seq_emb_impls = nn.ModuleDict({BASE: SequenceLookup(layout, device)} if layout.sequence_tables else {})
        self.dense_impls = DenseEmbeddings(layout)
        encoders = build_encoders(groups, layout)
        self.encoders = nn.ModuleDict(encoders)
        self.dims = _dims(layout, encoders)
        self._keys = {group: [entry.key for entry in row] for group, row in layout.by_row.items() if row}
        self._plans: dict[tuple[tuple[str, ...], ...], GroupPlan] = {}

    def tables_at(self, path: str) -> Mapping[str, SharedTable]:
        """The tables by name among which those of a collection are, from its path in here."""
        return self.layout.sequence_tables if path.startswith("seq_emb_impls.") else self.layout.bags

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Per DEEP or WIDE group `(B, sum of the widths of its features and encoders)`.

        Per SEQUENCE group `g`: `g.query` `(B, width)` if it has features of the row, `g.sequence` `(B, L, width)`,
        zero behind the end of a row, and `g.sequence_length` int `(B,)`. L is the longest sequence of the batch, at
        least 1. Per JAGGED_SEQUENCE group the same, with `g.sequence` `(T, width)` without padding.
        """
        queries, steps = self.seq_emb_impls[BASE](batch) if self.seq_emb_impls else ([], {})
        for group in self.layout.sequences.values():
            dense = [(entry.key, batch.element_values[entry.feature]) for entry in group.steps if not entry.table]
            steps |= {key: SequenceElements.of(each.values(), each.lengths()) for key, each in dense}
        return assemble(self.layout, self.encoders, self._by_row(batch, queries), steps)

    def _by_row(self, batch: Batch, queries: list[KeyedTensor]) -> dict[str, Tensor]:
        """What `layout.by_row` lists, side by side."""
        sources: list[KeyedTensor] = []
        if self.layout.bags:
            sources += self.emb_impls[BASE](batch.sparse[BASE])
        sources += queries
        if BASE in batch.dense:
            sources += [batch.dense[BASE], *self.dense_impls(batch.dense[BASE])]
        values = [source.values() for source in sources]  # waits for what other ranks send
        keys = tuple(tuple(source.keys()) for source in sources)
        if keys not in self._plans:  # the order of a sharded lookup is known once it has run
            self._plans[keys] = plan_groups([(s.keys(), s.length_per_key()) for s in sources], self._keys)
        return regroup(values, self._plans[keys])

    def looked_up(self, grouped: Mapping[str, Tensor]) -> Iterator[Tensor]:
        """The columns of the groups that come from tables, feature by feature, `(..., dim)` each.

        Steps that only the encoders of a DEEP group read are not among them.
        """
        parts = dict(self.layout.groups)
        for name, group in self.layout.sequences.items():
            parts |= {f"{name}.query": group.query, f"{name}.sequence": group.steps} if not group.encoded else {}
        for name, entries in parts.items():
            if entries:
                widths = [entry.dim for entry in entries]
                columns = grouped[name][..., : sum(widths)].split(widths, dim=-1)
                yield from (each for each, entry in zip(columns, entries, strict=True) if entry.table)


def _dims(layout: Layout, encoders: Mapping[str, Encoders]) -> Dims:
    widths = {group: layout.widths(group) for group in layout.groups}
    for group, row in encoders.items():
        widths[group] += row.out_dims
    sequences = {
        name: (sum(entry.dim for entry in group.query), sum(entry.dim for entry in group.steps))
        for name, group in layout.sequences.items()
        if not group.encoded
    }
    return Dims(widths, sequences)


class Lookup(nn.Module):
    """All tables of one data group.

    Tables that a weighted feature is looked up in are a collection of their own: the kernels for weighted ids cost
    half as much again, so the others should not pay for them.
    """

    def __init__(self, layout: Layout, device: torch.device | None) -> None:
        super().__init__()
        plain = [bag for bag in layout.bags.values() if not bag.weighted]
        weighted = [bag for bag in layout.bags.values() if bag.weighted]
        self.ebc = _collection(plain, False, device) if plain else None
        self.weighted_ebc = _collection(weighted, True, device) if weighted else None
        self._means = frozenset(name for bag in weighted if bag.table.pooling == "mean" for name in bag.features)

    def forward(self, ids: KeyedJaggedTensor) -> list[KeyedTensor]:
        """Pooled vectors, one KeyedTensor per collection, `(B, sum of widths)` each."""
        outputs = []
        if self.ebc is not None:
            outputs.append(self.ebc(_unweighted(ids)))
        if self.weighted_ebc is not None:
            outputs.append(self.weighted_ebc(_weighted(ids, self._means)))
        return outputs


def _collection(bags: Sequence[SharedTable], weighted: bool, device: torch.device | None) -> EmbeddingBagCollection:
    seed = torch.initial_seed()
    return EmbeddingBagCollection([_bag_config(bag, seed) for bag in bags], is_weighted=weighted, device=device)


def _bag_config(bag: SharedTable, seed: int) -> EmbeddingBagConfig:
    table = bag.table
    mean = table.pooling == "mean" and not bag.weighted  # weighted means are sums: their weights are normalised
    return EmbeddingBagConfig(
        name=table.name,
        num_embeddings=table.rows,
        embedding_dim=table.dim,
        feature_names=list(bag.features),
        pooling=PoolingType.MEAN if mean else PoolingType.SUM,
        data_type=DataType(table.data_type),
        init_fn=TableInitializer(table, seed),
    )


def _unweighted(ids: KeyedJaggedTensor) -> KeyedJaggedTensor:
    if ids.weights_or_none() is None:
        return ids
    return _with_weights(ids, None)


def _weighted(ids: KeyedJaggedTensor, means: frozenset[str]) -> KeyedJaggedTensor:
    """Ids with weights that pool by plain summation: those of a mean sum to one in each bag."""
    weights = ids.weights_or_none()
    if weights is None:
        weights = torch.ones_like(ids.values(), dtype=torch.float32)  # (N,)
    if means:
        bags = torch.ops.fbgemm.segment_sum_csr(1, ids.offsets(), weights).view(len(ids.keys()), -1)  # (F, B)
        sums = torch.where(_rows_of(ids, means), bags, 1.0).reshape(-1)  # (F * B,)
        weights = weights / sums.where(sums != 0, 1.0).repeat_interleave(ids.lengths())
    return _with_weights(ids, weights)


def _rows_of(ids: KeyedJaggedTensor, names: frozenset[str]) -> Tensor:
    """Which keys are among the names, `(F, 1)`."""
    keys = ids.keys()
    return torch.tensor([[key in names] for key in keys], device=ids.device())


def _with_weights(ids: KeyedJaggedTensor, weights: Tensor | None) -> KeyedJaggedTensor:
    return KeyedJaggedTensor(
        keys=ids.keys(),
        values=ids.values(),
        weights=weights,
        lengths=ids.lengths(),
        offsets=ids.offsets_or_none(),
        stride=ids.stride(),
    )
