"""Packages of a store: copied to this machine, since machine code is loaded and weights are mapped from local files."""

from __future__ import annotations

import hashlib
import shutil
import time
from os import PathLike
from pathlib import Path

from tzrec import env
from tzrec.checkpoint.file_record import FileRecord
from tzrec.config.names import name_problem
from tzrec.data.atomic import AtomicDirectory, remove_path
from tzrec.errors import PackageError
from tzrec.log import logger
from tzrec.serving.manifest_file import MANIFEST
from tzrec.serving.package_manifest import PackageManifest
from tzrec.storage.path import StorePath, to_path

_KEEP_S = 24 * 3600
"""Age at which a copy of an older package of the same URL is deleted, since no process is about to open it."""


def local_package(path: str | PathLike[str]) -> Path:
    """Return the local path of a package; one in a store is copied, once for each version of it.

    The copies are in `tzrec/packages` in the folder of caches, and can be deleted at any time.

    Raises:
        PackageError: there is no package, or it is damaged, or there is no place for the copy.
        StoreError: the store cannot be read.
    """
    source = to_path(path)
    if isinstance(source, Path):
        return source
    manifest = PackageManifest.read(source)
    text = (source / MANIFEST).read_bytes()
    versions = env.cache_dir() / "packages" / _digest(str(source).encode())
    copy = versions / _digest(text)
    if not _is_complete(copy, manifest):
        try:
            _download(source, copy, manifest, text)
        except OSError as error:
            raise PackageError(
                f"{source} cannot be copied to {copy}: {error.strerror}; make space there, or set XDG_CACHE_HOME to "
                "another folder for caches"
            ) from error
    for other in versions.iterdir():
        if other != copy and time.time() - other.stat().st_mtime > _KEEP_S:
            remove_path(other)
    return copy


def _is_complete(copy: Path, manifest: PackageManifest) -> bool:
    """True if all files of a copy are there with their sizes; their content is verified when the package is opened."""
    files = [(copy / name, record.size) for name, record in manifest.files.items()]
    return (copy / MANIFEST).is_file() and all(path.is_file() and path.stat().st_size == size for path, size in files)


def _download(source: StorePath, copy: Path, manifest: PackageManifest, text: bytes) -> None:
    logger.info("model  copying %s to %s", source, copy)
    with AtomicDirectory(copy, is_replacing=True) as directory:
        differences = [_fetch(source, directory.draft, name, file) for name, file in manifest.files.items()]
        if any(differences):
            raise PackageError(f"{source} is damaged: {'; '.join(filter(None, differences))}. Export it again.")
        (directory.draft / MANIFEST).write_bytes(text)


def _fetch(source: StorePath, draft: Path, name: str, record: FileRecord) -> str:
    """Copy a file; return its difference to the manifest, or ""."""
    if name_problem(name):
        return f"{MANIFEST} names a file outside the package: {name!r}"
    try:
        with (source / name).open("rb", buffering=0) as stream, (draft / name).open("wb") as target:
            shutil.copyfileobj(stream, target, 16 << 20)
    except FileNotFoundError:
        return f"{name} is missing"
    return record.compare(draft / name, name)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
