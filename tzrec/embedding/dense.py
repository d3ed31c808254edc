"""DenseEmbeddings: numbers become vectors, all features of one kind at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchrec import KeyedTensor

from tzrec.embedding.regroup import GroupPlan, plan_groups, regroup
from tzrec.features.base import DenseEmbedding
from tzrec.modules.autodis import AutoDis
from tzrec.modules.field_linear import FieldLinear
from tzrec.tables.layout import Layout, LayoutEntry


class DenseEmbeddings(nn.Module):
    """The dense embeddings of a layout. Features that are embedded alike are the fields of one module.

    A feature has one embedding however many groups list it, and one more for each embedding_name_suffix.

    Attributes:
        outputs: per module, the keys of its columns and their widths, as a source of `regroup`.
    """

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        alike = _alike(layout)
        self._inputs = {str(index): [entry.feature for entry in row] for index, row in enumerate(alike.values())}
        self.outputs = [([entry.key for entry in row], [entry.dim for entry in row]) for row in alike.values()]
        self.embeddings = nn.ModuleList(_module(how, len(row)) for how, row in alike.items())
        self._plans: dict[tuple[str, ...], GroupPlan] = {}

    def forward(self, numbers: KeyedTensor) -> list[KeyedTensor]:
        """The vectors of all dense features of a batch; in full precision, as those of tables are."""
        keys = tuple(numbers.keys())
        if keys not in self._plans:
            self._plans[keys] = self.plan(keys, numbers.length_per_key())
        with torch.autocast(numbers.device().type, enabled=False):
            made = self.embed(numbers.values(), self._plans[keys])
        return [KeyedTensor(*output, vectors) for output, vectors in zip(self.outputs, made, strict=True)]

    def plan(self, keys: Sequence[str], widths: Sequence[int]) -> GroupPlan:
        """Where the numbers of each module stand among those of a batch."""
        return plan_groups([(keys, widths)], self._inputs)

    def embed(self, numbers: Tensor, where: GroupPlan) -> list[Tensor]:
        """Numbers of all dense features `(B, sum of widths)` -> `(B, sum of embedding widths)` per module."""
        inputs = regroup([numbers], where)
        return [module(x) for module, x in zip(self.embeddings, inputs.values(), strict=True)]


def _alike(layout: Layout) -> dict[DenseEmbedding, list[LayoutEntry]]:
    """The embeddings of a layout by how they are made, in the order in which groups first need them."""
    alike: dict[DenseEmbedding, list[LayoutEntry]] = defaultdict(list)
    entries = {entry.key: entry for row in layout.by_row.values() for entry in row}
    for entry in entries.values():
        if entry.embedding is not None:
            alike[entry.embedding].append(entry)
    return alike


def _module(how: DenseEmbedding, fields: int) -> nn.Module:
    if how.kind == "autodis":
        return AutoDis(fields, how.dim, how.num_channels, how.temperature, how.keep_prob)
    return FieldLinear(fields, how.value_dim, how.dim)
