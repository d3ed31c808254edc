from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tzrec.errors import DataError
from tzrec.protos.serve_pb2 import QueueConfig
from tzrec.server.batcher import Batcher, ScoringRequest
from tzrec.server.errors import RequestError


class Doubling:
    """Doubles numbers; waits at the first batch until it is released."""

    def __init__(self) -> None:
        self.has_begun, self.release = threading.Event(), threading.Event()
        self.batches: list[int] = []

    def score(self, requests: Sequence[ScoringRequest]) -> pa.Table:
        rows = pa.concat_tables([request.rows for request in requests], promote_options="default")
        self.has_begun.set()
        assert self.release.wait(20)
        self.batches.append(rows.num_rows)
        if pc.any(pc.equal(rows["x"], -1)).as_py():
            raise DataError("row 0: column x has -1")
        return pa.table({"y": pc.multiply(rows["x"], 2)})


def rows(*values: object) -> ScoringRequest:
    return ScoringRequest(pa.table({"x": list(values)}))


def blocked(config: QueueConfig) -> tuple[Doubling, Batcher, Future[pa.Table]]:
    """A batcher whose thread works on a first request."""
    model = Doubling()
    batcher = Batcher(model.score, config, lambda num_rows, waited_s: None)
    first = batcher.submit(rows(1))
    assert model.has_begun.wait(20)
    return model, batcher, first


def test_batcher_scores_waiting_requests_together_and_gives_each_its_rows() -> None:
    model, batcher, first = blocked(QueueConfig(max_batch_rows=6))
    futures = [batcher.submit(rows(*range(n, n + 2))) for n in range(5)]
    other_type = batcher.submit(rows(0.5))
    model.release.set()
    assert first.result(20)["y"].to_pylist() == [2]
    assert [future.result(20)["y"].to_pylist() for future in futures] == [[2 * n, 2 * n + 2] for n in range(5)]
    assert other_type.result(20)["y"].to_pylist() == [1.0]
    assert model.batches == [1, 6, 4, 1]
    batcher.close()


def test_batcher_scores_what_fits_the_first_request_and_keeps_the_order_of_the_others() -> None:
    model, batcher, first = blocked(QueueConfig())
    user = pa.table({"u": ["a"]})
    one, ranked, empty = rows(1), ScoringRequest(rows(2).rows, user), ScoringRequest(pa.table({"x": pa.nulls(1)}))
    other_user = ScoringRequest(rows(3).rows, pa.table({"u": pa.nulls(1)}))
    futures = [batcher.submit(request) for request in (empty, ranked, one, rows(0.5), other_user, rows(4))]
    model.release.set()
    results = [future.result(20)["y"].to_pylist() for future in futures]
    assert results == [[None], [4], [2], [1.0], [6], [8]]
    assert model.batches == [1, 3, 2, 1]  # the first; no value, 1 and 4; both with a user; 0.5
    assert first.result(20)["y"].to_pylist() == [2]
    batcher.close()


def test_batcher_with_a_bad_request_answers_the_others() -> None:
    model, batcher, _ = blocked(QueueConfig())
    good, bad, cancelled = batcher.submit(rows(5)), batcher.submit(rows(-1)), batcher.submit(rows(7))
    assert cancelled.cancel()
    model.release.set()
    assert good.result(20)["y"].to_pylist() == [10]
    with pytest.raises(RequestError, match="row 0: column x has -1"):
        bad.result(20)
    batcher.close()


def test_batcher_refuses_requests_beyond_the_queue_and_after_the_deadline() -> None:
    model, batcher, _ = blocked(QueueConfig(max_rows=3, deadline_s=0.5))
    late = batcher.submit(rows(1, 2))
    with pytest.raises(RequestError, match="2 rows are waiting already") as raised:
        batcher.submit(rows(3, 4))
    assert raised.value.status == 429
    time.sleep(0.6)
    model.release.set()
    with pytest.raises(RequestError, match=r"waited for more than 0\.5 s") as raised:
        late.result(20)
    assert raised.value.status == 504
    batcher.close()
    with pytest.raises(RequestError, match="the model was unloaded") as raised:
        batcher.submit(rows(1))
    assert raised.value.status == 503


def test_batcher_with_two_threads_scores_two_batches_at_the_same_time() -> None:
    both = threading.Barrier(2)

    def score(requests: Sequence[ScoringRequest]) -> pa.Table:
        both.wait(20)  # breaks unless two batches are scored at once
        return pa.concat_tables([request.rows for request in requests])

    batcher = Batcher(score, QueueConfig(max_batch_rows=1), lambda num_rows, waited_s: None, num_threads=2)
    futures = [batcher.submit(rows(number)) for number in range(6)]
    assert [future.result(20)["x"].to_pylist() for future in futures] == [[number] for number in range(6)]
    batcher.close()
