"""Features that find values or combine numbers: lookup, match, combine."""

from __future__ import annotations

from tzrec.config.findings import Findings
from tzrec.config.rules.bucketizer import check_chosen, check_edges, chosen_bucketizers, split
from tzrec.config.rules.entries import FeatureEntry
from tzrec.config.rules.normalizer import is_number, normalizer_problem
from tzrec.protos.feature_pb2 import LookupFeature

COMBINERS = ("sum", "mean", "avg", "min", "max", "count")
_TEXT = ("hash_bucket_size", "vocab_list", "vocab_dict", "vocab_file")
_SHOWN = ("need_key", "show_pkey", "show_skey")


def check_found(findings: Findings, entry: FeatureEntry) -> None:
    """A lookup or match feature: whether what it finds are ids or numbers, and what these need."""
    message = entry.message
    chosen = chosen_bucketizers(entry)
    if any(findings.is_refused(f"{entry.path}.{name}") for name in chosen) or findings.is_broken(entry.path):
        return
    if chosen:
        check_chosen(findings, entry, chosen)
    if chosen and message.boundaries:
        findings.add(f"{entry.path}.boundaries", f"{chosen[0]} is set as well; choose one")
    shown = [name for name in _SHOWN if getattr(message, name, False)]
    if shown and not set(chosen) & set(_TEXT):
        findings.add(f"{entry.path}.{shown[0]}", f"values that begin with a key are text: use {', '.join(_TEXT)}")
    elif message.need_discrete and not chosen and not message.boundaries:
        findings.add(f"{entry.path}.need_discrete", f"values that are ids need one of {', '.join(_TEXT)}, num_buckets")
    if isinstance(message, LookupFeature):
        _check_combiner(findings, entry, can_be_empty=bool(chosen or message.boundaries))
    if not chosen and not shown and not message.need_discrete:
        _check_numbers(findings, entry, getattr(message, "value_separator", ""))
        _check_width(findings, entry)


def check_combined(findings: Findings, entry: FeatureEntry) -> None:
    """A combine feature: how its numbers become one, and what becomes of that."""
    message = entry.message
    if findings.is_broken(entry.path):
        return
    _check_combiner(findings, entry)
    chosen = chosen_bucketizers(entry)
    if chosen:
        check_chosen(findings, entry, chosen)
    if chosen and message.boundaries:
        findings.add(f"{entry.path}.boundaries", "num_buckets and boundaries are set; choose one")
    if chosen and message.normalizer:
        findings.add(f"{entry.path}.normalizer", "num_buckets takes whole numbers as they are; leave it out")
    elif not chosen:
        _check_numbers(findings, entry, message.separator)


def _check_combiner(findings: Findings, entry: FeatureEntry, can_be_empty: bool = False) -> None:
    name = entry.message.combiner
    if name not in COMBINERS and not (can_be_empty and not name):
        findings.unknown(f"{entry.path}.combiner", "combiner", name, COMBINERS)


def _check_numbers(findings: Findings, entry: FeatureEntry, separator: str) -> None:
    """Edges, default and normalizer of what is a number."""
    message = entry.message
    check_edges(findings, entry)
    for word in split(message.default_value, separator):
        if not is_number(word):
            findings.add(f"{entry.path}.default_value", f'"{word}" is not a number')
    problem = normalizer_problem(message.normalizer)
    if problem:
        findings.add(f"{entry.path}.normalizer", problem)


def _check_width(findings: Findings, entry: FeatureEntry) -> None:
    message = entry.message
    path = f"{entry.path}.value_dim"
    if message.HasField("value_dim") and message.value_dim == 0:
        findings.add(path, "0 (any number of values) is for ids; numbers have a fixed width")
    elif message.value_dim > 1 and not isinstance(message, LookupFeature):
        findings.add(path, f"{message.value_dim}; a match is one number")
