"""Servable: a trained model as a function of plain tensors, which torch.export can follow."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import accumulate

import torch
from torch import Tensor, nn
from torchrec import EmbeddingBagCollection, EmbeddingCollection

from tzrec.embedding.assemble import PaddedIndex, assemble
from tzrec.embedding.regroup import plan_groups, regroup
from tzrec.embedding.sequence import SequenceElements
from tzrec.models.base import RecModel
from tzrec.serving.signature import Signature, kind_of
from tzrec.tables.layout import SEQUENCE_PREFIX, Layout, LayoutEntry

_HOST = 3
"""fbgemm's PlacementType.HOST."""
_SUM, _MEAN = 0, 1
"""fbgemm's PoolingMode."""
_SPARSE_TYPE = {"FP32": 0, "FP16": 1}
"""fbgemm's SparseType, by Table.data_type."""
_FP32 = 0
_BYTES = {"FP32": 4, "FP16": 2}
_DTYPE = {"FP32": torch.float32, "FP16": torch.float16}

AUTOCAST = {"": None, "FP32": None, "BF16": torch.bfloat16, "FP16": torch.float16}
"""export_config.mixed_precision."""


def tables_of(ranker: RecModel) -> dict[str, Tensor]:
    """The tables of an unsharded model, `(rows, dim)` each in the type it is stored in, wider types first."""
    weights: dict[str, Tensor] = {}
    for module in ranker.embedding_group.modules():
        if isinstance(module, EmbeddingBagCollection):
            weights |= {name: bag.get_parameter("weight").detach() for name, bag in module.embedding_bags.items()}
        elif isinstance(module, EmbeddingCollection):
            found = module.embeddings.items()
            weights |= {f"{SEQUENCE_PREFIX}{name}": table.get_parameter("weight").detach() for name, table in found}
    types = {name: bag.table.data_type for name, bag in ranker.embedding_group.layout.tables.items()}
    order = sorted(weights, key=lambda name: -_BYTES[types[name]])
    return {name: weights[name].to(_DTYPE[types[name]]) for name in order}


def flatten(tables: Mapping[str, Tensor]) -> Tensor:
    """Tables side by side as bytes, `(total,)` uint8."""
    return torch.cat([table.reshape(-1).view(torch.uint8) for table in tables.values()] or [_no_bytes()])


def offsets_of(tables: Mapping[str, Tensor]) -> dict[str, int]:
    """Where each table starts in `flatten(tables)`, in bytes."""
    ends = accumulate(table.nbytes for table in tables.values())
    return {name: end - table.nbytes for (name, table), end in zip(tables.items(), ends, strict=True)}


class Bags(nn.Module):
    """Looks up and pools consecutive features of one kind with a single call, whatever their tables and widths.

    The kernel is fbgemm's inference lookup. It reads FP32 and FP16 rows, adds in FP32, and takes half the time of
    `embedding_bag` over the same tables: 0.011 against 0.017 ms for 1 row of 15 features, 0.021 against 0.039 for 200,
    0.84 against 1.84 for 8192, on one core.
    """

    def __init__(self, first: int, entries: list[LayoutEntry], layout: Layout, offsets: Mapping[str, int]) -> None:
        super().__init__()
        names = [entry.table or "" for entry in entries]
        tables = [layout.tables[name].table for name in names]
        self.weighted, self.mean = kind_of(layout, names[0])
        self.first, self.count = first, len(entries)
        self.dims = [table.dim for table in tables]
        self.widest = {
            kind: max((table.dim for table in tables if table.data_type == kind), default=0) for kind in _SPARSE_TYPE
        }
        self.register_buffer("offsets", torch.tensor([offsets[name] for name in names]))
        types = [_SPARSE_TYPE[table.data_type] for table in tables]
        self.register_buffer("types", torch.tensor(types, dtype=torch.uint8))
        self.register_buffer("edges", torch.tensor([0, *accumulate(self.dims)], dtype=torch.int32))
        self.register_buffer("places", torch.full((self.count,), _HOST, dtype=torch.int32))
        self.register_buffer("widths", torch.tensor(self.dims))

    def forward(self, tables: Tensor, values: Tensor, bounds: Tensor, rows: int, weights: Tensor | None) -> Tensor:
        """bytes of all tables, ids `(N,)`, bounds of all bags `(F * B + 1,)`, weights `(N,)` -> `(B, sum of dims)`"""
        bounds = bounds[self.first * rows : (self.first + self.count) * rows + 1]
        pooled: Tensor = torch.ops.fbgemm.int_nbit_split_embedding_codegen_lookup_function(
            dev_weights=tables,
            uvm_weights=_no_bytes(),
            weights_placements=self.places,
            weights_offsets=self.offsets,
            weights_tys=self.types,
            D_offsets=self.edges,
            total_D=sum(self.dims),
            max_int2_D=0,
            max_int4_D=0,
            max_int8_D=0,
            max_float16_D=self.widest["FP16"],
            max_float32_D=self.widest["FP32"],
            indices=values,
            offsets=bounds,
            pooling_mode=_MEAN if self.mean and not self.weighted else _SUM,
            indice_weights=weights if self.weighted else None,
            output_dtype=_FP32,
            row_alignment=1,
        )
        if self.weighted and self.mean:
            assert weights is not None
            sums = torch.ops.fbgemm.segment_sum_csr(1, bounds, weights).view(self.count, rows)
            sums = sums.where(sums != 0, 1.0).t()  # (B, count)
            pooled = pooled / sums.repeat_interleave(self.widths, dim=1, output_size=sum(self.dims))
        return pooled


