"""EmbeddingGroup: the ids and dense values of a batch become one tensor per feature group."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torchrec import KeyedJaggedTensor, KeyedTensor

from tzrec.data.batch import Batch
from tzrec.embedding.assemble import assemble
from tzrec.embedding.bag_lookup import BagLookup
from tzrec.embedding.dense import DenseEmbeddings
from tzrec.embedding.element_ids import FirstIds
from tzrec.embedding.encoders.build import Encoders, build_encoders
from tzrec.embedding.regroup import GroupPlan, plan_groups, regroup
from tzrec.embedding.sequence_lookup import SequenceElements, SequenceLookup
from tzrec.features.base import BASE, Feature
from tzrec.protos.model_pb2 import FeatureGroupConfig
from tzrec.tables.id_exchange import EXCHANGED, IdExchange, LookupInput
from tzrec.tables.layout import Layout, build_layouts
from tzrec.tables.owner import TableOwner
from tzrec.tables.shared_table import SharedTable


class Dims(Mapping[str, int]):
    """Width of each DEEP or WIDE group, in config order; and the two widths of each sequence group.

    Attributes:
        sequences: per SEQUENCE or JAGGED_SEQUENCE group, the widths of its query (0 without one) and of its elements.
        queries: per SEQUENCE or JAGGED_SEQUENCE group, the names of the features of its query.
    """

    def __init__(
        self,
        widths: Mapping[str, Sequence[int]],
        sequences: Mapping[str, tuple[int, int]] | None = None,
        queries: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._widths = {group: list(row) for group, row in widths.items()}
        self.sequences = dict(sequences or {})
        self.queries = dict(queries or {})

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
        """Width of each feature of a group, in listed order, then of the output of each encoder."""
        return self._widths[group]


class Embeddings(nn.Module, ABC):
    """Embeddings of feature groups, in one EmbeddingGroup or in several.

    Attributes:
        layouts: tables and groups, by data group or by another name.
        dims: widths.
    """

    layouts: Mapping[str, Layout]
    dims: Dims

    @abstractmethod
    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Embed all groups; see `EmbeddingGroup.forward`."""

    @abstractmethod
    def columns(self) -> dict[str, list[tuple[str, int]]]:
        """Names and widths of the columns of every group: features, then encoders by their index."""

    @abstractmethod
    def lookup_inputs(self, batch: Batch) -> dict[str, KeyedJaggedTensor]:
        """Ids that each collection of tables looks up, by its path in this module."""

    @abstractmethod
    def looked_up(self, grouped: Mapping[str, Tensor]) -> Iterator[Tensor]:
        """Columns of the groups that come from tables, feature by feature, `(..., dim)` each.

        Sequences that only the encoders of a DEEP group read are not included.
        """

    def start_lookups(self, batch: Batch) -> tuple[Batch, list[IdExchange]]:
        """Compute the inputs of all lookups ahead of the forward pass; of sharded tables, start to exchange the ids.

        All ranks call this together.

        Returns:
            The batch for the forward pass, and the exchanges: to `send` and to `receive` before it.
        """
        lookups: dict[str, LookupInput] = {}
        for path, ids in self.lookup_inputs(batch).items():
            collection = self.get_submodule(path)
            lookups[path] = IdExchange(collection, ids) if isinstance(collection, EXCHANGED) else ids
        exchanges = [entry for entry in lookups.values() if isinstance(entry, IdExchange)]
        return replace(batch, lookups=lookups), exchanges


