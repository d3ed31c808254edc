"""feature_configs: features of EasyRec by their type."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tzrec.migration.easyrec.data import expand_names
from tzrec.migration.easyrec.source import Rows, Source, only
from tzrec.protos.feature_pb2 import FeatureConfig

ACCUMULATIONS = {"sum": "sum", "mean": "mean"}
_EMBEDDING: Rows = {"embedding_name": "embedding_name"}
_SEQUENCE_SEPARATOR = "|"


@dataclass(frozen=True)
class FeatureContext:
    """Facts about the rest of the config that the conversion of features needs.

    Attributes:
        side_by_name: side of the inputs of a feature, by the feature's name; `user` where there is none.
        default_by_input: default value of a column.
        expressions: inputs with sides from fg.json, by the feature's name.
        lookups: features that fg.json makes by a lookup.
    """

    side_by_name: Mapping[str, str] = field(default_factory=dict)
    default_by_input: Mapping[str, str] = field(default_factory=dict)
    expressions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    lookups: frozenset[str] = frozenset()

    def inputs(self, name: str, columns: Sequence[str]) -> list[str]:
        """Return the inputs of a feature with their sides."""
        if self.expressions.get(name):
            return list(self.expressions[name])
        side = self.side_by_name.get(name, "user")
        return [f"{side}:{column}" for column in columns]


def feature_sources(root: Source) -> list[Source]:
    """List the features of a config, which are at one of two places."""
    grouped = [feature for group in root.messages("feature_config") for feature in group.messages("features")]
    return root.messages("feature_configs") or grouped


def convert_feature(source: Source, context: FeatureContext) -> list[FeatureConfig]:
    """Convert a feature; one for each of its shared_names as well."""
    columns = source.texts("input_names")
    name = feature_name(source)
    kind = source.text("feature_type", "IdFeature")
    kind = "LookupFeature" if kind == "RawFeature" and name in context.lookups else kind
    convert = _CONVERTERS.get(kind)
    if convert is None:
        source.note("feature_type", f"{kind} has no counterpart; the feature is left out")
        return []
    features = []
    if kind == "LookupFeature" and name not in context.expressions:
        source.note("feature_type", 'the pairs k:v of a map are separated by "\\x1d" here; rewrite the column')
    for shared in [name, *expand_names(source.texts("shared_names"))]:
        config = FeatureConfig()
        inputs = context.inputs(shared, columns if shared == name else [shared])
        convert(source, config, inputs)
        feature: Any = getattr(config, str(config.WhichOneof("feature")))
        feature.feature_name = shared
        defaults = [context.default_by_input.get(column, "") for column in columns[:1]]
        if any(defaults) and "default_value" in feature.DESCRIPTOR.fields_by_name:
            feature.default_value = defaults[0]
        features.append(config)
    return features


def feature_name(source: Source) -> str:
    """Return the name of a feature: that of its first column if it has none."""
    return source.text("feature_name") or next(iter(source.texts("input_names")), "")


def embed_ids(source: Source, target: Any) -> None:
    """Copy the settings of a table; a pooling that is set already stays."""
    source.copy(target, _EMBEDDING)
    if not target.embedding_name:
        target.ClearField("embedding_name")
    if dim := source.integer("embedding_dim"):
        target.embedding_dim = dim
    initializer = source.message("initializer")
    if initializer is not None and (init_fn := _init_fn(initializer)):
        target.init_fn = init_fn
    combiner = source.text("combiner", "mean")
    if "pooling" in target.DESCRIPTOR.fields_by_name and not target.HasField("pooling"):
        target.pooling = ACCUMULATIONS.get(combiner, "mean")
        if combiner not in ACCUMULATIONS:
            source.note("combiner", f"there is no pooling {combiner}; mean is used")


_INITIALIZERS: Mapping[str, tuple[str, Mapping[str, tuple[str, float]]]] = {
    "truncated_normal_initializer": ("nn.init.trunc_normal_", {"mean": ("mean", 0.0), "stddev": ("std", 1.0)}),
    "random_normal_initializer": ("nn.init.normal_", {"mean": ("mean", 0.0), "stddev": ("std", 1.0)}),
    "glorot_normal_initializer": ("nn.init.xavier_normal_", {}),
    "constant_initializer": ("nn.init.constant_", {"consts": ("val", 0.0)}),
}


def _init_fn(source: Source) -> str:
    """Write an initializer as a call; "" if there is no such one."""
    for name, (function, arguments) in _INITIALIZERS.items():
        settings = source.message(name)
        if settings is not None:
            numbers = {key: settings.number(original, default) for original, (key, default) in arguments.items()}
            return ",".join([function, *(f"{key}={number:g}" for key, number in numbers.items())])
    return ""


def _bucketize(source: Source, target: Any) -> None:
    """Copy the way in which values become ids: EasyRec takes the first of four."""
    ways = ("hash_bucket_size", "vocab_list", "vocab_file", "num_buckets")
    given = [name for name in ways if any(text not in ("", "0") for text in source.texts(name))]
    for ignored in given[1:]:
        source.note(ignored, f"EasyRec uses {given[0]} where both are given, so this is left out")
    if given:
        source.copy(target, {given[0]: given[0]})
    if given and given[0].startswith("vocab"):
        target.default_bucketize_value = 0  # of words that are not in the vocabulary


def _id(source: Source, config: FeatureConfig, inputs: Sequence[str]) -> None:
    target = only(config, "id_feature")
    target.expression = inputs[0] if inputs else ""
    embed_ids(source, target)
    _bucketize(source, target)


def _tag(source: Source, config: FeatureConfig, inputs: Sequence[str]) -> None:
    _id(source, config, inputs)
    target = config.id_feature
    target.separator = source.text("separator", "|")
    if source.has("kv_separator"):
        target.weighted = True
        if source.text("kv_separator") != ":":
            source.note("kv_separator", 'ids and weights are separated by ":" here; rewrite the column')
    if len(inputs) > 1:
        source.note("input_names", "weights in a second column have no counterpart; write id:weight into the first")


def _raw(source: Source, config: FeatureConfig, inputs: Sequence[str]) -> None:
    target = only(config, "raw_feature")
    target.expression = inputs[0] if inputs else ""
    source.copy(target, {"boundaries": "boundaries"})
    if source.integer("raw_input_dim", 1) > 1:
        target.value_dim = source.integer("raw_input_dim")
        target.separator = source.text("separator", "|")
    _embed_numbers(source, target)
    low, high = source.number("min_val"), source.number("max_val")
    if high > low:
        target.normalizer = f"method=minmax,min={low:g},max={high:g}"


def _embed_numbers(source: Source, target: Any) -> None:
    """Copy the embedding of a number: of its bucket, or the number times a vector."""
    if source.integer("embedding_dim"):
        embed_ids(source, target)
        if not target.boundaries:
            for name in ("embedding_name", "pooling", "init_fn"):
                target.ClearField(name)
            target.mlp.SetInParent()


def _combo(source: Source, config: FeatureConfig, inputs: Sequence[str]) -> None:
    target = only(config, "combo_feature")
    target.expression.extend(inputs)
    embed_ids(source, target)
    source.copy(target, {"hash_bucket_size": "hash_bucket_size"})
    source.note("combo_join_sep", 'inputs are joined by "_" here, so values have other ids')


def _lookup(source: Source, config: FeatureConfig, inputs: Sequence[str]) -> None:
    target = only(config, "lookup_feature")
    target.map, target.key = [*inputs, "", ""][:2]
    source.copy(target, {"boundaries": "boundaries"})
    if not target.boundaries:
        _bucketize(source, target)
    if source.integer("embedding_dim"):
        embed_ids(source, target)


def _sequence(source: Source, config: FeatureConfig, inputs: Sequence[str]) -> None:
    is_raw = source.text("sub_feature_type", "IdFeature") == "RawFeature"
    target = only(config, "sequence_raw_feature" if is_raw else "sequence_id_feature")
    target.expression = inputs[0] if inputs else ""
    if length := source.integer("max_seq_len") or source.integer("sequence_length"):
        target.sequence_length = length
    target.sequence_delim = source.text("separator", _SEQUENCE_SEPARATOR)
    if source.has("seq_multi_sep"):
        target.separator, target.value_dim = source.text("seq_multi_sep"), 0
    if is_raw:
        source.copy(target, {"boundaries": "boundaries"})
        if source.integer("raw_input_dim", 1) > 1:
            target.value_dim = source.integer("raw_input_dim")
        _embed_numbers(source, target)
    else:
        embed_ids(source, target)
        _bucketize(source, target)


def _expr(source: Source, config: FeatureConfig, inputs: Sequence[str]) -> None:
    target = only(config, "expr_feature")
    source.copy(target, {"expression": "expression"})
    target.variables.extend(inputs)


_CONVERTERS: Mapping[str, Callable[[Source, FeatureConfig, Sequence[str]], None]] = {
    "IdFeature": _id,
    "TagFeature": _tag,
    "RawFeature": _raw,
    "PassThroughFeature": _raw,
    "ComboFeature": _combo,
    "LookupFeature": _lookup,
    "SequenceFeature": _sequence,
    "ExprFeature": _expr,
}
"""Function by feature_type."""
