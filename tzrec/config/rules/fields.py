"""Rules of single fields, which are options of the schema: bounds, words, grammars and references."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tzrec.config.checker import Checker, FieldChecker, repeated
from tzrec.config.grammar import activation_problem, initializer_problem
from tzrec.config.names import name_problem
from tzrec.config.normalizers import normalizer_problem
from tzrec.config.options import field_rules
from tzrec.config.parser import join
from tzrec.config.regex import compile_regex
from tzrec.config.rules.references import REFERENCES
from tzrec.config.schema import fields_of, is_message, is_set
from tzrec.protos.options_pb2 import ACTIVATION, DIRECTORY, INITIALIZER, NAME, NORMALIZER, REGEX, FieldRule
from tzrec.storage.url import directory_problem


def check_fields(checker: FieldChecker) -> None:
    """Check the rule of every field of every message."""
    for path, message in checker.messages():
        for name, rule in field_rules(message.DESCRIPTOR).items():
            field = fields_of(message)[name]
            if not checker.is_unsupported(join(path, name)):
                _check_field(checker, path, message, field, rule)


def _check_field(checker: FieldChecker, path: str, message: Message, field: FieldDescriptor, rule: FieldRule) -> None:
    field_path = join(path, field.name)
    if not is_set(message, field.name):
        if not checker.has_parse_errors(path):
            _check_unset(checker, field_path, field, rule)
    elif not field.is_repeated:
        _check_value(checker, field_path, field, rule, getattr(message, field.name))
    else:
        values = list(getattr(message, field.name))
        for element_path, value in repeated(field_path, values):
            _check_value(checker, element_path, field, rule, value)
        for index in range(1, len(values) if rule.increasing else 0):
            if not values[index] > values[index - 1]:
                checker.error(f"{field_path}[{index}]", f"{values[index]:g} is not above {values[index - 1]:g}")


def _check_unset(checker: FieldChecker, path: str, field: FieldDescriptor, rule: FieldRule) -> None:
    if rule.must_be_set:
        bounds = f"set it to at least {rule.min:g}" if rule.HasField("min") else ""
        checker.error(path, f"is not set; {rule.hint or bounds}")
    elif rule.non_empty and field.is_repeated:
        checker.error(path, f"is empty; {rule.hint}")


def _check_value(checker: FieldChecker, path: str, field: FieldDescriptor, rule: FieldRule, value: Any) -> None:
    """Check one value, or one element of a repeated field."""
    if is_message(field):
        return
    hint = f"; {rule.hint}" if rule.hint else ""
    if not isinstance(value, str):
        if not is_within(rule, value):
            checker.error(path, f"{value:g} {_violation(rule)}{hint}")
        elif rule.HasField("usual_max") and value > rule.usual_max:
            checker.warning(path, f"{value:g} is unusual: most runs diverge above {rule.usual_max:g}")
        elif rule.HasField("usual_min") and value < rule.usual_min:
            checker.warning(path, f"{value:g} is unusual: below {rule.usual_min:g} hardly anything is learned")
        return
    if rule.non_empty and not value:
        checker.error(path, f"is empty{hint}")
    if rule.one_of:
        _check_word(checker, path, field.name, rule, value)
    problem = _GRAMMARS[rule.grammar](value) if rule.grammar else ""
    if problem:
        checker.error(path, problem)
    if rule.refers_to in REFERENCES and value:
        assert isinstance(checker, Checker)  # only fields of a pipeline refer to names
        REFERENCES[rule.refers_to](checker, path, value)


def is_within(rule: FieldRule, value: float) -> bool:
    """True if a number is within the bounds of a rule; NaN never is within bounds."""
    above = not rule.HasField("min") or value > rule.min or (value == rule.min and not rule.exclusive_min)
    below = not rule.HasField("max") or value < rule.max or (value == rule.max and not rule.exclusive_max)
    return above and below


def interval(rule: FieldRule) -> str:
    """Return the bounds of a rule as an interval: `[0, 1)`; "" if it has none."""
    if not rule.HasField("min"):
        return ""
    upper = f"{rule.max:g}{')' if rule.exclusive_max else ']'}" if rule.HasField("max") else "inf)"
    return f"{'(' if rule.exclusive_min else '['}{rule.min:g}, {upper}"


def _violation(rule: FieldRule) -> str:
    if rule.HasField("max"):
        return f"is not in {interval(rule)}"
    return f"is not above {rule.min:g}" if rule.exclusive_min else f"is below {rule.min:g}"


def _check_word(checker: FieldChecker, path: str, name: str, rule: FieldRule, word: str) -> None:
    key = word.lower() if rule.ignore_case else word
    offered = [known for known in rule.one_of if known and not (checker.is_cpu and known in rule.cuda_only)]
    hint = f"; {rule.hint}" if rule.hint else ""
    if key in rule.unsupported_words:
        checker.error(path, f'"{word}" is not supported{hint or "; use one of " + ", ".join(offered)}')
    elif key not in rule.one_of:
        checker.unknown_name(path, name, word, [known for known in (*rule.one_of, *rule.unsupported_words) if known])
    elif checker.is_cpu and key in rule.cuda_only and rule.on_cpu:
        checker.warning(path, f'"{word}" needs CUDA; on {checker.device} {rule.on_cpu} is used')
    elif checker.is_cpu and key in rule.cuda_only:
        checker.error(path, f'"{word}" needs CUDA; on {checker.device} use one of {", ".join(offered)}{hint}')


def _regex_problem(text: str) -> str:
    try:
        compile_regex(text)
    except ValueError as error:
        return str(error)
    return ""


_GRAMMARS: Mapping[int, Callable[[str], str]] = {
    ACTIVATION: activation_problem,
    INITIALIZER: initializer_problem,
    NORMALIZER: normalizer_problem,
    DIRECTORY: directory_problem,
    REGEX: _regex_problem,
    NAME: name_problem,
}
