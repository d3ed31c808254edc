"""A data set encoded on a Ray cluster: RowEncoder, driven by Ray Data. All or nothing, for Ray knows no parts."""

from __future__ import annotations

import re
from typing import Any

import pyarrow.fs as pafs
import pyarrow.parquet as pq

from tzrec.data.encode import RowEncoder
from tzrec.data.paths import filesystem
from tzrec.data.reader import Reader
from tzrec.encoding.parts import Done
from tzrec.errors import DataError, SetupError, UsageError

_DRAFT = ".ray"
_OURS = re.compile(r"^tzrec\.errors\.DataError: (.*)", re.MULTILINE)


def write_on_ray(encoder: RowEncoder, reader: Reader, directory: str, processes: int, batch_size: int) -> list[Done]:
    """Encode all rows of Parquet files, in their order, into the part files of a directory.

    Args:
        encoder: encodes the rows.
        reader: of the input.
        directory: where the files go; every node has to see it, and the input, under its name.
        processes: actors at most.
        batch_size: rows to encode at a time.

    Returns:
        what became of the rows, a value for each file; bad values are not counted.

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
    draft = _emptied(f"{directory}/{_DRAFT}")
    rows = ray.data.read_parquet([file.name for file in reader.files]).select_columns(list(encoder.columns))
    encoded = rows.map_batches(
        RowEncoder,
        fn_constructor_args=encoder.made_of,
        batch_format="pyarrow",
        batch_size=batch_size,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=processes),
    )
    try:
        encoded.write_parquet(draft)
    except ray.exceptions.RayTaskError as error:
        ours = _OURS.findall(str(error))  # what a task has raised comes here as the text of its traceback
        raise DataError(ours[-1] if ours else str(error)) from error
    return _published(directory)


def _ray() -> Any:
    try:
        import ray
        import ray.data
    except ImportError:
        raise SetupError("--ray needs the package ray: pip install 'tzrec[ray]'") from None
    return ray


def _emptied(directory: str) -> str:
    where, inner = filesystem(directory)
    if where.get_file_info(inner).type == pafs.FileType.Directory:
        where.delete_dir(inner)
    where.create_dir(inner, recursive=True)
    return directory


def _published(directory: str) -> list[Done]:
    """Give the files of a draft, whose names sort as the rows do, the names of parts."""
    where, inner = filesystem(directory)
    found = sorted(info.path for info in where.get_file_info(pafs.FileSelector(f"{inner}/{_DRAFT}")))
    done = []
    for number, path in enumerate(found):
        with where.open_input_file(path) as stream:
            done.append(Done(rows=pq.read_metadata(stream).num_rows))
        where.move(path, f"{inner}/part-{number:06d}.parquet")
    where.delete_dir(f"{inner}/{_DRAFT}")
    return done
