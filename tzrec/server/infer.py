"""Requests of the Open Inference Protocol for scores, whatever carries them, and their rows."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import pyarrow as pa

from tzrec.config.names import did_you_mean
from tzrec.server.errors import RequestError
from tzrec.server.tensors import NamedTensor, output_tensor


@dataclass(frozen=True)
class InferRequest:
    """A request for the scores of rows.

    Attributes:
        inputs: raw columns of B rows.
        outputs: names of the outputs to return and whether in binary form; empty for all.
        is_binary: outputs are returned in binary form if `outputs` is empty.
        id: returned to the client.
    """

    inputs: Sequence[NamedTensor]
    outputs: Mapping[str, bool]
    is_binary: bool = False
    id: str = ""


def refuse_extensions(kind: str, name: str, parameters: Collection[str]) -> None:
    """Check the parameters of an input or output for extensions of the protocol that would change the answer.

    Raises:
        RequestError: it lies in shared memory, or asks for classes instead of scores.
    """
    if "shared_memory_region" in parameters:
        raise RequestError(f'{kind} "{name}" is in shared memory, which this server does not read; send its values')
    if parameters and "classification" in parameters:
        raise RequestError(f'{kind} "{name}" asks for a classification; leave it out and sort the scores')


def to_rows(inputs: Sequence[NamedTensor], columns: Collection[str]) -> pa.Table:
    """Convert inputs to a table of raw columns, `(B,)` each; inputs that are no columns are not read, as in files.

    Args:
        inputs: of a request.
        columns: to read.

    Raises:
        RequestError: an input is given twice, or they have different numbers of rows.
    """
    tensors = {tensor.name: tensor for tensor in inputs}
    if len(tensors) < len(inputs):
        names = [tensor.name for tensor in inputs]
        raise RequestError(f'input "{next(name for name in names if names.count(name) > 1)}" is given twice')
    read = [tensor for tensor in inputs if tensor.name in columns]
    for tensor in read[1:]:
        if tensor.num_rows != read[0].num_rows:
            raise RequestError(
                f'input "{tensor.name}" has {tensor.num_rows} rows, but "{read[0].name}" has {read[0].num_rows}'
            )
    return pa.table({tensor.name: tensor.to_column() for tensor in read})


def select_columns(table: pa.Table, columns: Sequence[str], keys: Sequence[str] = ()) -> pa.Table:
    """Select the columns of a request that are read.

    Args:
        table: rows of a request.
        columns: that the model reads.
        keys: of the feature stores.

    Raises:
        RequestError: the table has none of them, one of them twice, or no rows.
    """
    names = table.column_names
    known = [name for name in dict.fromkeys((*columns, *keys)) if name in names]
    ensure_known("the request has", known, columns, keys)
    repeated = [name for name in known if names.count(name) > 1]
    if repeated:
        raise RequestError(f'column "{repeated[0]}" is given twice')
    if table.num_rows == 0:
        raise RequestError("the request has no rows")
    return table.select(known)


def ensure_known(subject: str, names: Collection[str], columns: Sequence[str], keys: Sequence[str]) -> None:
    """Check that rows of a request have something that is read.

    Args:
        subject: of the error: "the request has".
        names: of the columns of the rows.
        columns: that the model reads.
        keys: of the feature stores.

    Raises:
        RequestError: none of the names is a column of the model or the key of a feature store.
    """
    if not any(name in columns or name in keys for name in names):
        stored = f"; feature stores have rows of {', '.join(keys)}" if keys else ""
        raise RequestError(f"{subject} no column of the model, which reads {', '.join(columns)}{stored}")


def complete_rows(table: pa.Table, columns: Sequence[str]) -> pa.Table:
    """Return the columns that a model reads; those that the table lacks are missing in all rows."""
    missing, names = pa.nulls(table.num_rows), table.column_names
    return pa.table({name: table.column(name) if name in names else missing for name in columns})


def select_outputs(request: InferRequest, scores: pa.Table) -> list[NamedTensor]:
    """Outputs of a request as tensors, in the order in which it lists them.

    Raises:
        RequestError: the model has no such output.
    """
    names: Collection[str] = request.outputs or scores.column_names
    for name in names:
        if name not in scores.column_names:
            raise RequestError(f'the model has no output "{name}"{did_you_mean(name, scores.column_names)}')
    return [output_tensor(name, to_numpy(scores.column(name))) for name in names]


def to_numpy(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """Convert a column of scores, numbers or lists, to `(B,)` or `(B, ...)`."""
    shape: tuple[int, ...] = (len(column),)
    values = column.combine_chunks()
    while pa.types.is_list(values.type):  # all lists of one level have the same length
        values = values.flatten()
        shape = *shape, len(values) // math.prod(shape)
    numbers: npt.NDArray[Any] = values.to_numpy(zero_copy_only=False)
    return numbers.reshape(shape)
