"""EarlierScores: the complete output of earlier predictions, to which another one adds parts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tzrec.data.atomic import sync_file
from tzrec.data.parts.directory import read_manifest
from tzrec.data.parts.provenance import SourceFile
from tzrec.data.parts.report import BAD_ROWS
from tzrec.data.paths import InputFile
from tzrec.errors import UsageError
from tzrec.storage.path import AnyPath

SUCCESS = "_SUCCESS"
"""File of a complete directory, as Hadoop and Spark write it."""


@dataclass(frozen=True)
class EarlierScores:
    """Output of earlier predictions.

    Attributes:
        path: its directory.
        manifest: of the directory.
    """

    path: Path
    manifest: Mapping[str, Any]

    @classmethod
    def read(cls, path: AnyPath) -> EarlierScores | None:
        """Read the output in a directory; None if there is none yet.

        Raises:
            UsageError: nothing can be added to it.
        """
        if not isinstance(path, Path):
            raise UsageError(
                f"--append adds to local directories only, not {path}; write each input to a directory of its own"
            )
        if not path.exists() or (path.is_dir() and not any(path.iterdir())):
            return None
        manifest = read_manifest(path) if (path / SUCCESS).exists() else None
        if not manifest or not manifest.get("complete") or "file_format" not in manifest:
            raise UsageError(f"--append: {path} is not the complete output of a prediction; choose another directory")
        return cls(path, manifest)

    @property
    def num_parts(self) -> int:
        """Number of parts that it has."""
        return len(self.manifest["parts"])

    def scored(self, files: Sequence[InputFile]) -> frozenset[str]:
        """Names of those input files whose scores it has.

        Raises:
            UsageError: one of them has changed since.
        """
        earlier = {file.path: file for file in (SourceFile(**entry) for entry in self.manifest["inputs"])}
        names = [file.name for file in files if file.name in earlier]
        for file in files:
            if file.name in earlier and SourceFile.of(file) != earlier[file.name]:
                raise UsageError(
                    f"--append: {file.name} was modified since its rows were scored in {self.path}; score all files "
                    "again with --overwrite"
                )
        return frozenset(names)

    def ensure_same_columns(self, settings: Mapping[str, Any]) -> None:
        """Check that parts with these settings have the columns and the format of those that are there.

        Raises:
            UsageError: they have others.
        """
        flags = {
            "reserved_columns": "--reserved_columns",
            "output_columns": "--output_columns",
            "file_format": "--writer_type",
            "has_features": "--debug_level",
            "has_folders": "--partition_folders",
        }
        for name, flag in flags.items():
            if self.manifest.get(name, False) != settings[name]:
                raise UsageError(
                    f"--append: the files in {self.path} were written with another {flag} ({self.manifest.get(name)}); "
                    "pass the same one, or choose another directory"
                )

    def add_to(self, draft: Path) -> None:
        """Give a directory the files of this one, as links where the file system has them.

        Raises:
            UsageError: another process has changed the output meanwhile.
        """
        if read_manifest(self.path) != self.manifest:
            raise UsageError(f"--append: another process has written to {self.path} meanwhile; run the command again")
        for entry in self.manifest["parts"]:
            name = f"{entry['name']}.{self.manifest['file_format']}"
            if entry.get("rows") is not None and (self.path / name).exists():
                _link(self.path / name, draft / name)
        bad_rows = self.path / BAD_ROWS
        if bad_rows.exists():
            new = draft / BAD_ROWS
            lines = bad_rows.read_text(encoding="utf-8") + (new.read_text(encoding="utf-8") if new.exists() else "")
            new.write_text(lines, encoding="utf-8")
            sync_file(new)


def _link(source: Path, target: Path) -> None:
    if target.exists():  # of a publication that was ended
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
        sync_file(target)
