"""Rules of the config of a study: its space against the pipeline config, its metric and its data."""

from __future__ import annotations

from collections.abc import Iterator

from tzrec.config.check import check
from tzrec.config.checker import Checker, FieldChecker, check_unique, repeated
from tzrec.config.comma_list import split_commas
from tzrec.config.edit import edit, select
from tzrec.config.eval_split import evaluation_path
from tzrec.config.load import ConfigSource
from tzrec.config.options import implemented_members
from tzrec.config.rules.tasks import evaluation_results
from tzrec.config.schema import oneof_of
from tzrec.data.paths import expand
from tzrec.errors import DataError
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.protos.tune_pb2 import IntRange, TuneConfig, TuneParameter
from tzrec.tuning.space import Parameter, Value, copy_config, name_of, shorten

_NUM_CHOICES = 2
"""Smallest number of choices, one of which would be no choice."""


def check_space(checker: FieldChecker, start: EasyRecConfig) -> None:
    """Report parameters that do not go with the pipeline config; each limit and each choice is tried."""
    config: TuneConfig = checker.source.config  # type: ignore[assignment]
    owner_by_path: dict[str, str] = {}
    parameters = list(repeated("parameters", config.parameters))
    check_unique(checker, "parameter", ((path, name_of(parameter)) for path, parameter in parameters))
    for path, parameter in parameters:
        if checker.has_parse_errors(path) or not _check_parameter(checker, path, parameter):
            continue
        edited = _try_values(checker, path, Parameter(name_of(parameter), parameter, start))
        for field in sorted(edited):
            other = next((name for known, name in owner_by_path.items() if _overlap(field, known)), None)
            if other is not None:
                checker.error(path, f'{field} is varied by the parameter "{other}" already; a field has one parameter')
                break
        owner_by_path |= dict.fromkeys(edited, name_of(parameter))


def _overlap(path: str, other: str) -> bool:
    return path == other or any(a.startswith((f"{b}.", f"{b}[")) for a, b in ((path, other), (other, path)))


def _check_parameter(checker: FieldChecker, path: str, parameter: TuneParameter) -> bool:
    """Check a parameter alone; return False if its values cannot be tried."""
    num_problems = len(checker.problems)
    kind = parameter.WhichOneof("range")
    if kind is None:
        members = ", ".join(implemented_members(oneof_of(TuneParameter, "range")))
        checker.error(path, f"has no values; give one of {members}")
    elif kind == "blocks":
        if parameter.path:
            checker.error(f"{path}.path", "is not used: each field of a block has its own path")
        if not parameter.name:
            checker.error(f"{path}.name", "is not set; blocks need the name of a parameter")
        check_unique(checker, "block", _block_names(path, parameter))
    elif not parameter.path:
        checker.error(f"{path}.path", "is empty; name the fields to vary, as in --edit_config_json")
    if kind in ("choices", "blocks"):
        values = parameter.choices.value if kind == "choices" else parameter.blocks.block
        if 0 < len(values) < _NUM_CHOICES:
            checker.error(f"{path}.{kind}", f"has {len(values)} value; give at least {_NUM_CHOICES}")
        if parameter.relative:
            checker.error(f"{path}.relative", f"goes with ranges of factors, not with {kind}")
    elif kind is not None:
        _check_range(checker, path, kind, parameter)
    return len(checker.problems) == num_problems


def _block_names(path: str, parameter: TuneParameter) -> Iterator[tuple[str, str]]:
    for block_path, block in repeated(f"{path}.blocks.block", parameter.blocks.block):
        yield f"{block_path}.name", block.name


def _check_range(checker: FieldChecker, path: str, kind: str, parameter: TuneParameter) -> None:
    span = parameter.int_range if kind == "int_range" else parameter.float_range
    if not (span.HasField("min") and span.HasField("max")):
        return  # a rule of the fields reports it
    if not span.min <= span.max:
        checker.error(f"{path}.{kind}.max", f"{span.max:g} is below min, {span.min:g}")
    if span.log and not span.min > 0:
        checker.error(f"{path}.{kind}.log", f"needs a min above 0, which is {span.min:g}")
    if span.log and span.HasField("step") and not (isinstance(span, IntRange) and span.step == 1):
        checker.error(f"{path}.{kind}.step", "excludes log; choose one")
    if parameter.relative and not span.min > 0:
        checker.error(f"{path}.{kind}.min", f"a factor must be above 0, received {span.min:g}")


