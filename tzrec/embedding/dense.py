"""DenseEmbeddings: embed numbers as vectors, all features of one kind at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torchrec import KeyedTensor

from tzrec.embedding.regroup import GroupPlan, plan_groups, regroup
from tzrec.embedding.sequence_lookup import SequenceElements
from tzrec.features.base import BASE, DenseEmbedding
from tzrec.modules.autodis import AutoDis
from tzrec.modules.field_linear import FieldLinear
from tzrec.modules.piecewise_linear import PiecewiseLinear
from tzrec.tables.layout import Layout, LayoutEntry


class DenseEmbeddings(nn.Module):
    """Embeddings of dense features. Features of one data group with equal settings are the fields of one module; each
    sequence feature has a module of its own, because the numbers of elements differ.

    A feature has one embedding however many groups list it, and one more for each embedding_name_suffix.

    Args:
        layouts: one for each data group.

    Attributes:
        embeddings: modules of all data groups, in the order of the layouts.
        elements: modules of sequence features, in the order in which groups first need them.
    """

    def __init__(self, layouts: Iterable[Layout]) -> None:
        super().__init__()
        layouts = list(layouts)
        fields = [
            (layout.data_group, embeddings, entries)
            for layout in layouts
            for embeddings, entries in _embeddings_and_entries(layout)
        ]
        self._entries = [(data_group, entries) for data_group, _, entries in fields]
        self.embeddings = nn.ModuleList(_build(embeddings) for _, embeddings, _ in fields)
        by_key = {key: embedding for layout in layouts for key, embedding in _element_embeddings(layout).items()}
        self._element_keys = tuple(by_key)
        self.elements = nn.ModuleList(_build([embedding]) for embedding in by_key.values())
        self._plans: dict[tuple[str, tuple[str, ...]], GroupPlan] = {}

    def fields(self) -> list[tuple[str, DenseEmbedding, list[str]]]:
        """Data group, settings and features of each module of `embeddings`."""
        return [
            (data_group, entries[0].embedding, [entry.feature for entry in entries])
            for data_group, entries in self._entries
            if entries[0].embedding is not None
        ]

    def outputs(self, data_group: str = BASE) -> list[tuple[list[str], list[int]]]:
        """Keys of the columns of each module and their widths, as sources of `regroup`."""
        return [
            ([entry.key for entry in entries], [entry.dim for entry in entries])
            for group, entries in self._entries
            if group == data_group
        ]

    @torch.no_grad()
    def copy_from(self, source: DenseEmbeddings, data_groups: Collection[str]) -> None:
        """Copy the parameters of features that another module embeds as well, in one of these data groups."""
        fields = {
            entry.key: (module, index)
            for (group, entries), module in zip(source._entries, source.embeddings, strict=True)
            for index, entry in enumerate(entries)
            if group in data_groups
        }
        for (_, entries), module in zip(self._entries, self.embeddings, strict=True):
            for index, entry in enumerate(entries):
                source_module, source_index = fields[entry.key]
                tensors, sources = module.state_dict().values(), source_module.state_dict().values()
                for tensor, source_tensor in zip(tensors, sources, strict=True):
                    tensor[index] = source_tensor[source_index]
        elements = dict(zip(source._element_keys, source.elements, strict=True))
        for key, module in zip(self._element_keys, self.elements, strict=True):
            module.load_state_dict(elements[key].state_dict())

    def forward(self, numbers: KeyedTensor, data_group: str = BASE) -> list[KeyedTensor]:
        """Embed all dense features of a data group; in full precision, as tables do."""
        keys = tuple(numbers.keys())
        if (data_group, keys) not in self._plans:
            self._plans[data_group, keys] = self.plan(keys, numbers.length_per_key(), data_group)
        with torch.autocast(numbers.device().type, enabled=False):
            vectors = self.embed(numbers.values(), self._plans[data_group, keys])
        return [KeyedTensor(*output, value) for output, value in zip(self.outputs(data_group), vectors, strict=True)]

    def plan(self, keys: Sequence[str], widths: Sequence[int], data_group: str = BASE) -> GroupPlan:
        """Plan the selection of each module's input from the numbers of a batch."""
        inputs = {
            str(index): [entry.feature for entry in entries]
            for index, (group, entries) in enumerate(self._entries)
            if group == data_group
        }
        return plan_groups([(keys, widths)], inputs)

    def embed(self, numbers: Tensor, plan: GroupPlan) -> list[Tensor]:
        """Numbers of all dense features `(B, sum of widths)` -> `(B, sum of embedding widths)` per module."""
        return [self.embeddings[int(index)](x) for index, x in regroup([numbers], plan).items()]

    def embed_elements(self, elements: Mapping[str, SequenceElements]) -> dict[str, SequenceElements]:
        """Embed the numbers of sequence features, `(S, value_dim)` -> `(S, dim)`; other elements stay as they are.

        Args:
            elements: of one data group, by key.
        """
        modules = zip(self._element_keys, self.elements, strict=True)
        embedded = {
            key: replace(elements[key], values=module(elements[key].values))
            for key, module in modules
            if key in elements
        }
        return {**elements, **embedded}


def _element_embeddings(layout: Layout) -> dict[str, DenseEmbedding]:
    """Embeddings of the sequence features of a layout by key."""
    entries = (entry for group in layout.sequences.values() for entry in group.elements)
    return {entry.key: entry.embedding for entry in entries if entry.embedding is not None}


def _embeddings_and_entries(layout: Layout) -> Iterator[tuple[list[DenseEmbedding], list[LayoutEntry]]]:
    """Yield the embedded entries of a layout that share settings, in the order in which groups first need them."""
    by_settings: dict[object, list[tuple[DenseEmbedding, LayoutEntry]]] = defaultdict(list)
    entries = {entry.key: entry for row in layout.row_groups.values() for entry in row}
    for entry in entries.values():
        if entry.embedding is not None:
            by_settings[entry.embedding.shared_settings].append((entry.embedding, entry))
    for pairs in by_settings.values():
        yield [embedding for embedding, _ in pairs], [entry for _, entry in pairs]


def _build(embeddings: Sequence[DenseEmbedding]) -> nn.Module:
    """Build the module of the fields with these embeddings, which share settings."""
    first, fields = embeddings[0], len(embeddings)
    if first.kind == "autodis":
        return AutoDis(fields, first.dim, first.num_channels, first.temperature, first.keep_prob)
    if first.kind == "piecewise_linear":
        return PiecewiseLinear([embedding.edges for embedding in embeddings], first.dim)
    return FieldLinear(fields, first.value_dim, first.dim)
