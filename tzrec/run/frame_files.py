"""Frames in memory as files: training and evaluation read files, by which a run resumes and ranks divide rows."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from os import PathLike, fspath
from types import MappingProxyType
from typing import Any

from tzrec import env
from tzrec.errors import DataError, TzrecError, UsageError

_BLOCK_ROWS = 1 << 20
"""Rows of a block: as many as of a row group of pyarrow and pandas, so that a Parquet file is shuffled equally."""
_TYPE = "data_config.dataset_type"


def is_frame(value: object) -> bool:
    """True for what is not a path."""
    return value is not None and not isinstance(value, (str, PathLike))


class FrameFiles:
    """Context manager that writes frames to temporary Arrow files, and removes them in the end.

    A run that is interrupted is resumed with the same frame: equal content counts as the same file, whatever its name.
    Errors of the block name the argument instead of the temporary file.

    Args:
        argument_by_field: name of the argument that has the data of a field, where it is not that of the field.
    """

    def __init__(self, argument_by_field: Mapping[str, str] = MappingProxyType({})) -> None:
        self._argument_by_field = argument_by_field
        self._argument_by_path: dict[str, str] = {}
        self._directory: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> FrameFiles:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._directory is not None:
            self._directory.cleanup()
        if isinstance(error, TzrecError):
            text = str(error)
            for path, argument in self._argument_by_path.items():
                text = text.replace(path, argument)
            error.args = (text,)

    def write(self, field: str, frame: Any) -> str:
        """Write a frame to a file.

        Args:
            field: whose path the file becomes.
            frame: see `serving.frames.as_table`.

        Returns:
            The path of the file.

        Raises:
            UsageError: this is one of several processes.
            DataError: it is not a frame, has no rows, or a column cannot be converted.
        """
        name = self._argument_by_field.get(field, field)
        if env.rank_info().world_size > 1:
            raise UsageError(f"{name}: a frame is in the memory of one process; write it to files that all ranks read")
        import pyarrow as pa  # not needed for paths

        from tzrec.serving.frames import as_table

        try:
            table = as_table(frame)
        except DataError as error:
            raise DataError(f"{name}: {error}") from error
        if not table.num_rows:
            raise DataError(f"{name}: the frame has no rows")
        if self._directory is None:
            self._directory = tempfile.TemporaryDirectory(prefix="tzrec-frames-")
        path = f"{self._directory.name}/{name}.arrow"
        self._argument_by_path[path] = name
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table.combine_chunks(), _BLOCK_ROWS)
        return path

    def edits(self, **data_by_field: Any) -> dict[str, Any]:
        """Return the edits of a config that reads this data, by the fields of its paths.

        Args:
            data_by_field: a frame, a path, or None for the path of the config, by field.

        Raises:
            UsageError, DataError: see `write`.
        """
        edits = {
            field: self.write(field, data) if is_frame(data) else fspath(data)
            for field, data in data_by_field.items()
            if data is not None
        }
        return edits | ({_TYPE: "ArrowDataset"} if any(map(is_frame, data_by_field.values())) else {})


def train_edits(files: FrameFiles, train: Any, evaluation: Any) -> dict[str, Any]:
    """Return the edits of a config that is trained and evaluated on this data.

    A training frame without evaluation data replaces that of the config: rows of `eval_split` are evaluated, or none.

    Args:
        files: to write frames to.
        train: frame, path, or None for `train_input_path` of the config.
        evaluation: frame, path, or None.

    Raises:
        UsageError: only one of the two is a frame.
        DataError: see `FrameFiles.write`.
    """
    if (is_frame(evaluation) and not is_frame(train)) or (is_frame(train) and isinstance(evaluation, (str, PathLike))):
        raise UsageError("train: train and eval must be two frames or two paths: all data of a run has one type")
    if is_frame(train) and evaluation is None:
        evaluation = ""
    return files.edits(train_input_path=train, eval_input_path=evaluation)
