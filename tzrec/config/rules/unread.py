"""Parts of a valid config that are most likely mistakes: what nothing reads, and labels that are read as features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tzrec.config.checker import Checker, repeated
from tzrec.config.comma_list import split_commas
from tzrec.config.heads import declare_heads
from tzrec.config.model_groups import listed_features
from tzrec.config.options import fields_with_reference
from tzrec.config.rules.data import used_columns
from tzrec.config.rules.feature_entry import feature_entries
from tzrec.config.rules.model_groups import groups_by_name, model_requirements
from tzrec.formatting import shorten
from tzrec.protos.options_pb2 import FEATURE, GROUP, ID_FEATURE, Reference


def warn_of_unread(checker: Checker) -> None:
    """Warn of features, groups and labels that nothing reads, of labels read as features, and of endless sequences.

    The config has no problems.
    """
    if checker.config.HasField("model_config"):
        _warn_of_features(checker)
        _warn_of_groups(checker)
        _warn_of_labels(checker)
    _warn_of_evaluation_data(checker)
    unlimited = [
        (f"{entry.path}.sequence_length", entry.name)
        for entry in feature_entries(checker)
        if entry.sequence is not None and not entry.sequence.limit
    ]
    _warn(checker, unlimited, "no limit of elements for {}: one long row takes the memory of many; set it, e.g. 50")


def _warn_of_evaluation_data(checker: Checker) -> None:
    """Warn of evaluations of the rows that are trained on: they do not show what the model does with other rows."""
    train, evaluation = (
        split_commas(path) for path in (checker.config.train_input_path, checker.config.eval_input_path)
    )
    shared = [part for part in evaluation if part in train]
    if shared:
        advice = "leave it out and set data_config.eval_split, or evaluate other files"
        checker.warning(
            "eval_input_path", f'"{shared[0]}" is trained on as well, so that metrics look too good; {advice}'
        )


def _warn_of_features(checker: Checker) -> None:
    read = listed_features(checker.config.model_config)
    for entry in feature_entries(checker):
        read.update(text.partition(":")[2] for text in entry.reads if text.startswith("feature:"))
    for reference in (FEATURE, ID_FEATURE):
        read.update(_names(checker, "", reference))
    unread = [(entry.path, entry.name) for entry in feature_entries(checker) if entry.name not in read]
    _warn(checker, unread, "no feature group lists {}; add it to one, or remove it")


def _warn_of_groups(checker: Checker) -> None:
    """Warn of groups that the model does not read: it names groups, or takes the first one."""
    requirements = model_requirements(checker)
    is_named = getattr(requirements, "GROUPS", None) is not None and requirements.GROUPS.names
    if is_named or getattr(requirements, "READS_ALL_GROUPS", False):
        return
    model, groups = checker.config.model_config.WhichOneof("model"), groups_by_name(checker)
    read = set(_names(checker, f"model_config.{model}", GROUP))
    if not _names_groups(checker, f"model_config.{model}"):
        read |= set(list(groups)[:1])
    unread = [(f"{path}.group_name", name) for name, (path, _) in groups.items() if name not in read]
    _warn(checker, unread, f"{model} does not read the group {{}}; it reads {', '.join(sorted(read))}")


def _warn_of_labels(checker: Checker) -> None:
    heads = declare_heads(checker.config).heads
    labels = {head.label_name for head in heads}
    read = labels | {head.domain_name for head in heads}
    read |= {getattr(head.message, "task_space_indicator_label", "") for head in heads}
    fields = repeated("data_config.label_fields", checker.config.data_config.label_fields)
    unread = [(path, name) for path, name in fields if name not in read]
    _warn(checker, unread, "no task reads {}; rows in which it is missing are skipped all the same: remove it")
    weights = {head.sample_weight_name for head in heads}
    fields = repeated("data_config.sample_weight_fields", checker.config.data_config.sample_weight_fields)
    unread = [(path, name) for path, name in fields if name not in weights]
    _warn(checker, unread, "no task reads the weights {}: name them in sample_weight_name of a task, or remove them")
    leaks = [(path, name) for path, name in used_columns(checker) if path.startswith("feature_") and name in labels]
    _warn(checker, leaks, "this feature is the label {}, which is not known when a model predicts; remove it")


def _names(checker: Checker, below: str, reference: Reference) -> Iterator[str]:
    """Yield the names in all fields with a reference, below a path."""
    for path, message in checker.messages():
        if path.startswith(below):
            for field in fields_with_reference(message.DESCRIPTOR, reference):
                value = getattr(message, field.name)
                yield from value if field.is_repeated else [value]


def _names_groups(checker: Checker, below: str) -> bool:
    """True if a message below a path must name a group, as towers do."""
    messages = (message for path, message in checker.messages() if path.startswith(below))
    fields = (field for message in messages for field in fields_with_reference(message.DESCRIPTOR, GROUP))
    return any(field.is_required for field in fields)


def _warn(checker: Checker, named: Sequence[tuple[str, str]], message: str) -> None:
    """Warn once, at the first of some paths, of all names."""
    if named:
        names = shorten(", ".join(f'"{name}"' for _, name in named))
        checker.warning(named[0][0], message.format(names))
