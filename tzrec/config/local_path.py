"""`file:` URLs; see `tzrec.storage.url`."""

from tzrec.storage.url import without_file_scheme

__all__ = ["without_file_scheme"]
