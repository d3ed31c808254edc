"""Features as objects of fg.json, the format of external feature generators."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from google.protobuf import json_format

from tzrec import registry
from tzrec.config.kwargs import kwargs
from tzrec.config.rules.bucketizer import BUCKETIZERS
from tzrec.config.schema import fields_of, is_set
from tzrec.config.sequences import ALL, element_message
from tzrec.config.vocabulary import vocabulary_path
from tzrec.protos import data_pb2, feature_pb2
from tzrec.protos.feature_pb2 import FeatureConfig

Object = dict[str, Any]
_BUCKET_KEYS = (*BUCKETIZERS, "default_bucketize_value", "boundaries")

# message -> key -> field, for keys with other names than their fields, and keys that are always written
_FIELDS: Mapping[str, Mapping[str, str]] = {
    "IdFeature": {"expression": "expression", "value_dim": "value_dim"},
    "RawFeature": {"expression": "expression", "value_dim": "value_dim"},
    "ComboFeature": {"expression": "expression", "value_dim": "value_dim"},
    "CombineFeature": {"expression": "expression", "combiner": "combiner"},
    "LookupFeature": {"map": "map", "key": "key", "needKey": "need_key", "combiner": "combiner"},
    "MatchFeature": {
        **{"user": "nested_map", "category": "pkey", "item": "skey"},
        **{"show_category": "show_pkey", "show_item": "show_skey"},
    },
    "ExprFeature": {"expression": "expression", "variables": "variables"},
    "OverlapFeature": {"query": "query", "title": "title", "method": "method"},
    "TokenizeFeature": {"expression": "expression", "tokenizer_type": "tokenizer_type"},
    "KvDotProduct": {"query": "query", "document": "document"},
    "BoolMaskFeature": {"expression": "expression", "value_dim": "value_dim"},
    "CustomFeature": {"expression": "expression", "operator_name": "operator_name", "value_dim": "value_dim"},
}
_OPTIONAL = (
    *("normalizer", "value_map", "fill_missing", "weighted", "is_op_thread_safe", "operator_lib_file", "stub_type"),
    "value_dim",
)
_TEXT_OPTIONS = {
    feature_pb2.TEXT_LOWER2UPPER: 2,
    feature_pb2.TEXT_UPPER2LOWER: 4,
    feature_pb2.TEXT_SBC2DBC: 8,
    feature_pb2.TEXT_CHT2CHS: 16,
    feature_pb2.TEXT_FILTER: 32,
    feature_pb2.TEXT_SPLITCHRS: 512,
}


def describe(
    configs: Sequence[FeatureConfig], data: data_pb2.DataConfig, copy_file: Callable[[Path, str], str]
) -> Object:
    """Describe all features as `{"features": [...]}`.

    Args:
        configs: of a pipeline config.
        data: its data_config.
        copy_file: called with a file that a feature reads and the name of the feature; returns the path for fg.json.
    """
    return {"features": [item for config in configs for item in _describe_feature(config, data, copy_file)]}


def without_bucketizers(described: Object) -> Object:
    """Copy the features without their bucketizers."""
    result: Object = {}
    for key, value in described.items():
        if key == "features":
            result[key] = [without_bucketizers(feature) for feature in value]
        elif key not in _BUCKET_KEYS or (
            key == "vocab_file" and described["feature_type"].endswith("tokenize_feature")
        ):
            result[key] = value
    return result


def _describe_feature(
    config: FeatureConfig, data: data_pb2.DataConfig, copy_file: Callable[[Path, str], str]
) -> Iterator[Object]:
    member = registry.oneof_member(config, "feature")
    assert member is not None  # ensured by `check`
    field, message = member[0], cast(Any, member[1])
    if isinstance(message, feature_pb2.SequenceFeature):
        parts = [
            part
            for entry in message.features
            if (inner := registry.oneof_member(entry, "feature"))
            for part in _objects(inner[0].name, element_message(inner[1]), data, copy_file)
        ]
        yield {
            "sequence_name": message.sequence_name,
            "sequence_length": message.sequence_length,
            "sequence_delim": message.sequence_delim,
            "sequence_pk": message.sequence_pk or f"user:{message.sequence_name}",
            "features": parts,
        }
    elif field.name.startswith("sequence_"):
        sequence = {"sequence_delim": message.sequence_delim, "sequence_length": message.sequence_length}
        yield from (item | sequence for item in _objects(field.name, element_message(message), data, copy_file))
    else:
        yield from _objects(field.name, message, data, copy_file)


def _objects(
    kind: str, message: Any, data: data_pb2.DataConfig, copy_file: Callable[[Path, str], str]
) -> Iterator[Object]:
    """Yield a feature, after the hidden feature that it reads, if any."""
    content: Object = {"feature_type": kind, "feature_name": message.feature_name}
    fields, values = fields_of(message), kwargs(message)
    content |= {key: values[name] for key, name in _FIELDS[message.DESCRIPTOR.name].items()}
    content |= {name: values[name] for name in _OPTIONAL if name in fields and is_set(message, name)}
    if "default_value" in fields:
        content["default_value"] = message.default_value
    if "separator" in fields and message.separator != "\x1d":
        content["separator"] = message.separator
    if message.sequence_fields:
        content["sequence_fields"] = list(message.sequence_fields)
    buckets = _buckets(message, copy_file)
    content |= buckets | _special(message, bool(buckets) and "boundaries" not in buckets)
    if isinstance(message, feature_pb2.TokenizeFeature):
        content["vocab_file"] = copy_file(vocabulary_path(message), message.feature_name)
        content |= {"output_type": "word_id", "output_delim": data.fg_encoded_multival_sep}
        if message.HasField("text_normalizer"):
            yield _text_normalizer(kind, message, copy_file)
            content["expression"] = f"feature:{message.feature_name}__text_norm"
    if isinstance(message, feature_pb2.LookupFeature) and message.value_dim > 1 and not content["needDiscrete"]:
        yield from _vector_lookup(kind, content, message)
    else:
        yield content


def _buckets(message: Any, copy_file: Callable[[Path, str], str]) -> Object:
    """Describe the bucketizer; two ids are reserved if a vocabulary has no default for unlisted words."""
    fields = fields_of(message)
    names = [name for name in _BUCKET_KEYS if name in fields and is_set(message, name)]
    if not names or isinstance(message, feature_pb2.TokenizeFeature):
        return {}
    name = names[0]
    if name == "vocab_file":
        path = copy_file(vocabulary_path(message), message.feature_name)
        return {"vocab_file": path, "default_bucketize_value": message.default_bucketize_value}
    value = kwargs(message)[name]
    if not name.startswith("vocab_"):
        return {name: value}
    if "default_bucketize_value" in fields and message.HasField("default_bucketize_value"):
        return {name: value, "default_bucketize_value": message.default_bucketize_value}
    if name == "vocab_list":
        return {name: [message.default_value, "<OOV>", *value], "default_bucketize_value": 1}
    return {name: value | {message.default_value: 0}, "default_bucketize_value": 1}


def _special(message: Any, is_discrete: bool) -> Object:
    """Keys of single feature types; `is_discrete` if the values are words."""
    if isinstance(message, feature_pb2.IdFeature):
        return {"value_type": message.fg_value_type or "string", "need_prefix": False}
    if isinstance(message, feature_pb2.ComboFeature):
        return {"value_type": "string", "need_prefix": False}
    if isinstance(message, feature_pb2.CustomFeature):
        params = json_format.MessageToDict(message.operator_params)
        return params | {"value_type": "string" if is_discrete else "float"}
    if isinstance(message, (feature_pb2.LookupFeature, feature_pb2.MatchFeature)):
        has_words = is_discrete or message.need_discrete
        content: Object = {
            "needDiscrete": has_words,
            "value_type": message.fg_value_type or ("string" if has_words else "float"),
        }
        if isinstance(message, feature_pb2.MatchFeature):
            return content | {"matchType": "multihit" if ALL in (message.pkey, message.skey) else "hit"}
        return content | ({"combiner": ""} if has_words else {})
    return {"value_type": "float"} if isinstance(message, (feature_pb2.RawFeature, feature_pb2.ExprFeature)) else {}


def _vector_lookup(kind: str, content: Object, message: feature_pb2.LookupFeature) -> Iterator[Object]:
    """Yield a lookup of vectors as a lookup of text, and a second feature that splits the text into numbers."""
    text = {"value_type": "string", "needDiscrete": True, "combiner": "", "default_value": "", "value_dim": 1}
    name = f"{message.feature_name}__lookup"
    yield (
        {key: value for key, value in content.items() if key not in ("normalizer", "boundaries")}
        | text
        | {
            "feature_name": name,
            "stub_type": True,
        }
    )
    yield {
        "feature_type": kind.replace("lookup_feature", "raw_feature"),
        "expression": f"feature:{name}",
        "separator": message.value_separator,
        **{key: content[key] for key in ("feature_name", "default_value", "value_dim", "value_type")},
        **{key: content[key] for key in ("normalizer", "boundaries", "stub_type") if key in content},
    }


def _text_normalizer(kind: str, message: feature_pb2.TokenizeFeature, copy_file: Callable[[Path, str], str]) -> Object:
    """Describe the feature of the normalized text that a tokenize_feature reads."""
    normalizer = message.text_normalizer
    content: Object = {
        "feature_type": kind.replace("tokenize_feature", "text_normalizer"),
        "feature_name": f"{message.feature_name}__text_norm",
        "expression": message.expression,
        "default_value": message.default_value,
        "stub_type": True,
    }
    if normalizer.max_length:
        content["max_length"] = normalizer.max_length
    if normalizer.stop_char_file:
        content["stop_char_file"] = copy_file(Path(normalizer.stop_char_file), message.feature_name)
    if normalizer.norm_options:
        content["parameter"] = sum(_TEXT_OPTIONS.get(option, 0) for option in normalizer.norm_options)
    if feature_pb2.TEXT_REMOVE_SPACE in normalizer.norm_options:
        content["remove_space"] = True
    return content
