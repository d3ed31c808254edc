"""Configs built in Python: features and a model as messages, with the usual choices for what is not given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from google.protobuf import text_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tzrec import registry
from tzrec.config.model_groups import GroupRequirements
from tzrec.config.options import field_rule
from tzrec.config.schema import descriptor_of, fields_of, is_message, message_type, oneof_of
from tzrec.errors import ConfigError, Problem
from tzrec.protos.data_pb2 import DataConfig, DatasetType, FgMode
from tzrec.protos.feature_pb2 import FeatureConfig
from tzrec.protos.loss_pb2 import BinaryCrossEntropy, LossConfig
from tzrec.protos.metric_pb2 import AUC, MetricConfig
from tzrec.protos.model_pb2 import DEEP, WIDE, FeatureGroupConfig, ModelConfig
from tzrec.protos.options_pb2 import GROUP, INPUT
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.protos.train_pb2 import TrainConfig

_SPARSE = "adagrad_optimizer { lr: 0.02 } constant_learning_rate {}"
_DENSE = "adam_optimizer { lr: 0.001 } constant_learning_rate {}"
_WIDE = "wide"
_SEQUENCE = "sequence_"
_ALL = "all"


def build_config(
    features: Sequence[Message],
    model: Message,
    label_fields: Sequence[str],
    feature_groups: Sequence[FeatureGroupConfig] = (),
    train_config: TrainConfig | None = None,
    data_config: DataConfig | None = None,
    model_dir: str = "experiments/first",
) -> EasyRecConfig:
    """Build a config from messages, all of `tzrec.protos`.

    What is not given is chosen: a feature reads the column of its name; every group that the model reads has all
    features; each label is a task of its own with binary cross entropy and AUC; Adagrad with learning rate 0.02 trains
    the tables and Adam with 0.001 everything else, for one epoch.

    Args:
        features: messages of features, such as `IdFeature` and `RawFeature`; sequences as a `FeatureConfig`.
        model: message of a model, such as `MMoE`; or a `ModelConfig`, for its further fields.
        label_fields: label columns.
        feature_groups: groups of features. Needed for sequences, and where a model reads several groups that differ.
        train_config: further settings of training.
        data_config: further settings of the data, such as `batch_size`.
        model_dir: directory of checkpoints and results.

    Returns:
        A config for `train` and the other functions, which check it.

    Raises:
        ConfigError: a message is no feature or no model, or the groups do not follow from the features.

    Example:
        >>> from tzrec.protos import MLP, IdFeature, MMoE
        >>> features = [IdFeature(feature_name="user", num_buckets=10, embedding_dim=4)]
        >>> model = MMoE(num_expert=2, expert_mlp=MLP(hidden_units=[4]))
        >>> config = tzrec.build_config(features, model, ["clk", "buy"], model_dir="built")
        >>> frame = {"user": [0, 1, 2, 3] * 16, "clk": [0, 1, 0, 1] * 16, "buy": [0, 0, 0, 1] * 16}
        >>> tzrec.check(config, data=frame)
        []
        >>> run = tzrec.train(config, train=frame, eval=frame)
        >>> [name for name in run.metrics if name.startswith("auc")]
        ['auc_buy', 'auc_clk']
    """
    config = EasyRecConfig(model_dir=model_dir)
    config.feature_configs.extend(_entry(index, feature) for index, feature in enumerate(features))
    config.model_config.CopyFrom(_model_config(model))
    config.model_config.feature_groups.extend(feature_groups)
    if not config.model_config.feature_groups:
        config.model_config.feature_groups.extend(_default_groups(config))
    config.train_config.CopyFrom(train_config or TrainConfig())
    config.data_config.CopyFrom(data_config or DataConfig())
    _complete_training(config)
    _complete_data(config.data_config, label_fields)
    _complete_tasks(config.model_config, config.data_config.label_fields)
    return config


def _entry(index: int, feature: Message) -> FeatureConfig:
    """Make the entry of a feature, whose expression names the column of the same name if it has none."""
    entry = FeatureConfig()
    if isinstance(feature, FeatureConfig):
        entry.CopyFrom(feature)
    else:
        getattr(entry, _member(FeatureConfig, "feature", feature, f"features[{index}]")).CopyFrom(feature)
    member = registry.oneof_member(entry, "feature")
    message: Any = None if member is None else member[1]
    if message is not None and _reads_one_input(message) and not message.expression:
        side = "user" if message.feature_name.lower().startswith("user") else "item"
        message.expression = f"{side}:{message.feature_name}"
    return entry


def _reads_one_input(message: Message) -> bool:
    field = fields_of(message).get("expression")
    return field is not None and not field.is_repeated and field_rule(field).refers_to == INPUT


def _member(parent: type[Message], oneof: str, message: Message, path: str) -> str:
    """Return the member of a oneof that holds messages of this type; of several the first one.

    Raises:
        ConfigError: there is none.
    """
    for field in oneof_of(parent, oneof).fields:
        if is_message(field) and message_type(field) == descriptor_of(message):
            return field.name
    raise ConfigError([Problem(path, f"{type(message).__name__} is not a {oneof}; see tzrec.protos.{parent.__name__}")])


def _model_config(model: Message) -> ModelConfig:
    if isinstance(model, ModelConfig):
        return model
    config = ModelConfig()
    getattr(config, _member(ModelConfig, "model", model, "model")).CopyFrom(model)
    return config


def _default_groups(config: EasyRecConfig) -> Iterator[FeatureGroupConfig]:
    """Yield the groups that a model reads, each with all features.

    Raises:
        ConfigError: there are sequences, or there is no model.
    """
    names = []
    for index, entry in enumerate(config.feature_configs):
        member = entry.WhichOneof("feature") or ""
        if member.startswith(_SEQUENCE):
            text = f"features[{index}] is a sequence; name the groups, as FeatureGroupConfig(group_name=..., ...)"
            raise ConfigError([Problem("feature_groups", text)])
        names.append(getattr(entry, member).feature_name)
    model = registry.oneof_member(config.model_config, "model")
    if model is None:
        raise ConfigError([Problem("model", "is empty; give a model, such as tzrec.protos.MMoE(...)")])
    requirements = getattr(registry.requirements(model[0]), "GROUPS", GroupRequirements())
    for name in dict.fromkeys([*requirements.required, *_group_names(model[1])]) or [_ALL]:
        kind = WIDE if name == _WIDE else DEEP
        yield FeatureGroupConfig(group_name=name, feature_names=names, group_type=kind)


def _group_names(message: Message) -> Iterator[str]:
    """Yield the names of groups that the fields of a message refer to, at any depth."""
    for field, value in message.ListFields():
        if field_rule(field).refers_to == GROUP:
            yield from _items(field, value)
        elif is_message(field):
            for item in _items(field, value):
                yield from _group_names(item)


def _items(field: FieldDescriptor, value: Any) -> Sequence[Any]:
    return list(value) if field.is_repeated else [value]


def _complete_tasks(model: ModelConfig, labels: Sequence[str]) -> None:
    """Add a tower for each label where there are none, and losses and metrics to the tasks without them."""
    member = registry.oneof_member(model, "model")
    message: Any = None if member is None else member[1]
    if message is None or "task_towers" not in fields_of(message):
        _complete_task(model)
        return
    if not message.task_towers:
        for label in labels:
            message.task_towers.add(tower_name=label, label_name=label)
    for tower in message.task_towers:
        if not tower.label_name and tower.tower_name in labels:
            tower.label_name = tower.tower_name
        if not tower.tower_name:
            tower.tower_name = tower.label_name
        _complete_task(tower)


def _complete_task(task: Any) -> None:
    if not task.losses:
        task.losses.append(LossConfig(binary_cross_entropy=BinaryCrossEntropy()))
        if not task.metrics:
            task.metrics.append(MetricConfig(auc=AUC()))


def _complete_training(config: EasyRecConfig) -> None:
    train = config.train_config
    if not train.HasField("sparse_optimizer"):
        text_format.Parse(_SPARSE, train.sparse_optimizer)
    if not train.HasField("dense_optimizer"):
        text_format.Parse(_DENSE, train.dense_optimizer)
    if not train.num_steps and not train.num_epochs:
        train.num_epochs = 1


def _complete_data(data: DataConfig, label_fields: Sequence[str]) -> None:
    data.label_fields.extend(name for name in label_fields if name not in data.label_fields)
    if not data.HasField("fg_mode"):
        data.fg_mode = FgMode.FG_DAG
    if not data.HasField("dataset_type"):
        data.dataset_type = DatasetType.ParquetDataset
