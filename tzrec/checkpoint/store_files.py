"""Files of a store, for the readers and writers of torch.distributed.checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.distributed.checkpoint.filesystem import FileSystem

from tzrec.checkpoint.file_record import FileRecord


class StoreFiles(FileSystem):
    """Files of a directory of a store. Its paths are `StorePath`, although torch's annotations say otherwise.

    Attributes:
        records: size and checksum of each file that was written, by name.
    """

    def __init__(self) -> None:
        self.records: dict[str, FileRecord] = {}

    @contextmanager
    def create_stream(self, path: Any, mode: str) -> Iterator[Any]:
        with path.open(mode) as stream:
            yield stream
        if mode == "wb":
            self.records[path.name] = FileRecord(stream.size, stream.digest.hexdigest())

    def concat_path(self, path: Any, suffix: str) -> Any:
        return path / suffix

    def rename(self, path: Any, new_path: Any) -> None:
        new_path.write_bytes(path.read_bytes())  # the description of a part, which is small
        path.unlink()
        self.records[new_path.name] = self.records.pop(path.name)

    def mkdir(self, path: Any) -> None:
        path.mkdir()

    def exists(self, path: Any) -> bool:
        return bool(path.exists())

    def rm_file(self, path: Any) -> None:
        path.unlink()
