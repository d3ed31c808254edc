"""Formulas in config text, parsed by a small grammar and computed with numpy; nothing is ever evaluated as Python.

choice   := binary ["?" choice ":" choice]
binary   := signed (operator signed)*            operators of functions.OPERATORS, from || to * and /
signed   := ("-" | "+")* power
power    := atom ["^" signed]                    right to left, binds tighter than a sign: -2^2 = -4
atom     := number | name | function "(" [choice ("," choice)*] ")" | "(" choice ")"

Parsing yields steps in postfix order, which a stack of arrays runs through: each step takes a whole batch.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from tzrec.features.arrays import FloatArray
from tzrec.features.formula.functions import CONSTANTS, FUNCTIONS, OPERATORS, VECTOR_FUNCTIONS, draw
from tzrec.features.formula.vectors import Value, Vectors, aligned, elementwise

_LEVELS = {symbol: level for level, operators in enumerate(OPERATORS) for symbol in operators}
_NUMBER = r"(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
_TOKEN = re.compile(rf"\s*(?:{_NUMBER}|(?P<name>[^\W\d]\w*)|(?P<symbol>\|\||&&|[<>!=]=|\S))")
_MAX_DEPTH = 100


@dataclass(frozen=True)
class _Step:
    """Puts a variable on the stack, or takes `count` values off it and puts what becomes of them there."""

    count: int
    apply: Callable[..., Value] | None = None
    variable: str = ""


class Expression:
    """A formula over named variables.

    Args:
        text: e.g. `price > 0 ? log10(price) : -1`.
        variables: the names it may use.
        fill: what shorter vectors are padded with where a row has vectors of different lengths.

    Raises:
        ValueError: it is no formula; the message says where and why.
    """

    def __init__(self, text: str, variables: Sequence[str] = ("x",), fill: float = np.nan) -> None:
        self.text = text
        self.variables = tuple(variables)
        self._steps, self._draws = _Parser(text, self.variables, fill).parse()

    def __call__(self, **values: FloatArray) -> FloatArray:
        """The formula's float64 value for each element of the variables, which are arrays of one shape `(B,)`."""
        result = self.over_rows(values)
        assert not isinstance(result, Vectors)  # numbers make numbers
        return result

    def over_rows(self, values: Mapping[str, Value]) -> FloatArray | Vectors:
        """The formula's value in B rows: numbers `(B,)` or vectors.

        Args:
            values: per variable numbers `(B,)` or vectors; none may be missing.
        """
        known = {name: _as_floats(value) for name, value in values.items()}
        rows = max((_rows(value) for value in known.values()), default=1)
        if rows == 0:
            return np.empty(0)
        given = list(known.values())
        known |= {f"{_DRAWN}{index}": draw(given, rows, index) for index in range(self._draws)}
        with np.errstate(all="ignore"):  # log(0) is -inf, which is for the caller to refuse
            result = self._run(known)
        return result if isinstance(result, Vectors) else np.broadcast_to(np.asarray(result, np.float64), (rows,))

    def _run(self, values: Mapping[str, Value]) -> Value:
        stack: list[Value] = []
        for step in self._steps:
            if step.apply is None:
                stack.append(values[step.variable])
            else:
                kept = len(stack) - step.count
                stack[kept:] = [step.apply(*stack[kept:])]
        return stack[0]


def _as_floats(value: Value) -> Value:
    return value if isinstance(value, Vectors) else value.astype(np.float64)


def _rows(value: Value) -> int:
    return len(value.lengths if isinstance(value, Vectors) else value)


_DRAWN = "rnd "
"""Before the number of a call of rnd(), which is computed like a variable; no name holds a blank."""


