"""Encode a data set on a Ray cluster: Ray Data applies the RowEncoder. An interrupted run starts again from scratch."""

from __future__ import annotations

import re
from typing import Any

import pyarrow.fs as pafs
import pyarrow.parquet as pq

from tzrec.data.paths import filesystem
from tzrec.data.reader import Reader
from tzrec.data.row_encoder import RowEncoder
from tzrec.encoding.parts import PartResult
from tzrec.errors import DataError, SetupError, UsageError

_TEMPORARY = ".ray"
_DATA_ERROR = re.compile(r"^tzrec\.errors\.DataError: (.*)", re.MULTILINE)


def write_on_ray(
    encoder: RowEncoder, reader: Reader, directory: str, processes: int, batch_size: int
) -> list[PartResult]:
    """Encode all rows of Parquet files, in their order, into the part files of a directory.

    Args:
        encoder: encodes the rows.
        reader: of the input.
        directory: where the files go; every node needs access to it, and to the input, by this path.
        processes: maximum number of actors.
        batch_size: rows to encode at a time.

    Returns:
        a result per file; bad values are not counted.

    Raises:
        SetupError: Ray is not installed.
        UsageError: the input is text.
        DataError: the input cannot be read, or a bad value under the ERROR policy.
    """
    if reader.is_text:
        raise UsageError("--ray reads Parquet; encode CSV without it")
    ray = _ray()
    if not ray.is_initialized():
        ray.init(log_to_driver=False)
    ray.data.DataContext.get_current().execution_options.preserve_order = True
    temporary = _create_empty(f"{directory}/{_TEMPORARY}")
    rows = ray.data.read_parquet([file.name for file in reader.files]).select_columns(list(encoder.columns))
    encoded = rows.map_batches(
        RowEncoder,
        fn_constructor_args=encoder.arguments,
        batch_format="pyarrow",
        batch_size=batch_size,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=processes),
    )
    try:
        encoded.write_parquet(temporary)
    except ray.exceptions.RayTaskError as error:
        messages = _DATA_ERROR.findall(str(error))  # errors of a task arrive as the text of a traceback
        raise DataError(messages[-1] if messages else str(error)) from error
    return _publish(directory)


def _ray() -> Any:
    try:
        import ray
        import ray.data
    except ImportError:
        raise SetupError("--ray needs the package ray: pip install 'tzrec[ray]'") from None
    return ray


def _create_empty(directory: str) -> str:
    remote, inner = filesystem(directory)
    if remote.get_file_info(inner).type == pafs.FileType.Directory:
        remote.delete_dir(inner)
    remote.create_dir(inner, recursive=True)
    return directory


def _publish(directory: str) -> list[PartResult]:
    """Rename the files of Ray, which are sorted by name in the order of the rows, to names of parts."""
    remote, inner = filesystem(directory)
    paths = sorted(info.path for info in remote.get_file_info(pafs.FileSelector(f"{inner}/{_TEMPORARY}")))
    results = []
    for number, path in enumerate(paths):
        with remote.open_input_file(path) as stream:
            results.append(PartResult(rows=pq.read_metadata(stream).num_rows))
        remote.move(path, f"{inner}/part-{number:06d}.parquet")
    remote.delete_dir(f"{inner}/{_TEMPORARY}")
    return results
