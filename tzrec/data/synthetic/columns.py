"""Synthetic columns for the features of a config; each has the format that the first feature reading it expects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tzrec.config.sequences import FeatureMember, SequenceSpec, feature_members, inputs
from tzrec.data.synthetic.cells import UNKNOWN, Cells, CellSampler, FloatArray, Int64Array, means
from tzrec.data.synthetic.contents import can_be_empty, can_element_be_empty, cells_of
from tzrec.data.synthetic.sequences import SequenceLengths, alternating, as_lists, as_text, first_elements
from tzrec.data.text_schema import declared_types
from tzrec.features.inputs import is_encoded
from tzrec.protos import data_pb2
from tzrec.protos.pipeline_pb2 import EasyRecConfig


@dataclass(frozen=True)
class SyntheticSource:
    """A column that a feature reads.

    Attributes:
        name: of the column.
        message: of the feature.
        index: of the column among the inputs of the feature.
        sequence: format of the sequence; None if the column holds none.
    """

    name: str
    message: Any
    index: int = 0
    sequence: SequenceSpec | None = None


@dataclass(frozen=True)
class DrawnColumn:
    """The cells of a column, and the number of cells of each row `(B,)`; None for one cell per row."""

    cells: Cells
    lengths: Int64Array | None

    def keys(self, lengths: Int64Array | None) -> npt.NDArray[Any]:
        """A key of this column for each cell of another column with the given lengths."""
        first = self.cells.first()
        if self.lengths is lengths:
            return first
        if self.lengths is not None:
            first = np.append(first, UNKNOWN)[np.where(self.lengths > 0, self.lengths.cumsum() - self.lengths, -1)]
        return first if lengths is None else np.repeat(first, lengths)


class SyntheticColumns:
    """All columns of a config, with B random rows.

    Attributes:
        arrays: by name.
        signal: contribution of all columns to the labels `(B,)`.
    """

    def __init__(self, config: EasyRecConfig, rows: int, rng: np.random.Generator) -> None:
        self.arrays: dict[str, pa.Array] = {}
        self.signal: FloatArray = np.zeros(rows)
        self._data, self._rows, self._rng = config.data_config, rows, rng
        self._types = declared_types(config.data_config)
        self._lengths, self._should_be_list = SequenceLengths(rows, rng), alternating()
        self._drawn: dict[str, DrawnColumn] = {}
        for source in sources(config):
            if source.name not in self.arrays:
                self._add(source)

    @property
    def num_rows(self) -> int:
        """B."""
        return self._rows

    def lengths(self, name: str) -> Int64Array | None:
        """Number of elements of each row of a sequence column `(B,)`; None for a column with one cell per row."""
        return self._drawn[name].lengths

    def _add(self, source: SyntheticSource) -> None:
        lengths = None if source.sequence is None else self._lengths.of(source.sequence)
        num_cells = self._rows if lengths is None else int(lengths.sum())
        keys = {name: column.keys(lengths) for name, column in self._drawn.items()} if _has_map(source) else {}
        sampler = CellSampler(num_cells, self._rng, keys)
        cells = cells_of(source.message, source.index, self._data, sampler)
        if source.sequence is None or lengths is None:
            if can_be_empty(source.message, self._data):
                cells = cells.clear(sampler.empty_cells())
            array = self._as_declared(source.name, cells.to_arrow())
        else:
            cells, array = self._sequence(source, source.sequence, lengths, cells, sampler)
        self._drawn[source.name], self.arrays[source.name] = DrawnColumn(cells, lengths), array
        self.signal = self.signal + means(cells.signal, lengths)

    def _sequence(
        self, source: SyntheticSource, spec: SequenceSpec, lengths: Int64Array, cells: Cells, sampler: CellSampler
    ) -> tuple[Cells, pa.Array]:
        """Clear some cells, where an empty cell differs from a missing one, and format the column."""
        is_text = self._data.dataset_type == data_pb2.CsvDataset or cells.is_text or source.name in self._types
        is_list = not is_text and next(self._should_be_list)
        if can_element_be_empty(source.message, self._data, cells.counts is None, is_list):
            cells = cells.clear(sampler.empty_cells() & ~first_elements(lengths))
        return cells, as_lists(cells, lengths) if is_list else as_text(cells, lengths, spec.delimiter)

    def _as_declared(self, name: str, array: pa.Array) -> pa.Array:
        """Cast an array to the declared type of its column."""
        kind = self._types.get(name)
        return array if kind is None or pa.types.is_string(array.type) else array.cast(kind)


def sources(config: EasyRecConfig) -> Iterator[SyntheticSource]:
    """Yield the columns of all features; a column that several features read comes several times.

    Features with several inputs come last, since these accept any words; keys come before their maps.
    """
    members = [member for feature in config.feature_configs for member in feature_members(feature)]
    data = config.data_config
    for member in sorted(members, key=lambda member: len(list(inputs(member.message))) > 1):
        if not is_encoded(data):
            yield from reversed(list(_raw_inputs(member, is_linked=data.fg_mode == data_pb2.FG_DAG)))
        elif not member.message.stub_type:
            yield SyntheticSource(member.message.feature_name, member.message, sequence=member.sequence)


def _raw_inputs(member: FeatureMember, is_linked: bool) -> Iterator[SyntheticSource]:
    for index, (_, text) in enumerate(inputs(member.message)):
        side, _, name = text.partition(":")
        if not (is_linked and side in ("feature", "const")):
            is_sequence = member.sequence is not None and name in member.sequence.inputs
            yield SyntheticSource(name, member.message, index, member.sequence if is_sequence else None)


def _has_map(source: SyntheticSource) -> bool:
    return source.message.DESCRIPTOR.name in ("LookupFeature", "MatchFeature")
