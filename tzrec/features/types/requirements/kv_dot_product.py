"""Requirements of KvDotProduct: a number as default."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.config.rules.bucketizer import check_default_numbers
from tzrec.protos.feature_pb2 import KvDotProduct


def check(checker: Checker, path: str, message: KvDotProduct) -> None:
    """Check the default."""
    check_default_numbers(checker, path, message, message.separator)
