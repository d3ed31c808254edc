"""Requirements of BoolMaskFeature: two inputs, and a bucketizer."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.config.rules.bucketizer import check_bucketizer
from tzrec.protos.feature_pb2 import BoolMaskFeature


def check(checker: Checker, path: str, message: BoolMaskFeature) -> None:
    """Check the inputs and the bucketizer."""
    if checker.has_parse_errors(path):
        return
    check_bucketizer(checker, path, message)
    count = len(message.expression)
    if count != 2:
        checker.error(f"{path}.expression", f"{count} inputs; list two, the values and then the mask")
