"""Conversion of a whole config."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tzrec.config.syntax import TextSyntaxError, parse_tree
from tzrec.errors import ConfigError, Problem
from tzrec.migration.easyrec.data import convert_data, convert_paths, default_values, expand_names
from tzrec.migration.easyrec.features import FeatureContext, convert_feature, feature_name, feature_sources
from tzrec.migration.easyrec.fg_json import FgJson, convert_sequence_settings
from tzrec.migration.easyrec.groups import convert_groups
from tzrec.migration.easyrec.losses import convert_losses, convert_metrics
from tzrec.migration.easyrec.match_models import MATCHING
from tzrec.migration.easyrec.models import RANKING, ModelContext
from tzrec.migration.easyrec.source import Omissions, Source
from tzrec.migration.easyrec.train import convert_eval, convert_export, convert_train
from tzrec.protos.feature_pb2 import FeatureConfig, SeqFeatureConfig
from tzrec.protos.pipeline_pb2 import EasyRecConfig

_NO_COUNTERPART = "has no counterpart"
REASONS: Mapping[str, str] = {
    "hive_train_input": "Hive tables are read as Parquet or ORC files",
    "hive_eval_input": "Hive tables are read as Parquet or ORC files",
    "save_checkpoints_secs": "checkpoints are saved by steps or epochs: save_checkpoints_steps",
    "train_distribute": "torchrun starts the ranks",
    "num_gpus_per_worker": "torchrun starts the ranks",
    "sync_replicas": "ranks always train in step",
    "protocol": "torchrun starts the ranks",
    "freeze_gradient": "set trainable: false on features, or a learning rate of 0 by part_optimizers",
    "fine_tune_ckpt_var_map": "variables of TensorFlow cannot be loaded",
    "restore_filters": "variables of TensorFlow cannot be loaded",
    "incr_save_config": "changed rows of tables are not written between checkpoints",
    "dead_line": "max_minutes ends a run after a time",
    "ev_params": "tables have a fixed size: hash_bucket_size",
    "use_embedding_variable": "tables have a fixed size: hash_bucket_size",
    "embedding_regularization": "see model_config.l2_reg_embedding, which is divided by the rows of a batch",
    "l2_regularization": "see model_config.l2_reg_dnn, half of this number, which penalizes the weights of all layers",
    "kd": "teachers are not supported",
    "loss_weight_strategy": "see model_config.uncertainty_weighting for learned weights of tasks",
    "backbone": "models made of blocks have no counterpart; choose a model of docs/models",
    "prefetch_size": "num_workers and the reader's own pipeline replace it",
    "label_sep": "write one column for each label",
    "label_dim": "write one column for each label",
    "extra_label_func": "compute labels before training",
    "ignore_error": "see data_config.bad_row_policy",
    "selected_cols": "columns are chosen by the features",
    "max_partitions": "torchrun and the sharding plan place the tables",
    "sequence_combiner": "choose a sequence encoder in the feature group: docs/sequences.md",
    "lookup_max_sel_elem_num": "all elements that are found count",
    "normalizer_fn": 'write an expression: normalizer: "method=expression,expr=..."',
    "user_define_fn": "compute the column before training",
    "metrics_set": "metrics belong to the towers of the tasks",
}
"""Reason why a field is not carried over, by its path or name."""


@dataclass(frozen=True)
class Conversion:
    """Result of a conversion.

    Attributes:
        config: the config of this project.
        problems: what was not carried over, or is changed, with its place.
    """

    config: EasyRecConfig
    problems: list[Problem]


def convert_easyrec_config(path: str, fg_json_path: str = "", use_old_fg: bool = False) -> Conversion:
    """Convert a text config of EasyRec.

    Args:
        path: the config.
        fg_json_path: fg.json with the expressions of the features; default: the fg_json_path of the config, if that
            file exists.
        use_old_fg: define features by the config and take only inputs and sequences from fg.json.

    Raises:
        ConfigError: a file cannot be read, or the text is not protobuf text format.
    """
    omissions = Omissions(path)
    try:
        tree = parse_tree(Path(path).read_text(encoding="utf-8-sig"))
    except TextSyntaxError as error:
        raise ConfigError([Problem("", str(error), f"{path}:{error.line}:{error.column}")]) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Problem("", f"cannot be read: {error}", path)]) from None
    if not tree.entries:
        raise ConfigError([Problem("", "the config is empty", path)])
    root = Source(tree, "", omissions)
    named = root.text("fg_json_path")
    fg = FgJson.read(fg_json_path) if fg_json_path else FgJson.read(named) if Path(named).is_file() else None
    if named and fg is None:
        root.note("fg_json_path", "the file does not exist; pass it by --fg_json_path")
    config = EasyRecConfig()
    _convert(root, config, fg, use_old_fg)
    root.report_unread(REASONS, _NO_COUNTERPART)
    return Conversion(config, [*omissions.problems, *(fg.problems if fg is not None else [])])


def _convert(root: Source, config: EasyRecConfig, fg: FgJson | None, use_old_fg: bool) -> None:
    model, data = root.child("model_config"), root.child("data_config")
    convert_paths(root, config)
    convert_data(data, config.data_config, root.has("parquet_train_input"))
    config.feature_configs.extend(_features(root, model, data, fg, use_old_fg))
    dense_names = [
        feature.raw_feature.feature_name
        for feature in config.feature_configs
        if feature.HasField("raw_feature") and not feature.raw_feature.boundaries
    ]
    convert_groups(model, config.model_config, dense_names)
    _convert_model(root, model, config)
    convert_train(root.child("train_config"), config, model.text("model_class") == "WideAndDeep", data)
    convert_eval(root.child("eval_config"), config)
    if root.has("export_config"):
        convert_export(root.child("export_config"), config)


def _features(
    root: Source, model: Source, data: Source, fg: FgJson | None, use_old_fg: bool
) -> Iterator[FeatureConfig]:
    """Convert the features of the config, and of fg.json where there is one."""
    sources = {feature_name(source): source for source in feature_sources(root)}
    context = FeatureContext(_sides(model), default_values(data))
    if fg is not None:
        lookups = frozenset(name for name in sources if fg.kind(name) == "lookup_feature")
        context = FeatureContext(context.side_by_name, context.default_by_input, fg.expressions(), lookups)
    grouped = {
        f"{sequence.name}__{name}": sequence.name
        for sequence in (fg.sequences.values() if fg is not None else ())
        for name in sequence.members
    }
    defined = set(grouped)
    if fg is not None and not use_old_fg:
        defined |= set(fg.features)
        for name in defined & set(sources):
            _mark_read(sources[name])
        yield from fg.convert(sources)
    elif fg is not None:
        yield from _sequences(fg, sources, context)
    for name, source in sources.items():
        if name not in defined:
            yield from convert_feature(source, context)


def _mark_read(source: Source) -> None:
    """Count the definition of a feature as read where fg.json defines it."""
    for name in ("feature_name", "feature_type", "input_names", "expression", "separator", "sub_feature_type"):
        source.texts(name)
    for name in ("max_seq_len", "sequence_length", "hash_bucket_size", "num_buckets", "boundaries", "shared_names"):
        source.texts(name)


def _sequences(fg: FgJson, sources: Mapping[str, Source], context: FeatureContext) -> Iterator[FeatureConfig]:
    """Group the sequence features of the config as fg.json does."""
    for sequence in fg.sequences.values():
        config = FeatureConfig()
        convert_sequence_settings(sequence, config)
        for name in sequence.members:
            source = sources.get(f"{sequence.name}__{name}")
            for feature in convert_feature(source, context) if source is not None else ():
                _add_member(config, feature, name)
        if config.sequence_feature.features:
            yield config


def _add_member(config: FeatureConfig, feature: FeatureConfig, name: str) -> None:
    """Add a sequence feature to a group, which has its length and separator."""
    member = SeqFeatureConfig()
    kind = str(feature.WhichOneof("feature")).removeprefix("sequence_")
    target = getattr(member, kind)
    target.CopyFrom(getattr(feature, str(feature.WhichOneof("feature"))))
    target.feature_name = name
    for field in ("sequence_length", "sequence_delim"):
        target.ClearField(field)
    config.sequence_feature.features.append(member)


def _sides(model: Source) -> dict[str, str]:
    """Derive the side of each feature from the groups: item if only groups named item... have it, else user."""
    groups: dict[str, set[str]] = {}
    for group in model.messages("feature_groups"):
        for name in expand_names(group.texts("feature_names")):
            groups.setdefault(name, set()).add(group.text("group_name"))
    return {
        name: "item" if all(group.startswith("item") for group in names) else "user" for name, names in groups.items()
    }


def _convert_model(root: Source, model: Source, config: EasyRecConfig) -> None:
    """Convert the model with its losses and metrics."""
    target, name = config.model_config, model.text("model_class")
    convert = RANKING.get(name) or MATCHING.get(name)
    sampler = config.data_config.WhichOneof("sampler")
    context = ModelContext(
        config.data_config.label_fields, config.data_config.sample_weight_fields, sampler is not None
    )
    if convert is None or model.has("backbone"):
        model.note("model_class", f"{name} has no counterpart here; choose a model of docs/models by hand")
        return
    convert(model, target, context)
    dropout = model.message("variational_dropout")
    if dropout is not None:
        target.variational_dropout.SetInParent()
        names = ("regularization_lambda", "embedding_wise_variational_dropout")
        dropout.copy(target.variational_dropout, {name: name for name in names})
    message = getattr(target, str(target.WhichOneof("model")))
    if name in MATCHING:
        _match_losses(model, target)
    elif "task_towers" not in message.DESCRIPTOR.fields_by_name:
        target.num_class = model.integer("num_class", 1)
        convert_losses(model, target, target.num_class)
    if "task_towers" not in message.DESCRIPTOR.fields_by_name:
        convert_metrics(root.child("eval_config"), target)


def _match_losses(model: Source, target: object) -> None:
    """Set the loss of models of two towers, which has one form here."""
    if model.text("loss_type", "CLASSIFICATION") != "SOFTMAX_CROSS_ENTROPY" and not model.has("losses"):
        model.note("loss_type", "two towers are trained by the softmax of the similarities to negatives here")
    model.note("losses", "two towers are trained by the softmax of the similarities to negatives here")
    target.losses.add().softmax_cross_entropy.SetInParent()  # type: ignore[attr-defined]
