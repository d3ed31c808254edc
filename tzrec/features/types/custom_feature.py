"""custom_feature: what a Python class of yours makes of columns."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from threading import Lock
from typing import Any

import pyarrow as pa
from google.protobuf import json_format

from tzrec import registry
from tzrec.errors import ConfigError, DataError, Problem
from tzrec.features import bucketize
from tzrec.features.base import BadRows, Feature
from tzrec.features.bucketize import Bucketizer
from tzrec.features.column import Column
from tzrec.features.dag import inputs_of, is_encoded
from tzrec.features.encoders.dense import dense_embedding
from tzrec.features.encoders.sparse import sparse_encoder, table_of
from tzrec.features.number_feature import number_encoder
from tzrec.protos import data_pb2, feature_pb2

GROUP = "tzrec.features"
"""Entry points of installed packages under which operators have names."""


class Operator:
    """What a custom feature computes; subclass it and name the class in operator_name as `package.module:Class`.

    Args:
        params: operator_params of the config, as plain values.
    """

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.params = params

    def __call__(self, *columns: pa.Array) -> pa.Array:
        """Compute B rows.

        Args:
            columns: the inputs in the order of the config, B rows each, of whatever type the data has.

        Returns:
            B numbers or texts, or lists of these; null takes the feature's default_value.
        """
        raise NotImplementedError


class CustomFeature(Feature):
    """Results of an Operator: ids where there is a bucketizer or boundaries, else numbers as they are.

    Encoded data holds the results, so that no operator is needed then.
    """

    table = None

    def __init__(self, config: feature_pb2.CustomFeature, data: data_pb2.DataConfig) -> None:
        self._refuse(config)
        self.name = config.feature_name
        self.inputs = inputs_of(config, data, "expression")
        self.stub = config.stub_type
        self._operator = None if is_encoded(data) else _operator(config)
        self._turn: AbstractContextManager[Any] = nullcontext() if config.is_op_thread_safe else Lock()
        bucketizer: Bucketizer | None = bucketize.from_config(config, data) if bucketize.chosen(config) else None
        self.is_sparse = bucketizer is not None or bool(config.boundaries)
        self.dim = 0 if self.is_sparse else config.value_dim or 1
        self.embedding = dense_embedding(config, self.dim)
        if bucketizer is not None:
            self.table = table_of(config, bucketizer.rows)
            self._encoder: Any = sparse_encoder(self.name, bucketizer, config, data)
            return
        if config.boundaries:
            self.table = table_of(config, len(config.boundaries) + 1)
        self._encoder = number_encoder(self.name, config, data, config.value_dim)

    @staticmethod
    def _refuse(config: feature_pb2.CustomFeature) -> None:
        if config.operator_lib_file:
            message = (
                f'"{config.operator_lib_file}": shared libraries are not loaded; leave it out and name a Python class '
                "in operator_name, as package.module:Class (see tzrec.features.types.custom_feature.Operator)"
            )
            raise ConfigError([Problem("operator_lib_file", message)])
        if not config.expression:
            raise ConfigError([Problem("expression", "is empty; list what the operator reads, e.g. user:age")])
        if config.boundaries and bucketize.chosen(config):
            raise ConfigError([Problem("boundaries", f"{bucketize.chosen(config)[0]} is set as well; choose one")])

    def encode(self, columns: Mapping[str, pa.Array], bad: BadRows) -> Column:
        arrays = [columns[source.name] for source in self.inputs]
        result: Any = arrays[0]
        if self._operator is not None:
            with self._turn:
                result = self._operator(*arrays)
            if isinstance(result, pa.ChunkedArray):
                result = result.combine_chunks()
            self._check(result, len(arrays[0]))
        return self._encoder.encode(result, bad)  # type: ignore[no-any-return]

    def _check(self, result: Any, rows: int) -> None:
        if not isinstance(result, pa.Array) or len(result) != rows:
            got = f"{len(result)} rows" if isinstance(result, pa.Array) else f"a {type(result).__name__}"
            name = type(self._operator).__name__
            raise DataError(
                f'custom feature "{self.name}": {name} was given {rows} rows and returned {got}; it has to return an '
                "Arrow array with one value for each row"
            )


def _operator(config: feature_pb2.CustomFeature) -> Operator:
    """The operator a message names, made with its parameters.

    Raises:
        ConfigError: there is none of this name, or it is no Operator.
    """
    found = registry.load_extension(config.operator_name, GROUP, Operator, "operator_name")
    return found(json_format.MessageToDict(config.operator_params))
