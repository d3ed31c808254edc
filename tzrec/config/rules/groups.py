"""model_config.feature_groups: their names, their features and the tables these make."""

from __future__ import annotations

from collections.abc import Iterator

from tzrec.config.checker import Checker, check_unique, repeated
from tzrec.config.rules.feature_entry import FeatureEntry, entries_by_name, find_feature
from tzrec.config.rules.sequence_groups import check_sequences, check_stepped
from tzrec.config.schema import fields_of
from tzrec.protos.model_pb2 import DEEP, WIDE, FeatureGroupConfig, ModelConfig, SeqGroupConfig

_PATH = "model_config.feature_groups"


def check_groups(checker: Checker) -> None:
    """Every group."""
    config = checker.config.model_config
    groups = list(repeated(_PATH, config.feature_groups))
    if not groups and not checker.has_parse_errors("model_config"):
        checker.error("model_config", "has no feature_groups; the model needs at least one")
    check_unique(checker, "group", (name for path, group in groups for name in _names(path, group)))
    known = entries_by_name(checker)
    for path, group in groups:
        if not group.feature_names and not group.sequence_groups and not checker.has_parse_errors(path):
            checker.error(f"{path}.feature_names", "is empty; list the features of this group")
        stepped = group.group_type not in (DEEP, WIDE)
        for here, name in repeated(f"{path}.feature_names", group.feature_names):
            if stepped:
                check_stepped(checker, here, name, known)
            else:
                _check_member(checker, here, name, group, known)
        check_sequences(checker, path, group, known)
    _check_wide(checker)
    _check_suffixes(checker, known)
    if config.HasField("variational_dropout"):
        _check_dropout(checker, config)


def _names(path: str, group: FeatureGroupConfig) -> Iterator[tuple[str, str]]:
    """The names that a group takes, with their paths; the only sequence group may go by the name of its group."""
    if group.group_name:
        yield f"{path}.group_name", group.group_name
    for here, inner in repeated(f"{path}.sequence_groups", group.sequence_groups):
        if inner.group_name and (len(group.sequence_groups) > 1 or inner.group_name != group.group_name):
            yield f"{here}.group_name", inner.group_name


def _check_member(
    checker: Checker, path: str, name: str, group: FeatureGroupConfig, known: dict[str, FeatureEntry]
) -> None:
    entry = find_feature(checker, path, name, known)
    if entry is None:
        return
    if entry.steps is not None:
        advice = "list it in the sequence_groups of a DEEP group, with a sequence_encoder that makes one vector of them"
        checker.error(path, f'"{name}" is a sequence of any number of steps; {advice}')
    elif group.group_type == WIDE and not entry.has_table and not checker.has_parse_errors(entry.path):
        advice = "give it boundaries or put it into a DEEP group"
        checker.error(path, f'"{name}" is dense and has no table, which a WIDE group needs; {advice}')


def _check_wide(checker: Checker) -> None:
    """Only models that say how wide they are have use for WIDE groups."""
    config = checker.config.model_config
    model = config.WhichOneof("model")
    if model is None or checker.is_unsupported(f"model_config.{model}"):
        return
    if "wide_embedding_dim" in fields_of(getattr(config, model)):
        return
    for path, group in repeated(_PATH, config.feature_groups):
        if group.group_type == WIDE:
            checker.error(f"{path}.group_type", f"{model} has no use for a WIDE group; use DEEP")


def _check_dropout(checker: Checker, config: ModelConfig) -> None:
    """There is something to choose from, and choosing is not punished."""
    path, dropout = "model_config.variational_dropout", config.variational_dropout
    plain = [group for group in config.feature_groups if group.group_type in (DEEP, WIDE)]
    several = any(len(group.feature_names) + len(group.sequence_encoders) > 1 for group in plain)
    if config.feature_groups and not several and not checker.has_parse_errors("model_config"):
        checker.error(path, "no DEEP or WIDE group has more than one feature to choose from; leave it out")
    if dropout.regularization_lambda < 0:
        checker.error(f"{path}.regularization_lambda", f"{dropout.regularization_lambda:g} is below 0")


def _check_suffixes(checker: Checker, known: dict[str, FeatureEntry]) -> None:
    """Two suffixes must not make one table name: `a` + `b_c` and `a_b` + `c`."""
    pooled: dict[str, tuple[str, str]] = {}
    stepped: dict[str, tuple[str, str]] = {}  # sequence groups have tables of their own
    for path, group in repeated(_PATH, checker.config.model_config.feature_groups):
        wide = "_wide" if group.group_type == WIDE else ""
        _check_suffix(checker, path, group, known, wide, pooled if group.group_type in (DEEP, WIDE) else stepped)
        for here, inner in repeated(f"{path}.sequence_groups", group.sequence_groups):
            _check_suffix(checker, here, inner, known, "", stepped)


def _check_suffix(
    checker: Checker,
    path: str,
    group: FeatureGroupConfig | SeqGroupConfig,
    known: dict[str, FeatureEntry],
    wide: str,
    origins: dict[str, tuple[str, str]],
) -> None:
    """The tables of one group, against those that others of its kind have made: name -> (name, suffix)."""
    for name in group.feature_names:
        if name not in known or not known[name].has_table or not hasattr(known[name].message, "embedding_name"):
            continue
        base, suffix = known[name].table + wide, group.embedding_name_suffix
        table = f"{base}_{suffix}" if suffix else base
        other = origins.setdefault(table, (base, suffix))
        if other != (base, suffix):
            made = " + ".join(part for part in other if part)
            here = f"{path}.embedding_name_suffix" if suffix else f"{known[name].path}.embedding_name"
            checker.error(here, f'makes the table name "{table}", which "{made}" makes too; choose another')
            return
