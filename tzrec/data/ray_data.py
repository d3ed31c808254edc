"""Rows on a Ray cluster: Ray Data applies a class that encodes or scores them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow.fs as pafs
import pyarrow.parquet as pq

from tzrec.data.paths import InputFile, absolute, filesystem
from tzrec.errors import DataError, SetupError

_TEMPORARY = ".ray"
_DATA_ERROR = re.compile(r"^tzrec\.errors\.DataError: (.*)", re.MULTILINE)


def require_ray() -> Any:
    """Import Ray.

    Raises:
        SetupError: it is not installed.
    """
    try:
        import ray
        import ray.data
    except ImportError:
        raise SetupError("Ray needs the package ray: pip install 'tzrec[ray]'") from None
    return ray


def map_rows(
    dataset: Any, kind: Callable[..., Any], arguments: Sequence[Any], batch_size: int, num_actors: int | None
) -> Any:
    """Apply a class to the rows of a Ray dataset, as Arrow tables; each actor creates one object of it.

    Args:
        dataset: a `ray.data.Dataset`.
        kind: class whose objects are called with a table and return one.
        arguments: of its constructor.
        batch_size: rows of a table.
        num_actors: maximum number of actors; None for as many as the cluster has room for.
    """
    compute = require_ray().data.ActorPoolStrategy(min_size=1, max_size=num_actors)
    return dataset.map_batches(
        kind, fn_constructor_args=tuple(arguments), batch_format="pyarrow", batch_size=batch_size, compute=compute
    )


def write_on_ray(
    files: Sequence[InputFile],
    columns: Sequence[str],
    kind: Callable[..., Any],
    arguments: Sequence[Any],
    directory: str,
    num_actors: int | None,
    batch_size: int,
) -> dict[str, int]:
    """Apply a class to all rows of Parquet files, and write the results in their order as part files of a directory.

    An interrupted run starts again from scratch.

    Args:
        files: the input; every node needs access to it by the same path.
        columns: of the input to read.
        kind: class whose objects are called with a table and return one.
        arguments: of its constructor.
        directory: where the files go; every node needs access to it by this path.
        num_actors: maximum number of actors; None for as many as the cluster has room for.
        batch_size: rows of a table.

    Returns:
        the number of rows of each file, by its name without extension.

    Raises:
        SetupError: Ray is not installed.
        DataError: the input cannot be read, or a bad value under the ERROR policy.
    """
    ray = require_ray()
    if not ray.is_initialized():
        ray.init(log_to_driver=False)
    ray.data.DataContext.get_current().execution_options.preserve_order = True
    directory = absolute(directory)
    temporary = _create_empty(f"{directory}/{_TEMPORARY}")
    rows = ray.data.read_parquet([absolute(file.name) for file in files]).select_columns(list(columns))
    try:
        map_rows(rows, kind, arguments, batch_size, num_actors).write_parquet(temporary)
    except ray.exceptions.RayTaskError as error:
        messages = _DATA_ERROR.findall(str(error))  # errors of a task arrive as the text of a traceback
        raise DataError(messages[-1] if messages else str(error)) from error
    return _publish(directory)


def _create_empty(directory: str) -> str:
    remote, inner = filesystem(directory)
    if remote.get_file_info(inner).type == pafs.FileType.Directory:
        remote.delete_dir(inner)
    remote.create_dir(inner, recursive=True)
    return directory


def _publish(directory: str) -> dict[str, int]:
    """Rename the files of Ray, which are sorted by name in the order of the rows, to names of parts."""
    remote, inner = filesystem(directory)
    paths = sorted(info.path for info in remote.get_file_info(pafs.FileSelector(f"{inner}/{_TEMPORARY}")))
    rows_by_part = {}
    for number, path in enumerate(paths):
        with remote.open_input_file(path) as stream:
            rows_by_part[f"part-{number:06d}"] = pq.read_metadata(stream).num_rows
        remote.move(path, f"{inner}/part-{number:06d}.parquet")
    remote.delete_dir(f"{inner}/{_TEMPORARY}")
    return rows_by_part
