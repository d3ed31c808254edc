"""feature_configs: names, inputs, bucketizers and tables."""

from __future__ import annotations

from collections.abc import Mapping

from tzrec.config.findings import Findings, repeated, report_duplicates
from tzrec.config.names import hint
from tzrec.config.optimizers import FUSED_ON_CPU, FUSED_ON_CUDA
from tzrec.config.rules.bucketizer import check_bucketizer, check_raw, rows_of
from tzrec.config.rules.combined import check_combined, check_found
from tzrec.config.rules.computed import check_computed
from tzrec.config.rules.dense import check_dense
from tzrec.config.rules.entries import FeatureEntry, all_named, entries, names
from tzrec.config.rules.implemented import members
from tzrec.config.rules.steps import check_sequence_groups, check_steps
from tzrec.config.sequences import SIDES
from tzrec.protos.data_pb2 import FgMode
from tzrec.protos.feature_pb2 import CombineFeature, ComboFeature, IdFeature, LookupFeature, MatchFeature, RawFeature

DATA_TYPES = ("FP32", "FP16")
POOLINGS = ("sum", "mean")
_SHARED = ("embedding_dim", "pooling", "init_fn", "data_type", "trainable")


def check_features(findings: Findings) -> None:
    """Everything about features but their place in groups."""
    for path, config in repeated("feature_configs", findings.config.feature_configs):
        if config.WhichOneof("feature") is None and not findings.is_broken(path):
            known = members(config, "feature", "tzrec.features.types")
            findings.add(path, f"no feature is chosen; there are {', '.join(known)}")
    found = list(entries(findings))
    report_duplicates(findings, "feature", ((f"{each.path}.feature_name", each.name) for each in found if each.name))
    for entry in found:
        if findings.is_refused(entry.path):
            continue
        _check_inputs(findings, entry)
        if isinstance(entry.message, ComboFeature):
            _check_crossed(findings, entry)
        if isinstance(entry.message, (IdFeature, ComboFeature)):
            check_bucketizer(findings, entry)
        elif isinstance(entry.message, RawFeature):
            check_raw(findings, entry)
        elif isinstance(entry.message, (LookupFeature, MatchFeature)):
            check_found(findings, entry)
        elif isinstance(entry.message, CombineFeature):
            check_combined(findings, entry)
        check_computed(findings, entry)
        check_dense(findings, entry)
        if entry.steps is not None:
            check_steps(findings, entry, entry.steps)
        _check_table(findings, entry)
        if entry.has_table and entry.message.data_type == "FP16":
            _check_half(findings, entry)
    check_sequence_groups(findings)
    _check_circles(findings)
    _check_shared_tables(findings)


def _check_crossed(findings: Findings, entry: FeatureEntry) -> None:
    count = len(entry.inputs)
    if count < 2 and not findings.is_broken(entry.path):
        findings.add(f"{entry.path}.expression", f"{count} input{'s' if count != 1 else ''}; a cross needs 2 or more")


def _check_inputs(findings: Findings, entry: FeatureEntry) -> None:
    known = names(findings)
    linked = findings.config.data_config.fg_mode == FgMode.FG_DAG
    for path, text in entry.inputs:
        side, _, name = text.partition(":")
        if not text and findings.is_broken(entry.path):
            continue  # the expression itself could not be read
        if not name or ":" in name:
            findings.add(path, f'"{text}" is not side:name, e.g. user:{entry.name}')
        elif side not in SIDES:
            findings.add(path, f'"{text}": unknown side "{side}"{hint(side, SIDES)}')
        elif side == "feature" and linked and name not in known and all_named(findings):
            findings.unknown(path, "feature", name, known)


def _check_circles(findings: Findings) -> None:
    """Features that read each other in the end; each circle once."""
    if findings.config.data_config.fg_mode != FgMode.FG_DAG:
        return
    known, done = names(findings), set[str]()
    for name in known:
        circle = _circle(name, known, [], done)
        if circle:
            first = known[circle[0]]
            path = next(path for path, text in first.inputs if text == f"feature:{circle[1]}")
            findings.add(path, f"features read each other in a circle: {' -> '.join(circle)}")


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


def _check_table(findings: Findings, entry: FeatureEntry) -> None:
    message = entry.message
    missing = findings.is_broken(entry.path) and not message.HasField("embedding_dim")
    if entry.has_table and message.embedding_dim == 0 and not missing:
        findings.add(f"{entry.path}.embedding_dim", "must be above 0: the width of the embedding")
    for name, known in (("data_type", DATA_TYPES), ("pooling", POOLINGS)):
        if getattr(message, name) not in known:
            findings.unknown(f"{entry.path}.{name}", name, getattr(message, name), known)


def _check_half(findings: Findings, entry: FeatureEntry) -> None:
    """What is not fused moves whole tables by ordinary gradients, which in half precision are mostly 0."""
    chosen = findings.config.train_config.sparse_optimizer.WhichOneof("optimizer")
    offered = FUSED_ON_CPU if findings.on_cpu else FUSED_ON_CUDA
    if chosen is not None and chosen not in offered:
        needs = f"FP16 needs an optimizer that is fused on {findings.device}, which {chosen} is not"
        findings.add(f"{entry.path}.data_type", f"{needs}; use FP32, or one of {', '.join(offered)}")


def _check_shared_tables(findings: Findings) -> None:
    """Features with one embedding_name must ask for equal tables."""
    first: dict[str, FeatureEntry] = {}
    for entry in entries(findings):
        if findings.is_refused(entry.path) or not entry.has_table or not hasattr(entry.message, "embedding_name"):
            continue
        other = first.setdefault(entry.table, entry)
        if other.name != entry.name:
            _compare(findings, entry, other)


def _compare(findings: Findings, entry: FeatureEntry, other: FeatureEntry) -> None:
    head = f'shares table "{entry.table}" with feature "{other.name}"'
    for name in _SHARED:
        ours, theirs = getattr(entry.message, name), getattr(other.message, name)
        if ours != theirs:
            findings.add(f"{entry.path}.{name}", f"{head}, which has {theirs or repr('')}, not {ours or repr('')}")
    rows = rows_of(entry.message), rows_of(other.message)
    if all(rows) and rows[0] != rows[1]:
        findings.add(f"{entry.path}.embedding_name", f"{head}, which has {rows[1]} rows, not {rows[0]}")
