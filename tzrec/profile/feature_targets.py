"""Subjects: the features that data can say something about, and how to look at each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from tzrec.config.checker import Checker
from tzrec.config.load import ConfigSource
from tzrec.config.rules.bucketizer import chosen_bucketizers
from tzrec.config.rules.data import ENCODED
from tzrec.config.rules.feature_entry import FeatureEntry, feature_entries
from tzrec.config.schema import fields_of
from tzrec.errors import ConfigError
from tzrec.features.arrow import as_array
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.profile.column import ColumnStats
from tzrec.protos.data_pb2 import DataConfig, FgMode
from tzrec.protos.feature_pb2 import (
    BoolMaskFeature,
    ComboFeature,
    CustomFeature,
    FeatureConfig,
    IdFeature,
    RawFeature,
    TokenizeFeature,
)
from tzrec.protos.pipeline_pb2 import EasyRecConfig

_IDS = (IdFeature, ComboFeature, BoolMaskFeature)
_UNKNOWN = (CustomFeature, TokenizeFeature)
"""Nothing to find out: the vocabulary settles the tokens, and only the operator knows what it makes."""
_HASHES = 1 << 62
_PLACE = re.compile(r"feature_configs\[(\d+)\]\.(?:sequence_feature\.features\[(\d+)\]\.)?(\w+)")


@dataclass(frozen=True)
class FeatureTarget:
    """A feature to be fitted.

    Attributes:
        entry: where it stands.
        columns: what it reads from the data.
        makes_ids: whether it turns values to rows of a table by a hash or the like, not by edges.
        look: begins to look at its values.
    """

    entry: FeatureEntry
    columns: tuple[str, ...]
    makes_ids: bool
    look: Callable[[], ColumnStats]

    @property
    def name(self) -> str:
        return self.entry.name

    @property
    def is_column(self) -> bool:
        """Whether its values stand in a column, rather than being computed."""
        return isinstance(self.entry.message, (IdFeature, RawFeature))


class Computed(ColumnStats):
    """What a feature computes from several columns: numbers, or long hashes in place of ids."""

    def __init__(self, name: str, encoder: FeatureEncoder) -> None:
        super().__init__(name)
        self._encoder = encoder

    def take(self, batch: pa.RecordBatch) -> None:
        """Take in B rows; the steps of a sequence count as rows."""
        columns, _ = self._encoder.encode(batch)
        self.add(as_array(replace(columns[self.name], sequence_lengths=None)))


def subjects(config: EasyRecConfig) -> tuple[list[FeatureTarget], list[str]]:
    """All features to be fitted, and why some that could be are not."""
    found: list[FeatureTarget] = []
    notes: list[str] = []
    for entry in feature_entries(Checker(ConfigSource(config))):
        if config.data_config.fg_mode in ENCODED and entry.message.stub_type:
            continue
        if isinstance(entry.message, (IdFeature, RawFeature)):
            found += _of_column(entry, config.data_config)
        elif config.data_config.fg_mode not in ENCODED and not isinstance(entry.message, _UNKNOWN):
            try:
                found.append(_computed(config, entry))
            except ConfigError as error:
                notes.append(f"{entry.path} is not looked at: {error.problems[0].message}")
    return found, notes


def _of_column(entry: FeatureEntry, data: DataConfig) -> Iterator[FeatureTarget]:
    """Nothing where another feature or a constant is its input."""
    message = entry.message
    side, _, column = message.expression.partition(":")
    if data.fg_mode in ENCODED:
        column = entry.name
    elif side in ("feature", "const") and data.fg_mode == FgMode.FG_DAG:
        return
    is_id = isinstance(message, IdFeature)
    separators, weighted = _separators(entry, data), is_id and message.weighted
    yield FeatureTarget(entry, (column,), is_id, lambda: ColumnStats(column, separators, not is_id, weighted))


def _separators(entry: FeatureEntry, data: DataConfig) -> tuple[str, ...]:
    """What stands between the values of a string, the outermost first."""
    within = data.fg_encoded_multival_sep if data.fg_mode == FgMode.FG_NONE else entry.message.separator
    steps = entry.steps
    return (within,) if steps is None else (steps.delimiter, within)


def _computed(config: EasyRecConfig, entry: FeatureEntry) -> FeatureTarget:
    """A feature whose values are made by encoding it, alone with those that it reads.

    Raises:
        ConfigError: it, or one that it reads, cannot be built yet.
    """
    makes_ids = isinstance(entry.message, _IDS) or bool(chosen_bucketizers(entry))
    makes_ids = makes_ids or getattr(entry.message, "need_discrete", False)
    bare = _alone(config, entry)
    _make_bare(_message(bare), makes_ids)
    needed = [_alone(config, each) for each in _read_by(config, entry)] if _is_linked(config) else []
    encoder = FeatureEncoder.from_config([bare, *needed], config.data_config)
    return FeatureTarget(entry, encoder.columns, makes_ids, lambda: Computed(entry.name, encoder))


def _is_linked(config: EasyRecConfig) -> bool:
    return config.data_config.fg_mode == FgMode.FG_DAG


def _alone(config: EasyRecConfig, entry: FeatureEntry) -> FeatureConfig:
    """A copy of a feature as it stands in the config, without the others of its group."""
    place = _PLACE.fullmatch(entry.path)
    assert place is not None
    copy = FeatureConfig()
    copy.CopyFrom(config.feature_configs[int(place[1])])
    if place[2]:
        only = copy.sequence_feature.features[int(place[2])]
        del copy.sequence_feature.features[:]
        copy.sequence_feature.features.append(only)
    return copy


def _message(config: FeatureConfig) -> Any:
    """The message of a feature that stands alone."""
    message = getattr(config, config.WhichOneof("feature") or "")
    if config.WhichOneof("feature") == "sequence_feature":
        (only,) = message.features
        return getattr(only, only.WhichOneof("feature"))
    return message


def _make_bare(message: Any, makes_ids: bool) -> None:
    """Leave out what turns its values to rows of a table, but for a hash that keeps them apart where they are text."""
    for name in ("boundaries", "normalizer", "embedding_dim", "stub_type", "autodis", "mlp"):
        if name in fields_of(message):
            message.ClearField(name)
    if makes_ids:
        for name in chosen_bucketizers(FeatureEntry("", message)):
            message.ClearField(name)
        if "hash_bucket_size" in fields_of(message):
            message.hash_bucket_size, message.embedding_dim = _HASHES, 1


def _read_by(config: EasyRecConfig, entry: FeatureEntry) -> list[FeatureEntry]:
    """The features that a feature reads, directly or through others."""
    known = {each.name: each for each in feature_entries(Checker(ConfigSource(config)))}
    found: dict[str, FeatureEntry] = {}
    waiting = [entry]
    while waiting:
        sides = (text.partition(":") for text in waiting.pop().reads)
        for name in (name for side, _, name in sides if side == "feature" and name in known):
            if name not in found:
                found[name] = known[name]
                waiting.append(known[name])
    return list(found.values())
