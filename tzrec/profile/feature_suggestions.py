"""Suggestions for one feature: the fields that it leaves open, and those that are to be refitted."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tzrec.config.checker import Checker
from tzrec.config.load import ConfigSource
from tzrec.config.rules.bucketizer import set_bucketizers
from tzrec.config.rules.feature_entry import FeatureEntry, feature_entries
from tzrec.config.schema import fields_of, is_set
from tzrec.features.normalizer import parse_normalizer
from tzrec.profile import rules
from tzrec.profile.column_stats import ColumnStats
from tzrec.profile.feature_targets import FeatureTarget
from tzrec.profile.rules import Suggestion
from tzrec.protos.data_pb2 import FgMode
from tzrec.protos.feature_pb2 import IdFeature
from tzrec.protos.pipeline_pb2 import EasyRecConfig

_BUCKETIZERS = ("vocab_list", "hash_bucket_size", "num_buckets")
"""Fields that map values to rows and that can be suggested."""
_MONOTONIC = ("log10", "zscore", "minmax")
"""Normalizers that keep the order of numbers, so that buckets of equal frequency stay so."""


def suggest_fields(
    config: EasyRecConfig, feature: FeatureTarget, stats: ColumnStats, refit: Collection[str]
) -> Iterator[Suggestion]:
    """Suggest values for one feature.

    Args:
        config: the config of the feature.
        feature: the feature.
        stats: statistics of its values.
        refit: fields that are suggested again where they are set.
    """
    if not stats.values:
        return
    entry, mode = feature.entry, config.data_config.fg_mode
    rule = _suggest_bucketizer if feature.makes_ids else _suggest_scale
    suggestions = dict(rule(entry.message, stats, mode, refit))
    num_values = stats.distinct if feature.makes_ids else _num_buckets(entry.message, suggestions)
    if num_values and _is_open(entry.message, "embedding_dim", refit):
        dim = rules.embedding_dim(num_values) if "embedding_dim" in refit else _embedding_dim(config, num_values)
        suggestions["embedding_dim"] = dim
    if feature.makes_ids and not refit:
        suggestions = _as_shared_table(config, entry, suggestions)
    for name, suggestion in suggestions.items():
        old = _plain(getattr(entry.message, name)) if is_set(entry.message, name) else None
        if old != suggestion.value:
            reason = f"{feature.name}: {suggestion.reason}"
            yield replace(suggestion, reason=reason, path=f"{entry.path}.{name}", old=old)


def merge_shared(features: Sequence[FeatureTarget], stats: Sequence[ColumnStats]) -> list[ColumnStats]:
    """Merge the statistics of features that share a table: each of them gets those of all."""
    indices_by_table: dict[str, list[int]] = {}
    for index, feature in enumerate(features):
        if feature.makes_ids:
            indices_by_table.setdefault(feature.entry.table, []).append(index)
    result = list(stats)
    for indices in indices_by_table.values():
        if len(indices) > 1:
            merged = features[indices[0]].new_stats()
            for index in indices:
                merged.merge(stats[index])
                result[index] = merged
    return result


def out_of_range(feature: FeatureTarget, stats: ColumnStats) -> str:
    """Describe ids of the data outside of a feature's num_buckets; "" if there are none."""
    rows = getattr(feature.entry.message, "num_buckets", 0) if feature.is_column else 0
    if not rows or not stats.numbers or 0 <= stats.moments.least <= stats.moments.most < rows:
        return ""
    ids = f"{stats.moments.least:.0f} to {stats.moments.most:.0f}"
    return f"{feature.entry.path}.num_buckets: {rows}, but {stats.name} holds ids from {ids}"


def _suggest_bucketizer(
    message: Any, stats: ColumnStats, mode: int, refit: Collection[str]
) -> Iterator[tuple[str, Suggestion]]:
    """Map values to rows. Computed text is known by its hashes alone, so it gets no vocabulary."""
    is_encoded, is_column = mode == FgMode.FG_NONE, isinstance(message, IdFeature)
    present = set_bucketizers(message)
    if present:
        names = [name for name in present if name in refit and name in _BUCKETIZERS]
    elif is_encoded:
        names = ["num_buckets"]
    else:
        names = ["vocab_list" if is_column and rules.has_few_values(stats) else "hash_bucket_size"]
    can_hash = "hash_bucket_size" in fields_of(message) and not is_encoded
    # encoded data holds rows of the table, whichever bucketizer made them
    hash_rule = rules.identity_size if is_encoded else rules.hash_size
    rule_by_name = {
        "vocab_list": rules.vocabulary,
        "hash_bucket_size": hash_rule,
        "num_buckets": rules.identity_size,
    }
    is_possible = {
        "vocab_list": is_column and stats.is_exact and not is_encoded,
        "hash_bucket_size": can_hash or stats.is_numeric,
        "num_buckets": stats.is_numeric and (is_column or not can_hash),
    }
    yield from ((name, rule_by_name[name](stats)) for name in names if is_possible[name])


