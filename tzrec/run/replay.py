"""Replay a log of requests with a package, and compare its scores with the logged ones: `tzrec replay`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tzrec.errors import DataError, UsageError, first_line
from tzrec.formatting import format_columns
from tzrec.serving.predictor import Predictor
from tzrec.serving.request_log import LoggedRequest

TOP = 10
"""Number of first items that are compared."""
_SHARES = {"50 %": 0.5, "90 %": 0.9, "99 %": 0.99, "max": 1.0}

Scores = npt.NDArray[np.float64]


@dataclass
class OutputComparison:
    """Differences of one output over all requests, |new - logged|.

    Attributes:
        differences: of each request, `(B,)` or `(B * C,)` for outputs of C numbers.
        num_ordered: requests with at least two rows, for an output of one number per row.
        num_reordered: of them, those whose rows have another order by this output.
        num_other_first: of them, those with another first row.
        overlap: sum over them of the share of the first TOP rows that stay among them.
    """

    differences: list[Scores] = field(default_factory=list)
    num_ordered: int = 0
    num_reordered: int = 0
    num_other_first: int = 0
    overlap: float = 0.0

    def add(self, logged: Scores, new: Scores) -> None:
        """Add the values of a request, `(B,)` or `(B, C)`; equal values that are not finite do not differ."""
        with np.errstate(invalid="ignore"):
            is_equal = (logged == new) | (np.isnan(logged) & np.isnan(new))
            difference = np.where(is_equal, 0.0, np.abs(new - logged))
        self.differences.append(np.nan_to_num(difference, nan=np.inf, posinf=np.inf).ravel())
        if logged.ndim == 1 and len(logged) > 1:
            before, after = (np.argsort(-values, kind="stable") for values in (logged, new))
            top = min(TOP, len(logged))
            self.num_ordered += 1
            self.num_reordered += bool((before != after).any())
            self.num_other_first += bool(before[0] != after[0])
            self.overlap += len(np.intersect1d(before[:top], after[:top])) / top

    def row(self) -> dict[str, str]:
        """The cells of the output in a table."""
        values = np.concatenate(self.differences)
        ranks = [int(np.ceil(share * len(values))) - 1 for share in _SHARES.values()]
        ordered = np.sort(values)
        shares = {"reordered": self.num_reordered, "other first": self.num_other_first, f"top {TOP} kept": self.overlap}
        return {
            "values": f"{len(values):,}",
            "equal": _percent(int((values == 0).sum()), len(values)),
            **{name: f"{ordered[rank]:.2g}" for name, rank in zip(_SHARES, ranks, strict=True)},
            **{name: _percent(share, self.num_ordered) for name, share in shares.items()},
        }


@dataclass
class ReplayResult:
    """Comparison of a package with a log.

    Attributes:
        num_requests: that were compared.
        outputs: by name, those that both have.
        only_logged: names of outputs that the package lacks.
        only_new: names of outputs that the log lacks.
        refused: reasons for which the package refused requests, with their numbers.
    """

    num_requests: int = 0
    outputs: dict[str, OutputComparison] = field(default_factory=lambda: defaultdict(OutputComparison))
    only_logged: set[str] = field(default_factory=set)
    only_new: set[str] = field(default_factory=set)
    refused: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def max_difference(self) -> float:
        """The greatest difference of all outputs; 0 without any."""
        return max((float(d.max(initial=0)) for o in self.outputs.values() for d in o.differences), default=0.0)

    def as_text(self) -> str:
        """Format a table with a line for each output, and what could not be compared."""
        rows = {name: self.outputs[name].row() for name in sorted(self.outputs)}
        lines = [f"{self.num_requests:,} requests replayed"]
        if rows:
            header = ["|new - logged|", *next(iter(rows.values()))]
            cells = [header, *([name, *row.values()] for name, row in rows.items())]
            lines.append(format_columns(cells, right=range(1, len(header))))
        for text, names in (("of the log only", self.only_logged), ("of the package only", self.only_new)):
            if names:
                lines.append(f"outputs {text}: {', '.join(sorted(names))}")
        lines += [f"{count:,} requests refused by the package: {reason}" for reason, count in self.refused.items()]
        return "\n".join(lines)


def replay(requests: Iterable[LoggedRequest], predictor: Predictor, model: str = "") -> ReplayResult:
    """Score logged requests again, each by itself.

    Args:
        requests: of a log.
        predictor: of the package.
        model: name of the model whose requests are replayed; "" for the only one of the log.

    Raises:
        UsageError: there is no request, or there are those of several models.
    """
    result, names = ReplayResult(), set()
    for request in requests:
        names.add(request.model)
        if not model and len(names) > 1:
            raise UsageError(f"the log has requests of the models {' and '.join(sorted(names))}; choose --model_name")
        if model in ("", request.model):
            _compare(request, predictor, result)
    if result.num_requests == 0 and not result.refused:
        raise UsageError(f"the log has no request of {model}, only of {', '.join(sorted(names))}" if names else _EMPTY)
    return result


_EMPTY = "the log has no requests; see request_log.sampling_rate of the server's config"


def _compare(request: LoggedRequest, predictor: Predictor, result: ReplayResult) -> None:
    try:
        scores = _score(request, predictor)
    except DataError as error:
        result.refused[first_line(error)] += 1
        return
    result.num_requests += 1
    logged, new = (_by_name(table) for table in (request.scores, scores))
    result.only_logged |= logged.keys() - new.keys()
    result.only_new |= new.keys() - logged.keys()
    for name in logged.keys() & new.keys():
        if logged[name].shape != new[name].shape:
            result.refused[f'output "{name}" has the shape {new[name].shape[1:]}, not {logged[name].shape[1:]}'] += 1
        else:
            result.outputs[name].add(logged[name], new[name])


def _score(request: LoggedRequest, predictor: Predictor) -> pa.Table:
    """Score a request; columns that the package reads and the log lacks are missing in all rows."""
    names = request.rows.column_names + (request.user.column_names if request.user is not None else [])
    rows = request.rows
    for name in predictor.columns:
        if name not in names:
            rows = rows.append_column(name, pa.nulls(rows.num_rows))
    return predictor.predict(rows) if request.user is None else predictor.rank(request.user, rows)


def _by_name(table: pa.Table) -> Mapping[str, Scores]:
    """Numbers of each output, `(B,)` or `(B, ...)`."""
    return {name: np.array(table.column(name).to_pylist(), np.float64) for name in table.column_names}


def _percent(count: float, total: int) -> str:
    return f"{100 * count / total:.4g} %" if total else "-"
