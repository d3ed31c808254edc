"""Features that are sequences: what makes one, and how its steps are told apart."""

from __future__ import annotations

from tzrec.config.checker import Checker, repeated
from tzrec.config.rules.feature_entry import FeatureEntry, entries_by_name
from tzrec.config.sequences import SIDES, SequenceSpec
from tzrec.protos.data_pb2 import FgMode

_NO_DELIMITER = "is empty; give what stands between the steps of a string"


def check_sequence_groups(checker: Checker) -> None:
    """What the features of a sequence_feature have in common."""
    for path, config in repeated("feature_configs", checker.config.feature_configs):
        if config.WhichOneof("feature") == "sequence_feature" and not config.sequence_feature.sequence_delim:
            checker.error(f"{path}.sequence_feature.sequence_delim", _NO_DELIMITER)


def check_steps(checker: Checker, entry: FeatureEntry, steps: SequenceSpec) -> None:
    """What holds for features of sequences beside what holds for each step."""
    message = entry.message
    if not steps.delimiter and not steps.group:
        checker.error(f"{entry.path}.sequence_delim", _NO_DELIMITER)
    if getattr(message, "weighted", False):
        checker.error(f"{entry.path}.weighted", "ids of a sequence have no weights; leave it out")
    if steps.tokens:
        return
    if getattr(message, "tokens_as_sequence", False):
        said = "each step is a text here, whose tokens are pooled; use a tokenize_feature outside of sequences"
        checker.error(f"{entry.path}.tokens_as_sequence", said)
    _check_inputs(checker, entry, steps)


def _check_inputs(checker: Checker, entry: FeatureEntry, steps: SequenceSpec) -> None:
    """At least one input is a sequence, and sequence_fields names inputs."""
    listed = [text.partition(":")[2] or text for text in entry.message.sequence_fields]
    own = [name.removeprefix(f"{steps.group}__") for name in (text.partition(":")[2] for text in entry.reads)]
    for index, name in enumerate(listed):
        if name not in own:
            checker.unknown_name(f"{entry.path}.sequence_fields[{index}]", "input", name, own)
    known = entries_by_name(checker)
    linked = checker.config.data_config.fg_mode == FgMode.FG_DAG
    sources = [text.partition(":")[2] for text in entry.reads if linked and text.startswith("feature:")]
    made = any(name in known and known[name].steps is not None for name in sources)
    understood = entry.reads and all(text.partition(":")[0] in SIDES for text in entry.reads)
    if understood and not (steps.inputs or made or listed):
        said = "no input is a sequence; name the ones that are in sequence_fields"
        checker.error(f"{entry.path}.sequence_fields", said)
