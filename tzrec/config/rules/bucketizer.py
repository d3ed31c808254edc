"""From the values of a feature to the rows of its table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tzrec.config.checker import Checker
from tzrec.config.rules.feature_entry import FeatureEntry
from tzrec.config.rules.normalizer import is_number, normalizer_problem
from tzrec.config.schema import fields_of, is_set
from tzrec.config.vocabulary import read_vocabulary, vocabulary_path

_IMPLEMENTED = ("hash_bucket_size", "num_buckets", "vocab_list", "vocab_dict", "vocab_file")
_BUCKETIZERS = (*_IMPLEMENTED, "zch", "dynamicemb")
_VALUE_TYPES = ("", "string", "int32", "int64")


def check_bucketizer(checker: Checker, entry: FeatureEntry) -> None:
    """Exactly one way from values to rows of the table, and what it needs."""
    chosen = chosen_bucketizers(entry)
    if any(checker.is_unsupported(f"{entry.path}.{name}") for name in chosen) or checker.has_parse_errors(entry.path):
        return
    if not chosen:
        known = [name for name in _IMPLEMENTED if name in fields_of(entry.message)]
        checker.error(entry.path, f'feature "{entry.name}" needs one of {", ".join(known)}')
    else:
        check_chosen(checker, entry, chosen)


def chosen_bucketizers(entry: FeatureEntry) -> list[str]:
    """The ways from values to rows that are set, boundaries aside."""
    return [name for name in _BUCKETIZERS if name in fields_of(entry.message) and is_set(entry.message, name)]


def check_chosen(checker: Checker, entry: FeatureEntry, chosen: Sequence[str]) -> None:
    """The bucketizers that are set: one, with what it needs."""
    if len(chosen) > 1:
        checker.error(f"{entry.path}.{chosen[1]}", f"{' and '.join(chosen)} are set; choose one")
    else:
        _RULES[chosen[0]](checker, entry)
    kind = getattr(entry.message, "fg_value_type", "")
    if kind.lower() not in _VALUE_TYPES:
        checker.unknown_name(f"{entry.path}.fg_value_type", "type", kind, _VALUE_TYPES[1:])


def _check_num_buckets(checker: Checker, entry: FeatureEntry) -> None:
    message, rows = entry.message, entry.message.num_buckets
    if rows == 0:
        checker.error(f"{entry.path}.num_buckets", "0 rows; the table needs at least 1")
        return
    for word in split(message.default_value, message.separator):
        name = word.partition(":")[0] if getattr(message, "weighted", False) else word
        digits = name.partition(".")[0]
        if not (digits.isdecimal() and int(digits) < rows):
            checker.error(f"{entry.path}.default_value", f'"{word}" is not in the num_buckets range [0, {rows})')


def _check_hash(checker: Checker, entry: FeatureEntry) -> None:
    if entry.message.hash_bucket_size == 0:
        checker.error(f"{entry.path}.hash_bucket_size", "0 rows; the table needs at least 1")


def _check_vocab_list(checker: Checker, entry: FeatureEntry) -> None:
    _check_oov(checker, entry, len(entry.message.vocab_list))


def _check_vocab_dict(checker: Checker, entry: FeatureEntry) -> None:
    message = entry.message
    if message.HasField("default_bucketize_value"):
        _check_oov(checker, entry, max(message.vocab_dict.values()) + 1)
        return
    for word, index in message.vocab_dict.items():
        if index < 2:
            received = f'"{word}" has index {index}; 0 and 1 are those of default_value and of unlisted words'
            checker.error(
                f'{entry.path}.vocab_dict["{word}"]', f"{received}: start at 2 or set default_bucketize_value"
            )


def _check_vocab_file(checker: Checker, entry: FeatureEntry) -> None:
    path = f"{entry.path}.vocab_file"
    if not entry.message.HasField("default_bucketize_value"):
        checker.error(path, "needs default_bucketize_value: the id of words that are not in the file")
        return
    try:
        _check_oov(checker, entry, max(read_vocabulary(vocabulary_path(entry.message)).values()) + 1)
    except ValueError as error:
        checker.error(path, str(error))


def _check_oov(checker: Checker, entry: FeatureEntry, rows: int) -> None:
    value = entry.message.default_bucketize_value
    if entry.message.HasField("default_bucketize_value") and value >= rows:
        checker.error(f"{entry.path}.default_bucketize_value", f"{value} is not below the {rows} rows of the table")


_RULES = {
    "hash_bucket_size": _check_hash,
    "num_buckets": _check_num_buckets,
    "vocab_list": _check_vocab_list,
    "vocab_dict": _check_vocab_dict,
    "vocab_file": _check_vocab_file,
}


def check_raw(checker: Checker, entry: FeatureEntry) -> None:
    """Edges, width, default and normalizer of a raw feature."""
    message = entry.message
    check_edges(checker, entry)
    if not message.boundaries and message.value_dim == 0:
        checker.error(f"{entry.path}.value_dim", "0 (any number of values) needs boundaries; a dense width is fixed")
    for word in split(message.default_value, message.separator):
        if not is_number(word):
            checker.error(f"{entry.path}.default_value", f'"{word}" is not a number')
    problem = normalizer_problem(message.normalizer)
    if problem:
        checker.error(f"{entry.path}.normalizer", problem)


def check_edges(checker: Checker, entry: FeatureEntry) -> None:
    """Boundaries rise."""
    edges = list(entry.message.boundaries)
    for index in range(1, len(edges)):
        if not edges[index] > edges[index - 1]:
            checker.error(f"{entry.path}.boundaries[{index}]", f"{edges[index]:g} is not above {edges[index - 1]:g}")


def split(text: str, separator: str) -> list[str]:
    """The values of a default."""
    return [word for word in (text.split(separator) if separator else [text]) if word]


def rows_of(message: Any) -> int:
    """Rows of the table a feature asks for; 0 where its config is too broken to tell."""
    known = fields_of(message)
    if "boundaries" in known and message.boundaries:
        return len(message.boundaries) + 1
    plain = [getattr(message, name) for name in ("hash_bucket_size", "num_buckets") if name in known]
    if any(plain) or "vocab_list" not in known:
        return int(max(plain, default=0))
    reserved = 0 if message.HasField("default_bucketize_value") else 2
    listed = len(message.vocab_list) + reserved if message.vocab_list else 0
    return int(listed or max(message.vocab_dict.values(), default=-1) + 1)
