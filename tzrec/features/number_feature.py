"""NumberFeature: numbers computed from several inputs, dense as they are or ids by boundaries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from tzrec.errors import ConfigError, Problem
from tzrec.features.base import BadRows, Feature, FeatureInput
from tzrec.features.bucketize import Boundaries
from tzrec.features.column import Column
from tzrec.features.dag import is_encoded
from tzrec.features.encoders.dense import DenseEncoder, dense_embedding, dense_encoder
from tzrec.features.encoders.sparse import SparseEncoder, numbers_encoder, table_of
from tzrec.features.normalizer import normalizer_of
from tzrec.protos import data_pb2


class NumberFeature(Feature):
    """A feature whose numbers are computed; subclasses say in `compute` how.

    Encoded data holds what was computed, so nothing is computed then.
    """

    table = None

    def __init__(
        self, config: Any, data: data_pb2.DataConfig, inputs: tuple[FeatureInput, ...], width: int = 1, label: str = ""
    ) -> None:
        """Set up everything but the computing.

        Args:
            config: the message of the feature.
            data: says how the data comes.
            inputs: what it reads, in declared order.
            width: numbers in every row; 0 for any number of them, which a dense feature takes for 1.
            label: what reports call the computed numbers; the feature's name if "".
        """
        self.name = config.feature_name
        self.inputs = inputs
        self.stub = config.stub_type
        self.is_sparse = bool(config.boundaries)
        self._is_encoded = is_encoded(data)
        column = self.name if self._is_encoded else label or self.name
        if self.is_sparse:
            self.table = table_of(config, len(config.boundaries) + 1)
        else:
            self.dim = width or 1
        self.embedding = dense_embedding(config, self.dim)
        self._encoder = number_encoder(column, config, data, width)

    def encode(self, columns: Mapping[str, pa.Array], bad: BadRows) -> Column:
        array = columns[self.inputs[0].name] if self._is_encoded else self.compute(columns, bad)
        return self._encoder.encode(array, bad)

    def compute(self, columns: Mapping[str, pa.Array], bad: BadRows) -> pa.Array:
        """Numbers, or lists of numbers, of B rows before any normalizer; null where the default is to stand."""
        raise NotImplementedError


def number_encoder(column: str, config: Any, data: data_pb2.DataConfig, width: int) -> SparseEncoder | DenseEncoder:
    """The way from numbers to what a message asks for: ids where it has boundaries, else dense.

    Args:
        column: name of the numbers, for the reports.
        config: a message with boundaries and, as far as it has them, normalizer and default_value ("0" without).
        data: says how the data comes.
        width: numbers in every row; 0 for any number where there are boundaries, else for 1.

    Raises:
        ConfigError: the boundaries do not rise, or the normalizer or the default cannot be read.
    """
    edges = list(config.boundaries)
    if edges != sorted(set(edges)):
        raise ConfigError([Problem("boundaries", f"{edges} do not rise")])
    normalize = normalizer_of(config)
    if edges:
        bucketizer = Boundaries(edges, None if is_encoded(data) else normalize)
        return numbers_encoder(column, config, data, bucketizer, width)
    default = getattr(config, "default_value", "0")
    return dense_encoder(column, config, data, width or 1, config.separator, default, normalize)