class _Parser:
    """Reads a formula once, from left to right."""

    def __init__(self, text: str, variables: tuple[str, ...], fill: float) -> None:
        self._text, self._variables, self._fill = text, variables, fill
        self._tokens = [(match.lastgroup, match[match.lastgroup or 0]) for match in _TOKEN.finditer(text.rstrip())]
        self._at = self._depth = self._draws = 0
        self._steps: list[_Step] = []

    def parse(self) -> tuple[list[_Step], int]:
        """The steps, and how many calls of rnd() are in them."""
        self._choice()
        if self._at < len(self._tokens):
            raise self._error("an operator or the end")
        return self._steps, self._draws

    def _peek(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _take(self, *symbols: str) -> str:
        """The next token if it is one of these, else ""."""
        token = self._peek()
        if token not in symbols:
            return ""
        self._at += 1
        return token

    def _expect(self, symbol: str) -> None:
        if not self._take(symbol):
            raise self._error(f'"{symbol}"')

    def _error(self, expected: str) -> ValueError:
        found = f'"{self._peek()}"' if self._peek() else "the end"
        return ValueError(f'"{self._text}": expected {expected}, found {found}')

    def _deeper(self, parse: Callable[[], None]) -> None:
        """Parse what is nested in what is being parsed."""
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ValueError(f'"{self._text[:40]}...": nested deeper than {_MAX_DEPTH} levels')
        parse()
        self._depth -= 1

    def _emit(self, function: Callable[..., Any], count: int) -> None:
        self._steps.append(_Step(count, partial(elementwise, function, self._fill)))

    def _choice(self) -> None:
        self._binary(0)
        open_choices = 0
        while self._take("?"):
            self._deeper(self._choice)
            self._expect(":")
            self._binary(0)
            open_choices += 1
        for _ in range(open_choices):
            self._emit(lambda condition, yes, no: np.where(condition != 0, yes, no), 3)

    def _binary(self, weakest: int) -> None:
        """Operators of this level and of stronger ones."""
        self._signed()
        while (level := _LEVELS.get(self._peek(), -1)) >= weakest:
            symbol = self._take(*OPERATORS[level])
            self._binary(level + 1)
            self._emit(OPERATORS[level][symbol], 2)

    def _signed(self) -> None:
        negative = False
        while sign := self._take("-", "+"):
            negative ^= sign == "-"
        self._atom()
        if self._take("^"):
            self._deeper(self._signed)
            self._emit(np.power, 2)
        if negative:
            self._emit(operator.neg, 1)

    def _atom(self) -> None:
        if self._take("("):
            self._deeper(self._choice)
            self._expect(")")
            return
        kind, text = self._tokens[self._at] if self._at < len(self._tokens) else (None, "")
        if kind not in ("number", "name"):
            raise self._error('a number, a name or "("')
        self._at += 1
        if kind == "number":
            self._constant(float(text))
        elif self._take("("):
            self._call(text)
        else:
            self._name(text)

    def _call(self, name: str) -> None:
        if name == "rnd":
            self._check_count(name, self._arguments(), 0)
            self._steps.append(_Step(0, variable=f"{_DRAWN}{self._draws}"))
            self._draws += 1
            return
        function = FUNCTIONS.get(name) or VECTOR_FUNCTIONS.get(name)
        if function is None:
            known = ", ".join((*FUNCTIONS, *VECTOR_FUNCTIONS, "rnd"))
            raise ValueError(f'"{self._text}": no function "{name}"; there are {known}')
        count = self._arguments()
        self._check_count(name, count, function.count)
        if name in FUNCTIONS:
            self._emit(function.apply, count)
        else:
            self._steps.append(_Step(count, partial(_of_vectors, function.apply, self._fill)))

    def _check_count(self, name: str, count: int, expected: int | None) -> None:
        if count != (expected if expected is not None else max(count, 1)):
            takes = "at least 1 argument" if expected is None else f"{expected} argument{'s' * (expected != 1)}"
            raise ValueError(f'"{self._text}": {name} takes {takes}, received {count}')

    def _arguments(self) -> int:
        """Parse what stands between the parentheses of a call; how many values that are."""
        if self._take(")"):
            return 0
        count = 1
        self._deeper(self._choice)
        while self._take(","):
            self._deeper(self._choice)
            count += 1
        self._expect(")")
        return count

    def _name(self, name: str) -> None:
        if name in self._variables:
            self._steps.append(_Step(0, variable=name))
        elif name in CONSTANTS:
            self._constant(CONSTANTS[name])
        else:
            raise ValueError(f'"{self._text}": no variable "{name}"; there is {", ".join(self._variables)}')

    def _constant(self, value: float) -> None:
        number = np.asarray(value)  # numpy's division by zero is infinite, Python's raises
        self._steps.append(_Step(0, lambda: number))


def _of_vectors(function: Callable[..., FloatArray], fill: float, *values: Value) -> FloatArray:
    """Apply a function of the vectors of a row."""
    return function(*aligned(fill, *values))
