"""A config with fewer features."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tzrec.config.checker import children
from tzrec.config.sequences import feature_members, inputs
from tzrec.protos.feature_pb2 import FeatureConfig
from tzrec.protos.pipeline_pb2 import EasyRecConfig


def keep_features(config: EasyRecConfig, kept: Mapping[str, Collection[str]]) -> EasyRecConfig:
    """The config with these features alone in their groups, and without the features that nothing uses any more.

    Whatever model_config names stays, as the session feature of a loss or a metric, and so does what features that
    stay read.

    Args:
        config: stays as it is.
        kept: per group, the features to keep; groups that are not in it keep theirs.
    """
    made = EasyRecConfig()
    made.CopyFrom(config)
    for group in made.model_config.feature_groups:
        if group.group_name in kept:
            group.feature_names[:] = [name for name in group.feature_names if name in kept[group.group_name]]
    used = _with_sources(set(_strings(made.model_config)), made)
    configs = [each for each in made.feature_configs if _trimmed(each, used)]
    del made.feature_configs[:]
    made.feature_configs.extend(configs)
    return made


def _strings(message: Message) -> Iterator[str]:
    """Every text in a message and the messages below it."""
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_STRING:
            yield from value if field.is_repeated else [value]
    for _, inner in children("", message):
        yield from _strings(inner)


def _with_sources(used: set[str], config: EasyRecConfig) -> set[str]:
    """With the features that those in use read, and so on."""
    sources = {
        member.message.feature_name: [text.partition(":")[2] for _, text in inputs(member.message) if _is_feature(text)]
        for each in config.feature_configs
        for member in feature_members(each)
    }
    found, ahead = set[str](), list(used)
    while ahead:
        name = ahead.pop()
        if name not in found:
            found.add(name)
            ahead += sources.get(name, ())
    return found


def _is_feature(source: str) -> bool:
    return source.startswith("feature:")


def _trimmed(config: FeatureConfig, used: set[str]) -> bool:
    """Whether any feature of an entry is used; features of a sequence that are not are taken out of it."""
    stays = [member.message.feature_name in used for member in feature_members(config)]
    if config.WhichOneof("feature") == "sequence_feature":
        features = config.sequence_feature.features
        for index in reversed([index for index, use in enumerate(stays) if not use]):
            del features[index]
    return any(stays)
