"""Sequence features: any feature, computed for every element of a sequence."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa

from tzrec.config.sequences import SequenceSpec
from tzrec.errors import ConfigError, Problem
from tzrec.features.arrays import Int32Array, Int64Array
from tzrec.features.bad_rows import BadRows
from tzrec.features.base import Feature
from tzrec.features.bucketize import Bucketizer
from tzrec.features.column import Column
from tzrec.features.jagged import positions
from tzrec.features.sequence import ElementArray, is_missing, read_elements

UNEQUAL = "has another number of elements than the other inputs"


class SequenceFeature(Feature):
    """A feature computed for every element: its sequence inputs have a row per element, the other inputs are repeated.

    A missing sequence has one element, for which the feature takes its default; in encoded data (FG_NONE) it has none.
    If inputs have different numbers of elements, the longest one counts, and the row is bad.
    """

    is_sequence = True

    def __init__(self, element: Feature, spec: SequenceSpec, fill: bool) -> None:
        """
        Args:
            element: the feature of one element.
            spec: the inputs that are sequences, and their format.
            fill: give a missing sequence one element.

        Raises:
            ConfigError: no input is a sequence, or elements cannot be separated from each other.
        """
        _validate(element, spec)
        self.name, self.inputs, self.table = element.name, element.inputs, element.table
        self.is_sparse, self.dim, self.is_stub = element.is_sparse, element.dim, element.is_stub
        self.embedding = element.embedding
        self.sequence = spec.group
        self._element, self._spec, self._fill = element, spec, fill

    def encode(self, columns: Mapping[str, pa.Array], bad: BadRows) -> Column:
        sequences = {name: self._read(name, columns[name], bad) for name in sorted(self._spec.inputs)}
        lengths = np.maximum.reduce([sequence.lengths for sequence in sequences.values()])  # (B,)
        if self._spec.should_repeat:
            sequences = {name: sequence.repeat_single(lengths) for name, sequence in sequences.items()}
        for name, sequence in sequences.items():
            self._report_unequal(name, columns[name], sequence.lengths, lengths, bad)
        row_indices = _row_indices(lengths)
        arrays = {
            name: sequences[name].pad(lengths) if name in sequences else array.take(pa.array(row_indices))
            for name, array in columns.items()
        }
        element_bad = BadRows(len(row_indices))
        column = self._element.encode(arrays, element_bad)
        if element_bad:
            bad.add_elements(element_bad, row_indices)
        return replace(column, sequence_lengths=lengths)

    def with_bucketizer(self, wrap: Callable[[Bucketizer], Bucketizer]) -> Feature:
        feature = copy.copy(self)
        feature._element = self._element.with_bucketizer(wrap)
        return feature

    def _read(self, name: str, array: pa.Array, bad: BadRows) -> ElementArray:
        if not self._fill and self.dim > 1:
            array = self._to_vectors(name, array, bad)
        return read_elements(array, self._spec.delimiter, self._spec.limit, self._fill)

    def _to_vectors(self, name: str, array: pa.Array, bad: BadRows) -> pa.Array:
        """Convert encoded lists of numbers to lists of vectors."""
        if not pa.types.is_list(array.type) or not pa.types.is_floating(array.type.value_type):
            return array
        lengths = array.value_lengths().fill_null(0).to_numpy()
        rows = np.flatnonzero(lengths % self.dim)
        if len(rows):
            bad.report_array(name, f"not a multiple of {self.dim} values", rows, array)
            is_kept = np.repeat(lengths % self.dim == 0, lengths)
            lengths = np.where(lengths % self.dim, 0, lengths)
            numbers = array.flatten().filter(pa.array(is_kept))
        else:
            numbers = array.flatten()
        offsets = np.concatenate([[0], np.cumsum(lengths // self.dim)]).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(offsets), pa.FixedSizeListArray.from_arrays(numbers, self.dim))

    @staticmethod
    def _report_unequal(name: str, array: pa.Array, own: Int32Array, longest: Int32Array, bad: BadRows) -> None:
        rows = np.flatnonzero(own != longest)
        if len(rows):
            rows = rows[~is_missing(array, rows)]
            bad.report_array(name, UNEQUAL, rows, array)


class TokenSequence(Feature):
    """A feature whose ids of a row are the elements of a sequence: `tokens_as_sequence`."""

    is_sequence = True
    is_sparse = True

    def __init__(self, tokens: Feature, limit: int) -> None:
        """
        Args:
            tokens: the feature with the ids.
            limit: number of elements to keep per row, from the first; 0 for all.
        """
        self.name, self.inputs, self.table, self.is_stub = tokens.name, tokens.inputs, tokens.table, tokens.is_stub
        self._tokens, self._limit = tokens, limit

    def encode(self, columns: Mapping[str, pa.Array], bad: BadRows) -> Column:
        column = self._tokens.encode(columns, bad)
        lengths = np.ones(bad.size, np.int32) if column.lengths is None else column.lengths
        if not self._limit or not (lengths > self._limit).any():
            return Column(column.values, sequence_lengths=lengths)
        values = column.values[positions(lengths) < self._limit]
        return Column(values, sequence_lengths=np.minimum(lengths, np.int32(self._limit)))

    def with_bucketizer(self, wrap: Callable[[Bucketizer], Bucketizer]) -> Feature:
        feature = copy.copy(self)
        feature._tokens = self._tokens.with_bucketizer(wrap)
        return feature


def _row_indices(lengths: Int32Array) -> Int64Array:
    """Return the row of each element, `(S,)`."""
    return np.repeat(np.arange(len(lengths)), lengths)


def _validate(element: Feature, spec: SequenceSpec) -> None:
    problems = []
    if not spec.inputs:
        message = "no input is a sequence; name the ones that are in sequence_fields"
        problems.append(Problem("sequence_fields", message))
    if not spec.delimiter:
        problems.append(Problem("sequence_delim", "is empty; set the separator of elements in a string"))
    if element.is_weighted:
        problems.append(Problem("weighted", "ids of a sequence have no weights; leave it out"))
    if problems:
        raise ConfigError(problems)
