"""Requirements of ComboFeature: two or more inputs, and a bucketizer."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.config.completion import ENCODED
from tzrec.config.rules.bucketizer import check_bucketizer
from tzrec.protos.feature_pb2 import ComboFeature


def check(checker: Checker, path: str, message: ComboFeature) -> None:
    """Check the inputs and the bucketizer."""
    count = len(message.expression)
    is_encoded = checker.config.data_config.fg_mode in ENCODED
    if count < 2 and not is_encoded and not checker.has_parse_errors(path):
        checker.error(f"{path}.expression", f"{count} input{'s' if count != 1 else ''}; a cross needs 2 or more")
    check_bucketizer(checker, path, message)
