"""Requirements of CombineFeature: a bucketizer, or a number as default."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.config.rules.bucketizer import check_bucketizer_choice, check_default_numbers, set_bucketizers
from tzrec.protos.feature_pb2 import CombineFeature


def check(checker: Checker, path: str, message: CombineFeature) -> None:
    """Check bucketizer, normalizer and default."""
    if checker.has_parse_errors(path):
        return
    bucketizers = set_bucketizers(message)
    if not bucketizers:
        check_default_numbers(checker, path, message, message.separator)
        return
    check_bucketizer_choice(checker, path, message, bucketizers)
    if message.boundaries:
        checker.error(f"{path}.boundaries", "num_buckets and boundaries are set; choose one")
    if message.normalizer:
        checker.error(f"{path}.normalizer", "num_buckets uses whole numbers unchanged; leave it out")
