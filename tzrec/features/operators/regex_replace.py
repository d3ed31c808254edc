"""RegexReplace: replace the matches of a regular expression."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tzrec.config.regex import compile_regex
from tzrec.errors import ConfigError, Problem
from tzrec.features.types.custom_feature import Operator

_PATTERN_NAMES = ("regex_patten", "regex_pattern", "pattern")
"""Names of the parameter; the first one is that of TorchEasyRec."""


class RegexReplace(Operator):
    r"""Replace all matches of a regular expression in a text; null for a missing text.

    Args:
        params: `regex_pattern`, in the syntax of RE2, and `replacement`, where `\1` is the first group of a match.
    """

    is_thread_safe = True

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__(params)
        pattern = next((params[name] for name in _PATTERN_NAMES if params.get(name)), None)
        if pattern is None:
            message = f"RegexReplace needs {_PATTERN_NAMES[0]} (or {' or '.join(_PATTERN_NAMES[1:])}), the expression"
            raise ConfigError([Problem("operator_params", message)])
        self._replacement = str(params.get("replacement", ""))
        try:
            self._pattern = compile_regex(str(pattern)).pattern
            self._replace(pa.array(["text"]))
        except ValueError as error:  # of Arrow if the replacement names a group that does not exist
            raise ConfigError([Problem("operator_params", str(error))]) from None

    def bind(self, names: tuple[str, ...]) -> None:
        """Refuse another number of inputs than one."""
        if len(names) != 1:
            raise ConfigError([Problem("expression", f"{len(names)} inputs; RegexReplace reads one text")])

    def __call__(self, *columns: pa.Array) -> pa.Array:
        return self._replace(columns[0].cast(pa.large_string()))

    def _replace(self, texts: pa.Array) -> pa.Array:
        return pc.replace_substring_regex(texts, self._pattern, self._replacement)
