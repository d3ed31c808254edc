"""Bucketizers: how the values of a feature become rows of its table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tzrec.config.checker import Checker
from tzrec.config.normalizers import is_number
from tzrec.config.schema import fields_of, is_set
from tzrec.config.vocabulary import read_vocabulary, vocabulary_path


def set_bucketizers(message: Any) -> list[str]:
    """Return the bucketizers that are set in a feature, except boundaries."""
    return [name for name in BUCKETIZERS if name in fields_of(message) and is_set(message, name)]


def check_bucketizer(checker: Checker, path: str, message: Any) -> None:
    """Check that exactly one bucketizer is set, and its fields."""
    bucketizers = set_bucketizers(message)
    if any(checker.is_unsupported(f"{path}.{name}") for name in bucketizers) or checker.has_parse_errors(path):
        return
    if not bucketizers:
        known = [name for name in _RULES if name in fields_of(message)]
        checker.error(path, f'feature "{message.feature_name}" needs one of {", ".join(known)}')
    else:
        check_bucketizer_choice(checker, path, message, bucketizers)


def check_bucketizer_choice(checker: Checker, path: str, message: Any, bucketizers: Sequence[str]) -> None:
    """Check that not more than one bucketizer is set, and its fields."""
    if len(bucketizers) > 1:
        checker.error(f"{path}.{bucketizers[1]}", f"{' and '.join(bucketizers)} are set; choose one")
    else:
        _RULES[bucketizers[0]](checker, path, message)


def _check_num_buckets(checker: Checker, path: str, message: Any) -> None:
    rows = message.num_buckets
    for word in split_values(message.default_value, message.separator) if rows else ():
        name = word.partition(":")[0] if getattr(message, "weighted", False) else word
        digits = name.partition(".")[0]
        if not (digits.isdecimal() and int(digits) < rows):
            checker.error(f"{path}.default_value", f'"{word}" is not in the num_buckets range [0, {rows})')


def _check_hash_bucket_size(checker: Checker, path: str, message: Any) -> None:
    """A hash has no fields of its own."""


def _check_vocab_list(checker: Checker, path: str, message: Any) -> None:
    _check_unlisted_id(checker, path, message, len(message.vocab_list))


def _check_vocab_dict(checker: Checker, path: str, message: Any) -> None:
    if message.HasField("default_bucketize_value"):
        _check_unlisted_id(checker, path, message, max(message.vocab_dict.values()) + 1)
        return
    for word, index in message.vocab_dict.items():
        if index < 2:
            received = f'"{word}" has index {index}; 0 and 1 are those of default_value and of unlisted words'
            checker.error(f'{path}.vocab_dict["{word}"]', f"{received}: start at 2 or set default_bucketize_value")


def _check_vocab_file(checker: Checker, path: str, message: Any) -> None:
    if not message.HasField("default_bucketize_value"):
        checker.error(f"{path}.vocab_file", "needs default_bucketize_value: the id of words that are not in the file")
        return
    file = vocabulary_path(message)
    if not file.is_file():
        checker.missing_file(f"{path}.vocab_file", file)
        return
    try:
        _check_unlisted_id(checker, path, message, max(read_vocabulary(file).values()) + 1)
    except ValueError as error:
        checker.error(f"{path}.vocab_file", str(error))


def _check_unlisted_id(checker: Checker, path: str, message: Any, rows: int) -> None:
    value = message.default_bucketize_value
    if message.HasField("default_bucketize_value") and value >= rows:
        checker.error(f"{path}.default_bucketize_value", f"{value} is not below the {rows} rows of the table")


_RULES: Mapping[str, Callable[[Checker, str, Any], None]] = {
    "hash_bucket_size": _check_hash_bucket_size,
    "num_buckets": _check_num_buckets,
    "vocab_list": _check_vocab_list,
    "vocab_dict": _check_vocab_dict,
    "vocab_file": _check_vocab_file,
}

BUCKETIZERS = (*_RULES, "zch", "dynamicemb")
"""Fields that turn values into ids, except boundaries."""


def check_default_numbers(checker: Checker, path: str, message: Any, separator: str) -> None:
    """Check that the values of `default_value` are numbers."""
    for word in split_values(getattr(message, "default_value", ""), separator):
        if not is_number(word):
            checker.error(f"{path}.default_value", f'"{word}" is not a number')


def split_values(text: str, separator: str) -> list[str]:
    """Split the values of a default."""
    return [word for word in (text.split(separator) if separator else [text]) if word]


def num_table_rows(message: Any) -> int:
    """Return the number of rows of the table of a feature; 0 if its config is not valid."""
    known = fields_of(message)
    if "boundaries" in known and message.boundaries:
        return len(message.boundaries) + 1
    sizes = [getattr(message, name) for name in ("hash_bucket_size", "num_buckets") if name in known]
    if any(sizes) or "vocab_list" not in known:
        return int(max(sizes, default=0))
    reserved = 0 if message.HasField("default_bucketize_value") else 2
    listed = len(message.vocab_list) + reserved if message.vocab_list else 0
    return int(listed or max(message.vocab_dict.values(), default=-1) + 1)
