"""Features whose ids say which rows belong together: sessions of losses, groups of metrics."""

from __future__ import annotations

from tzrec.config.findings import Findings
from tzrec.config.rules.entries import find_feature, names


def check_sparse(findings: Findings, path: str, name: str) -> None:
    """The feature named at a path must be one that batches have ids of."""
    known = {each: entry for each, entry in names(findings).items() if entry.steps is None}
    entry = find_feature(findings, path, name, known)
    if entry is not None and not (entry.has_table or entry.message.stub_type or findings.is_broken(entry.path)):
        sparse = ", ".join(each for each in known if known[each].has_table)
        findings.add(path, f'"{name}" is dense and has no ids to group rows by; features with ids: {sparse}')
