"""The columns that the features of a config read, each as the first feature that reads it wants it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tzrec.config.sequences import FeatureMember, SequenceSpec, feature_members, inputs
from tzrec.data.synthetic.cells import UNKNOWN, Cells, Draw, FloatArray, Int64Array, means
from tzrec.data.synthetic.contents import cells_of, may_be_empty, may_step_be_empty
from tzrec.data.synthetic.sequences import StepCounts, alternating, as_lists, as_text, first_steps
from tzrec.data.text_schema import declared_types
from tzrec.features.inputs import is_encoded
from tzrec.protos import data_pb2
from tzrec.protos.pipeline_pb2 import EasyRecConfig


@dataclass(frozen=True)
class SyntheticSource:
    """A column: the input at this place of a feature; `steps` says how it is a sequence, None that it is none."""

    name: str
    message: Any
    place: int = 0
    steps: SequenceSpec | None = None


@dataclass(frozen=True)
class Drawn:
    """The cells of a column, and how many of them belong to each row; None: one."""

    cells: Cells
    steps: Int64Array | None

    def keys(self, steps: Int64Array | None) -> npt.NDArray[Any]:
        """A key from this column for each cell of another one, which has so many per row."""
        first = self.cells.first()
        if self.steps is steps:
            return first
        if self.steps is not None:
            first = np.append(first, UNKNOWN)[np.where(self.steps > 0, self.steps.cumsum() - self.steps, -1)]
        return first if steps is None else np.repeat(first, steps)


class SyntheticColumns:
    """Draws all columns of a config, of B rows.

    Attributes:
        arrays: by name.
        signal: what all of them together contribute to the labels `(B,)`.
    """

    def __init__(self, config: EasyRecConfig, rows: int, rng: np.random.Generator) -> None:
        self.arrays: dict[str, pa.Array] = {}
        self.signal: FloatArray = np.zeros(rows)
        self._data, self._rows, self._rng = config.data_config, rows, rng
        self._types = declared_types(config.data_config)
        self._counts, self._as_list = StepCounts(rows, rng), alternating()
        self._drawn: dict[str, Drawn] = {}
        for source in sources(config):
            if source.name not in self.arrays:
                self._add(source)

    def _add(self, source: SyntheticSource) -> None:
        steps = None if source.steps is None else self._counts.of(source.steps)
        rows = self._rows if steps is None else int(steps.sum())
        keys = {name: each.keys(steps) for name, each in self._drawn.items()} if _has_map(source) else {}
        draw = Draw(rows, self._rng, keys)
        cells = cells_of(source.message, source.place, self._data, draw)
        if source.steps is None or steps is None:
            if may_be_empty(source.message, self._data):
                cells = cells.without(draw.gaps())
            array = self._as_declared(source.name, cells.written())
        else:
            cells, array = self._sequence(source, source.steps, steps, cells, draw)
        self._drawn[source.name], self.arrays[source.name] = Drawn(cells, steps), array
        self.signal = self.signal + means(cells.signal, steps)

    def _sequence(
        self, source: SyntheticSource, how: SequenceSpec, steps: Int64Array, cells: Cells, draw: Draw
    ) -> tuple[Cells, pa.Array]:
        """Cells with gaps, where these can be told from no cell, and the column."""
        is_text = self._data.dataset_type == data_pb2.CsvDataset or cells.only_text or source.name in self._types
        as_list = not is_text and next(self._as_list)
        if may_step_be_empty(source.message, self._data, cells.counts is None, as_list):
            cells = cells.without(draw.gaps() & ~first_steps(steps))
        return cells, as_lists(cells, steps) if as_list else as_text(cells, steps, how.delimiter)

    def _as_declared(self, name: str, array: pa.Array) -> pa.Array:
        """Whole numbers in a column declared FLOAT are floats, and those declared STRING are text."""
        kind = self._types.get(name)
        return array if kind is None or pa.types.is_string(array.type) else array.cast(kind)


def sources(config: EasyRecConfig) -> Iterator[SyntheticSource]:
    """All columns of all features, some named more than once.

    Features of several inputs come last, for theirs can be made to fit; and keys come before their maps.
    """
    found = [member for each in config.feature_configs for member in feature_members(each)]
    data = config.data_config
    for member in sorted(found, key=lambda member: len(list(inputs(member.message))) > 1):
        if not is_encoded(data):
            yield from reversed(list(_raw(member, linked=data.fg_mode == data_pb2.FG_DAG)))
        elif not member.message.stub_type:
            yield SyntheticSource(member.message.feature_name, member.message, steps=member.steps)


def _raw(member: FeatureMember, linked: bool) -> Iterator[SyntheticSource]:
    for place, (_, text) in enumerate(inputs(member.message)):
        side, _, name = text.partition(":")
        if not (linked and side in ("feature", "const")):
            is_sequence = member.steps is not None and name in member.steps.inputs
            yield SyntheticSource(name, member.message, place, member.steps if is_sequence else None)


def _has_map(source: SyntheticSource) -> bool:
    return source.message.DESCRIPTOR.name in ("LookupFeature", "MatchFeature")
