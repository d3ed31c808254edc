"""Verify the archive of a program before the loader unpacks it: names stay inside, sizes are those of the archive."""

from __future__ import annotations

import zipfile
from pathlib import Path

from tzrec.config.names import name_problem

_PICKLES = (".pkl", ".pickle", ".pt", ".pth")


def archive_problem(path: Path) -> str:
    """Validate the members of `<program>.pt2`, a zip archive of uncompressed files.

    An archive unpacks to the bytes that it has: one that is compressed, or whose members overlap, may fill a disk.

    Returns:
        The problem, or "".
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError, ValueError) as error:
        return f"{path.name} is not an archive of machine code: {error}"
    except OSError as error:
        return f"{path.name} cannot be read: {error.strerror}"
    for member in members:
        problem = _member_problem(member)
        if problem:
            return f"{path.name}: {problem}"
    if len({member.filename for member in members}) < len(members):
        return f"{path.name} has two files of the same name"
    unpacked, size = sum(member.file_size for member in members), path.stat().st_size
    return f"{path.name} unpacks to {unpacked:,} bytes, more than the {size:,} it has" if unpacked > size else ""


def _member_problem(member: zipfile.ZipInfo) -> str:
    name = member.orig_filename
    parts = name.removesuffix("/").split("/")
    if any(part in ("", ".") or name_problem(part) for part in parts):
        return f"{name!r} is not the name of a file inside of the archive"
    if (member.external_attr >> 16) & 0o170000 == 0o120000:
        return f"{name!r} is a link"
    if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
        return f"{name!r} is compressed or encrypted"
    return f"{name!r} is a pickle, which runs code" if name.endswith(_PICKLES) else ""
