"""Features whose values are looked up in a map: ids or numbers."""

from __future__ import annotations

from typing import Any

from tzrec.config.checker import Checker
from tzrec.config.rules.bucketizer import check_bucketizer_choice, check_default_numbers, set_bucketizers

_OF_TEXT = ("hash_bucket_size", "vocab_list", "vocab_dict", "vocab_file")
_KEY_FLAGS = ("need_key", "show_pkey", "show_skey")


def has_numbers(message: Any) -> bool:
    """True if no bucketizer turns the values into ids."""
    return not set_bucketizers(message) and not message.boundaries


def check_looked_up(checker: Checker, path: str, message: Any, separator: str) -> bool:
    """Check bucketizer, default and width of a lookup or match feature.

    Args:
        checker: receives the problems.
        path: path of the feature.
        message: message of the feature.
        separator: separator of the numbers in `default_value`; "" if it is one number.

    Returns:
        False if the message cannot be checked further.
    """
    bucketizers = set_bucketizers(message)
    if any(checker.is_unsupported(f"{path}.{name}") for name in bucketizers) or checker.has_parse_errors(path):
        return False
    if bucketizers:
        check_bucketizer_choice(checker, path, message, bucketizers)
    if bucketizers and message.boundaries:
        checker.error(f"{path}.boundaries", f"{bucketizers[0]} is set as well; choose one")
    key_flags = [name for name in _KEY_FLAGS if getattr(message, name, False)]
    if key_flags and not set(bucketizers) & set(_OF_TEXT):
        checker.error(f"{path}.{key_flags[0]}", f"values that begin with a key are text: use {', '.join(_OF_TEXT)}")
    elif message.need_discrete and has_numbers(message):
        needed = ", ".join((*_OF_TEXT, "num_buckets"))
        checker.error(f"{path}.need_discrete", f"values that are ids need one of {needed}")
    if not bucketizers and not key_flags and not message.need_discrete:
        check_default_numbers(checker, path, message, separator)
        if message.HasField("value_dim") and message.value_dim == 0:
            checker.error(f"{path}.value_dim", "0 (any number of values) is for ids only; numbers have a fixed width")
        return True
    return not bucketizers
