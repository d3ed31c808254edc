"""Formulas in config text, parsed by a small grammar and computed with numpy, never evaluated as Python.

choice   := binary ["?" choice ":" choice]
binary   := signed (operator signed)*            operators of functions.OPERATORS, from || to * and /
signed   := ("-" | "+")* power
power    := atom ["^" signed]                    right to left, binds tighter than a sign: -2^2 = -4
atom     := number | name | function "(" [choice ("," choice)*] ")" | "(" choice ")"

Parsing yields instructions in postfix order, which run on a stack of arrays, each for a whole batch.
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
from tzrec.features.formula.vectors import Value, Vectors, align, elementwise

_LEVELS = {symbol: level for level, operators in enumerate(OPERATORS) for symbol in operators}
_NUMBER = r"(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
_TOKEN = re.compile(rf"\s*(?:{_NUMBER}|(?P<name>[^\W\d]\w*)|(?P<symbol>\|\||&&|[<>!=]=|\S))")
_MAX_DEPTH = 100


@dataclass(frozen=True)
class _Instruction:
    """Pushes a variable, or pops `count` values and pushes the result of `apply`."""

    count: int
    apply: Callable[..., Value] | None = None
    variable: str = ""


class Expression:
    """A formula over named variables.

    Args:
        text: e.g. `price > 0 ? log10(price) : -1`.
        variables: names of the variables.
        fill: value that shorter vectors are padded with if a row has vectors of different lengths.

    Raises:
        ValueError: the formula is invalid; the message names the position and the reason.
    """

    def __init__(self, text: str, variables: Sequence[str] = ("x",), fill: float = np.nan) -> None:
        self.text = text
        self.variables = tuple(variables)
        self._instructions, self._draws = _Parser(text, self.variables, fill).parse()

    def __call__(self, **values: FloatArray) -> FloatArray:
        """Compute the float64 value for each element of the variables, which are arrays of one shape `(B,)`."""
        result = self.evaluate(values)
        assert not isinstance(result, Vectors)  # numbers yield numbers
        return result

    def evaluate(self, values: Mapping[str, Value]) -> FloatArray | Vectors:
        """Compute the value of B rows: numbers `(B,)` or vectors.

        Args:
            values: numbers `(B,)` or vectors by the name of the variable; none may be missing.
        """
        arrays = {name: _to_float64(value) for name, value in values.items()}
        rows = max((_num_rows(value) for value in arrays.values()), default=1)
        if rows == 0:
            return np.empty(0)
        variables = list(arrays.values())
        arrays |= {f"{_RANDOM}{index}": draw(variables, rows, index) for index in range(self._draws)}
        with np.errstate(all="ignore"):  # log(0) is -inf, which the caller reports
            result = self._run(arrays)
        return result if isinstance(result, Vectors) else np.broadcast_to(np.asarray(result, np.float64), (rows,))

    def _run(self, values: Mapping[str, Value]) -> Value:
        stack: list[Value] = []
        for instruction in self._instructions:
            if instruction.apply is None:
                stack.append(values[instruction.variable])
            else:
                top = len(stack) - instruction.count
                stack[top:] = [instruction.apply(*stack[top:])]
        return stack[0]


def _to_float64(value: Value) -> Value:
    return value if isinstance(value, Vectors) else value.astype(np.float64)


def _num_rows(value: Value) -> int:
    return len(value.lengths if isinstance(value, Vectors) else value)


_RANDOM = "rnd "
"""Prefix of the variables that hold the values of rnd() calls; the blank keeps it apart from names of the config."""


class _Parser:
    """Recursive descent over the tokens of a formula."""

    def __init__(self, text: str, variables: tuple[str, ...], fill: float) -> None:
        self._text, self._variables, self._fill = text, dict.fromkeys(variables), fill
        self._tokens = [(match.lastgroup, match[match.lastgroup or 0]) for match in _TOKEN.finditer(text.rstrip())]
        self._position = self._depth = self._draws = 0
        self._instructions: list[_Instruction] = []

    def parse(self) -> tuple[list[_Instruction], int]:
        """Return the instructions, and the number of rnd() calls in them."""
        self._choice()
        if self._position < len(self._tokens):
            raise self._error("an operator or the end")
        return self._instructions, self._draws

    def _peek(self) -> str:
        return self._tokens[self._position][1] if self._position < len(self._tokens) else ""

    def _take(self, *symbols: str) -> str:
        """Consume and return the next token if it is one of these, else return ""."""
        token = self._peek()
        if token not in symbols:
            return ""
        self._position += 1
        return token

    def _expect(self, symbol: str) -> None:
        if not self._take(symbol):
            raise self._error(f'"{symbol}"')

    def _error(self, expected: str) -> ValueError:
        token = f'"{self._peek()}"' if self._peek() else "the end"
        return ValueError(f'"{self._text}": expected {expected}, found {token}')

    def _nest(self, parse: Callable[[], None]) -> None:
        """Parse a nested part, within the limit of depth."""
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ValueError(f'"{self._text[:40]}...": nested deeper than {_MAX_DEPTH} levels')
        parse()
        self._depth -= 1

    def _emit(self, function: Callable[..., Any], count: int) -> None:
        self._instructions.append(_Instruction(count, partial(elementwise, function, self._fill)))

    def _choice(self) -> None:
        self._binary(0)
        open_choices = 0
        while self._take("?"):
            self._nest(self._choice)
            self._expect(":")
            self._binary(0)
            open_choices += 1
        for _ in range(open_choices):
            self._emit(lambda condition, yes, no: np.where(condition != 0, yes, no), 3)

    def _binary(self, lowest: int) -> None:
        """Parse operators of this level of precedence and of higher ones."""
        self._signed()
        while (level := _LEVELS.get(self._peek(), -1)) >= lowest:
            symbol = self._take(*OPERATORS[level])
            self._binary(level + 1)
            self._emit(OPERATORS[level][symbol], 2)

    def _signed(self) -> None:
        negative = False
        while sign := self._take("-", "+"):
            negative ^= sign == "-"
        self._atom()
        if self._take("^"):
            self._nest(self._signed)
            self._emit(np.power, 2)
        if negative:
            self._emit(operator.neg, 1)

    def _atom(self) -> None:
        if self._take("("):
            self._nest(self._choice)
            self._expect(")")
            return
        kind, text = self._tokens[self._position] if self._position < len(self._tokens) else (None, "")
        if kind not in ("number", "name"):
            raise self._error('a number, a name or "("')
        self._position += 1
        if kind == "number":
            self._constant(float(text))
        elif self._take("("):
            self._call(text)
        else:
            self._name(text)

    def _call(self, name: str) -> None:
        if name == "rnd":
            self._validate_count(name, self._arguments(), 0)
            self._instructions.append(_Instruction(0, variable=f"{_RANDOM}{self._draws}"))
            self._draws += 1
            return
        function = FUNCTIONS.get(name) or VECTOR_FUNCTIONS.get(name)
        if function is None:
            names = ", ".join((*FUNCTIONS, *VECTOR_FUNCTIONS, "rnd"))
            raise ValueError(f'"{self._text}": unknown function "{name}"; use one of {names}')
        count = self._arguments()
        self._validate_count(name, count, function.count)
        if name in FUNCTIONS:
            self._emit(function.apply, count)
        else:
            self._instructions.append(_Instruction(count, partial(_apply_to_vectors, function.apply, self._fill)))

    def _validate_count(self, name: str, count: int, expected: int | None) -> None:
        if count != (expected if expected is not None else max(count, 1)):
            takes = "at least 1 argument" if expected is None else f"{expected} argument{'s' * (expected != 1)}"
            raise ValueError(f'"{self._text}": {name} takes {takes}, received {count}')

    def _arguments(self) -> int:
        """Parse the arguments of a call, and return their number."""
        if self._take(")"):
            return 0
        count = 1
        self._nest(self._choice)
        while self._take(","):
            self._nest(self._choice)
            count += 1
        self._expect(")")
        return count

    def _name(self, name: str) -> None:
        if name in self._variables:
            self._instructions.append(_Instruction(0, variable=name))
        elif name in CONSTANTS:
            self._constant(CONSTANTS[name])
        else:
            raise ValueError(f'"{self._text}": unknown variable "{name}"; use one of {", ".join(self._variables)}')

    def _constant(self, value: float) -> None:
        number = np.asarray(value)  # numpy's division by zero is infinite, Python's raises
        self._instructions.append(_Instruction(0, lambda: number))


def _apply_to_vectors(function: Callable[..., FloatArray], fill: float, *values: Value) -> FloatArray:
    """Apply a function of the vectors of a row."""
    return function(*align(fill, *values))
