from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tzrec.features.expression import FUNCTIONS, Expression


def value(text: str, x: float = 3.0) -> float:
    return float(Expression(text)(x=np.array([x]))[0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *[("1 + 2 * x", 7), ("(1+2)*x", 9), ("8 - 3 - 2", 3), ("8/4/2", 1), ("x", 3), (" .5e1 ", 5), ("2.", 2)],
        *[("2^3^2", 512), ("-2^2", -4), ("(-2)^2", 4), ("2^-1", 0.5), ("-x^2 + 1", -8), ("--x", 3), ("+x", 3)],
        *[("2*-x", -6), ("abs(-x)", 3), ("sqrt(x*x + 16)", 5), ("log10(100)", 2), ("log2(8)", 3), ("ln(_e)", 1)],
        *[
            ("log(_e^2)", 2),
            ("cos(_pi)", -1),
            ("sigmoid(0)", 0.5),
            ("exp(0)", 1),
            ("sign(-x)", -1),
            ("trunc(-1.7)", -1),
        ],
        *[("round(2.5)", 3), ("round(-2.5)", -3), ("rint(2.5)", 2), ("floor(-1.5)", -2), ("ceil(1.2)", 2)],
        *[("isnan(0/0)", 1), ("isnan(x)", 0), ("atan(tan(1))", 1), ("asinh(sinh(2))", 2)],
    ],
)
def test_values(text: str, expected: float) -> None:
    assert value(text) == pytest.approx(expected)


def test_infinite_is_for_the_caller() -> None:
    assert value("1/0") == math.inf
    assert value("log(0)") == -math.inf
    assert math.isnan(value("(-8)^(1/3)"))


def test_arrays_and_constants() -> None:
    x = np.array([1, 2, 3])
    assert Expression("x^2 - 1")(x=x).tolist() == [0, 3, 8]
    assert Expression("7")(x=x).tolist() == [7, 7, 7]
    assert Expression("a/b", ("a", "b"))(a=x, b=np.array([2, 2, 2])).tolist() == [0.5, 1, 1.5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'expected a number, a name or "[(]", found the end'),
        ("1 +", "found the end"),
        ("(x", 'expected "[)]", found the end'),
        ("x)", 'expected an operator or the end, found "[)]"'),
        ("x x", 'found "x"'),
        ("2x", 'found "x"'),
        ("x ** 2", 'found "[*]"'),
        ("y", 'no variable "y"; there is x'),
        ("cosine(x)", 'no function "cosine"; there are sin'),
        ("__import__('os')", 'no function "__import__"'),
        ("x.real", 'found "[.]"'),
        ("(" * 200 + "x" + ")" * 200, "nested deeper than 100 levels"),
    ],
)
def test_mistakes(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Expression(text)


def formulas() -> st.SearchStrategy[str]:
    """Fully bracketed formulas, which Python reads alike once ^ is **."""
    leaf = st.sampled_from(["x", "1", "2.5", "0.25"])
    grow = lambda inner: st.one_of(  # noqa: E731
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        inner.map(lambda text: f"(-{text})"),
        inner.map(lambda text: f"({text}^2)"),
    )
    return st.recursive(leaf, grow, max_leaves=12)


@settings(max_examples=60, deadline=None)
@given(formulas(), st.floats(0.5, 2))
def test_against_python(text: str, x: float) -> None:
    try:
        expected = eval(text.replace("^", "**"), {"__builtins__": {}}, {"x": x})
    except (ZeroDivisionError, OverflowError):
        return
    assert value(text, x) == pytest.approx(expected, rel=1e-9)


def test_every_function_takes_arrays() -> None:
    for name in FUNCTIONS:
        assert Expression(f"{name}(x)")(x=np.array([0.5, 1.0])).shape == (2,)
