"""Features that are sequences."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.config.rules.feature_entry import FeatureEntry, entries_by_name
from tzrec.config.sequences import SIDES, SequenceSpec
from tzrec.protos.data_pb2 import FgMode


def check_sequence_feature(checker: Checker, entry: FeatureEntry, spec: SequenceSpec) -> None:
    """Check the rules of sequences, in addition to those of each element."""
    message = entry.message
    if not spec.delimiter and not spec.group:
        checker.error(f"{entry.path}.sequence_delim", "is empty; give the separator of the elements in a string")
    if getattr(message, "weighted", False):
        checker.error(f"{entry.path}.weighted", "ids of a sequence have no weights; leave it out")
    if spec.tokens:
        return
    if getattr(message, "tokens_as_sequence", False):
        reason = "each element is a text whose tokens are pooled; use a tokenize_feature outside of sequences"
        checker.error(f"{entry.path}.tokens_as_sequence", reason)
    _check_sequence_inputs(checker, entry, spec)


def _check_sequence_inputs(checker: Checker, entry: FeatureEntry, spec: SequenceSpec) -> None:
    """Check that `sequence_fields` names inputs, and that at least one input is a sequence."""
    listed = [text.partition(":")[2] or text for text in entry.message.sequence_fields]
    own = [name.removeprefix(f"{spec.group}__") for name in (text.partition(":")[2] for text in entry.reads)]
    for index, name in enumerate(listed):
        if name not in own:
            checker.unknown_name(f"{entry.path}.sequence_fields[{index}]", "input", name, own)
    known = entries_by_name(checker)
    is_dag = checker.config.data_config.fg_mode == FgMode.FG_DAG
    sources = [text.partition(":")[2] for text in entry.reads if is_dag and text.startswith("feature:")]
    reads_sequence = any(name in known and known[name].sequence is not None for name in sources)
    are_valid = entry.reads and all(text.partition(":")[0] in SIDES for text in entry.reads)
    if are_valid and not (spec.inputs or reads_sequence or listed):
        problem = "no input is a sequence; name the ones that are in sequence_fields"
        checker.error(f"{entry.path}.sequence_fields", problem)
