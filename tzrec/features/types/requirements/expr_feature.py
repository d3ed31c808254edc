"""Requirements of ExprFeature: names of the formula are variables, and a number as default."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.config.rules.bucketizer import check_default_numbers
from tzrec.config.sequences import NAME_IN_FORMULA
from tzrec.protos.feature_pb2 import ExprFeature

CONSTANTS = ("_pi", "_e")
"""Names in a formula that are not variables."""


def check(checker: Checker, path: str, message: ExprFeature) -> None:
    """Check names and default; the formula itself is parsed by the feature."""
    if checker.has_parse_errors(path):
        return
    check_default_numbers(checker, path, message, message.separator)
    if not message.variables:
        return  # reported as empty
    known = [text.partition(":")[2] for text in message.variables]
    for name in dict.fromkeys(NAME_IN_FORMULA.findall(message.expression)):
        if name not in known and name not in CONSTANTS:
            checker.unknown_name(f"{path}.expression", "variable", name, known)
