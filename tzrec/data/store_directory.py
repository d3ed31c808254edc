"""Directories of a store, which cannot rename: they are complete once one file, written last, is there."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from tzrec.errors import StoreError
from tzrec.storage.path import StorePath

_UNFINISHED = ".unfinished"


class StoreDirectory:
    """Directory whose files are written under their final names; `commit`, written last, makes it complete.

    While it is written or deleted, a mark of the same name with the ending `.unfinished` stands beside it. A directory
    with the mark and without `commit` is what a process left that ended meanwhile.

    Attributes:
        draft: the directory itself.
    """

    def __init__(self, path: StorePath, commit: str) -> None:
        self.draft = path
        self._commit = commit
        self._mark = path.with_name(path.name + _UNFINISHED)

    def create(self) -> None:
        """Mark the directory as unfinished, and delete what it holds."""
        self._mark.write_bytes(b"")
        self.draft.remove(first=self._commit)

    def publish(self) -> None:
        """Remove the mark; the directory is complete since `commit` is there."""
        with suppress(StoreError):
            self._mark.unlink(missing_ok=True)

    def discard(self) -> None:
        """Delete the directory, as far as the store allows; its mark stays while a file may be left."""
        with suppress(StoreError):
            self.delete()

    def delete(self) -> None:
        """Delete the directory: `commit` first, so that no reader takes the rest for complete.

        Raises:
            StoreError: the store did not allow it; the mark is left.
        """
        self._mark.write_bytes(b"")
        self.draft.remove(first=self._commit)
        self._mark.unlink(missing_ok=True)

    def move(self, target: StorePath) -> None:
        """Copy the directory to another name, and delete it."""
        self.draft.copy_directory(target)
        self.delete()

    @property
    def is_unfinished(self) -> bool:
        """True for what a process left that ended while it wrote or deleted the directory, or is still at it."""
        return self._mark.exists() and not (self.draft / self._commit).exists()

    @property
    def is_present(self) -> bool:
        """True if the directory holds files, and is not unfinished."""
        return (self.draft / self._commit).exists() or (self.draft.is_dir() and not self._mark.exists())


def marked_names(names: list[str]) -> list[str]:
    """Select the names of the directories that have a mark beside them."""
    return [name.removesuffix(_UNFINISHED) for name in names if name.endswith(_UNFINISHED)]


def upload_directory(source: Path, target: StorePath, commit: str) -> None:
    """Copy the files of a local directory into a store: the file `commit` last.

    Raises:
        StoreError: the store did not allow it; then nothing is left.
    """
    directory = StoreDirectory(target, commit)
    try:
        directory.create()
        for path in sorted(source.iterdir(), key=lambda path: (path.name == commit, path.name)):
            with path.open("rb") as stream, (target / path.name).open("wb") as sink:
                shutil.copyfileobj(stream, sink, 8 << 20)
    except BaseException:
        directory.discard()
        raise
    directory.publish()