def _suggest_scale(
    message: Any, stats: ColumnStats, mode: int, refit: Collection[str]
) -> Iterator[tuple[str, Suggestion]]:
    """Boundaries, in the scale of the normalizer, for numbers that are bucketized; a normalizer for other numbers."""
    if not stats.numbers or mode == FgMode.FG_NONE or _has_edges(message):
        return
    text = getattr(message, "normalizer", "")
    method = text.partition("method=")[2].partition(",")[0].strip()
    if message.boundaries or (is_set(message, "embedding_dim") and not message.WhichOneof("dense_emb")):
        if _is_open(message, "boundaries", refit) and method in ("", *_MONOTONIC):
            suggestion = _boundaries(len(message.boundaries), text, stats)
            if suggestion is not None:
                yield "boundaries", suggestion
    elif "normalizer" in fields_of(message) and mode != FgMode.FG_BUCKETIZE and _is_open(message, "normalizer", refit):
        if method in _MONOTONIC:
            reason = f"{method} with the constants of this data"
            yield "normalizer", Suggestion(rules.normalizer_text(method, stats), reason)
        elif not method and (suggestion := rules.normalizer(stats)) is not None:
            yield "normalizer", suggestion


def _has_edges(message: Any) -> bool:
    """True for a piecewise-linear embedding, whose edges do what a normalizer does."""
    return "piecewise_linear" in fields_of(message) and bool(message.piecewise_linear.edges)


def _boundaries(count: int, normalizer: str, stats: ColumnStats) -> Suggestion | None:
    """As many boundaries as the config has, or the usual number."""
    suggestion = rules.boundaries(stats, count + 1 if count else rules.NUM_BUCKETS)
    if suggestion is None or not normalizer:
        return suggestion
    scaled = parse_normalizer(normalizer)(np.array(suggestion.value, np.float64))
    values = _plain(np.unique(scaled.astype(np.float32)).tolist())
    return Suggestion(values, f"{suggestion.reason}, in the normalizer's scale")


def _num_buckets(message: Any, suggestions: Mapping[str, Suggestion]) -> int:
    """Rows of a table for buckets, 0 if the feature has none."""
    edges = suggestions["boundaries"].value if "boundaries" in suggestions else message.boundaries
    return len(edges) + 1 if edges else 0  # type: ignore[arg-type]


def _is_open(message: Any, name: str, refit: Collection[str]) -> bool:
    return name in refit or not is_set(message, name)


def _as_shared_table(
    config: EasyRecConfig, entry: FeatureEntry, suggestions: dict[str, Suggestion]
) -> dict[str, Suggestion]:
    """Take over the values of another feature of the same table where it has them."""
    for peer in feature_entries(Checker(ConfigSource(config))):
        if peer.table != entry.table or peer.path == entry.path:
            continue
        reason = f"as {peer.name}, whose table it shares"
        bucketizers = [name for name in set_bucketizers(peer.message) if name in _BUCKETIZERS]
        if bucketizers and set(suggestions) & {*_BUCKETIZERS}:
            suggestions = {name: value for name, value in suggestions.items() if name not in _BUCKETIZERS}
            suggestions[bucketizers[0]] = Suggestion(_plain(getattr(peer.message, bucketizers[0])), reason)
        if peer.message.HasField("embedding_dim") and "embedding_dim" in suggestions:
            suggestions["embedding_dim"] = Suggestion(peer.message.embedding_dim, reason)
    return suggestions


def _embedding_dim(config: EasyRecConfig, num_values: int) -> Suggestion:
    """The dimension of all other tables if they have the same one, as some models require; else by the rule."""
    messages = (entry.message for entry in feature_entries(Checker(ConfigSource(config))))
    dims = {
        message.embedding_dim for message in messages if message.HasField("embedding_dim") and not _has_edges(message)
    }
    if len(dims) == 1:
        return Suggestion(dims.pop(), "the dimension of all other features")
    return rules.embedding_dim(num_values)


def _plain(value: Any) -> object:
    """Convert a message value to plain Python, with numbers as the config writes them."""
    if isinstance(value, (str, int)):
        return value
    return [float(str(np.float32(item))) if isinstance(item, float) else item for item in value]
