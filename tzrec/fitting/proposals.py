"""Proposals for a config: what its features leave open, and what the user wants to have anew."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tzrec.config.findings import Findings
from tzrec.config.load import Source
from tzrec.config.rules.bucketizer import chosen_bucketizers
from tzrec.config.rules.data import ENCODED
from tzrec.config.rules.entries import Entry, entries
from tzrec.config.schema import is_set
from tzrec.features.normalizer import parse_normalizer
from tzrec.fitting import choices
from tzrec.fitting.choices import Choice
from tzrec.protos.data_pb2 import DataConfig, FgMode
from tzrec.protos.feature_pb2 import IdFeature, RawFeature
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.stats.column import ColumnStats

_RISING = ("log10", "zscore", "minmax")
"""Normalizers that keep the order of numbers, so that edges of equal frequency stay so."""


@dataclass(frozen=True)
class Proposal:
    """A field of the config, its value now (None: not set), the one proposed, and why."""

    path: str
    old: object
    new: object
    why: str


@dataclass(frozen=True)
class Fitted:
    """A feature that one column decides about."""

    entry: Entry
    column: str
    separators: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.entry.name

    def look(self) -> ColumnStats:
        """What to find out about its column."""
        message = self.entry.message
        weighted = isinstance(message, IdFeature) and message.weighted
        return ColumnStats(self.column, self.separators, isinstance(message, RawFeature), weighted)


def fitted_features(config: EasyRecConfig) -> list[Fitted]:
    """The id and raw features, in sequences as well, that read a column of the data."""
    data, found = config.data_config, []
    for entry in entries(Findings(Source(config))):
        if isinstance(entry.message, (IdFeature, RawFeature)) and not (
            data.fg_mode in ENCODED and entry.message.stub_type
        ):
            column = _column(entry, data)
            if column:
                found.append(Fitted(entry, column, _separators(entry, data)))
    return found


def propose(config: EasyRecConfig, feature: Fitted, stats: ColumnStats, refit: Collection[str]) -> Iterator[Proposal]:
    """What is proposed for one feature.

    Args:
        config: where it stands.
        feature: the feature.
        stats: what its column looks like.
        refit: fields that are proposed anew where they are set.
    """
    if not stats.values:
        return
    entry, mode = feature.entry, config.data_config.fg_mode
    rule = _for_id if isinstance(entry.message, IdFeature) else _for_raw
    chosen = dict(rule(entry.message, stats, mode, refit))
    values = _values(entry.message, stats, chosen)
    if values and _is_wanted(entry.message, "embedding_dim", refit):
        chosen["embedding_dim"] = _width(config, values)
    for name, choice in chosen.items():
        old = _plain(getattr(entry.message, name)) if is_set(entry.message, name) else None
        if old != choice.value:
            yield Proposal(f"{entry.path}.{name}", old, choice.value, f"{feature.name}: {choice.why}")


def outside(feature: Fitted, stats: ColumnStats) -> str:
    """What num_buckets of a feature leaves out of the data, or ""."""
    rows = getattr(feature.entry.message, "num_buckets", 0)
    if not rows or not stats.numbers or 0 <= stats.moments.least <= stats.moments.most < rows:
        return ""
    found = f"{stats.moments.least:.0f} to {stats.moments.most:.0f}"
    return f"{feature.entry.path}.num_buckets: {rows}, but {feature.column} holds ids from {found}"


def _for_id(message: IdFeature, stats: ColumnStats, mode: int, refit: Collection[str]) -> Iterator[tuple[str, Choice]]:
    """The way from values to rows."""
    rules = {"vocab_list": choices.words, "hash_bucket_size": choices.hash_size, "num_buckets": choices.identity_size}
    chosen = chosen_bucketizers(Entry("", message))
    if chosen:
        names = [name for name in chosen if name in refit and name in rules]
    elif mode == FgMode.FG_NONE:
        names = ["num_buckets"]
    else:
        names = ["vocab_list" if choices.has_few_values(stats) else "hash_bucket_size"]
    possible = {"vocab_list": stats.is_exact, "hash_bucket_size": True, "num_buckets": stats.is_numeric}
    yield from ((name, rules[name](stats)) for name in names if possible[name])


def _for_raw(
    message: RawFeature, stats: ColumnStats, mode: int, refit: Collection[str]
) -> Iterator[tuple[str, Choice]]:
    """Edges where numbers are to become ids, in the scale of the normalizer; a normalizer where they stay numbers."""
    if not stats.numbers or mode == FgMode.FG_NONE:
        return
    method = message.normalizer.partition("method=")[2].partition(",")[0].strip()
    if message.boundaries or (is_set(message, "embedding_dim") and not message.WhichOneof("dense_emb")):
        if _is_wanted(message, "boundaries", refit) and method in ("", *_RISING):
            yield "boundaries", _edges(message, stats)
    elif mode != FgMode.FG_BUCKETIZE and _is_wanted(message, "normalizer", refit):
        if method in _RISING:
            yield "normalizer", Choice(choices.constants(method, stats), f"{method} with the constants of this data")
        elif not method and (choice := choices.normalizer(stats)):
            yield "normalizer", choice


def _edges(message: RawFeature, stats: ColumnStats) -> Choice:
    """As many edges as there are, or the usual number."""
    choice = choices.edges(stats, len(message.boundaries) + 1 if message.boundaries else choices.BUCKETS)
    if not message.normalizer:
        return choice
    scaled = parse_normalizer(message.normalizer)(np.array(choice.value, np.float64))
    return Choice(sorted(set(scaled.astype(np.float32).tolist())), f"{choice.why}, as the normalizer scales them")


def _is_wanted(message: Any, name: str, refit: Collection[str]) -> bool:
    return name in refit or not is_set(message, name)


def _values(message: Any, stats: ColumnStats, chosen: Mapping[str, Choice]) -> int:
    """How many different things a table tells apart, 0 where there is no table."""
    if isinstance(message, IdFeature):
        return stats.distinct
    edges = chosen["boundaries"].value if "boundaries" in chosen else message.boundaries
    return len(edges) + 1 if edges else 0  # type: ignore[arg-type]


def _width(config: EasyRecConfig, values: int) -> Choice:
    """The width that all other features have, if it is one and the same; models that need equal widths go on."""
    messages = (entry.message for entry in entries(Findings(Source(config))))
    widths = {message.embedding_dim for message in messages if message.HasField("embedding_dim")}
    if len(widths) == 1:
        return Choice(widths.pop(), "the width of all other features")
    return choices.width(values)


def _column(entry: Entry, data: DataConfig) -> str:
    """The column that a feature reads; "" where another feature or a constant is its input."""
    if data.fg_mode in ENCODED:
        return entry.name
    side, _, name = entry.message.expression.partition(":")
    return "" if side in ("feature", "const") and data.fg_mode == FgMode.FG_DAG else name


def _separators(entry: Entry, data: DataConfig) -> tuple[str, ...]:
    """What stands between the values of a string, the outermost first."""
    within = data.fg_encoded_multival_sep if data.fg_mode == FgMode.FG_NONE else entry.message.separator
    steps = entry.steps
    return (within,) if steps is None else (steps.delimiter, within)


def _plain(value: Any) -> object:
    """A value of a message as plain Python."""
    return value if isinstance(value, (str, int, float)) else list(value)
