"""Features of sequences: any feature at every step of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa

from tzrec.config.sequences import SequenceSpec
from tzrec.errors import ConfigError, Problem
from tzrec.features.arrays import Int32Array, Int64Array
from tzrec.features.base import BadRows, Feature
from tzrec.features.column import Column
from tzrec.features.jagged import positions
from tzrec.features.sequence import ElementArray, is_missing, read_elements

UNEQUAL = "has another number of steps than the other inputs"


class SequenceFeature(Feature):
    """A feature computed at every step: its inputs that are sequences give it a row per step, the others repeat.

    A missing sequence has one step, at which the feature takes its default; in encoded data (FG_NONE) it has none.
    Of inputs with different numbers of steps the longest counts, and the row is bad.
    """

    is_sequence = True

    def __init__(self, step: Feature, steps: SequenceSpec, fill: bool) -> None:
        """
        Args:
            step: the feature at one step.
            steps: which of its inputs are sequences, and how they lie in their columns.
            fill: whether a missing sequence has one step.

        Raises:
            ConfigError: no input is a sequence, or steps cannot be told apart from each other.
        """
        _refuse(step, steps)
        self.name, self.inputs, self.table = step.name, step.inputs, step.table
        self.is_sparse, self.dim, self.stub = step.is_sparse, step.dim, step.stub
        self.sequence = steps.group
        self._step, self._steps, self._fill = step, steps, fill

    def encode(self, columns: Mapping[str, pa.Array], bad: BadRows) -> Column:
        steps = {name: self._read(name, columns[name], bad) for name in sorted(self._steps.inputs)}
        lengths = np.maximum.reduce([each.lengths for each in steps.values()])  # (B,)
        for name, each in steps.items():
            self._report_unequal(name, columns[name], each.lengths, lengths, bad)
        flat = {
            name: steps[name].pad(lengths) if name in steps else array.take(pa.array(_owners(lengths)))
            for name, array in columns.items()
        }
        inner = BadRows(int(lengths.sum()))
        column = self._step.encode(flat, inner)
        if inner:
            bad.lift(inner, _owners(lengths))
        return replace(column, sequence_lengths=lengths)

    def _read(self, name: str, array: pa.Array, bad: BadRows) -> ElementArray:
        if not self._fill and self.dim > 1:
            array = self._vectors(name, array, bad)
        return read_elements(array, self._steps.delimiter, self._steps.limit, self._fill)

    def _vectors(self, name: str, array: pa.Array, bad: BadRows) -> pa.Array:
        """Encoded lists of numbers as lists of vectors."""
        if not pa.types.is_list(array.type) or not pa.types.is_floating(array.type.value_type):
            return array
        lengths = array.value_lengths().fill_null(0).to_numpy()
        wrong = np.flatnonzero(lengths % self.dim)
        if len(wrong):
            bad.report(name, f"not a multiple of {self.dim} values", wrong, array.take(pa.array(wrong)).to_pylist())
            keep = np.repeat(lengths % self.dim == 0, lengths)
            lengths = np.where(lengths % self.dim, 0, lengths)
            flat = array.flatten().filter(pa.array(keep))
        else:
            flat = array.flatten()
        offsets = np.concatenate([[0], np.cumsum(lengths // self.dim)]).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(offsets), pa.FixedSizeListArray.from_arrays(flat, self.dim))

    @staticmethod
    def _report_unequal(name: str, array: pa.Array, found: Int32Array, lengths: Int32Array, bad: BadRows) -> None:
        rows = np.flatnonzero(found != lengths)
        if len(rows):
            rows = rows[~is_missing(array, rows)]
            bad.report(name, UNEQUAL, rows, array.take(pa.array(rows)).to_pylist())


class TokenSequence(Feature):
    """A feature whose ids of a row are the steps of a sequence: `tokens_as_sequence`."""

    is_sequence = True
    is_sparse = True

    def __init__(self, tokens: Feature, limit: int) -> None:
        """
        Args:
            tokens: yields the ids.
            limit: steps to keep per row, from the first; 0 for all.
        """
        self.name, self.inputs, self.table, self.stub = tokens.name, tokens.inputs, tokens.table, tokens.stub
        self._tokens, self._limit = tokens, limit

    def encode(self, columns: Mapping[str, pa.Array], bad: BadRows) -> Column:
        column = self._tokens.encode(columns, bad)
        lengths = np.ones(bad.size, np.int32) if column.lengths is None else column.lengths
        if not self._limit or not (lengths > self._limit).any():
            return Column(column.values, sequence_lengths=lengths)
        return Column(
            column.values[positions(lengths) < self._limit], sequence_lengths=np.minimum(lengths, np.int32(self._limit))
        )


def _owners(lengths: Int32Array) -> Int64Array:
    """The row of each step, `(S,)`."""
    return np.repeat(np.arange(len(lengths)), lengths)


def _refuse(step: Feature, steps: SequenceSpec) -> None:
    problems = []
    if not steps.inputs:
        message = "no input is a sequence; name the ones that are in sequence_fields"
        problems.append(Problem("sequence_fields", message))
    if not steps.delimiter:
        problems.append(Problem("sequence_delim", "is empty; give what stands between the steps of a string"))
    if step.is_weighted:
        problems.append(Problem("weighted", "ids of a sequence have no weights; leave it out"))
    if problems:
        raise ConfigError(problems)
