"""Threads share a Predictor: each gets the scores of its own rows."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest
from torch import Tensor

from tests.fixtures.small_model import exported_package, small_config, small_encoder, small_model, small_rows
from tzrec.serving.predictor import Predictor, load
from tzrec.serving.servable import Servable

USER = ["user", "friend", "scores", "place", "clicks__item", "clicks__tags", "clicks__price"]
THREADS, CALLS = 6, 20


@pytest.fixture(autouse=True)
def quick_switches() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


class SharedInputs(Servable):
    """A scorer that is not safe: its inputs lie where another thread overwrites them."""

    def predict(self, inputs: tuple[Tensor, ...]) -> dict[str, Tensor]:
        self.latest = inputs
        time.sleep(0.001)
        return super().predict(self.latest)


def predict(predictor: Predictor, rows: pa.Table) -> pa.Table:
    return predictor.predict(rows)


def rank(predictor: Predictor, rows: pa.Table) -> pa.Table:
    return predictor.rank(rows.select(USER).slice(0, 1), rows.drop_columns(USER))


def num_wrong(predictor: Predictor, score: Callable[[Predictor, pa.Table], pa.Table]) -> int:
    """Count the calls, of several threads at the same time, whose scores are not those of the same rows alone."""
    table = small_rows(THREADS * CALLS + 40)
    slices = [table.slice(index, 1 + index % 37) for index in range(THREADS * CALLS)]
    expected = [score(predictor, rows) for rows in slices]
    with ThreadPoolExecutor(THREADS) as pool:
        received = list(pool.map(lambda rows: score(predictor, rows), slices))
    return sum(not is_close(left, right) for left, right in zip(received, expected, strict=True))


def is_close(left: pa.Table, right: pa.Table) -> bool:
    """True if two tables of scores are equal up to rounding."""
    if left.num_rows != right.num_rows:
        return False
    pairs = ((np.stack(left[name].to_numpy()), np.stack(right[name].to_numpy())) for name in right.column_names)
    return all(np.allclose(one, other, atol=1e-6) for one, other in pairs)


@pytest.mark.parametrize("score", [predict, rank])
def test_threads_with_one_predictor_get_their_own_scores(score: Callable[[Predictor, pa.Table], pa.Table]) -> None:
    assert num_wrong(load(exported_package()), score) == 0


def test_threads_with_an_unsafe_scorer_get_wrong_scores() -> None:
    unsafe = SharedInputs.from_model(small_model())
    assert num_wrong(Predictor(unsafe, small_config(), small_encoder()), predict) > 0