def _try_values(checker: FieldChecker, path: str, parameter: Parameter) -> set[str]:
    """Apply each limit or choice to the pipeline config and check the result; return the fields that are edited."""
    config, start = parameter.config, parameter.start
    for selector_path, selector in repeated(f"{path}.path", config.path):
        try:
            select(copy_config(start), selector)
        except ValueError as error:
            checker.error(selector_path, str(error))
            return set()
    all_touched, messages = set[str](), set[str]()
    for value_path, value in _value_paths(path, parameter):
        try:
            edited = copy_config(start)
            touched, problems = edit(edited, parameter.edits(value))
        except ValueError as error:  # of a factor
            checker.error(f"{path}.relative", str(error))
            return set()
        all_touched |= touched
        if not touched and not problems and config.path:
            checker.error(f"{path}.relative", f"no field of {', '.join(config.path)} has a number to multiply")
            return set()
        for problem in problems or check(ConfigSource(edited)):
            if problem.message not in messages:
                messages.add(problem.message)
                text = f"{shorten(parameter.text(value))}: {problem.field}: {problem.message}"
                checker.error(value_path, f"{text}{_hint(parameter, problem.message)}")
    return all_touched


def _hint(parameter: Parameter, message: str) -> str:
    is_whole = "expected an integer" in message and parameter.config.WhichOneof("range") == "float_range"
    return "; use int_range" if is_whole else ""


def _value_paths(path: str, parameter: Parameter) -> Iterator[tuple[str, Value]]:
    kind = parameter.config.WhichOneof("range")
    names = {"choices": "choices.value", "blocks": "blocks.block"}
    for index, value in enumerate(parameter.limits):
        if kind in names:
            yield f"{path}.{names[kind]}[{index}]", value
        else:
            yield f"{path}.{kind}.{('min', 'max')[index]}", value


def check_metric(checker: FieldChecker, start: EasyRecConfig) -> None:
    """Report a metric that no evaluation reports."""
    config: TuneConfig = checker.source.config  # type: ignore[assignment]
    known = evaluation_results(Checker(ConfigSource(start)))
    if config.metric and config.metric not in known:
        checker.unknown_name("metric", "result of an evaluation", config.metric, known)


def check_study_data(checker: FieldChecker, start: EasyRecConfig) -> None:
    """Report a study without evaluation data, and test data that trials would read."""
    config: TuneConfig = checker.source.config  # type: ignore[assignment]
    if config.HasField("eval_split"):
        for problem in check(ConfigSource(start)):
            if problem.field.startswith("data_config.eval_split"):
                checker.error(problem.field.removeprefix("data_config."), problem.message)
    if not evaluation_path(start):
        checker.error(
            "eval_split",
            "the pipeline config has no data to evaluate trials on; hold rows out here, as "
            "eval_split { fraction: 0.1 }, or there by data_config.eval_split or eval_input_path",
        )
    for field in ("train_input_path", "eval_input_path"):
        shared = _shared_files(getattr(start, field), config.test_input_path)
        if shared:
            cure = "; with eval_split here trials are evaluated on other rows" if field == "eval_input_path" else ""
            checker.error("test_input_path", f"trials would read {shared}, a file of {field}{cure}")


def _shared_files(path: str, other: str) -> str:
    """Return a file that two input paths share; "" if there is none."""
    shared = _files(path) & _files(other)
    return min(shared) if shared else ""


def _files(path: str) -> set[str]:
    try:
        return {file.path for file in expand(path)} if path else set()
    except DataError:  # the data is not on this machine, or a table of a lake
        return set(split_commas(path))
