"""Features whose ids say which rows belong together: sessions of losses, groups of metrics."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.config.rules.feature_entry import entries_by_name, find_feature


def check_sparse(checker: Checker, path: str, name: str) -> None:
    """The feature named at a path must be one that batches have ids of."""
    known = {each: entry for each, entry in entries_by_name(checker).items() if entry.steps is None}
    entry = find_feature(checker, path, name, known)
    if entry is not None and not (entry.has_table or entry.message.stub_type or checker.has_parse_errors(entry.path)):
        sparse = ", ".join(each for each in known if known[each].has_table)
        checker.error(path, f'"{name}" is dense and has no ids to group rows by; features with ids: {sparse}')
