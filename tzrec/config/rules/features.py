"""feature_configs: names, inputs, bucketizers and tables."""

from __future__ import annotations

from tzrec import registry
from tzrec.config.checker import Checker, check_unique, repeated
from tzrec.config.graph import order_by_reads
from tzrec.config.model_groups import listed_features
from tzrec.config.names import did_you_mean
from tzrec.config.options import implemented_members, is_fused, member_messages
from tzrec.config.rules.bucketizer import num_table_rows
from tzrec.config.rules.dense_embedding import check_dense_embedding
from tzrec.config.rules.feature_entry import FeatureEntry, all_have_names, entries_by_name, feature_entries
from tzrec.config.rules.sequence_features import check_sequence_feature
from tzrec.config.schema import oneof_of
from tzrec.config.sequences import SIDES
from tzrec.protos.data_pb2 import FgMode

_OF_TABLE = ("embedding_dim", "pooling", "init_fn", "data_type", "trainable")


def check_features(checker: Checker) -> None:
    """Check all features, except how groups use them."""
    for path, config in repeated("feature_configs", checker.config.feature_configs):
        if config.WhichOneof("feature") is None and not checker.has_parse_errors(path):
            known = implemented_members(oneof_of(config, "feature"))
            checker.error(path, f"no feature is chosen; use one of {', '.join(known)}")
    names = ((f"{entry.path}.feature_name", entry.name) for entry in feature_entries(checker) if entry.name)
    check_unique(checker, "feature", names)
    for entry in feature_entries(checker):
        if not checker.is_unsupported(entry.path):
            _check_feature(checker, entry)
    _check_cycles(checker)
    _check_shared_tables(checker)


def _check_feature(checker: Checker, entry: FeatureEntry) -> None:
    _check_inputs(checker, entry)
    assert entry.field is not None  # entries of a config have it
    check = getattr(registry.requirements(entry.field), "check", None)
    if check is not None:
        check(checker, entry.path, entry.message)
    check_dense_embedding(checker, entry)
    if entry.sequence is not None:
        check_sequence_feature(checker, entry, entry.sequence)
    is_managed = any(checker.is_unsupported(f"{entry.path}.{name}") for name in ("zch", "dynamicemb"))
    is_missing = is_managed or (checker.has_parse_errors(entry.path) and not entry.message.HasField("embedding_dim"))
    listed = listed_features(checker.config.model_config)  # the tables of other features are never made
    if entry.has_table and entry.message.embedding_dim == 0 and not is_missing and entry.name in listed:
        checker.error(f"{entry.path}.embedding_dim", "must be above 0: the width of the embedding")
    if entry.has_table and entry.message.data_type == "FP16":
        _check_half_precision(checker, entry)


def _check_inputs(checker: Checker, entry: FeatureEntry) -> None:
    known = entries_by_name(checker)
    is_dag = checker.config.data_config.fg_mode == FgMode.FG_DAG
    for path, text in entry.inputs:
        side, _, name = text.partition(":")
        if not text and checker.has_parse_errors(entry.path):
            continue  # the expression itself could not be parsed
        if not name or ":" in name:
            checker.error(path, f'"{text}" is not side:name, e.g. user:{entry.name}')
        elif side not in SIDES:
            checker.error(path, f'"{text}": unknown side "{side}"{did_you_mean(side, SIDES)}')
        elif side == "feature" and is_dag and name not in known and all_have_names(checker):
            checker.unknown_name(path, "feature", name, known)


def _check_cycles(checker: Checker) -> None:
    """Report features that read each other in a cycle, each cycle once."""
    if checker.config.data_config.fg_mode != FgMode.FG_DAG:
        return
    known = entries_by_name(checker)
    reads = {
        name: [text.partition(":")[2] for text in entry.reads if text.startswith("feature:")]
        for name, entry in known.items()
    }
    for cycle in order_by_reads(reads)[1]:
        first = known[cycle[0]]
        path = next(path for path, text in first.inputs if text == f"feature:{cycle[1]}")
        checker.error(path, f"features read each other in a cycle: {' -> '.join(cycle)}")


def _check_half_precision(checker: Checker, entry: FeatureEntry) -> None:
    """Report FP16 tables without a fused optimizer: their gradients in half precision are mostly 0."""
    sparse_optimizer = checker.config.train_config.sparse_optimizer
    messages = member_messages(oneof_of(sparse_optimizer, "optimizer"))
    fused = [name for name, message in messages.items() if is_fused(message, checker.device)]
    optimizer = sparse_optimizer.WhichOneof("optimizer")
    if optimizer is not None and optimizer not in fused:
        needs = f"FP16 needs an optimizer that is fused on {checker.device}, which {optimizer} is not"
        checker.error(f"{entry.path}.data_type", f"{needs}; use FP32, or one of {', '.join(fused)}")


def _check_shared_tables(checker: Checker) -> None:
    """Check that features with the same embedding_name require equal tables."""
    first: dict[str, FeatureEntry] = {}
    for entry in feature_entries(checker):
        if checker.is_unsupported(entry.path) or not entry.has_table or not hasattr(entry.message, "embedding_name"):
            continue
        other = first.setdefault(entry.table, entry)
        if other.name != entry.name:
            _check_same_table(checker, entry, other)


def _check_same_table(checker: Checker, entry: FeatureEntry, other: FeatureEntry) -> None:
    head = f'shares table "{entry.table}" with feature "{other.name}"'
    for name in _OF_TABLE:
        value, expected = getattr(entry.message, name), getattr(other.message, name)
        if value != expected:
            checker.error(f"{entry.path}.{name}", f"{head}, which has {expected or repr('')}, not {value or repr('')}")
    rows, expected_rows = num_table_rows(entry.message), num_table_rows(other.message)
    if rows and expected_rows and rows != expected_rows:
        checker.error(f"{entry.path}.embedding_name", f"{head}, which has {expected_rows} rows, not {rows}")
