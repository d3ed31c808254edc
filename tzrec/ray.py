"""Ray Data: score and encode the rows of a dataset on a Ray cluster. Needs the extra `ray`.

import ray, tzrec.ray

scores = tzrec.ray.predict(ray.data.read_parquet("rows"), "package", reserved_columns=["user"])
scores.write_parquet("scores")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tzrec import env
from tzrec.data.ray_data import map_rows


def predict(
    dataset: Any,
    package: str,
    reserved_columns: Sequence[str] = (),
    output_columns: Sequence[str] = (),
    edit: Mapping[str, Any] | None = None,
    batch_size: int = 8192,
    num_actors: int | None = None,
) -> Any:
    """Score the rows of a dataset. Each actor loads the package once.

    Args:
        dataset: a `ray.data.Dataset` of raw rows; labels are not needed.
        package: directory of a package, which every node can read by this path.
        reserved_columns: input columns to copy; ALL_COLUMNS and ALL_EFFECTIVE_COLUMNS stand for many.
        output_columns: outputs to keep; default: all.
        edit: changes to the config of the package: path -> value.
        batch_size: rows to score at a time.
        num_actors: maximum number of actors; default: as many as the cluster has room for.

    Returns:
        A lazy dataset with the rows and columns that `tzrec predict` writes.

    Raises:
        SetupError: Ray is not installed.
        PackageError: there is no package.
    """
    env.set_openmp_spin()  # before the import of torch
    from tzrec.serving.row_scorer import RowScorer

    scorer = RowScorer(str(package), reserved_columns, output_columns, edit)
    return map_rows(dataset, RowScorer, scorer.arguments, batch_size, num_actors)


def encode(
    dataset: Any,
    config: str,
    reserved_columns: Sequence[str] = (),
    edit: Mapping[str, Any] | None = None,
    batch_size: int = 32768,
    num_actors: int | None = None,
) -> Any:
    """Encode the features of the rows of a dataset, as `tzrec fg` does.

    Args:
        dataset: a `ray.data.Dataset` of raw rows with labels.
        config: path of a config.
        reserved_columns: input columns to copy.
        edit: changes to the config: path -> value.
        batch_size: rows to encode at a time.
        num_actors: maximum number of actors; default: as many as the cluster has room for.

    Returns:
        A lazy dataset to train on with `data_config.fg_mode: FG_NONE`.

    Raises:
        SetupError: Ray is not installed.
        ConfigError: lists all problems of the config.
    """
    from tzrec.config.check import load_checked
    from tzrec.data.row_encoder import RowEncoder

    encoder = RowEncoder(load_checked(str(config), dict(edit or {})), reserved_columns)
    return map_rows(dataset, RowEncoder, encoder.arguments, batch_size, num_actors)
