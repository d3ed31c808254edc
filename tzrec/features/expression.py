"""Arithmetic in config text, parsed by a small grammar and computed with numpy; nothing is ever evaluated as Python.

sum      := product (("+" | "-") product)*
product  := signed (("*" | "/") signed)*
signed   := ("-" | "+") signed | power
power    := atom ["^" signed]                 right to left, binds tighter than a sign: -2^2 = -4
atom     := number | name | function "(" sum ")" | "(" sum ")"
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Node = Callable[[Mapping[str, Array]], Any]

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "log2": np.log2,
    "log10": np.log10,
    "log": np.log,
    "ln": np.log,
    "exp": np.exp,
    "sqrt": np.sqrt,
    "sign": np.sign,
    "abs": np.abs,
    "rint": np.rint,
    "floor": np.floor,
    "ceil": np.ceil,
    "trunc": np.trunc,
    "round": lambda x: np.copysign(np.floor(np.abs(x) + 0.5), x),  # half away from zero, unlike numpy
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "isnan": lambda x: np.isnan(x).astype(np.float64),
}
CONSTANTS = {"_pi": math.pi, "_e": math.e}
_SUM = {"+": operator.add, "-": operator.sub}
_PRODUCT = {"*": operator.mul, "/": operator.truediv}
_TOKEN = re.compile(r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_]\w*)|(?P<symbol>\S))")
_MAX_DEPTH = 100


class Expression:
    """A formula over named variables.

    Args:
        text: e.g. `log10(x + 1) / 2`.
        variables: the names it may use.

    Raises:
        ValueError: it is no formula; the message says where and why.
    """

    def __init__(self, text: str, variables: tuple[str, ...] = ("x",)) -> None:
        self.text = text
        self.variables = variables
        self._tokens = [(match.lastgroup, match[match.lastgroup or 0]) for match in _TOKEN.finditer(text.rstrip())]
        self._at = self._depth = 0
        self._node = self._sum()
        if self._at < len(self._tokens):
            raise self._error("an operator or the end")

    def __call__(self, **values: Array) -> Array:
        """The formula's float64 value for each element of the variables, which are arrays of one shape."""
        shape = np.broadcast_shapes(*(value.shape for value in values.values()))
        floats = {name: value.astype(np.float64) for name, value in values.items()}
        with np.errstate(all="ignore"):  # log(0) is -inf, which is for the caller to refuse
            return np.broadcast_to(np.asarray(self._node(floats), np.float64), shape)

    def _peek(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _take(self, *symbols: str) -> str:
        """The next token if it is one of these, else ""."""
        token = self._peek()
        if token not in symbols:
            return ""
        self._at += 1
        return token

    def _error(self, expected: str) -> ValueError:
        found = f'"{self._peek()}"' if self._peek() else "the end"
        return ValueError(f'"{self.text}": expected {expected}, found {found}')

    def _sum(self) -> Node:
        node = self._product()
        while sign := self._take(*_SUM):
            node = _binary(_SUM[sign], node, self._product())
        return node

    def _product(self) -> Node:
        node = self._signed()
        while sign := self._take(*_PRODUCT):
            node = _binary(_PRODUCT[sign], node, self._signed())
        return node

    def _signed(self) -> Node:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ValueError(f'"{self.text[:40]}...": nested deeper than {_MAX_DEPTH} levels')
        sign = self._take("-", "+")
        node = self._signed() if sign else self._power()
        self._depth -= 1
        return _unary(operator.neg, node) if sign == "-" else node

    def _power(self) -> Node:
        node = self._atom()
        return _binary(np.power, node, self._signed()) if self._take("^") else node

    def _atom(self) -> Node:
        if self._take("("):
            return self._closed()
        kind, text = self._tokens[self._at] if self._at < len(self._tokens) else (None, "")
        if kind == "number":
            self._at += 1
            return _constant(float(text))
        if kind == "name":
            self._at += 1
            return self._call(text) if self._take("(") else self._name(text)
        raise self._error('a number, a name or "("')

    def _closed(self) -> Node:
        node = self._sum()
        if not self._take(")"):
            raise self._error('")"')
        return node

    def _call(self, name: str) -> Node:
        if name not in FUNCTIONS:
            raise ValueError(f'"{self.text}": no function "{name}"; there are {", ".join(FUNCTIONS)}')
        return _unary(FUNCTIONS[name], self._closed())

    def _name(self, name: str) -> Node:
        if name in CONSTANTS:
            return _constant(CONSTANTS[name])
        if name not in self.variables:
            raise ValueError(f'"{self.text}": no variable "{name}"; there is {", ".join(self.variables)}')
        return lambda values: values[name]


def _constant(value: float) -> Node:
    number = np.float64(value)  # numpy's division by zero is infinite, Python's raises
    return lambda values: number


def _unary(function: Callable[[Any], Any], node: Node) -> Node:
    return lambda values: function(node(values))


def _binary(function: Callable[[Any, Any], Any], left: Node, right: Node) -> Node:
    return lambda values: function(left(values), right(values))
