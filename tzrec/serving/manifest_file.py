"""File of the manifest of a package, as JSON; read without torch, so that `tzrec inspect` starts at once."""

from __future__ import annotations

from typing import Any

from tzrec.checkpoint.sealed_json import DamagedJsonError, read_json, read_sealed
from tzrec.errors import PackageError
from tzrec.storage.path import AnyPath, to_path
from tzrec.version import __version__

MANIFEST = "manifest.json"
FORMAT, _FIRST_SEALED_FORMAT = 4, 3


def read_manifest(directory: AnyPath) -> dict[str, Any]:
    """Read the manifest of a package; the other files are not verified.

    Raises:
        PackageError: it is missing, damaged, or written by a newer tzrec.
    """
    path = directory / MANIFEST
    try:
        value = read_sealed(path, _FIRST_SEALED_FORMAT)
        if "position" in value:
            raise PackageError(f"{directory} is a checkpoint, not a package; create one with `tzrec export`")
        if value["format"] > FORMAT:
            raise PackageError(
                f"{directory} was exported with tzrec {value['versions']['tzrec']}, newer than the installed "
                f"{__version__}; upgrade tzrec, or export it again"
            )
        return value
    except (FileNotFoundError, NotADirectoryError):
        parts = package_parts(directory)
        advice = f"it holds the packages {', '.join(map(str, parts))}" if parts else "create one with `tzrec export`"
        raise PackageError(f"{directory} is not a package: it has no {MANIFEST}; {advice}") from None
    except DamagedJsonError as error:
        raise PackageError(f"{path} is damaged: {error}") from None
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise PackageError(f"{path} is damaged: {type(error).__name__} {error}") from None


def package_parts(directory: AnyPath) -> list[AnyPath]:
    """List the packages in a directory: the parts of one model, or its versions."""
    children = sorted(map(str, directory.iterdir())) if directory.is_dir() else []
    return [to_path(child) for child in children if _is_package(to_path(child))]


def _is_package(directory: AnyPath) -> bool:
    """True if there is a manifest, also a damaged one, that is not of a checkpoint."""
    try:
        return "position" not in read_json(directory / MANIFEST)
    except DamagedJsonError:
        return True
    except OSError:
        return False
