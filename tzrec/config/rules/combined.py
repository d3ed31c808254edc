"""Features that find values or combine numbers: lookup, match, combine."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.config.rules.bucketizer import check_chosen, check_edges, chosen_bucketizers, split
from tzrec.config.rules.feature_entry import FeatureEntry
from tzrec.config.rules.normalizer import is_number, normalizer_problem
from tzrec.protos.feature_pb2 import LookupFeature

COMBINERS = ("sum", "mean", "avg", "min", "max", "count")
_TEXT = ("hash_bucket_size", "vocab_list", "vocab_dict", "vocab_file")
_SHOWN = ("need_key", "show_pkey", "show_skey")


def check_found(checker: Checker, entry: FeatureEntry) -> None:
    """A lookup or match feature: whether what it finds are ids or numbers, and what these need."""
    message = entry.message
    chosen = chosen_bucketizers(entry)
    if any(checker.is_unsupported(f"{entry.path}.{name}") for name in chosen) or checker.has_parse_errors(entry.path):
        return
    if chosen:
        check_chosen(checker, entry, chosen)
    if chosen and message.boundaries:
        checker.error(f"{entry.path}.boundaries", f"{chosen[0]} is set as well; choose one")
    shown = [name for name in _SHOWN if getattr(message, name, False)]
    if shown and not set(chosen) & set(_TEXT):
        checker.error(f"{entry.path}.{shown[0]}", f"values that begin with a key are text: use {', '.join(_TEXT)}")
    elif message.need_discrete and not chosen and not message.boundaries:
        checker.error(f"{entry.path}.need_discrete", f"values that are ids need one of {', '.join(_TEXT)}, num_buckets")
    if isinstance(message, LookupFeature):
        _check_combiner(checker, entry, can_be_empty=bool(chosen or message.boundaries))
    if not chosen and not shown and not message.need_discrete:
        _check_numbers(checker, entry, getattr(message, "value_separator", ""))
        _check_width(checker, entry)


def check_combined(checker: Checker, entry: FeatureEntry) -> None:
    """A combine feature: how its numbers become one, and what becomes of that."""
    message = entry.message
    if checker.has_parse_errors(entry.path):
        return
    _check_combiner(checker, entry)
    chosen = chosen_bucketizers(entry)
    if chosen:
        check_chosen(checker, entry, chosen)
    if chosen and message.boundaries:
        checker.error(f"{entry.path}.boundaries", "num_buckets and boundaries are set; choose one")
    if chosen and message.normalizer:
        checker.error(f"{entry.path}.normalizer", "num_buckets takes whole numbers as they are; leave it out")
    elif not chosen:
        _check_numbers(checker, entry, message.separator)


def _check_combiner(checker: Checker, entry: FeatureEntry, can_be_empty: bool = False) -> None:
    name = entry.message.combiner
    if name not in COMBINERS and not (can_be_empty and not name):
        checker.unknown_name(f"{entry.path}.combiner", "combiner", name, COMBINERS)


def _check_numbers(checker: Checker, entry: FeatureEntry, separator: str) -> None:
    """Edges, default and normalizer of what is a number."""
    message = entry.message
    check_edges(checker, entry)
    for word in split(message.default_value, separator):
        if not is_number(word):
            checker.error(f"{entry.path}.default_value", f'"{word}" is not a number')
    problem = normalizer_problem(message.normalizer)
    if problem:
        checker.error(f"{entry.path}.normalizer", problem)


def _check_width(checker: Checker, entry: FeatureEntry) -> None:
    message = entry.message
    path = f"{entry.path}.value_dim"
    if message.HasField("value_dim") and message.value_dim == 0:
        checker.error(path, "0 (any number of values) is for ids; numbers have a fixed width")
    elif message.value_dim > 1 and not isinstance(message, LookupFeature):
        checker.error(path, f"{message.value_dim}; a match is one number")
