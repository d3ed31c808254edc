"""model_config.feature_groups: names, features, and the names of their tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tzrec.config.checker import Checker, check_unique, repeated
from tzrec.config.rules.feature_entry import FeatureEntry, entries_by_name
from tzrec.config.rules.sequence_groups import check_has_no_weights, check_sequences
from tzrec.config.schema import fields_of
from tzrec.protos.model_pb2 import DEEP, WIDE, FeatureGroupConfig, ModelConfig, SeqGroupConfig

_PATH = "model_config.feature_groups"


def check_groups(checker: Checker) -> None:
    """Check every group."""
    config = checker.config.model_config
    groups = list(repeated(_PATH, config.feature_groups))
    if not groups and not checker.has_parse_errors("model_config"):
        checker.error("model_config", "has no feature_groups; the model needs at least one")
    check_unique(checker, "group", (name for path, group in groups for name in _names(path, group)))
    known = entries_by_name(checker)
    for path, group in groups:
        if not group.feature_names and not group.sequence_groups and not checker.has_parse_errors(path):
            checker.error(f"{path}.feature_names", "is empty; list the features of this group")
        for name_path, name in repeated(f"{path}.feature_names", group.feature_names):
            if name not in known:
                continue  # reported as unknown
            if group.group_type in (DEEP, WIDE):
                _check_feature(checker, name_path, known[name], group)
            else:
                check_has_no_weights(checker, name_path, known[name])
        check_sequences(checker, path, group, known)
    _check_wide_groups(checker)
    _check_table_names(checker, known)
    if config.HasField("variational_dropout"):
        _check_variational_dropout(checker, config)


def _names(path: str, group: FeatureGroupConfig) -> Iterator[tuple[str, str]]:
    """Iterate over paths and names of a group and its sequence groups; a single one may have the name of its group."""
    if group.group_name:
        yield f"{path}.group_name", group.group_name
    for inner_path, inner in repeated(f"{path}.sequence_groups", group.sequence_groups):
        if inner.group_name and (len(group.sequence_groups) > 1 or inner.group_name != group.group_name):
            yield f"{inner_path}.group_name", inner.group_name


def _check_feature(checker: Checker, path: str, entry: FeatureEntry, group: FeatureGroupConfig) -> None:
    if entry.sequence is not None:
        advice = "list it in the sequence_groups of a DEEP group, with a sequence_encoder that makes one vector of them"
        checker.error(path, f'"{entry.name}" is a sequence of any number of elements; {advice}')
    elif group.group_type == WIDE and not entry.has_table and not checker.has_parse_errors(entry.path):
        advice = "give it boundaries or put it into a DEEP group"
        checker.error(path, f'"{entry.name}" is dense and has no table, which a WIDE group needs; {advice}')


def _check_wide_groups(checker: Checker) -> None:
    """Report WIDE groups of a model without a width for them."""
    config = checker.config.model_config
    model = config.WhichOneof("model")
    if model is None or checker.is_unsupported(f"model_config.{model}"):
        return
    if "wide_embedding_dim" in fields_of(getattr(config, model)):
        return
    for path, group in repeated(_PATH, config.feature_groups):
        if group.group_type == WIDE:
            checker.error(f"{path}.group_type", f"{model} does not read WIDE groups; use DEEP")


def _check_variational_dropout(checker: Checker, config: ModelConfig) -> None:
    """Check that there are features to choose from."""
    pooled = [group for group in config.feature_groups if group.group_type in (DEEP, WIDE)]
    has_choice = any(len(group.feature_names) + len(group.sequence_encoders) > 1 for group in pooled)
    if config.feature_groups and not has_choice and not checker.has_parse_errors("model_config"):
        problem = "no DEEP or WIDE group has more than one feature to choose from; leave it out"
        checker.error("model_config.variational_dropout", problem)


def _check_table_names(checker: Checker, known: Mapping[str, FeatureEntry]) -> None:
    """Report two suffixes that result in one table name: `a` + `b_c` and `a_b` + `c`."""
    pooled: dict[str, tuple[str, str]] = {}
    of_sequences: dict[str, tuple[str, str]] = {}  # sequence groups have their own tables
    for path, group in repeated(_PATH, checker.config.model_config.feature_groups):
        wide = "_wide" if group.group_type == WIDE else ""
        origins = pooled if group.group_type in (DEEP, WIDE) else of_sequences
        _check_table_names_of(checker, path, group, known, wide, origins)
        for inner_path, inner in repeated(f"{path}.sequence_groups", group.sequence_groups):
            _check_table_names_of(checker, inner_path, inner, known, "", of_sequences)


def _check_table_names_of(
    checker: Checker,
    path: str,
    group: FeatureGroupConfig | SeqGroupConfig,
    known: Mapping[str, FeatureEntry],
    wide: str,
    origins: dict[str, tuple[str, str]],
) -> None:
    """Compare the table names of a group with those of earlier groups: table name -> (name, suffix)."""
    for name in group.feature_names:
        if name not in known or not known[name].has_table or not hasattr(known[name].message, "embedding_name"):
            continue
        base, suffix = known[name].table + wide, group.embedding_name_suffix
        table = f"{base}_{suffix}" if suffix else base
        other = origins.setdefault(table, (base, suffix))
        if other != (base, suffix):
            origin = " + ".join(part for part in other if part)
            name_path = f"{path}.embedding_name_suffix" if suffix else f"{known[name].path}.embedding_name"
            checker.error(name_path, f'makes the table name "{table}", which "{origin}" makes too; choose another')
            return