class EmbeddingGroup(Embeddings, TableOwner):
    """Look ids up, pool them and concatenate every group in listed order.

    Features of a data group other than the base have a number of rows of their own; so have the groups that list them,
    and lookups are made per data group.

    Attributes:
        layouts: tables and groups of each data group, that of the base first.
        dims: widths.
        emb_impls: per data group, its lookup; tables are the parameters
            `emb_impls.__BASE__.ebc.embedding_bags.<table>.weight`.
        dense_impls: embeddings of dense values; replicated, and drawn from torch's current generator.
        seq_emb_impls: the same for sequence groups, which have tables of their own:
            `seq_emb_impls.__BASE__.ec_dict.<width>.embeddings.<table>.weight`.
        encoders: per DEEP group, the encoders of its sequences.

    Args:
        features: all features of the config by name.
        groups: `model_config.feature_groups`.
        wide_dim: width of the tables of WIDE groups.
        wide_init_fn: initialization of the tables of WIDE groups; empty for that of the feature.
        device: of the tables; `meta` allocates none, for a module that is sharded next. Their values depend on torch's
            seed and the table's name alone.
        scope: prefix of the full names of the tables, where a model has several of these modules.

    Raises:
        ConfigError: see `build_layouts`.
    """

    def __init__(
        self,
        features: Mapping[str, Feature],
        groups: Sequence[FeatureGroupConfig],
        wide_dim: int | None = None,
        wide_init_fn: str = "",
        device: torch.device | None = None,
        scope: str = "",
    ) -> None:
        super().__init__()
        self.layouts = build_layouts(features, groups, wide_dim, wide_init_fn, scope)
        layouts = self.layouts.values()
        self.emb_impls = nn.ModuleDict(
            {layout.data_group: BagLookup(layout, device) for layout in layouts if layout.tables}
        )
        self.seq_emb_impls = nn.ModuleDict(
            {layout.data_group: SequenceLookup(layout, device) for layout in layouts if layout.sequence_tables}
        )
        self.dense_impls = DenseEmbeddings(layouts)
        encoders = build_encoders(groups, {k: group for layout in layouts for k, group in layout.sequences.items()})
        self.encoders = nn.ModuleDict(encoders)
        self.dims = _dims(list(layouts), [group.group_name for group in groups], encoders)
        self._plans: dict[tuple[str, tuple[tuple[str, ...], ...]], GroupPlan] = {}

    @property
    def layout(self) -> Layout:
        """Layout of the base data group."""
        return self.layouts[BASE]

    def columns(self) -> dict[str, list[tuple[str, int]]]:
        columns = {}
        for layout in self.layouts.values():
            parts = dict(layout.groups)
            for name, group in layout.sequences.items():
                parts |= {f"{name}.query": group.query, f"{name}.sequence": group.elements}
            for name, entries in parts.items():
                encoders = self.dims.features(name)[len(entries) :] if name in self.dims else []
                named = [(entry.feature, entry.dim) for entry in entries]
                columns[name] = [*named, *((f"encoder {index}", width) for index, width in enumerate(encoders))]
        return columns

    def tables_at(self, path: str) -> Mapping[str, SharedTable]:
        kind, data_group, *_ = path.split(".")
        layout = self.layouts[data_group]
        return layout.sequence_tables if kind == "seq_emb_impls" else layout.tables

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Per DEEP or WIDE group `(B, sum of the widths of its features and encoders)`.

        Per SEQUENCE group `g`: `g.query` `(B, width)` if it has features of the row, `g.sequence` `(B, L, width)`,
        zero after the end of a row, and `g.sequence_length` int `(B,)`. L is the longest sequence of the batch, at
        least 1. Per JAGGED_SEQUENCE group the same, with `g.sequence` `(T, width)` without padding, and for each
        element its row `g.rows` and its position in that row `g.positions`, int64 `(T,)` each. B is the number of rows
        of the group's data group.
        """
        if not batch.lookups:
            batch = replace(batch, lookups=self.lookup_inputs(batch))
        grouped: dict[str, Tensor] = {}
        for layout in self.layouts.values():
            if layout.groups or layout.sequences:
                grouped |= self._forward(layout, batch)
        return grouped

    def lookup_inputs(self, batch: Batch) -> dict[str, KeyedJaggedTensor]:
        inputs: dict[str, KeyedJaggedTensor] = {}
        for name, bags in self.emb_impls.items():
            assert isinstance(bags, BagLookup)
            inputs |= {f"emb_impls.{name}.{key}": ids for key, ids in bags.inputs(batch.sparse[name]).items()}
        for name, sequences in self.seq_emb_impls.items():
            assert isinstance(sequences, SequenceLookup)
            inputs |= {f"seq_emb_impls.{name}.{key}": ids for key, ids in sequences.inputs(batch).items()}
        return inputs

    def _forward(self, layout: Layout, batch: Batch) -> dict[str, Tensor]:
        queries: list[KeyedTensor] = []
        elements: dict[str, SequenceElements] = {}
        if layout.sequence_tables:
            inputs = below(batch.lookups, f"seq_emb_impls.{layout.data_group}.")
            queries, elements = self.seq_emb_impls[layout.data_group](inputs, batch)
        for group in layout.sequences.values():
            dense = [(entry.key, batch.element_values[entry.feature]) for entry in group.elements if not entry.table]
            elements |= {key: SequenceElements.of(jagged.values(), jagged.lengths()) for key, jagged in dense}
        if elements:
            device = next(iter(elements.values())).values.device.type
            with torch.autocast(device, enabled=False):
                elements = self.dense_impls.embed_elements(elements)
        row_values, first_ids = self._row_values(layout, batch, queries), FirstIds.from_batch(batch, layout)
        return assemble(layout, self.encoders, row_values, elements, first_ids)

    def _row_values(self, layout: Layout, batch: Batch, queries: list[KeyedTensor]) -> dict[str, Tensor]:
        """Values of `layout.row_groups`, `(B, sum of widths)` each."""
        data_group = layout.data_group
        sources: list[KeyedTensor] = []
        if layout.tables:
            sources += self.emb_impls[data_group](below(batch.lookups, f"emb_impls.{data_group}."))
        sources += queries
        if data_group in batch.dense:
            sources += [batch.dense[data_group], *self.dense_impls(batch.dense[data_group], data_group)]
        values = [source.values() for source in sources]  # waits for vectors of other ranks
        keys = data_group, tuple(tuple(source.keys()) for source in sources)
        if keys not in self._plans:  # the order of a sharded lookup is known after its first forward pass
            group_keys = {group: [entry.key for entry in row] for group, row in layout.row_groups.items() if row}
            self._plans[keys] = plan_groups([(s.keys(), s.length_per_key()) for s in sources], group_keys)
        return regroup(values, self._plans[keys])

    def looked_up(self, grouped: Mapping[str, Tensor]) -> Iterator[Tensor]:
        for layout in self.layouts.values():
            parts = dict(layout.groups)
            for name, group in layout.sequences.items():
                if not group.encoded:
                    parts |= {f"{name}.query": group.query, f"{name}.sequence": group.elements}
            for name, entries in parts.items():
                if entries:
                    widths = [entry.dim for entry in entries]
                    columns = grouped[name][..., : sum(widths)].split(widths, dim=-1)
                    yield from (column for column, entry in zip(columns, entries, strict=True) if entry.table)


def below(entries: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Entries whose path starts with a prefix, without it."""
    return {path.removeprefix(prefix): entry for path, entry in entries.items() if path.startswith(prefix)}


def _dims(layouts: Sequence[Layout], names: Sequence[str], encoders: Mapping[str, Encoders]) -> Dims:
    """Widths of all groups; `names` are those of the config, in order."""
    widths = {name: layout.widths(name) for layout in layouts for name in layout.groups}
    for name, row in encoders.items():
        widths[name] += row.out_dims
    sequences = {name: group for layout in layouts for name, group in layout.sequences.items() if not group.encoded}
    in_order = {name: sequences[name] for name in names if name in sequences}
    return Dims(
        {name: widths[name] for name in names if name in widths},
        {
            name: (sum(entry.dim for entry in group.query), sum(entry.dim for entry in group.elements))
            for name, group in in_order.items()
        },
        {name: [entry.feature for entry in group.query] for name, group in in_order.items()},
    )
