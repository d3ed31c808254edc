"""Sequence groups and their encoders: features, readers and widths."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tzrec import registry
from tzrec.config.checker import Checker, repeated
from tzrec.config.group_features import GroupFeature, group_features
from tzrec.config.names import did_you_mean
from tzrec.config.options import fields_with_reference
from tzrec.config.query import QueryWidth, query_problem, query_width
from tzrec.config.rules.feature_entry import FeatureEntry, entries_by_name
from tzrec.config.rules.model_groups import model_requirements
from tzrec.protos.model_pb2 import DEEP, SEQUENCE, WIDE, FeatureGroupConfig, FeatureGroupType, SeqGroupConfig
from tzrec.protos.options_pb2 import SEQUENCE_GROUP
from tzrec.protos.seq_encoder_pb2 import SeqEncoderConfig


def check_sequences(checker: Checker, path: str, group: FeatureGroupConfig, known: Mapping[str, FeatureEntry]) -> None:
    """Check a group of sequences, or the sequences and encoders of another group."""
    if group.group_type not in (DEEP, WIDE):
        _check_has_sequence(checker, path, group, known)
        _check_model_reads_sequences(checker, path, group)
    if group.group_type != DEEP:
        for field in ("sequence_groups", "sequence_encoders"):
            if getattr(group, field):
                group_type = FeatureGroupType.Name(group.group_type)
                checker.error(f"{path}.{field}", f"is not allowed in a {group_type} group; move it to a DEEP group")
        return
    inner_groups = _inner_groups(checker, path, group)
    for inner_path, inner in inner_groups.values():
        for name_path, name in repeated(f"{inner_path}.feature_names", inner.feature_names):
            if name in known:
                check_has_no_weights(checker, name_path, known[name])
        _check_has_sequence(checker, inner_path, inner, known)
    encoders = repeated(f"{path}.sequence_encoders", group.sequence_encoders)
    inputs = [_check_encoder(checker, encoder_path, encoder, inner_groups, known) for encoder_path, encoder in encoders]
    read = {name for names in inputs for name in names or ()}
    for name, (inner_path, _) in inner_groups.items():
        if name not in read and None not in inputs and not checker.has_parse_errors(path):
            problem = f'nothing reads it; add a sequence_encoder with input "{name}", e.g. din_encoder'
            checker.error(inner_path, problem)


def check_has_no_weights(checker: Checker, path: str, entry: FeatureEntry) -> None:
    """Report a feature with weighted ids in a sequence group."""
    if entry.sequence is None and getattr(entry.message, "weighted", False):
        problem = f'"{entry.name}" has weighted ids, which no sequence group can use; list it in a DEEP group'
        checker.error(path, problem)


def _inner_groups(checker: Checker, path: str, group: FeatureGroupConfig) -> dict[str, tuple[str, SeqGroupConfig]]:
    """Return path and message of the sequence groups of a DEEP group by name."""
    groups = list(repeated(f"{path}.sequence_groups", group.sequence_groups))
    for inner_path, inner in groups:
        if len(groups) > 1 and not inner.group_name:
            checker.error(inner_path, "has no group_name, by which encoders refer to it")
    return {inner.group_name or group.group_name: (inner_path, inner) for inner_path, inner in groups}


def _check_has_sequence(
    checker: Checker, path: str, group: FeatureGroupConfig | SeqGroupConfig, known: Mapping[str, FeatureEntry]
) -> None:
    entries = [known[name] for name in group.feature_names if name in known]
    if len(entries) == len(group.feature_names) and not any(entry.sequence for entry in entries):
        advice = "list features of a sequence_feature, or sequence_id_feature and the like"
        checker.error(f"{path}.feature_names", f"none of these features is a sequence; {advice}")


def _check_model_reads_sequences(checker: Checker, path: str, group: FeatureGroupConfig) -> None:
    """Report a group of sequences that the model does not read: its requirements lack READS_SEQUENCE_GROUPS."""
    model = checker.config.model_config.WhichOneof("model")
    if model is None or checker.is_unsupported(f"model_config.{model}"):
        return
    if not getattr(model_requirements(checker), "READS_SEQUENCE_GROUPS", False):
        group_type = FeatureGroupType.Name(group.group_type)
        advice = "use sequence_groups and sequence_encoders of a DEEP group"
        checker.error(f"{path}.group_type", f"{model} does not read {group_type} groups; {advice}")


def _check_encoder(
    checker: Checker,
    path: str,
    config: SeqEncoderConfig,
    groups: Mapping[str, tuple[str, SeqGroupConfig]],
    known: Mapping[str, FeatureEntry],
) -> list[str] | None:
    """Check an encoder.

    Returns:
        Names of the groups that it reads; None if they are not known.
    """
    member = registry.oneof_member(config, "seq_module")
    if member is None:
        if not checker.has_parse_errors(path):
            encoders = ", ".join(field.name for field in config.DESCRIPTOR.oneofs_by_name["seq_module"].fields)
            checker.error(path, f"no encoder is chosen; use one of {encoders}")
        return None
    field, message = member[0], getattr(config, member[0].name)
    encoder_path = f"{path}.{field.name}"
    if checker.is_unsupported(encoder_path):
        return None
    inputs = fields_with_reference(message.DESCRIPTOR, SEQUENCE_GROUP)
    by_field = {input.name: getattr(message, input.name) for input in inputs if message.HasField(input.name)}
    for name, group in by_field.items():
        if group not in groups:
            problem = f'no sequence group of this group is named "{group}"'
            checker.error(f"{encoder_path}.{name}", f"{problem}{did_you_mean(group, groups)}")
    if message.input not in groups or not set(by_field.values()) <= set(groups):
        return None
    names = groups[message.input][1].feature_names
    _check_query(checker, f"{encoder_path}.input", message.input, names, query_width(field), known)
    for feature in group_features(field):
        name, path = getattr(message, feature.field), f"{encoder_path}.{feature.field}"
        if name in names and name in known:
            _check_named_feature(checker, path, known[name], feature)
        elif name in known:
            checker.error(path, f'"{name}" is not in group "{message.input}"; list it there')
    return list(by_field.values())


def group_widths(checker: Checker, path: str) -> dict[str, tuple[int, int]]:
    """Widths of query and element of the sequence groups that the encoder at a path can read, where they are known."""
    deep = checker.enclosing(path, "sequence_groups")
    known, widths = entries_by_name(checker), {}
    for inner in deep.sequence_groups:
        entries = [known.get(name) for name in inner.feature_names]
        if all(entries):
            query = sum(entry.width for entry in entries if entry and not entry.sequence)
            element = sum(entry.width for entry in entries if entry and entry.sequence)
            widths[inner.group_name or deep.group_name] = query, element
    return widths


def _check_named_feature(checker: Checker, path: str, entry: FeatureEntry, feature: GroupFeature) -> None:
    """Check the kind of a feature that an encoder names."""
    if feature.is_sequence and not entry.sequence:
        checker.error(path, f'"{entry.name}" is a feature of the row; name a feature of the elements')
    elif entry.sequence and not feature.is_sequence:
        checker.error(path, f'"{entry.name}" is a sequence; name a feature of the row')
    elif feature.has_ids and not entry.has_table:
        checker.error(path, f'"{entry.name}" is a number and has no ids; name a feature with ids, e.g. an id_feature')
    elif not feature.has_ids and (entry.has_table or entry.width != 1):
        advice = "name a raw_feature without boundaries and embedding"
        checker.error(path, f'"{entry.name}" is not a single number; {advice}')


def check_sequence_input(checker: Checker, path: str, name: str, width: QueryWidth = QueryWidth.AT_MOST) -> None:
    """Check the group that an encoder inside of a model reads: a SEQUENCE group with a query.

    Args:
        checker: receives the problems.
        path: path of the field that names the group.
        name: name of the group; an unknown one is reported elsewhere.
        width: required width of the query.
    """
    groups = {group.group_name: group for group in checker.config.model_config.feature_groups}
    if name not in groups:
        return
    if groups[name].group_type != SEQUENCE:
        group_type = FeatureGroupType.Name(groups[name].group_type)
        checker.error(path, f'"{name}" is a {group_type} group; the elements of a SEQUENCE group are read here')
    else:
        _check_query(checker, path, name, groups[name].feature_names, width, entries_by_name(checker))


def _check_query(
    checker: Checker,
    path: str,
    group: str,
    names: Iterable[str],
    width: QueryWidth,
    known: Mapping[str, FeatureEntry],
) -> None:
    """Compare the widths of the query and of an element of a group with these features, which `path` names."""
    entries = [known.get(name) for name in names]
    if all(entries):
        query = sum(entry.width for entry in entries if entry and not entry.sequence)
        element = sum(entry.width for entry in entries if entry and entry.sequence)
        if problem := query_problem(width, query, element):
            checker.error(path, f'group "{group}": {problem}')
