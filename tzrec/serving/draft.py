"""Package that is being written: `add` is how every file besides programs and weights gets into it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tzrec.errors import PackageError
from tzrec.serving.manifest_file import MANIFEST
from tzrec.serving.package_manifest import Content
from tzrec.serving.trained_model import TrainedModel


class PackageDraft:
    """Directory that becomes a package when its self-test has passed.

    Args:
        directory: where files are written until then; exists.
        trained: the model, with its config, features and step.

    Attributes:
        directory, trained: the same.
        contents: what `add` has added, by kind; they become `PackageManifest.contents`.
    """

    def __init__(self, directory: Path, trained: TrainedModel) -> None:
        self.directory, self.trained = directory, trained
        self.contents: dict[str, Content] = {}

    def add(
        self, kind: str, name: str = "", data: bytes | str | Path = b"", about: Mapping[str, Any] | None = None
    ) -> None:
        """Add a file, a note in the manifest, or both.

        Args:
            kind: unique key of the content in the manifest: "fg", "sample", "profile", "quantization".
            name: of the file in the package; "" adds a note without a file.
            data: content of the file, or the path of a file to copy.
            about: what a reader needs to know of it, JSON values; kept in the manifest.

        Raises:
            PackageError: the package already has a file of this name.

        Example:
            >>> draft.add("profile", "profile.json", Path("model/profile.json"), {"rows": 12000})
        """
        assert kind not in self.contents, kind
        if name:
            self.write_file(name, data)
        self.contents[kind] = Content(name, dict(about or {}))

    def write_file(self, name: str, data: bytes | str | Path) -> None:
        """Write a file that has no entry in `contents`.

        Raises:
            PackageError: the package already has a file of this name.
        """
        path = self.directory / name
        if path.exists() or name == MANIFEST:
            raise PackageError(f"the package already has a file {name}; give the new one another name")
        if isinstance(data, Path):
            shutil.copyfile(data, path)
        else:
            path.write_bytes(data.encode() if isinstance(data, str) else data)
