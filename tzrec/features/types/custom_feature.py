"""custom_feature: the output of a user's Python class over columns."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from threading import Lock
from typing import Any

import pyarrow as pa
from google.protobuf import json_format

from tzrec import registry
from tzrec.config.rules.bucketizer import set_bucketizers
from tzrec.errors import ConfigError, DataError, Problem, first_line
from tzrec.features.bad_rows import BadRows
from tzrec.features.base import Feature
from tzrec.features.bucketize import make_bucketizer
from tzrec.features.column import Column
from tzrec.features.encoders.dense import make_dense_embedding
from tzrec.features.encoders.number import make_number_encoder
from tzrec.features.encoders.sparse import make_sparse_encoder, make_table
from tzrec.features.inputs import is_encoded, read_inputs
from tzrec.features.operators import BUNDLED
from tzrec.protos import data_pb2, feature_pb2

GROUP = "tzrec.features"
"""Entry-point group under which installed packages name their operators."""


class Operator:
    """Computation of a custom feature; subclass it and name the class in operator_name as `package.module:Class`.

    Attributes:
        is_thread_safe: true if several threads may call it at the same time, whatever `is_op_thread_safe` is.

    Args:
        params: operator_params of the config, as plain values.
    """

    is_thread_safe = False

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.params = params

    def bind(self, names: tuple[str, ...]) -> None:
        """Receive the names of the inputs, in the order of the columns; called once, before the first batch."""

    def __call__(self, *columns: pa.Array) -> pa.Array:
        """Compute B rows.

        Args:
            columns: the inputs in the order of the config, B rows each, in the type of the data.

        Returns:
            B numbers or texts, or lists of these; null takes the feature's default_value.
        """
        raise NotImplementedError


class CustomFeature(Feature):
    """Results of an Operator: ids with a bucketizer or boundaries, else dense numbers.

    Encoded data holds the results, so the operator is not loaded.
    """

    table = None

    def __init__(self, config: feature_pb2.CustomFeature, data: data_pb2.DataConfig) -> None:
        chosen = set_bucketizers(config)
        _validate(config, chosen)
        self.name = config.feature_name
        self.inputs = read_inputs(config, data, "expression")
        self.is_stub = config.stub_type
        self._operator = None if is_encoded(data) else make_operator(config)
        is_thread_safe = config.is_op_thread_safe or (self._operator is not None and self._operator.is_thread_safe)
        self._lock: AbstractContextManager[Any] = nullcontext() if is_thread_safe else Lock()
        self.is_sparse = bool(chosen or config.boundaries)
        self.dim = 0 if self.is_sparse else config.value_dim or 1
        self.embedding = make_dense_embedding(config, self.dim)
        if chosen:
            bucketizer = make_bucketizer(config, data)
            self.table = make_table(config, bucketizer.rows)
            self.encoder = make_sparse_encoder(self.name, bucketizer, config, data)
            return
        if config.boundaries:
            self.table = make_table(config, len(config.boundaries) + 1)
        self.encoder = make_number_encoder(self.name, config, data, config.value_dim)

    def encode(self, columns: Mapping[str, pa.Array], bad: BadRows) -> Column:
        arrays = [columns[source.name] for source in self.inputs]
        result: Any = arrays[0]
        if self._operator is not None:
            try:
                with self._lock:
                    result = self._operator(*arrays)
            except DataError:
                raise
            except Exception as error:  # of any type: it is the user's code, and the rows are the client's
                raise self._operator_error(arrays, error) from error
            if isinstance(result, pa.ChunkedArray):
                result = result.combine_chunks()
            self._validate_result(result, len(arrays[0]))
        return self.encoder.encode(result, bad)

    def _operator_error(self, arrays: list[pa.Array], error: Exception) -> DataError:
        """Build the error of an operator that failed; it names the types of the inputs, which are often the reason."""
        inputs = ", ".join(f"{source.name} ({array.type})" for source, array in zip(self.inputs, arrays, strict=True))
        operator = type(self._operator).__name__
        failure = f"{type(error).__name__}: {first_line(error)}"
        return DataError(f'custom feature "{self.name}": {operator} failed on {inputs}: {failure}')

    def _validate_result(self, result: Any, rows: int) -> None:
        if not isinstance(result, pa.Array) or len(result) != rows:
            received = f"{len(result)} rows" if isinstance(result, pa.Array) else f"a {type(result).__name__}"
            name = type(self._operator).__name__
            raise DataError(
                f'custom feature "{self.name}": {name} was given {rows} rows and returned {received}; it must return '
                "an Arrow array with one value for each row"
            )


def _validate(config: feature_pb2.CustomFeature, chosen: list[str]) -> None:
    if not config.expression:
        raise ConfigError([Problem("expression", "is empty; list the inputs of the operator, e.g. user:age")])
    if config.boundaries and chosen:
        raise ConfigError([Problem("boundaries", f"{chosen[0]} is set as well; choose one")])


def make_operator(config: feature_pb2.CustomFeature) -> Operator:
    """Construct the operator of a message with its parameters and inputs.

    Raises:
        ConfigError: there is no operator of this name, it is not an Operator, or it refuses parameters or inputs.
    """
    is_bundled = config.operator_name in BUNDLED
    if config.operator_lib_file and not is_bundled:
        message = (
            f'"{config.operator_lib_file}": shared libraries are not loaded; leave it out and name a Python class '
            "in operator_name, as package.module:Class (see tzrec.features.types.custom_feature.Operator), or one of "
            f"the operators {', '.join(BUNDLED)}"
        )
        raise ConfigError([Problem("operator_lib_file", message)])
    name = BUNDLED[config.operator_name] if is_bundled else config.operator_name
    operator = registry.load_extension(name, GROUP, Operator, "operator_name")(
        json_format.MessageToDict(config.operator_params)
    )
    operator.bind(tuple(text.partition(":")[2] for text in config.expression))
    return operator
