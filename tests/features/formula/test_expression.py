from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.features.reference import pairs as reference
from tzrec.features.formula.expression import Expression
from tzrec.features.formula.functions import FUNCTIONS, VECTOR_FUNCTIONS
from tzrec.features.formula.vectors import Vectors


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
def test_formulas_have_values(text: str, expected: float) -> None:
    assert value(text) == pytest.approx(expected)


def test_infinite_results_are_returned() -> None:
    assert value("1/0") == math.inf
    assert value("log(0)") == -math.inf
    assert math.isnan(value("(-8)^(1/3)"))


def test_arrays_and_constants_broadcast() -> None:
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
        ("y", 'unknown variable "y"; use one of x'),
        ("cosine(x)", 'unknown function "cosine"; use one of sin'),
        ("__import__('os')", 'unknown function "__import__"'),
        ("x.real", 'found "[.]"'),
        ("(" * 200 + "x" + ")" * 200, "nested deeper than 100 levels"),
    ],
)
def test_invalid_formula_is_rejected(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Expression(text)


def formulas() -> st.SearchStrategy[str]:
    """Draw fully bracketed formulas, which are Python expressions after replacing ^ by **."""
    leaf = st.sampled_from(["x", "1", "2.5", "0.25"])
    grow = lambda inner: st.one_of(  # noqa: E731
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        inner.map(lambda text: f"(-{text})"),
        inner.map(lambda text: f"({text}^2)"),
    )
    return st.recursive(leaf, grow, max_leaves=12)


@settings(max_examples=60, deadline=None)
@given(formulas(), st.floats(0.5, 2))
def test_formulas_equal_python(text: str, x: float) -> None:
    try:
        expected = eval(text.replace("^", "**"), {"__builtins__": {}}, {"x": x})
    except (ZeroDivisionError, OverflowError):
        return
    assert value(text, x) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", [*FUNCTIONS, *VECTOR_FUNCTIONS])
def test_functions_take_arrays(name: str) -> None:
    count = (FUNCTIONS.get(name) or VECTOR_FUNCTIONS[name]).count
    text = f"{name}({', '.join(['x'] * (count or 3))})"
    assert Expression(text)(x=np.array([0.5, 1.0])).shape == (2,)
    other_count = f"{name}({', '.join(['x'] * (count + 1))})" if count else f"{name}()"
    with pytest.raises(ValueError, match=f"{name} takes .* argument"):
        Expression(other_count)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # by rising precedence: ||, &&, |, &, comparisons, + and -, * and /, ^
        *[("1 || 0 && 0", 1), ("(1 || 0) && 0", 0), ("0 && 1 | 1", 0), ("4 | 3 & 1", 5), ("(4 | 3) & 1", 1)],
        *[("1 & 3 > 2", 1), ("1 + 1 > 1", 1), ("1 + (1 > 1)", 1), ("2 + 1 == 3", 1), ("3 != 3", 0), ("2 <= 2", 1)],
        *[("2 >= 3", 0), ("x < 4", 1), ("3 > 2 > 1", 0), ("2.9 | 4.2", 6), ("-1 & 7", 7), ("0.5 && 2", 1)],
        *[("0 || 0", 0), ("1 | 0/0", math.nan)],
        # the conditional has the lowest precedence and is right-associative
        *[("x > 2 ? 10 : 20", 10), ("0 || 0 ? 1 : 2", 2), ("0 ? 1 : 0 ? 2 : 3", 3), ("1 ? 0 ? 1 : 2 : 3", 2)],
        *[("(x > 5 ? 1 : 2) + 1", 3), ("1 ? 2 : 1/0", 2)],
        *[("roundp(3.14159, 2)", 3.14), ("roundp(-2.5, 0)", -3), ("roundp(1250, -2)", 1300), ("mod(-7, 3)", -1)],
        *[("mod(7.5, 2)", 1.5), ("min(4, x, 5)", 3), ("max(x, 1)", 3), ("sum(1, 2, x)", 6), ("avg(1, 2, x)", 2)],
        *[("sum(x)", 3), ("len(x)", 1), ("dot(x, 2)", 6), ("reduce_sum(3 * x)", 9), ("variance(x)", 0)],
        # Berlin to Munich; a quarter of the equator; half of the equator
        ("haversine(13.405, 52.52, 11.582, 48.135)", 504.2),
        *[(f"{name}(0, 0, 90, 0)", math.pi / 2 * 6371.0088) for name in ("sphere_dist", "haversine")],
        *[(f"{name}(-90, 0, 90, 0)", math.pi * 6371.0088) for name in ("sphere_dist", "haversine")],
    ],
)
def test_operators_and_functions_of_several_numbers_have_values(text: str, expected: float) -> None:
    tolerance = 1e-3 if "13.405" in text else 1e-9
    assert value(text) == pytest.approx(expected, rel=tolerance, nan_ok=True)


def test_random_numbers_depend_on_row_alone() -> None:
    x = np.arange(10_000.0)
    forward, backward = Expression("rnd()")(x=x), Expression("rnd()")(x=x[::-1])
    assert (forward == backward[::-1]).all()
    assert 0 <= forward.min() < 0.001 and 0.999 < forward.max() < 1
    assert abs(forward.mean() - 0.5) < 0.01 and abs(forward.std() - 12**-0.5) < 0.01
    assert abs(np.corrcoef(forward[1:], forward[:-1])[0, 1]) < 0.05
    two = Expression("rnd() - rnd()")(x=x)
    assert abs(two.mean()) < 0.02 and two.std() > 0.3
    with pytest.raises(ValueError, match="rnd takes 0 arguments, received 1"):
        Expression("rnd(x)")


