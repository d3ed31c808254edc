"""Type of the files that a path names, for texts whose dataset_type is a warehouse or a stream."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping

from tzrec.config.comma_list import split_commas
from tzrec.config.options import file_extensions, unreadable_value
from tzrec.config.schema import descriptor_of, enum_type
from tzrec.protos.data_pb2 import DataConfig, DatasetType

_COMPRESSED = (".gz", ".bz2", ".zst", ".lz4")
_WILDCARDS = "*?["
_NO_FILES = ("odps://", "kafka://")


def advice_for_unreadable(data: DataConfig) -> str:
    """Describe what to do in place of reading the dataset_type; "" if files of this type are read."""
    values = enum_type(descriptor_of(DataConfig).fields_by_name["dataset_type"]).values_by_number
    return unreadable_value(values[data.dataset_type])


def dataset_of_files(path: str) -> int | None:
    """Find the dataset type of the files that a path names.

    Args:
        path: comma list of files, folders and globs.

    Returns:
        The type by the extension; ParquetDataset for a glob without one. None if a part is not plainly a file, as
        `odps://project/tables/table`, or if the parts are of several types.
    """
    kinds = {_kind(part) for part in split_commas(path)}
    return kinds.pop() if len(kinds) == 1 else None


def _kind(part: str) -> int | None:
    stem, extension = os.path.splitext(part)
    if extension.lower() in _COMPRESSED:
        extension = os.path.splitext(stem)[1]
    known = _dataset_by_extension().get(extension.lower().rstrip(_WILDCARDS))
    if part.startswith(_NO_FILES):
        return None
    return known or (DatasetType.ParquetDataset if any(mark in part for mark in _WILDCARDS) else None)


@functools.cache
def _dataset_by_extension() -> Mapping[str, int]:
    values = enum_type(descriptor_of(DataConfig).fields_by_name["dataset_type"]).values
    return {f".{extension}": value.number for value in values for extension in file_extensions(value)}
