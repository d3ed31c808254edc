"""Selection of features of a config."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tzrec.config.checker import children
from tzrec.config.sequences import feature_members, inputs
from tzrec.protos.feature_pb2 import FeatureConfig
from tzrec.protos.model_pb2 import FeatureGroupConfig
from tzrec.protos.pipeline_pb2 import EasyRecConfig


def keep_features(config: EasyRecConfig, kept: Mapping[str, Collection[str]]) -> EasyRecConfig:
    """Return a config with fewer features in its groups, and without features that are no longer used.

    Features that model_config names otherwise are kept, such as the session feature of a loss, and so are features that
    other features read.

    Args:
        config: is not changed.
        kept: names of the features to keep, by group; other groups are not changed.
    """
    selected = EasyRecConfig()
    selected.CopyFrom(config)
    for group in selected.model_config.feature_groups:
        if group.group_name in kept:
            group.feature_names[:] = [name for name in group.feature_names if name in kept[group.group_name]]
    _keep_used(selected, set(_strings(selected.model_config)))
    return selected


def keep_groups(config: EasyRecConfig, groups: Sequence[FeatureGroupConfig]) -> EasyRecConfig:
    """Return the config of a part of a model that is served alone: with these groups and the features they need.

    It has no losses, no metrics and no sampler.

    Args:
        config: is not changed.
        groups: groups of the part, which may be other than those of the config.
    """
    selected = EasyRecConfig()
    selected.CopyFrom(config)
    model, data = selected.model_config, selected.data_config
    for field in ("losses", "metrics", "train_metrics", "feature_groups"):
        model.ClearField(field)
    model.feature_groups.extend(groups)
    data.ClearField("force_base_data_group")
    if sampler := data.WhichOneof("sampler"):
        data.ClearField(sampler)
    names = {name for group in groups for name in group.feature_names}
    _keep_used(
        selected, names | {name for group in groups for inner in group.sequence_groups for name in inner.feature_names}
    )
    return selected


def _keep_used(config: EasyRecConfig, used: set[str]) -> None:
    """Remove the features of a config that are not used, by others neither."""
    used = _with_sources(used, config)
    configs = [entry for entry in config.feature_configs if _remove_unused(entry, used)]
    del config.feature_configs[:]
    config.feature_configs.extend(configs)


def _strings(message: Message) -> Iterator[str]:
    """Iterate over all strings in a message and the messages below it."""
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_STRING:
            yield from value if field.is_repeated else [value]
    for _, inner in children("", message):
        yield from _strings(inner)


def _with_sources(used: set[str], config: EasyRecConfig) -> set[str]:
    """Add the features that used features read, directly or indirectly."""
    sources = {
        member.message.feature_name: [text.partition(":")[2] for _, text in inputs(member.message) if _is_feature(text)]
        for entry in config.feature_configs
        for member in feature_members(entry)
    }
    all_used, pending = set[str](), list(used)
    while pending:
        name = pending.pop()
        if name not in all_used:
            all_used.add(name)
            pending += sources.get(name, ())
    return all_used


def _is_feature(source: str) -> bool:
    return source.startswith("feature:")


def _remove_unused(config: FeatureConfig, used: set[str]) -> bool:
    """Remove unused features from a sequence_feature, and return whether any feature of an entry is used."""
    is_used = [member.message.feature_name in used for member in feature_members(config)]
    if config.WhichOneof("feature") == "sequence_feature":
        features = config.sequence_feature.features
        for index in reversed([index for index, use in enumerate(is_used) if not use]):
            del features[index]
    return any(is_used)
