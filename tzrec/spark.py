"""Spark: score and encode the rows of a DataFrame. Needs the extra `spark`, and tzrec in the Python of the executors.

import tzrec.spark

scores = tzrec.spark.predict(spark.read.parquet("rows"), "package", reserved_columns=["user"])
scores.write.parquet("scores")
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from tzrec import env
from tzrec.config.json_text import read_json
from tzrec.errors import SetupError

if TYPE_CHECKING:
    import pyarrow as pa

    from tzrec.data.row_encoder import RowEncoder
    from tzrec.serving.row_scorer import RowScorer


def predict(
    frame: Any,
    package: str,
    reserved_columns: Sequence[str] = (),
    output_columns: Sequence[str] = (),
    edit: Mapping[str, Any] | None = None,
) -> Any:
    """Score the rows of a DataFrame. Each Python worker loads the package once.

    Args:
        frame: a `pyspark.sql.DataFrame` of raw rows; labels are not needed.
        package: directory of a package, which every executor can read by this path.
        reserved_columns: input columns to copy; ALL_COLUMNS and ALL_EFFECTIVE_COLUMNS stand for many.
        output_columns: outputs to keep; default: all.
        edit: changes to the config of the package: path -> value.

    Returns:
        A lazy DataFrame with the rows and columns that `tzrec predict` writes.

    Raises:
        SetupError: Spark is not installed.
        PackageError: there is no package.
        DataError: a column is missing, or exists twice.
        UsageError: a column of the output does not exist, or exists twice.
    """
    _pyspark_types()
    make = partial(
        _row_scorer, str(package), tuple(reserved_columns), tuple(output_columns), json.dumps(dict(edit or {}))
    )
    columns, _ = make().columns(frame.columns)
    return _map_rows(frame, columns, make)


def encode(frame: Any, config: str, reserved_columns: Sequence[str] = (), edit: Mapping[str, Any] | None = None) -> Any:
    """Encode the features of the rows of a DataFrame, as `tzrec fg` does.

    Args:
        frame: a `pyspark.sql.DataFrame` of raw rows with labels.
        config: path of a config, which every executor can read.
        reserved_columns: input columns to copy.
        edit: changes to the config: path -> value.

    Returns:
        A lazy DataFrame to train on with `data_config.fg_mode: FG_NONE`.

    Raises:
        SetupError: Spark is not installed.
        ConfigError: lists all problems of the config.
        DataError: a column is missing, or exists twice.
    """
    _pyspark_types()
    make = partial(_row_encoder, str(config), tuple(reserved_columns), json.dumps(dict(edit or {})))
    return _map_rows(frame, make().columns, make)


def _map_rows(frame: Any, columns: Sequence[str], make: Callable[[], RowScorer | RowEncoder]) -> Any:
    """Apply a function of record batches, which `make` creates once in each Python worker."""
    from tzrec.data.raw_rows import check_columns

    check_columns(columns, frame.columns)
    selected = frame.select(*(f"`{name}`" for name in columns))
    schema = _pyspark_types().from_arrow_schema(make().schema(_arrow_schema(selected)))
    return selected.mapInArrow(partial(_apply, make), schema)


def _apply(make: Callable[[], RowScorer | RowEncoder], batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    function = make()
    for batch in batches:
        yield function(batch)


@cache
def _row_scorer(package: str, reserved: tuple[str, ...], outputs: tuple[str, ...], edit: str) -> RowScorer:
    env.set_openmp_spin()  # before the import of torch
    from tzrec.serving.row_scorer import RowScorer

    return RowScorer(package, reserved, outputs, read_json(edit))


@cache
def _row_encoder(config: str, reserved: tuple[str, ...], edit: str) -> RowEncoder:
    from tzrec.config.check import load_checked
    from tzrec.data.row_encoder import RowEncoder

    return RowEncoder(load_checked(config, read_json(edit)), reserved)


def _arrow_schema(frame: Any) -> pa.Schema:
    return _pyspark_types().to_arrow_schema(frame.schema)


def _pyspark_types() -> Any:
    try:
        import pyspark.sql.pandas.types
    except ImportError:
        raise SetupError("tzrec.spark needs the package pyspark: pip install 'tzrec[spark]'") from None
    return pyspark.sql.pandas.types
