"""Features that are computed from several inputs: formulas, overlaps, dot products, masks, tokens, operators."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tzrec.config.checker import Checker
from tzrec.config.overlap import METHODS
from tzrec.config.rules.bucketizer import check_bucketizer, check_chosen, check_edges, chosen_bucketizers, split
from tzrec.config.rules.feature_entry import FeatureEntry
from tzrec.config.rules.normalizer import is_number, normalizer_problem
from tzrec.config.sequences import NAME_IN_FORMULA

_CONSTANTS = ("_pi", "_e")
_TOKENIZERS = ("bpe", "sentencepiece")


def check_computed(checker: Checker, entry: FeatureEntry) -> None:
    """What the message of a computed feature says."""
    rule = _RULES.get(entry.message.DESCRIPTOR.name)
    if rule is not None and not checker.has_parse_errors(entry.path):
        rule(checker, entry)


def _check_expr(checker: Checker, entry: FeatureEntry) -> None:
    """The formula itself is read by the feature; its names are looked up here."""
    _check_numbers(checker, entry)
    if not entry.inputs:
        checker.error(f"{entry.path}.variables", "is empty; list what the formula reads, e.g. user:age")
        return
    known = [text.partition(":")[2] for text in entry.reads]
    for name in dict.fromkeys(NAME_IN_FORMULA.findall(entry.message.expression)):
        if name not in known and name not in _CONSTANTS:
            checker.unknown_name(f"{entry.path}.expression", "variable", name, known)


def _check_overlap(checker: Checker, entry: FeatureEntry) -> None:
    _check_numbers(checker, entry)
    if entry.message.method not in METHODS:
        checker.unknown_name(f"{entry.path}.method", "method", entry.message.method, METHODS)


def _check_dot_product(checker: Checker, entry: FeatureEntry) -> None:
    _check_numbers(checker, entry)
    if entry.message.HasField("kv_delimiter"):
        said = "the schema declares a number, which is no character; leave it out and write key:weight"
        checker.error(f"{entry.path}.kv_delimiter", said)


def _check_mask(checker: Checker, entry: FeatureEntry) -> None:
    check_bucketizer(checker, entry)
    count = len(entry.inputs)
    if count != 2:
        checker.error(f"{entry.path}.expression", f"{count} inputs; list two, the values and then the mask")


def _check_numbers(checker: Checker, entry: FeatureEntry) -> None:
    """Edges, default and normalizer, as far as the message has them."""
    message = entry.message
    check_edges(checker, entry)
    for word in split(getattr(message, "default_value", ""), message.separator):
        if not is_number(word):
            checker.error(f"{entry.path}.default_value", f'"{word}" is not a number')
    problem = normalizer_problem(getattr(message, "normalizer", ""))
    if problem:
        checker.error(f"{entry.path}.normalizer", problem)


def _check_tokenize(checker: Checker, entry: FeatureEntry) -> None:
    """The tokenizer itself is read by the feature."""
    kind, path = entry.message.tokenizer_type, Path(entry.message.asset_dir) / entry.message.vocab_file
    if kind not in _TOKENIZERS:
        checker.unknown_name(f"{entry.path}.tokenizer_type", "type", kind, _TOKENIZERS)
    if not path.is_file():
        checker.error(f"{entry.path}.vocab_file", f"there is no file {path}")


def _check_custom(checker: Checker, entry: FeatureEntry) -> None:
    """The operator itself is looked up by the feature."""
    if entry.message.operator_lib_file:
        said = "shared libraries are not loaded; leave it out and name a Python class in operator_name, as module:Class"
        checker.error(f"{entry.path}.operator_lib_file", said)
    if not entry.inputs:
        checker.error(f"{entry.path}.expression", "is empty; list what the operator reads, e.g. user:age")
    chosen = chosen_bucketizers(entry)
    if not chosen:
        _check_numbers(checker, entry)
    elif entry.message.boundaries:
        checker.error(f"{entry.path}.boundaries", f"{chosen[0]} is set as well; choose one")
    elif not any(checker.is_unsupported(f"{entry.path}.{name}") for name in chosen):
        check_chosen(checker, entry, chosen)


_RULES: Mapping[str, Callable[[Checker, FeatureEntry], None]] = {
    "ExprFeature": _check_expr,
    "OverlapFeature": _check_overlap,
    "KvDotProduct": _check_dot_product,
    "BoolMaskFeature": _check_mask,
    "TokenizeFeature": _check_tokenize,
    "CustomFeature": _check_custom,
}
