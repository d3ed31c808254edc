"""Local paths: outputs and checkpoints are local files, so a URL is refused, except that `file:///x` is `/x`."""

from __future__ import annotations

import re
from os import PathLike, fspath
from pathlib import Path

from tzrec.errors import UsageError

# Path("s3://bucket/x") has one slash left; a drive such as C: has one letter
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):(?P<slashes>/+)(?P<rest>.*)", re.DOTALL)
_LOCALHOST = "localhost/"


def without_file_scheme(path: str) -> str:
    """Return the path of a `file:` URL of this machine; other paths and URLs are unchanged."""
    match = _URL.fullmatch(path)
    if match is None or match["scheme"].lower() != "file":
        return path
    rest = match["rest"]
    if len(match["slashes"]) != 2:
        return f"/{rest}"
    return f"/{rest.removeprefix(_LOCALHOST)}" if rest.startswith(_LOCALHOST) else path


def local_path_problem(path: str) -> str:
    """Describe a path that is not local; "" if it is."""
    local = without_file_scheme(path)
    if not _URL.fullmatch(local):
        return ""
    return f'"{path}" is a URL; only a local path can be used, such as /data/model (file:///data/model is the same)'


def local_path(name: str, path: str | PathLike[str]) -> Path:
    """Return a path that a caller gave as an argument.

    Args:
        name: flag or argument, for the error.
        path: path or URL.

    Raises:
        UsageError: it is a URL of another protocol than `file:`.
    """
    problem = local_path_problem(fspath(path))
    if problem:
        raise UsageError(f"{name}: {problem}")
    return Path(without_file_scheme(fspath(path)))