class Servable(nn.Module):
    """A model without torchrec: plain tensors in, a tuple of outputs in alphabetical order out.

    Args:
        ranker: an unsharded model; its dense part is shared, not copied.
        tables: bytes of all tables.
        offsets: where each of them starts.
        precision: `export_config.mixed_precision`; "" computes in FP32.
    """

    def __init__(self, ranker: RecModel, tables: Tensor, offsets: Mapping[str, int], precision: str = "") -> None:
        super().__init__()
        layout = ranker.embedding_group.layout
        self.signature, self._layout = Signature.of(layout), layout
        self.register_buffer("tables", tables)
        runs = _runs(layout, self.signature)
        self.bags = nn.ModuleList(Bags(first, entries, layout, offsets) for first, entries in runs)
        self.ranker = RecModel(_Nothing(), ranker.model, ranker.tasks, ranker.feature_dropout)  # type: ignore[arg-type]
        self.autocast = AUTOCAST[precision]
        self.steps = StepLookups(layout, offsets)
        self.dense, self.encoders = ranker.embedding_group.dense_impls, ranker.embedding_group.encoders
        numbers = (list(self.signature.dense), list(self.signature.dense.values()))
        self._numbers = self.dense.plan(*numbers)
        sources = [([e.key for e in entries], [e.dim for e in entries]) for _, entries in runs]
        sources += [*([numbers] if self.signature.dense else []), *self.dense.outputs]
        self._plan = plan_groups(sources, {group: [e.key for e in row] for group, row in layout.by_row.items() if row})
        self.eval()

    @classmethod
    def of(cls, ranker: RecModel, precision: str = "") -> Servable:
        """With a copy of the tables of a model in memory."""
        tables = tables_of(ranker)
        return cls(ranker, flatten(tables), offsets_of(tables), precision)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The inputs of `signature` -> per output `(B,)` or `(B, C)`."""
        predictions = self.predict(inputs)
        return tuple(predictions[name] for name in sorted(predictions))

    def predict(self, inputs: tuple[Tensor, ...]) -> dict[str, Tensor]:
        given = dict(zip(self.signature.names, inputs, strict=True))
        sources = self._pooled(given)
        if "dense" in given:
            sources += [given["dense"], *self.dense.embed(given["dense"], self._numbers)]
        steps = self.steps(self.tables, given)
        with torch.autocast("cpu", self.autocast, enabled=self.autocast is not None):
            by_row, places = regroup(sources, self._plan), partial(places_in, given)
            return self.ranker.predict_grouped(assemble(self._layout, self.encoders, by_row, steps, places))

    def _pooled(self, given: Mapping[str, Tensor]) -> list[Tensor]:
        if not self.bags:
            return []
        lengths = given["lengths"]  # (F, B)
        bounds = torch.ops.fbgemm.asynchronous_complete_cumsum(lengths.reshape(-1))  # (F * B + 1,)
        rows, weights = lengths.shape[1], given.get("weights")
        return [bags(self.tables, given["values"], bounds, rows, weights) for bags in self.bags]


class StepLookups(nn.Module):
    """The vectors of the steps of all sequences: each step is a bag of its ids."""

    def __init__(self, layout: Layout, offsets: Mapping[str, int]) -> None:
        super().__init__()
        self._entries = list({entry.key: entry for g in layout.sequences.values() for entry in g.steps}.values())
        looked_up = [entry for entry in self._entries if entry.table]
        self.bags = nn.ModuleList(Bags(0, [entry], layout, offsets) for entry in looked_up)

    def forward(self, tables: Tensor, given: Mapping[str, Tensor]) -> dict[str, SequenceElements]:
        """Bytes of all tables, inputs by name -> steps by key."""
        found, bags = {}, iter(self.bags)
        for entry in self._entries:
            values = given[f"{entry.feature}.values"]
            if entry.table:
                sizes = given[f"{entry.feature}.key_lengths"]  # (S,)
                bounds = torch.ops.fbgemm.asynchronous_complete_cumsum(sizes)
                values = next(bags)(tables, values, bounds, sizes.shape[0], None)  # (S, D)
            found[entry.key] = SequenceElements.of(values, given[f"{entry.feature}.lengths"])
        return found


def places_in(given: Mapping[str, Tensor], group: str, lengths: Tensor) -> PaddedIndex:
    """The places of a group's steps, as the inputs say."""
    positions = given[f"{group}.positions"]
    if f"{group}.rows" in given:
        return PaddedIndex(given[f"{group}.rows"], positions, lengths)
    return PaddedIndex(torch.arange(lengths.shape[0]).unsqueeze(1), positions.unsqueeze(0), lengths)


class _Nothing(nn.Module):
    """In place of the embeddings, which a servable looks up itself."""


def _runs(layout: Layout, signature: Signature) -> list[tuple[int, list[LayoutEntry]]]:
    """Cut the lookups into runs of one kind whose features follow each other in the inputs: (first feature, run)."""
    place = {name: index for index, name in enumerate(signature.sparse)}
    lookups = {entry.key: entry for row in layout.by_row.values() for entry in row if entry.table}
    runs: list[tuple[int, list[LayoutEntry]]] = []
    last: tuple[tuple[bool, bool], int] | None = None
    for entry in sorted(lookups.values(), key=lambda entry: kind_of(layout, entry.table or "")):
        kind, here = kind_of(layout, entry.table or ""), place[entry.feature]
        if last == (kind, here - 1):
            runs[-1][1].append(entry)
        else:
            runs.append((here, [entry]))
        last = (kind, here)
    return runs


def _no_bytes() -> Tensor:
    return torch.empty(0, dtype=torch.uint8)
