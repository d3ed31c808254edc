"""Features that statistics of the data apply to, each with the columns it reads and an empty ColumnStats."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from tzrec.config.checker import Checker
from tzrec.config.completion import ENCODED
from tzrec.config.load import ConfigSource
from tzrec.config.rules.bucketizer import set_bucketizers
from tzrec.config.rules.feature_entry import FeatureEntry, feature_entries
from tzrec.config.schema import fields_of
from tzrec.errors import ConfigError
from tzrec.features.arrow import as_array
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.profile.column_stats import ColumnStats
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
_EXCLUDED = (CustomFeature, TokenizeFeature)
"""Nothing to suggest: a vocabulary file fixes the tokens, and a custom operator defines its own values."""
_HASHES = 1 << 62
_PATH = re.compile(r"feature_configs\[(\d+)\]\.(?:sequence_feature\.features\[(\d+)\]\.)?(\w+)")


@dataclass(frozen=True)
class FeatureTarget:
    """A feature that values are suggested for.

    Attributes:
        entry: the feature in the config.
        columns: columns of the data that it reads.
        makes_ids: true if a hash, vocabulary or the like maps its values to rows of a table; false for boundaries.
        new_stats: creates empty statistics of its values.
    """

    entry: FeatureEntry
    columns: tuple[str, ...]
    makes_ids: bool
    new_stats: Callable[[], ColumnStats]

    @property
    def name(self) -> str:
        return self.entry.name

    @property
    def is_column(self) -> bool:
        """True if its values are those of a column, false if they are computed."""
        return isinstance(self.entry.message, (IdFeature, RawFeature))


class ComputedStats(ColumnStats):
    """Statistics of values that a feature computes from several columns: numbers, or 62-bit hashes in place of ids."""

    def __init__(self, name: str, encoder: FeatureEncoder) -> None:
        super().__init__(name)
        self._encoder = encoder

    def add_batch(self, batch: pa.RecordBatch) -> None:
        """Add B rows; the elements of a sequence count as rows."""
        columns, _ = self._encoder.encode(batch)
        self.add(as_array(replace(columns[self.name], sequence_lengths=None)))


def feature_targets(config: EasyRecConfig) -> tuple[list[FeatureTarget], list[str]]:
    """List the features that values are suggested for, and a note for each one that cannot be encoded yet."""
    targets: list[FeatureTarget] = []
    notes: list[str] = []
    for entry in feature_entries(Checker(ConfigSource(config))):
        if config.data_config.fg_mode in ENCODED and entry.message.stub_type:
            continue
        if isinstance(entry.message, (IdFeature, RawFeature)):
            targets += _of_column(entry, config.data_config)
        elif config.data_config.fg_mode not in ENCODED and not isinstance(entry.message, _EXCLUDED):
            try:
                targets.append(_computed(config, entry))
            except ConfigError as error:
                notes.append(f"{entry.path} is skipped: {error.problems[0].message}")
    return targets, notes


def _of_column(entry: FeatureEntry, data: DataConfig) -> Iterator[FeatureTarget]:
    """Yield the target of an id or raw feature, unless its input is another feature or a constant."""
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
    """Separators between the values of a string, the outermost first."""
    within = data.fg_encoded_multival_sep if data.fg_mode == FgMode.FG_NONE else entry.message.separator
    sequence = entry.sequence
    return (within,) if sequence is None else (sequence.delimiter, within)


def _computed(config: EasyRecConfig, entry: FeatureEntry) -> FeatureTarget:
    """Target of a feature whose values are computed by encoding it together with the features that it reads.

    Raises:
        ConfigError: the feature, or one that it reads, cannot be built yet.
    """
    makes_ids = isinstance(entry.message, _IDS) or bool(set_bucketizers(entry.message))
    makes_ids = makes_ids or getattr(entry.message, "need_discrete", False)
    bare = _copy_alone(config, entry)
    _clear_encoding(_message(bare), makes_ids)
    inputs = [_copy_alone(config, source) for source in _input_features(config, entry)] if _is_linked(config) else []
    encoder = FeatureEncoder.from_config([bare, *inputs], config.data_config)
    return FeatureTarget(entry, encoder.columns, makes_ids, lambda: ComputedStats(entry.name, encoder))


def _is_linked(config: EasyRecConfig) -> bool:
    return config.data_config.fg_mode == FgMode.FG_DAG


def _copy_alone(config: EasyRecConfig, entry: FeatureEntry) -> FeatureConfig:
    """Copy a feature without the other features of its sequence group."""
    match = _PATH.fullmatch(entry.path)
    assert match is not None
    copy = FeatureConfig()
    copy.CopyFrom(config.feature_configs[int(match[1])])
    if match[2]:
        member = copy.sequence_feature.features[int(match[2])]
        del copy.sequence_feature.features[:]
        copy.sequence_feature.features.append(member)
    return copy


def _message(config: FeatureConfig) -> Any:
    """The message of a feature copied by `_copy_alone`."""
    message = getattr(config, config.WhichOneof("feature") or "")
    if config.WhichOneof("feature") == "sequence_feature":
        (member,) = message.features
        return getattr(member, member.WhichOneof("feature"))
    return message


def _clear_encoding(message: Any, makes_ids: bool) -> None:
    """Clear the fields that map values to rows of a table; text gets a 62-bit hash, which keeps values distinct."""
    for name in ("boundaries", "normalizer", "embedding_dim", "stub_type", "autodis", "mlp"):
        if name in fields_of(message):
            message.ClearField(name)
    if makes_ids:
        for name in set_bucketizers(message):
            message.ClearField(name)
        if "hash_bucket_size" in fields_of(message):
            message.hash_bucket_size, message.embedding_dim = _HASHES, 1


def _input_features(config: EasyRecConfig, entry: FeatureEntry) -> list[FeatureEntry]:
    """The features that a feature reads, directly or through others."""
    entry_by_name = {entry.name: entry for entry in feature_entries(Checker(ConfigSource(config)))}
    inputs: dict[str, FeatureEntry] = {}
    queue = [entry]
    while queue:
        sides = (text.partition(":") for text in queue.pop().reads)
        for name in (name for side, _, name in sides if side == "feature" and name in entry_by_name):
            if name not in inputs:
                inputs[name] = entry_by_name[name]
                queue.append(entry_by_name[name])
    return list(inputs.values())
