"""Proposals for a config: what its features leave open, and what the user wants to have anew."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tzrec.config.checker import Checker
from tzrec.config.load import ConfigSource
from tzrec.config.rules.bucketizer import chosen_bucketizers
from tzrec.config.rules.feature_entry import FeatureEntry, feature_entries
from tzrec.config.schema import fields_of, is_set
from tzrec.features.normalizer import parse_normalizer
from tzrec.profile import choices
from tzrec.profile.choices import FieldChoice
from tzrec.profile.column import ColumnStats
from tzrec.profile.feature_targets import FeatureTarget
from tzrec.protos.data_pb2 import FgMode
from tzrec.protos.feature_pb2 import IdFeature
from tzrec.protos.pipeline_pb2 import EasyRecConfig

_WAYS = ("vocab_list", "hash_bucket_size", "num_buckets")
"""Ways from values to rows that can be proposed."""
_RISING = ("log10", "zscore", "minmax")
"""Normalizers that keep the order of numbers, so that edges of equal frequency stay so."""


@dataclass(frozen=True)
class Suggestion:
    """A field of the config, its value now (None: not set), the one proposed, and why."""

    path: str
    old: object
    new: object
    why: str


def propose(
    config: EasyRecConfig, feature: FeatureTarget, stats: ColumnStats, refit: Collection[str]
) -> Iterator[Suggestion]:
    """What is proposed for one feature.

    Args:
        config: where it stands.
        feature: the feature.
        stats: what its values look like.
        refit: fields that are proposed anew where they are set.
    """
    if not stats.values:
        return
    entry, mode = feature.entry, config.data_config.fg_mode
    rule = _for_ids if feature.makes_ids else _for_numbers
    chosen = dict(rule(entry.message, stats, mode, refit))
    values = stats.distinct if feature.makes_ids else _buckets(entry.message, chosen)
    if values and _is_wanted(entry.message, "embedding_dim", refit):
        chosen["embedding_dim"] = choices.width(values) if "embedding_dim" in refit else _width(config, values)
    if feature.makes_ids and not refit:
        chosen = _as_sharers_have(config, entry, chosen)
    for name, choice in chosen.items():
        old = _plain(getattr(entry.message, name)) if is_set(entry.message, name) else None
        if old != choice.value:
            yield Suggestion(f"{entry.path}.{name}", old, choice.value, f"{feature.name}: {choice.why}")


def together(features: Sequence[FeatureTarget], found: Sequence[ColumnStats]) -> list[ColumnStats]:
    """What the values look like that share a table: those of all its features, for each of them."""
    tables: dict[str, list[int]] = {}
    for at, feature in enumerate(features):
        if feature.makes_ids:
            tables.setdefault(feature.entry.table, []).append(at)
    result = list(found)
    for places in (each for each in tables.values() if len(each) > 1):
        whole = features[places[0]].look()
        for at in places:
            whole.merge(found[at])
            result[at] = whole
    return result


def outside(feature: FeatureTarget, stats: ColumnStats) -> str:
    """What num_buckets of a feature leaves out of the data, or ""."""
    rows = getattr(feature.entry.message, "num_buckets", 0) if feature.is_column else 0
    if not rows or not stats.numbers or 0 <= stats.moments.least <= stats.moments.most < rows:
        return ""
    found = f"{stats.moments.least:.0f} to {stats.moments.most:.0f}"
    return f"{feature.entry.path}.num_buckets: {rows}, but {stats.name} holds ids from {found}"


def _for_ids(message: Any, stats: ColumnStats, mode: int, refit: Collection[str]) -> Iterator[tuple[str, FieldChoice]]:
    """The way from values to rows. Of text that is computed only hashes are known, no words."""
    encoded, is_column = mode == FgMode.FG_NONE, isinstance(message, IdFeature)
    chosen = chosen_bucketizers(FeatureEntry("", message))
    if chosen:
        names = [name for name in chosen if name in refit and name in _WAYS]
    elif encoded:
        names = ["num_buckets"]
    else:
        names = ["vocab_list" if is_column and choices.has_few_values(stats) else "hash_bucket_size"]
    hashes = "hash_bucket_size" in fields_of(message) and not encoded
    # encoded data holds rows of the table, whatever made them
    size = choices.identity_size if encoded else choices.hash_size
    rules = {"vocab_list": choices.words, "hash_bucket_size": size, "num_buckets": choices.identity_size}
    possible = {
        "vocab_list": is_column and stats.is_exact and not encoded,
        "hash_bucket_size": hashes or stats.is_numeric,
        "num_buckets": stats.is_numeric and (is_column or not hashes),
    }
    yield from ((name, rules[name](stats)) for name in names if possible[name])


def _for_numbers(
    message: Any, stats: ColumnStats, mode: int, refit: Collection[str]
) -> Iterator[tuple[str, FieldChoice]]:
    """Edges where numbers are to become ids, in the scale of the normalizer; a normalizer where they stay numbers."""
    if not stats.numbers or mode == FgMode.FG_NONE:
        return
    text = getattr(message, "normalizer", "")
    method = text.partition("method=")[2].partition(",")[0].strip()
    if message.boundaries or (is_set(message, "embedding_dim") and not message.WhichOneof("dense_emb")):
        if _is_wanted(message, "boundaries", refit) and method in ("", *_RISING):
            choice = _edges(len(message.boundaries), text, stats)
            if choice is not None:
                yield "boundaries", choice
    elif (
        "normalizer" in fields_of(message) and mode != FgMode.FG_BUCKETIZE and _is_wanted(message, "normalizer", refit)
    ):
        if method in _RISING:
            yield (
                "normalizer",
                FieldChoice(choices.constants(method, stats), f"{method} with the constants of this data"),
            )
        elif not method and (choice := choices.normalizer(stats)) is not None:
            yield "normalizer", choice


def _edges(count: int, normalizer: str, stats: ColumnStats) -> FieldChoice | None:
    """As many edges as there are, or the usual number."""
    choice = choices.edges(stats, count + 1 if count else choices.BUCKETS)
    if choice is None or not normalizer:
        return choice
    scaled = parse_normalizer(normalizer)(np.array(choice.value, np.float64))
    return FieldChoice(
        _plain(np.unique(scaled.astype(np.float32)).tolist()), f"{choice.why}, in the normalizer's scale"
    )


def _buckets(message: Any, chosen: Mapping[str, FieldChoice]) -> int:
    """Rows of a table for buckets, 0 where there is none."""
    edges = chosen["boundaries"].value if "boundaries" in chosen else message.boundaries
    return len(edges) + 1 if edges else 0  # type: ignore[arg-type]


def _is_wanted(message: Any, name: str, refit: Collection[str]) -> bool:
    return name in refit or not is_set(message, name)


def _as_sharers_have(
    config: EasyRecConfig, entry: FeatureEntry, chosen: dict[str, FieldChoice]
) -> dict[str, FieldChoice]:
    """What another feature of the same table says already, where it does."""
    for other in feature_entries(Checker(ConfigSource(config))):
        if other.table != entry.table or other.path == entry.path:
            continue
        why = f"as {other.name}, whose table it shares"
        ways = [name for name in chosen_bucketizers(other) if name in _WAYS]
        if ways and set(chosen) & {*_WAYS}:
            chosen = {name: choice for name, choice in chosen.items() if name not in _WAYS}
            chosen[ways[0]] = FieldChoice(_plain(getattr(other.message, ways[0])), why)
        if other.message.HasField("embedding_dim") and "embedding_dim" in chosen:
            chosen["embedding_dim"] = FieldChoice(other.message.embedding_dim, why)
    return chosen


def _width(config: EasyRecConfig, values: int) -> FieldChoice:
    """The width that all other features have, if it is one and the same; models that need equal widths go on."""
    messages = (entry.message for entry in feature_entries(Checker(ConfigSource(config))))
    widths = {message.embedding_dim for message in messages if message.HasField("embedding_dim")}
    if len(widths) == 1:
        return FieldChoice(widths.pop(), "the width of all other features")
    return choices.width(values)


def _plain(value: Any) -> object:
    """A value of a message as plain Python, numbers as the config writes them."""
    if isinstance(value, (str, int)):
        return value
    return [float(str(np.float32(each))) if isinstance(each, float) else each for each in value]
