"""Requirements of TokenizeFeature: a vocabulary file."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.config.vocabulary import vocabulary_path
from tzrec.protos.feature_pb2 import TokenizeFeature


def check(checker: Checker, path: str, message: TokenizeFeature) -> None:
    """Check the file; the tokenizer itself is read by the feature."""
    vocab_path = vocabulary_path(message)
    if not checker.has_parse_errors(path) and not vocab_path.is_file():
        checker.missing_file(f"{path}.vocab_file", vocab_path)
