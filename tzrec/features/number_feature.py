"""NumberFeature: numbers computed from several inputs, dense, or ids by boundaries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from tzrec.features.bad_rows import BadRows
from tzrec.features.base import Feature, FeatureInput
from tzrec.features.column import Column
from tzrec.features.encoders.dense import make_dense_embedding
from tzrec.features.encoders.number import make_number_encoder
from tzrec.features.encoders.sparse import make_table
from tzrec.features.inputs import is_encoded
from tzrec.protos import data_pb2


class NumberFeature(Feature):
    """Base class of features that compute numbers; subclasses implement `compute`.

    Encoded data holds the computed numbers, which are only read.
    """

    table = None

    def __init__(
        self, config: Any, data: data_pb2.DataConfig, inputs: tuple[FeatureInput, ...], width: int = 1, label: str = ""
    ) -> None:
        """
        Args:
            config: the message of the feature.
            data: the data_config.
            inputs: the inputs, in declared order.
            width: numbers in every row; 0 for any number of them, which is 1 for a dense feature.
            label: name of the computed numbers in reports; the feature's name if "".
        """
        self.name = config.feature_name
        self.inputs = inputs
        self.is_stub = config.stub_type
        self.is_sparse = bool(config.boundaries)
        self._is_encoded = is_encoded(data)
        column = self.name if self._is_encoded else label or self.name
        if self.is_sparse:
            self.table = make_table(config, len(config.boundaries) + 1)
        else:
            self.dim = width or 1
        self.embedding = make_dense_embedding(config, self.dim)
        self.encoder = make_number_encoder(column, config, data, width)

    def encode(self, columns: Mapping[str, pa.Array], bad: BadRows) -> Column:
        array = columns[self.inputs[0].name] if self._is_encoded else self.compute(columns, bad)
        return self.encoder.encode(array, bad)

    def compute(self, columns: Mapping[str, pa.Array], bad: BadRows) -> pa.Array:
        """Compute numbers, or lists of numbers, of B rows before normalization; null takes the default."""
        raise NotImplementedError
