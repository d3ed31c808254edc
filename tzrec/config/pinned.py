"""Settings that a resumed run must not change: optimizers, schedules, and the ids and rows of the tables.

The trained state has a meaning only together with them. Fields that only describe where tables are stored, or their
initial values, are not among them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf.message import Message

from tzrec.config.kwargs import kwargs
from tzrec.config.schema import fields_of, is_set
from tzrec.config.vocabulary import vocabulary_path
from tzrec.protos.pipeline_pb2 import EasyRecConfig

OPTIMIZERS = ("train_config.sparse_optimizer", "train_config.dense_optimizer")

_TABLE_FIELDS = (
    "num_buckets",
    "hash_bucket_size",
    "vocab_list",
    "vocab_dict",
    "vocab_file",
    "default_bucketize_value",
    "boundaries",
    "embedding_name",
    "embedding_dim",
    "pooling",
    "data_type",
)
_AVERAGE = "train_config.dense_optimizer.ema"
_MAX_TEXT = 80
_SET, _UNSET = "set", "not set"


def pinned_settings(config: EasyRecConfig) -> dict[str, str]:
    """Return the settings as text by path; features are named in the paths, so their order does not matter."""
    settings: dict[str, str] = {}
    for path in OPTIMIZERS:
        settings |= _flatten(path, kwargs(getattr(config.train_config, path.partition(".")[2])))
    for name, feature in _features(config):
        settings |= {f"feature_configs[{name}].{field}": text for field, text in _table_settings(feature)}
    settings["data_config.string_hash"] = kwargs(config.data_config)["string_hash"]
    for group in config.model_config.feature_groups:
        names = ", ".join([*group.feature_names])
        settings[f"model_config.feature_groups[{group.group_name}].feature_names"] = _shortened(names)
    return settings


def pinned_changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """List the changes as `path: before -> now`; a part that is set or unset as a whole is one change.

    Features and groups that only one side has are left out: their tensors are missing or left over.
    """
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    if _AVERAGE not in before:  # it starts with the weights of the checkpoint
        names = [name for name in names if not name.startswith(_AVERAGE)]
    optional = [name for name in names if name.startswith(OPTIMIZERS) or _owner(name) in _owners(before, now)]
    changed = set(optional)
    outermost = [name for name in optional if not any(parent in changed for parent in _parents(name))]
    return [f"{name}: {before.get(name, _UNSET)} -> {now.get(name, _UNSET)}" for name in outermost]


def _flatten(path: str, value: Any) -> dict[str, str]:
    if isinstance(value, Mapping):
        parts = {name: part for name, part in value.items() if name != "constant_learning_rate"}  # the default
        nested = [_flatten(f"{path}.{name}", part) for name, part in parts.items()]
    elif isinstance(value, list):
        nested = [_flatten(f"{path}[{index}]", part) for index, part in enumerate(value)]
    else:
        return {path: _shortened(json.dumps(value))}
    return {path: _SET, **{name: text for part in nested for name, text in part.items()}}


def _features(config: EasyRecConfig) -> Iterator[tuple[str, Message]]:
    """Yield the features with their names; those of a sequence as `<sequence>__<feature>`."""
    for entry in config.feature_configs:
        feature = getattr(entry, entry.WhichOneof("feature") or "id_feature")
        if hasattr(feature, "sequence_name"):
            for nested in feature.features:
                element = getattr(nested, nested.WhichOneof("feature") or "id_feature")
                yield f"{feature.sequence_name}__{element.feature_name}", element
        else:
            yield feature.feature_name, feature


def _table_settings(feature: Any) -> Iterator[tuple[str, str]]:
    values = kwargs(feature)
    for name in _TABLE_FIELDS:
        if name not in fields_of(feature) or not (is_set(feature, name) or name in ("pooling", "data_type")):
            continue
        if name == "vocab_file":
            path = vocabulary_path(feature)
            yield name, _digest(path.read_bytes()) if path.is_file() else str(path)
        else:
            yield name, _shortened(values[name] if isinstance(values[name], str) else json.dumps(values[name]))


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT // 2]}... ({_digest(text.encode())})"


def _digest(data: bytes) -> str:
    return f"sha256 {hashlib.sha256(data).hexdigest()[:16]}"


def _owner(name: str) -> str:
    return name.rpartition(".")[0]


def _owners(*settings: Mapping[str, str]) -> set[str]:
    """Return the features, groups and messages that all of the settings have."""
    return set.intersection(*({_owner(name) for name in names} for names in settings))


def _parents(name: str) -> Iterator[str]:
    """Yield the paths of the messages and lists that contain a setting."""
    for index, character in enumerate(name):
        if index and character in ".[":
            yield name[:index]
