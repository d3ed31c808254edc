"""Requirements of RawFeature: a fixed width, and a number as default."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.config.rules.bucketizer import check_default_numbers
from tzrec.protos.feature_pb2 import RawFeature


def check(checker: Checker, path: str, message: RawFeature) -> None:
    """Check width and default."""
    if not message.boundaries and message.value_dim == 0:
        checker.error(f"{path}.value_dim", "0 (any number of values) needs boundaries; a dense width is fixed")
    check_default_numbers(checker, path, message, message.separator)
