"""Features in the language of the feature generators that other systems run: the objects of an fg.json."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from google.protobuf import json_format

from tzrec import registry
from tzrec.config.kwargs import kwargs
from tzrec.config.schema import fields_of, is_set
from tzrec.config.sequences import ALL, element_message
from tzrec.protos import data_pb2, feature_pb2
from tzrec.protos.feature_pb2 import FeatureConfig

Object = dict[str, Any]
BUCKETIZERS = (
    *("hash_bucket_size", "num_buckets", "vocab_list", "vocab_dict", "vocab_file", "default_bucketize_value"),
    "boundaries",
)
MOST_IDS = (1 << 63) - 1
"""Where ids are managed while training, the generator only hashes."""

# message -> key -> field, for what the generators call by another name or always want to see
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
_IF_SET = ("normalizer", "value_map", "fill_missing", "weighted", "is_op_thread_safe", "stub_type", "value_dim")
_TEXT_OPTIONS = {
    feature_pb2.TEXT_LOWER2UPPER: 2,
    feature_pb2.TEXT_UPPER2LOWER: 4,
    feature_pb2.TEXT_SBC2DBC: 8,
    feature_pb2.TEXT_CHT2CHS: 16,
    feature_pb2.TEXT_FILTER: 32,
    feature_pb2.TEXT_SPLITCHRS: 512,
}


def describe(configs: Sequence[FeatureConfig], data: data_pb2.DataConfig, carry: Callable[[Path, str], str]) -> Object:
    """All features as `{"features": [...]}`.

    Args:
        configs: of a pipeline config.
        data: its data_config.
        carry: takes a file that a feature reads and the feature's name; returns the path to write down.
    """
    return {"features": [each for config in configs for each in _described(config, data, carry)]}


def without_bucketizers(described: Object) -> Object:
    """The same features, whose values are not made into ids."""
    kept: Object = {}
    for key, value in described.items():
        if key == "features":
            kept[key] = [without_bucketizers(each) for each in value]
        elif key not in BUCKETIZERS or (key == "vocab_file" and described["feature_type"].endswith("tokenize_feature")):
            kept[key] = value
    return kept


def _described(config: FeatureConfig, data: data_pb2.DataConfig, carry: Callable[[Path, str], str]) -> Iterator[Object]:
    chosen = registry.oneof_member(config, "feature")
    assert chosen is not None  # `check` has seen it
    field, message = chosen[0], cast(Any, chosen[1])
    if isinstance(message, feature_pb2.SequenceFeature):
        parts = [
            part
            for each in message.features
            if (inner := registry.oneof_member(each, "feature"))
            for part in _objects(inner[0].name, element_message(inner[1]), data, carry)
        ]
        yield {
            "sequence_name": message.sequence_name,
            "sequence_length": message.sequence_length,
            "sequence_delim": message.sequence_delim,
            "sequence_pk": message.sequence_pk or f"user:{message.sequence_name}",
            "features": parts,
        }
    elif field.name.startswith("sequence_"):
        whole = {"sequence_delim": message.sequence_delim, "sequence_length": message.sequence_length}
        yield from (each | whole for each in _objects(field.name, element_message(message), data, carry))
    else:
        yield from _objects(field.name, message, data, carry)


def _objects(kind: str, message: Any, data: data_pb2.DataConfig, carry: Callable[[Path, str], str]) -> Iterator[Object]:
    """A feature, after the hidden one that it reads, if it needs one."""
    told: Object = {"feature_type": kind, "feature_name": message.feature_name}
    known, values = fields_of(message), kwargs(message)
    told |= {key: values[name] for key, name in _FIELDS[message.DESCRIPTOR.name].items()}
    told |= {name: values[name] for name in _IF_SET if name in known and is_set(message, name)}
    if "default_value" in known:
        told["default_value"] = message.default_value
    if "separator" in known and message.separator != "\x1d":
        told["separator"] = message.separator
    if message.sequence_fields:
        told["sequence_fields"] = list(message.sequence_fields)
    buckets = _buckets(message, carry)
    told |= buckets | _special(message, bool(buckets) and "boundaries" not in buckets)
    if isinstance(message, feature_pb2.TokenizeFeature):
        told["vocab_file"] = carry(Path(message.asset_dir, message.vocab_file), message.feature_name)
        told |= {"output_type": "word_id", "output_delim": data.fg_encoded_multival_sep}
        if message.HasField("text_normalizer"):
            yield _cleaned(kind, message, carry)
            told["expression"] = f"feature:{message.feature_name}__text_norm"
    if isinstance(message, feature_pb2.LookupFeature) and message.value_dim > 1 and not told["needDiscrete"]:
        yield from _vectors(kind, told, message)
    else:
        yield told


def _buckets(message: Any, carry: Callable[[Path, str], str]) -> Object:
    """How values become ids; two ids are reserved where a vocabulary says nothing about words it does not list."""
    known = fields_of(message)
    found = [name for name in ("zch", "dynamicemb", *BUCKETIZERS) if name in known and is_set(message, name)]
    if not found or isinstance(message, feature_pb2.TokenizeFeature):
        return {}
    name = found[0]
    if name in ("zch", "dynamicemb"):
        return {"hash_bucket_size": MOST_IDS}
    if name == "vocab_file":
        path = carry(Path(message.asset_dir, message.vocab_file), message.feature_name)
        return {"vocab_file": path, "default_bucketize_value": message.default_bucketize_value}
    value = kwargs(message)[name]
    if not name.startswith("vocab_"):
        return {name: value}
    if "default_bucketize_value" in known and message.HasField("default_bucketize_value"):
        return {name: value, "default_bucketize_value": message.default_bucketize_value}
    if name == "vocab_list":
        return {name: [message.default_value, "<OOV>", *value], "default_bucketize_value": 1}
    return {name: value | {message.default_value: 0}, "default_bucketize_value": 1}


def _special(message: Any, discrete: bool) -> Object:
    """What only one kind of feature says; `discrete` where its values are words."""
    if isinstance(message, feature_pb2.IdFeature):
        return {"value_type": message.fg_value_type or "string", "need_prefix": False}
    if isinstance(message, feature_pb2.ComboFeature):
        return {"value_type": "string", "need_prefix": False}
    if isinstance(message, feature_pb2.CustomFeature):
        params = json_format.MessageToDict(message.operator_params)
        return params | {"value_type": "string" if discrete else "float"}
    if isinstance(message, (feature_pb2.LookupFeature, feature_pb2.MatchFeature)):
        words = discrete or message.need_discrete
        told: Object = {"needDiscrete": words, "value_type": message.fg_value_type or ("string" if words else "float")}
        if isinstance(message, feature_pb2.MatchFeature):
            return told | {"matchType": "multihit" if ALL in (message.pkey, message.skey) else "hit"}
        return told | ({"combiner": ""} if words else {})
    return {"value_type": "float"} if isinstance(message, (feature_pb2.RawFeature, feature_pb2.ExprFeature)) else {}


def _vectors(kind: str, told: Object, message: feature_pb2.LookupFeature) -> Iterator[Object]:
    """A lookup of vectors as one of text, and a second feature that cuts the text into numbers."""
    text = {"value_type": "string", "needDiscrete": True, "combiner": "", "default_value": "", "value_dim": 1}
    name = f"{message.feature_name}__lookup"
    yield (
        {key: each for key, each in told.items() if key not in ("normalizer", "boundaries")}
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
        **{key: told[key] for key in ("feature_name", "default_value", "value_dim", "value_type")},
        **{key: told[key] for key in ("normalizer", "boundaries", "stub_type") if key in told},
    }


def _cleaned(kind: str, message: feature_pb2.TokenizeFeature, carry: Callable[[Path, str], str]) -> Object:
    """The feature of the cleaned text, which a tokenize_feature reads."""
    steps = message.text_normalizer
    told: Object = {
        "feature_type": kind.replace("tokenize_feature", "text_normalizer"),
        "feature_name": f"{message.feature_name}__text_norm",
        "expression": message.expression,
        "default_value": message.default_value,
        "stub_type": True,
    }
    if steps.max_length:
        told["max_length"] = steps.max_length
    if steps.stop_char_file:
        told["stop_char_file"] = carry(Path(steps.stop_char_file), message.feature_name)
    if steps.norm_options:
        told["parameter"] = sum(_TEXT_OPTIONS.get(each, 0) for each in steps.norm_options)
    if feature_pb2.TEXT_REMOVE_SPACE in steps.norm_options:
        told["remove_space"] = True
    return told
