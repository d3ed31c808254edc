"""Requirements of MatchFeature: its values are ids, or one number."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.config.rules.looked_up import check_looked_up
from tzrec.protos.feature_pb2 import MatchFeature


def check(checker: Checker, path: str, message: MatchFeature) -> None:
    """Check bucketizer, default and width."""
    if check_looked_up(checker, path, message, separator="") and message.value_dim > 1:
        checker.error(f"{path}.value_dim", f"{message.value_dim}; a match is one number")
