"""The form of a normalizer: `method=log10,threshold=1e-10,default=-10` and its kin."""

from __future__ import annotations

from collections.abc import Mapping

from tzrec.config.names import hint

# method -> parameter -> whether it must be given
_METHODS: Mapping[str, Mapping[str, bool]] = {
    "log10": {"threshold": False, "default": False},
    "zscore": {"mean": True, "standard_deviation": True},
    "minmax": {"min": True, "max": True},
}
_ALL = (*_METHODS, "expression")


def normalizer_problem(text: str) -> str:
    """What is wrong with a normalizer, or ""; formulas are read by the feature itself."""
    if not text:
        return ""
    head, _, formula = text.partition("expr=")  # a formula may hold commas and equal signs
    given = dict(_pair(part) for part in head.split(",") if part.strip())
    method = given.pop("method", "")
    if method not in _ALL:
        return f'unknown method "{method}"{hint(method, _ALL)}; write e.g. method=zscore,mean=0,standard_deviation=1'
    if method == "expression":
        return "" if formula.strip() else "method=expression needs expr, e.g. method=expression,expr=sign(x)*log(1+x)"
    return _parameters_problem(method, given)


def _pair(part: str) -> tuple[str, str]:
    key, _, value = part.partition("=")
    return key.strip(), value.strip()


def _parameters_problem(method: str, given: Mapping[str, str]) -> str:
    known = _METHODS[method]
    for name, value in given.items():
        if name not in known:
            return f'{method} has no parameter "{name}"{hint(name, known)}'
        if not is_number(value):
            return f'{method}: {name} is a number, received "{value}"'
    missing = [name for name, needed in known.items() if needed and name not in given]
    return f"{method} needs {' and '.join(missing)}" if missing else ""


def is_number(text: str) -> bool:
    """Whether a word is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
