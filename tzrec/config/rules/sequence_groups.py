"""Groups of sequences and their encoders: what is in them, who reads them, and whose widths must fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tzrec.config.checker import Checker, repeated
from tzrec.config.names import hint
from tzrec.config.rules.feature_entry import FeatureEntry, find_feature
from tzrec.protos.model_pb2 import DEEP, WIDE, FeatureGroupConfig, FeatureGroupType, SeqGroupConfig
from tzrec.protos.seq_encoder_pb2 import (
    MultiWindowDINEncoder,
    PoolingEncoder,
    SelfAttentionEncoder,
    SeqEncoderConfig,
    SimpleAttention,
)

POOLINGS = ("sum", "mean")

READERS = ("multi_tower_din", "mind", "dlrm_hstu", "ultra_hstu", "hstu_match", "tdm")
"""Models that read SEQUENCE or JAGGED_SEQUENCE groups."""


def check_sequences(checker: Checker, path: str, group: FeatureGroupConfig, known: dict[str, FeatureEntry]) -> None:
    """A group of sequences, or the sequences and encoders of another group."""
    if group.group_type not in (DEEP, WIDE):
        _check_steps(checker, path, group, known)
        _check_reader(checker, path, group)
    if group.group_type != DEEP:
        for field in ("sequence_groups", "sequence_encoders"):
            if getattr(group, field):
                kind = FeatureGroupType.Name(group.group_type)
                checker.error(f"{path}.{field}", f"has no place in a {kind} group; put it into a DEEP group")
        return
    inner = dict(_inner(checker, path, group))
    for here, each in inner.values():
        for at, name in repeated(f"{here}.feature_names", each.feature_names):
            check_stepped(checker, at, name, known)
        _check_steps(checker, here, each, known)
    read = [_check_encoder(checker, here, each, inner, known) for here, each in _encoders(path, group)]
    for name, (here, _) in inner.items():
        if name not in read and None not in read and not checker.has_parse_errors(path):
            checker.error(here, f'nothing reads it; add a sequence_encoder with input "{name}", e.g. din_encoder')


def check_stepped(checker: Checker, path: str, name: str, known: dict[str, FeatureEntry]) -> None:
    """A feature of a sequence group, of its row or of its steps."""
    entry = find_feature(checker, path, name, known)
    if entry is not None and entry.steps is None and getattr(entry.message, "weighted", False):
        checker.error(path, f'"{name}" has weighted ids, which no sequence group can use; list it in a DEEP group')


def _inner(checker: Checker, path: str, group: FeatureGroupConfig) -> Sequence[tuple[str, tuple[str, SeqGroupConfig]]]:
    """The sequence groups of a DEEP group by name, each with its path."""
    groups = list(repeated(f"{path}.sequence_groups", group.sequence_groups))
    for here, each in groups:
        if len(groups) > 1 and not each.group_name:
            checker.error(here, "has no group_name, by which encoders could tell it from the others")
    return [(each.group_name or group.group_name, (here, each)) for here, each in groups]


def _check_steps(
    checker: Checker, path: str, group: FeatureGroupConfig | SeqGroupConfig, known: Mapping[str, FeatureEntry]
) -> None:
    entries = [known[name] for name in group.feature_names if name in known]
    if len(entries) == len(group.feature_names) and not any(entry.steps for entry in entries):
        wanted = "list features of a sequence_feature, or sequence_id_feature and the like"
        checker.error(f"{path}.feature_names", f"none of these features is a sequence; {wanted}")


def _check_reader(checker: Checker, path: str, group: FeatureGroupConfig) -> None:
    model = checker.config.model_config.WhichOneof("model")
    if model and model not in READERS and not checker.is_unsupported(f"model_config.{model}"):
        kind = FeatureGroupType.Name(group.group_type)
        advice = "use sequence_groups and sequence_encoders of a DEEP group"
        checker.error(f"{path}.group_type", f"{model} has no use for a {kind} group; {advice}")


def _encoders(path: str, group: FeatureGroupConfig) -> Sequence[tuple[str, SeqEncoderConfig]]:
    return list(repeated(f"{path}.sequence_encoders", group.sequence_encoders))


def _check_encoder(
    checker: Checker,
    path: str,
    config: SeqEncoderConfig,
    groups: Mapping[str, tuple[str, SeqGroupConfig]],
    known: Mapping[str, FeatureEntry],
) -> str | None:
    """One encoder; the name of the group it reads, None where that is not clear."""
    kind = config.WhichOneof("seq_module")
    if kind is None:
        if not checker.has_parse_errors(path):
            kinds = ", ".join(field.name for field in config.DESCRIPTOR.oneofs_by_name["seq_module"].fields)
            checker.error(path, f"no encoder is chosen; there are {kinds}")
        return None
    here, message = f"{path}.{kind}", getattr(config, kind)
    if checker.is_unsupported(here):
        return None
    _check_fields(checker, here, message)
    if message.input not in groups:
        if message.HasField("input"):
            said = f'no sequence group of this group is named "{message.input}"{hint(message.input, groups)}'
            checker.error(f"{here}.input", said)
        return None
    entries = [known.get(name) for name in groups[message.input][1].feature_names]
    if all(entries):
        query = sum(entry.width for entry in entries if entry and not entry.steps)
        steps = sum(entry.width for entry in entries if entry and entry.steps)
        _check_widths(checker, here, message, query, steps)
    return str(message.input)


def _check_widths(checker: Checker, path: str, message: Any, query: int, steps: int) -> None:
    """What an encoder compares with each step must be there and fit."""
    if steps == 0 or isinstance(message, (PoolingEncoder, SelfAttentionEncoder)):
        return
    if query == 0:
        wanted = "list the features of the row that belong to them, or use pooling_encoder or self_attention_encoder"
        checker.error(f"{path}.input", f'group "{message.input}" has nothing to compare its steps with; {wanted}')
    elif isinstance(message, SimpleAttention) and query != steps:
        received = f"the features of the row are {query} wide and those of a step {steps}"
        checker.error(f"{path}.input", f"{received}; make them equal or use din_encoder")
    elif query > steps:
        received = f"the features of the row are {query} wide and those of a step {steps}"
        checker.error(f"{path}.input", f"{received}; leave some of the former out, they may not be wider")


def _check_fields(checker: Checker, path: str, message: Any) -> None:
    if getattr(message, "max_seq_length", 0) < 0:
        checker.error(f"{path}.max_seq_length", f"{message.max_seq_length} is below 0; 0 stands for all steps")
    if isinstance(message, PoolingEncoder) and message.pooling_type not in POOLINGS:
        checker.unknown_name(f"{path}.pooling_type", "pooling", message.pooling_type, POOLINGS)
    if isinstance(message, SelfAttentionEncoder):
        _check_heads(checker, path, message)
    if isinstance(message, MultiWindowDINEncoder):
        if not message.windows_len and not checker.has_parse_errors(path):
            checker.error(f"{path}.windows_len", "is empty; give the steps of each window, e.g. [10, 20, 50]")
        for here, size in repeated(f"{path}.windows_len", message.windows_len):
            if size == 0:
                checker.error(here, "0 steps; a window has at least 1")


def _check_heads(checker: Checker, path: str, message: SelfAttentionEncoder) -> None:
    dim, heads = message.multihead_attn_dim, message.num_heads
    if heads < 1:
        checker.error(f"{path}.num_heads", f"{heads} heads; there is at least 1")
    elif dim < 1 or dim % heads:
        checker.error(f"{path}.multihead_attn_dim", f"{dim} is no multiple of num_heads {heads}")
    if not 0 <= message.dropout < 1:
        checker.error(f"{path}.dropout", f"{message.dropout:g} is not in [0, 1)")
