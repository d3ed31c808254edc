"""TimePart: hour, weekday, day or month of a time, or the days between two times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from tzrec.errors import ConfigError, Problem
from tzrec.features import times
from tzrec.features.types.custom_feature import Operator

_DAYS = "days"
_PARTS = ("hour", "weekday", "day", "month", _DAYS)
_MICROSECONDS_PER_DAY = float(times.UNITS["days"])


class TimePart(Operator):
    """Part of a time; null where the time is missing.

    Args:
        params: `part`, one of hour (0 to 23), weekday (0 is Monday), day (1 to 31), month (1 to 12) and days; `format`,
            see `times.to_microseconds`, "iso" unless set; for days of one input `since`, a date such as 2024-01-01; of
            two inputs the days from the first to the second, with `format2` if that is written in another way.
    """

    is_thread_safe = True

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__(params)
        self._part = str(params.get("part", ""))
        if self._part not in _PARTS:
            raise _problem(f"TimePart needs part, one of {', '.join(_PARTS)}; received {self._part!r}")
        first = str(params.get("format", times.ISO))
        self._formats = (first, str(params.get("format2", first)))
        for text in self._formats:
            if not times.is_format(text):
                known = ", ".join(times.FORMATS)
                raise _problem(f"format {text!r} is neither one of {known} nor directives such as %d.%m.%Y")
        self._since = None if "since" not in params else self._read_since(str(params["since"]))

    def bind(self, names: tuple[str, ...]) -> None:
        """Refuse inputs that do not go with the part."""
        self._names = names
        if self._part == _DAYS and len(names) == 1 and self._since is None:
            raise _problem("days of one input need since, the date from which they count, such as 2024-01-01")
        if not (len(names) == 1 or (len(names) == 2 and self._part == _DAYS and self._since is None)):
            expected = "one time with since, or two times" if self._part == _DAYS else "one time"
            raise ConfigError([Problem("expression", f"{len(names)} inputs; {self._part} reads {expected}")])

    def __call__(self, *columns: pa.Array) -> pa.Array:
        read = [times.to_microseconds(*item) for item in zip(columns, self._formats, self._names, strict=False)]
        numbers, present, is_wrong = read[-1]
        if self._part != _DAYS:
            # -1 is no part of any time, so that the feature reports it as a bad value
            return pa.array(np.where(is_wrong, -1, times.parts(numbers)[self._part]), mask=~(present | is_wrong))
        begin, has_begin, is_wrong_begin = read[0]
        is_wrong = is_wrong | is_wrong_begin if len(read) == 2 else is_wrong
        present = present & has_begin
        days = (numbers - (begin if self._since is None else self._since)) / _MICROSECONDS_PER_DAY
        return pa.array(np.where(is_wrong, np.nan, days), mask=~(present | is_wrong))

    @staticmethod
    def _read_since(text: str) -> int:
        numbers, present, _ = times.to_microseconds(pa.array([text]), times.ISO, "since")
        if not present[0]:
            raise _problem(f"since {text!r} is no date such as 2024-01-01")
        return int(numbers[0])


def _problem(message: str) -> ConfigError:
    return ConfigError([Problem("operator_params", message)])
