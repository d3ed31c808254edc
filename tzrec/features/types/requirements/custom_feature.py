"""Requirements of CustomFeature: a bucketizer, or a number as default."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.config.rules.bucketizer import check_bucketizer_choice, check_default_numbers, set_bucketizers
from tzrec.protos.feature_pb2 import CustomFeature


def check(checker: Checker, path: str, message: CustomFeature) -> None:
    """Check bucketizer and default; the operator itself is looked up by the feature."""
    if checker.has_parse_errors(path):
        return
    bucketizers = set_bucketizers(message)
    if not bucketizers:
        check_default_numbers(checker, path, message, message.separator)
    elif message.boundaries:
        checker.error(f"{path}.boundaries", f"{bucketizers[0]} is set as well; choose one")
    elif not any(checker.is_unsupported(f"{path}.{name}") for name in bucketizers):
        check_bucketizer_choice(checker, path, message, bucketizers)
