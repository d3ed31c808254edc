"""Space: the fields of a config that a study varies, and the values that they may have."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from google.protobuf.message import Message

from tzrec.config.edit import edit, select
from tzrec.config.edit_path import parse_path
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.protos.tune_pb2 import FloatRange, IntRange, TuneConfig, TuneParameter

if TYPE_CHECKING:
    from optuna import Trial

Value = float | str
"""Value of a parameter: a number of a range, or the name of a choice."""
Edits = dict[str, Any]
_DIGITS = 4
"""Significant digits of the numbers that are written into a config."""
_TOLERANCE = 1e-9
_ALIGNED = 4
"""Widths that are multiples of this stay multiples of it."""


@dataclass(frozen=True)
class Parameter:
    """Fields that are varied together.

    Attributes:
        name: in tables and plots.
        config: as the user declares it.
        start: config whose values a relative range multiplies.
    """

    name: str
    config: TuneParameter
    start: EasyRecConfig

    @property
    def range(self) -> IntRange | FloatRange | None:
        """Range of numbers; None for choices and blocks."""
        member = self.config.WhichOneof("range")
        return getattr(self.config, member) if member in ("int_range", "float_range") else None

    @cached_property
    def edits_by_choice(self) -> Mapping[str, Edits]:
        """Edits of each choice or block by its name; empty for a range."""
        if self.config.WhichOneof("range") == "blocks":
            return {block.name: {field.path: field.value for field in block.set} for block in self.config.blocks.block}
        return {" ".join(text.split()): dict.fromkeys(self.config.path, text) for text in self.config.choices.value}

    @property
    def is_log(self) -> bool:
        return self.range is not None and self.range.log

    @property
    def limits(self) -> Sequence[Value]:
        """Smallest and largest number of a range, or all choices."""
        return list(self.edits_by_choice) if self.range is None else [self.range.min, self.range.max]

    def describe(self) -> str:
        """Format the values for a line: `0.0001 to 0.01 log`, `x 0.5 to x 2`, `16 | 32 | 64`."""
        span = self.range
        if span is None:
            return " | ".join(shorten(name) for name in self.edits_by_choice)
        factor = "x " if self.config.relative else ""
        step = f" step {span.step:g}" if span.HasField("step") else ""
        return f"{factor}{span.min:g} to {factor}{span.max:g}{' log' if span.log else ''}{step}"

    def suggest(self, trial: Trial) -> None:
        """Let Optuna choose the value of a trial."""
        span = self.range
        if span is None:
            trial.suggest_categorical(self.name, list(self.edits_by_choice))
        elif isinstance(span, IntRange):
            trial.suggest_int(self.name, span.min, span.max, step=span.step, log=span.log)
        else:
            trial.suggest_float(self.name, span.min, span.max, step=span.step or None, log=span.log)

    def grid(self) -> list[Value] | None:
        """Return all values; None for a range of numbers without a step."""
        span = self.range
        if span is None:
            return list(self.edits_by_choice)
        if isinstance(span, IntRange):
            return list(range(span.min, span.max + 1, span.step))
        if not span.step:
            return None
        count = math.floor((span.max - span.min) / span.step + _TOLERANCE)
        return [float(f"{span.min + index * span.step:.12g}") for index in range(count + 1)]

    def edits(self, value: Value) -> Edits:
        """Return the edits of the starting config for a value.

        Raises:
            ValueError: a path is not valid.
        """
        if isinstance(value, str):
            return dict(self.edits_by_choice[value])
        if self.config.relative:
            return {path: _scaled(old, value) for path, old in self._old_values()}
        return dict.fromkeys(self.config.path, self.text(value))

    def text(self, value: Value) -> str:
        """Format a value as it is written into a config, and as it is printed."""
        if isinstance(value, str) or isinstance(self.range, IntRange):
            return str(value)
        return f"{value:.{_DIGITS}g}"

    def start_value(self) -> Value | None:
        """Return the value that the starting config has; None if it is not one of this parameter."""
        if self.range is None:
            candidates: list[Value] = list(self.edits_by_choice)
        elif self.config.relative:
            candidates = [1 if isinstance(self.range, IntRange) else 1.0]
        else:
            candidates = list(self._numbers())
        for value in candidates:
            if self._contains(value) and _has_values(self.start, self.edits(value)):
                return value
        return None

    def _contains(self, value: Value) -> bool:
        if isinstance(value, str) or self.range is None:
            return value in self.edits_by_choice
        num_steps = (value - self.range.min) / (self.range.step or 1)
        is_on_step = not self.range.step or abs(num_steps - round(num_steps)) < _TOLERANCE
        return self.range.min <= value <= self.range.max and is_on_step

    def _numbers(self) -> Iterator[float]:
        """Yield the number that the fields have in the starting config; no number of a dropout is 0."""
        config = copy_config(self.start)
        for _, message, field in select(config, self.config.path[0]):
            old = getattr(message, field.name)
            value = (old[0] if len(old) else 0) if field.is_repeated else old
            if isinstance(value, (int, float)):
                yield int(value) if isinstance(self.range, IntRange) else float(f"{value:.{_DIGITS}g}")
            return

    def _old_values(self) -> Iterator[tuple[str, Any]]:
        """Yield the numbers of the starting config that a factor multiplies; a field that is 0 or not set is none."""
        config = copy_config(self.start)
        for selector in self.config.path:
            if parse_path(selector)[-1].select is not None:
                raise ValueError(f"{selector} selects elements of a list; a factor multiplies all, name the list alone")
            for path, message, field in select(config, selector):
                old = getattr(message, field.name)
                if isinstance(old, (Message, str, bool)):
                    raise ValueError(f"{path} is not a number, which a factor could multiply")
                if field.is_repeated and not all(isinstance(number, (int, float)) for number in old):
                    raise ValueError(f"{path} is not a list of numbers, which a factor could multiply")
                if old:
                    yield path, list(old) if field.is_repeated else old


@dataclass(frozen=True)
class Space:
    """Parameters of a study over a starting config.

    Attributes:
        start: config that is varied, with the held-out rows of the study.
        parameters: at least one.
    """

    start: EasyRecConfig
    parameters: Sequence[Parameter]

    @classmethod
    def of(cls, start: EasyRecConfig, config: TuneConfig) -> Space:
        """Create the space of a checked config."""
        return cls(start, [Parameter(name_of(parameter), parameter, start) for parameter in config.parameters])

    def edits(self, values: Mapping[str, Value]) -> Edits:
        """Return the edits of the starting config for the values of all parameters by name."""
        edits: Edits = {}
        for parameter in self.parameters:
            edits |= parameter.edits(values[parameter.name])
        return edits

    def start_values(self) -> dict[str, Value] | None:
        """Return the values of the starting config by name; None if it is not a point of the space."""
        values: dict[str, Value] = {}
        for parameter in self.parameters:
            value = parameter.start_value()
            if value is None:
                return None
            values[parameter.name] = value
        return values

    def describe(self, values: Mapping[str, Value]) -> str:
        """Format values for a line: `lr 0.0031  dims x2`."""
        names = [parameter.name for parameter in self.parameters if parameter.name in values]
        return "  ".join(f"{name} {self.value_text(name, values)}" for name in names)

    def value_text(self, name: str, values: Mapping[str, Value]) -> str:
        """Format the value of a parameter for a line or a cell; "" if it has none."""
        parameter = next(parameter for parameter in self.parameters if parameter.name == name)
        if name not in values:
            return ""
        return f"{'x' * parameter.config.relative}{shorten(parameter.text(values[name]))}"


def name_of(parameter: TuneParameter) -> str:
    """Return the name of a parameter: the given one, or the last field of its first path."""
    return parameter.name or (parameter.path[0].rpartition(".")[2] if parameter.path else "")


def shorten(text: str, size: int = 32) -> str:
    """Cut the text of a long choice."""
    return text if len(text) <= size else f"{text[: size - 3]}..."


def _scaled(old: Any, factor: float) -> Any:
    if isinstance(old, list):
        return [_scaled(number, factor) for number in old]
    if isinstance(old, float):
        return float(f"{old * factor:.{_DIGITS}g}")
    unit = _ALIGNED if old % _ALIGNED == 0 else 1
    return max(unit, unit * round(old * factor / unit))


def copy_config(config: EasyRecConfig) -> EasyRecConfig:
    """Copy a config, to change the copy."""
    copy = EasyRecConfig()
    copy.CopyFrom(config)
    return copy


def _has_values(config: EasyRecConfig, edits: Edits) -> bool:
    """Return True if edits change nothing; a field that is not set has its default, and an empty list is zeros."""
    edited, old = copy_config(config), copy_config(config)
    touched, problems = edit(edited, edits)
    try:
        return not problems and all(_value_at(edited, path) == _value_at(old, path) for path in touched)
    except ValueError:  # the starting config has no such field
        return False


def _value_at(config: EasyRecConfig, path: str) -> Any:
    ((_, message, field),) = select(config, path)
    value = getattr(message, field.name)
    if not field.is_repeated:
        return value
    return [item for item in value if item] if all(isinstance(item, (int, float)) for item in value) else list(value)