def test_long_formulas_are_parsed_and_deep_ones_rejected() -> None:
    assert value("+".join(["x"] * 5000)) == 15000
    assert value("^".join(["1"] * 90)) == 1
    assert value("0 ? 1 : " * 2000 + "x") == 3
    for deep in ("(" * 5000, "abs(" * 5000, "1^" * 5000, "1?" * 5000):
        with pytest.raises(ValueError, match="nested deeper"):
            Expression(deep)


def vectors(rows: list[list[float]]) -> Vectors:
    return Vectors(np.array([x for row in rows for x in row], np.float64), np.array([len(row) for row in rows]))


def to_rows(result: np.ndarray | Vectors) -> list[reference.Row]:
    if not isinstance(result, Vectors):
        return result.tolist()
    return [part.tolist() for part in np.split(result.values, np.cumsum(result.lengths)[:-1])]


def test_vectors_broadcast_and_are_padded_per_row() -> None:
    a, b = vectors([[1, 2, 3], [4], [5, 6], [7]]), vectors([[1, 1, 1], [1, 2], [10], [1]])
    formula = Expression("a + b", ("a", "b"))
    assert to_rows(formula.evaluate({"a": a, "b": b})) == [[2, 3, 4], [5, 6], [15, 16], [8]]
    one = np.array([10.0, 20, 30, 40])
    assert to_rows(formula.evaluate({"a": a, "b": one})) == [[11, 12, 13], [24], [35, 36], [47]]
    padded = Expression("a * b", ("a", "b"), fill=0.5)
    assert to_rows(padded.evaluate({"a": vectors([[1, 2, 3]]), "b": vectors([[1, 2]])})) == [[1, 4, 1.5]]
    missing = to_rows(formula.evaluate({"a": vectors([[1, 2, 3]]), "b": vectors([[1, 2]])}))
    assert missing[0][:2] == [2, 4] and math.isnan(missing[0][2])
    assert to_rows(Expression("7", ("a",)).evaluate({"a": a})) == [7, 7, 7, 7]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *[("len(a)", [3, 1]), ("l2_norm(a)", [14**0.5, 5]), ("squared_norm(a)", [14, 25]), ("dot(a, b)", [6, 10])],
        *[("euclid_dist(a, b)", [5**0.5, 3]), ("reduce_min(a)", [1, 5]), ("reduce_max(a)", [3, 5])],
        *[("reduce_sum(a)", [6, 5]), ("reduce_mean(a)", [2, 5]), ("reduce_prod(a)", [6, 5])],
        # std_dev divides by n, pop_std_dev by n - 1
        *[("variance(a)", [2 / 3, 0]), ("std_dev(a)", [(2 / 3) ** 0.5, 0]), ("pop_variance(a)", [1, math.nan])],
        *[("pop_std_dev(a)", [1, math.nan]), ("corr(a, a * a)", [0.989743318610787, math.nan])],
        *[("dot(a, b) / len(a) + c", [12, 30]), ("c > 15 ? reduce_sum(a) : reduce_max(a)", [3, 5])],
        *[("reduce_sum(a - reduce_mean(a))", [0, 0]), ("reduce_sum(a > 1)", [2, 1])],
    ],
)
def test_functions_of_vectors_have_values(text: str, expected: list[float]) -> None:
    values = {"a": vectors([[1, 2, 3], [5]]), "b": vectors([[1, 1, 1], [2]]), "c": np.array([10.0, 20.0])}
    result = Expression(text, ("a", "b", "c")).evaluate(values)
    np.testing.assert_allclose(result, expected, rtol=1e-12)


number = st.floats(-100, 100, allow_nan=False)
row = st.lists(number, min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(row, row, number), min_size=1, max_size=6), st.sampled_from([math.nan, 0.0, 2.5]))
def test_vectors_equal_reference(rows: list[tuple[list[float], list[float], float]], fill: float) -> None:
    a, b = (vectors([row[i] for row in rows]) for i in (0, 1))
    c = np.array([row[2] for row in rows])
    values = {"a": a, "b": b, "c": c}
    results = to_rows(Expression("a * b - c", ("a", "b", "c"), fill).evaluate(values))
    for result, (left, right, number) in zip(results, rows, strict=True):
        expected = reference.elementwise(lambda x, y, z: x * y - z, fill, left, right, number)
        np.testing.assert_allclose(np.atleast_1d(result), expected, rtol=1e-12)
    dots = Expression("dot(a, b) + c", ("a", "b", "c"), fill).evaluate(values)
    expected = [sum(x * y for x, y in reference.padded(fill, left, right)) + number for left, right, number in rows]
    np.testing.assert_allclose(dots, expected, rtol=1e-9, atol=1e-9)


def test_result_of_row_does_not_depend_on_other_rows() -> None:
    a, b = vectors([[2], [1, 2]]), vectors([[3], [4, 5]])
    alone = {"a": np.array([2.0]), "b": np.array([3.0])}
    for text in ("a + b", "dot(a, b)", "len(a + b)"):
        together = to_rows(Expression(text, ("a", "b")).evaluate({"a": a, "b": b}))
        assert np.atleast_1d(together[0]) == Expression(text, ("a", "b"))(**alone)
