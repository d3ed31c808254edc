"""What sparse features make their ids of: the values that FG_BUCKETIZE reads."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from tzrec.config.sequences import FeatureMember
from tzrec.features.arrays import Int64Array
from tzrec.features.arrow import is_single, to_arrow
from tzrec.features.base import BadRows, Feature
from tzrec.features.bucketize import Boundaries, Bucketizer, InvalidValues
from tzrec.features.column import Column
from tzrec.features.encoders.combined import CombinedEncoder
from tzrec.features.encoders.sparse import Default, SparseEncoder
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.features.jagged import Elements
from tzrec.features.text.spans import Spans
from tzrec.protos.feature_pb2 import TokenizeFeature


class _Places(Bucketizer):
    """Yields where values stand instead of their ids, and keeps the values of one batch."""

    def __init__(self, bucketizer: Bucketizer) -> None:
        self.rows = bucketizer.rows
        self._bucketizer = bucketizer
        self.values: Elements | None = None

    def __call__(self, elements: Elements) -> tuple[Int64Array, list[InvalidValues]]:
        _, faults = self._bucketizer(elements)
        inner = self._bucketizer
        self.values = inner.compared(elements)[0] if isinstance(inner, Boundaries) else elements
        return np.arange(len(elements)), faults


class _Watched(Feature):
    """A feature that also writes down what its ids are made of."""

    def __init__(self, feature: Feature, member: FeatureMember, written: dict[str, pa.Array]) -> None:
        """
        Args:
            feature: the feature.
            member: its entry in the config.
            written: where the values go, as an Arrow array by the feature's name.
        """
        self.name, self.inputs, self.stub = feature.name, feature.inputs, feature.stub
        self.sequence, self.masked_input = feature.sequence, feature.masked_input
        self._feature, self._member, self._written = feature, member, written

    def encode(self, columns: Mapping[str, pa.Array], bad: BadRows) -> Column:
        column = self._feature.encode(columns, bad)
        if not self._feature.is_sparse:
            array = to_arrow(column, single=False)
        elif isinstance(self._member.message, TokenizeFeature):
            array = columns[self.inputs[0].name]  # texts are cut by whoever reads them
        else:
            array = self._values(columns, bad.size)
        self._written[self.name] = array
        return column

    def _values(self, columns: Mapping[str, pa.Array], rows: int) -> pa.Array:
        """Values of B rows but bad ones; a row without any is empty, for the reader puts the default in."""
        places: list[_Places] = []
        column = _placing(self._feature, places).encode(columns, BadRows(rows))
        (values,) = (each.values for each in places if each.values is not None)
        if isinstance(values, Spans):  # never single: in a text that is no list the reader looks for separators
            return to_arrow(column, False, values.arrow().cast(pa.string()).take(pa.array(column.values)))
        return to_arrow(column, is_single(self._member), pa.array(values[column.values]))


def _placing(part: Any, places: list[_Places]) -> Any:
    """A copy of a feature, or of a part of one, that yields places instead of ids, and no defaults."""
    if isinstance(part, SparseEncoder):
        places.append(_Places(part.bucketizer))
        return replace(part, bucketizer=places[-1], default=Default())
    if isinstance(part, CombinedEncoder):
        return replace(part, encoder=_placing(part.encoder, places))
    if not isinstance(part, Feature):
        return part
    changed = copy.copy(part)
    for name, value in vars(part).items():
        setattr(changed, name, _placing(value, places))
    return changed


def encode_unbucketized(
    encoder: FeatureEncoder, entries: Mapping[str, FeatureMember], batch: pa.RecordBatch
) -> tuple[dict[str, pa.Array], BadRows]:
    """Arrow columns of every feature that is no stub, and which rows hold bad values.

    Args:
        encoder: of the raw columns.
        entries: the features in the config, by name.
        batch: B rows.
    """
    written: dict[str, pa.Array] = {}
    watched = {name: _Watched(feature, entries[name], written) for name, feature in encoder.features.items()}
    columns, bad = encoder.of(watched).encode(batch)
    return {name: written[name] for name in columns}, bad
