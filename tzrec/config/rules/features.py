"""feature_configs: names, inputs, bucketizers and tables."""

from __future__ import annotations

from collections.abc import Mapping

from tzrec.config.checker import Checker, check_unique, repeated
from tzrec.config.names import hint
from tzrec.config.optimizers import FUSED_ON_CPU, FUSED_ON_CUDA
from tzrec.config.rules.bucketizer import check_bucketizer, check_raw, rows_of
from tzrec.config.rules.combined import check_combined, check_found
from tzrec.config.rules.computed import check_computed
from tzrec.config.rules.dense_embedding import check_dense
from tzrec.config.rules.feature_entry import FeatureEntry, all_named, entries_by_name, feature_entries
from tzrec.config.rules.implemented import members
from tzrec.config.rules.steps import check_sequence_groups, check_steps
from tzrec.config.sequences import SIDES
from tzrec.protos.data_pb2 import FgMode
from tzrec.protos.feature_pb2 import CombineFeature, ComboFeature, IdFeature, LookupFeature, MatchFeature, RawFeature

DATA_TYPES = ("FP32", "FP16")
POOLINGS = ("sum", "mean")
_SHARED = ("embedding_dim", "pooling", "init_fn", "data_type", "trainable")


def check_features(checker: Checker) -> None:
    """Everything about features but their place in groups."""
    for path, config in repeated("feature_configs", checker.config.feature_configs):
        if config.WhichOneof("feature") is None and not checker.has_parse_errors(path):
            known = members(config, "feature", "tzrec.features.types")
            checker.error(path, f"no feature is chosen; there are {', '.join(known)}")
    found = list(feature_entries(checker))
    check_unique(checker, "feature", ((f"{each.path}.feature_name", each.name) for each in found if each.name))
    for entry in found:
        if checker.is_unsupported(entry.path):
            continue
        _check_inputs(checker, entry)
        if isinstance(entry.message, ComboFeature):
            _check_crossed(checker, entry)
        if isinstance(entry.message, (IdFeature, ComboFeature)):
            check_bucketizer(checker, entry)
        elif isinstance(entry.message, RawFeature):
            check_raw(checker, entry)
        elif isinstance(entry.message, (LookupFeature, MatchFeature)):
            check_found(checker, entry)
        elif isinstance(entry.message, CombineFeature):
            check_combined(checker, entry)
        check_computed(checker, entry)
        check_dense(checker, entry)
        if entry.steps is not None:
            check_steps(checker, entry, entry.steps)
        _check_table(checker, entry)
        if entry.has_table and entry.message.data_type == "FP16":
            _check_half(checker, entry)
    check_sequence_groups(checker)
    _check_circles(checker)
    _check_shared_tables(checker)


def _check_crossed(checker: Checker, entry: FeatureEntry) -> None:
    count = len(entry.inputs)
    if count < 2 and not checker.has_parse_errors(entry.path):
        checker.error(f"{entry.path}.expression", f"{count} input{'s' if count != 1 else ''}; a cross needs 2 or more")


def _check_inputs(checker: Checker, entry: FeatureEntry) -> None:
    known = entries_by_name(checker)
    linked = checker.config.data_config.fg_mode == FgMode.FG_DAG
    for path, text in entry.inputs:
        side, _, name = text.partition(":")
        if not text and checker.has_parse_errors(entry.path):
            continue  # the expression itself could not be read
        if not name or ":" in name:
            checker.error(path, f'"{text}" is not side:name, e.g. user:{entry.name}')
        elif side not in SIDES:
            checker.error(path, f'"{text}": unknown side "{side}"{hint(side, SIDES)}')
        elif side == "feature" and linked and name not in known and all_named(checker):
            checker.unknown_name(path, "feature", name, known)


def _check_circles(checker: Checker) -> None:
    """Features that read each other in the end; each circle once."""
    if checker.config.data_config.fg_mode != FgMode.FG_DAG:
        return
    known, done = entries_by_name(checker), set[str]()
    for name in known:
        circle = _circle(name, known, [], done)
        if circle:
            first = known[circle[0]]
            path = next(path for path, text in first.inputs if text == f"feature:{circle[1]}")
            checker.error(path, f"features read each other in a circle: {' -> '.join(circle)}")


def _circle(name: str, known: Mapping[str, FeatureEntry], trail: list[str], done: set[str]) -> list[str]:
    """The first circle met behind a feature, none where all behind it is known."""
    if name in trail:
        return [*trail[trail.index(name) :], name]
    if name in done:
        return []
    done.add(name)
    sources = [text.partition(":")[2] for text in known[name].reads if text.startswith("feature:")]
    circles = (_circle(source, known, [*trail, name], done) for source in sources if source in known)
    return next((circle for circle in circles if circle), [])


def _check_table(checker: Checker, entry: FeatureEntry) -> None:
    message = entry.message
    missing = checker.has_parse_errors(entry.path) and not message.HasField("embedding_dim")
    if entry.has_table and message.embedding_dim == 0 and not missing:
        checker.error(f"{entry.path}.embedding_dim", "must be above 0: the width of the embedding")
    for name, known in (("data_type", DATA_TYPES), ("pooling", POOLINGS)):
        if getattr(message, name) not in known:
            checker.unknown_name(f"{entry.path}.{name}", name, getattr(message, name), known)


def _check_half(checker: Checker, entry: FeatureEntry) -> None:
    """What is not fused moves whole tables by ordinary gradients, which in half precision are mostly 0."""
    chosen = checker.config.train_config.sparse_optimizer.WhichOneof("optimizer")
    offered = FUSED_ON_CPU if checker.on_cpu else FUSED_ON_CUDA
    if chosen is not None and chosen not in offered:
        needs = f"FP16 needs an optimizer that is fused on {checker.device}, which {chosen} is not"
        checker.error(f"{entry.path}.data_type", f"{needs}; use FP32, or one of {', '.join(offered)}")


def _check_shared_tables(checker: Checker) -> None:
    """Features with one embedding_name must ask for equal tables."""
    first: dict[str, FeatureEntry] = {}
    for entry in feature_entries(checker):
        if checker.is_unsupported(entry.path) or not entry.has_table or not hasattr(entry.message, "embedding_name"):
            continue
        other = first.setdefault(entry.table, entry)
        if other.name != entry.name:
            _compare(checker, entry, other)


def _compare(checker: Checker, entry: FeatureEntry, other: FeatureEntry) -> None:
    head = f'shares table "{entry.table}" with feature "{other.name}"'
    for name in _SHARED:
        ours, theirs = getattr(entry.message, name), getattr(other.message, name)
        if ours != theirs:
            checker.error(f"{entry.path}.{name}", f"{head}, which has {theirs or repr('')}, not {ours or repr('')}")
    rows = rows_of(entry.message), rows_of(other.message)
    if all(rows) and rows[0] != rows[1]:
        checker.error(f"{entry.path}.embedding_name", f"{head}, which has {rows[1]} rows, not {rows[0]}")
