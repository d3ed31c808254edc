"""URLs: which paths are one, and which URLs name a file of this machine."""

from __future__ import annotations

import importlib.util
import re

# Path("s3://bucket/x") has one slash left; a drive such as C: has one letter
URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):(?P<slashes>/+)(?P<rest>.*)", re.DOTALL)
_LOCALHOST = "localhost/"
_EXTRA_BY_MODULE = {"s3fs": "s3", "gcsfs": "gcs", "adlfs": "azure"}
_READ_ONLY = ("http", "https", "data", "github", "zip", "tar", "reference")


def without_file_scheme(path: str) -> str:
    """Return the path of a `file:` URL of this machine; other paths and URLs are unchanged."""
    match = URL.fullmatch(path)
    if match is None or match["scheme"].lower() != "file":
        return path
    rest = match["rest"]
    if len(match["slashes"]) != 2:
        return f"/{rest}"
    return f"/{rest.removeprefix(_LOCALHOST)}" if rest.startswith(_LOCALHOST) else path


def is_url(path: str) -> bool:
    """True for a URL that does not name a file of this machine."""
    return URL.fullmatch(without_file_scheme(path)) is not None


def directory_problem(path: str) -> str:
    """Describe a path in which no files can be published; "" for a local path and for a URL of a store."""
    match = URL.fullmatch(without_file_scheme(path))
    if match is None:
        return ""
    scheme = match["scheme"].lower()
    if scheme == "file":
        return f'"{path}" names a file of another machine; /data/model and file:///data/model are local paths'
    if scheme in _READ_ONLY:
        return f'"{path}" is a URL of a protocol that only reads; use a local path or a store such as s3://bucket/model'
    problem = protocol_problem(path)
    return f'"{path}": {problem}' if problem else ""


def protocol_problem(url: str) -> str:
    """Describe the protocol of a URL that fsspec does not know, or whose package is not installed; "" otherwise."""
    from fsspec.registry import known_implementations, registry  # imported for URLs only

    scheme = url.partition(":")[0]
    if scheme in registry:
        return ""
    if scheme not in known_implementations:
        return f"{scheme}:// is not a known protocol; use a local path, or a store such as s3://, gs:// or abfs://"
    module = known_implementations[scheme]["class"].partition(".")[0]
    if importlib.util.find_spec(module) is not None:
        return ""
    extra = _EXTRA_BY_MODULE.get(module)
    package = f"'tzrec[{extra}]'" if extra else module
    return f"a package is missing: pip install {package}"
