"""Requirements of LookupFeature: its values are ids or numbers."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.config.options import words
from tzrec.config.rules.looked_up import check_looked_up, has_numbers
from tzrec.protos.feature_pb2 import LookupFeature


def check(checker: Checker, path: str, message: LookupFeature) -> None:
    """Check bucketizer, combiner, default and width."""
    if not check_looked_up(checker, path, message, message.value_separator):
        return
    if has_numbers(message) and not message.combiner:
        combiners = [word for word in words(LookupFeature, "combiner") if word]
        checker.unknown_name(f"{path}.combiner", "combiner", "", combiners)
