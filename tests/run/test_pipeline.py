"""Training pipeline: the order of its calls, and runs that are equal to the bit to runs without it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.fixtures.pipelined_runs import BATCH, CASES, STEPS, STOP, Case, make_inputs, train_both_ways, two_ranks_job
from tests.fixtures.rank_pool import RankPool
from tests.fixtures.small_run import assert_equal, results, tensors
from tzrec.checkpoint import store
from tzrec.checkpoint.position import Position
from tzrec.data.batch import Batch, Cursor
from tzrec.run.pipeline import Step, TrainPipeline, read_steps
from tzrec.run.stop_condition import StopCondition
from tzrec.run.streams import Streams


def slow(case: object) -> object:
    return pytest.param(case, marks=pytest.mark.slow, id=getattr(case, "name", "others"))


ONE_RANK = [Case(case.name, case.example, "", case.edits) for case in (CASES[0], *CASES[2:4])]


class RecordingStreams(Streams):
    """Streams of the CPU that record what runs on them: the batch by its number of rows."""

    def __init__(self, calls: list[str]) -> None:
        super().__init__(torch.device("cpu"))
        self.calls, self.current = calls, "main"

    @contextmanager
    def _on(self, name: str) -> Iterator[None]:
        self.current = name
        yield
        self.current = "main"

    def copying(self) -> contextmanager:  # type: ignore[type-arg]
        return self._on("copy")  # type: ignore[return-value]

    def exchanging(self) -> contextmanager:  # type: ignore[type-arg]
        return self._on("exchange")  # type: ignore[return-value]

    def record(self, call: str, batch: Batch) -> None:
        self.calls.append(f"{self.current}: {call} {batch.rows}")

    def to_device(self, batch: Batch) -> Batch:
        self.record("copy", batch)
        return batch

    def take_copied(self, batch: Batch) -> None:
        self.record("take copied", batch)

    def take_exchanged(self, batch: Batch) -> None:
        self.record("take exchanged", batch)


class RecordingExchange:
    """Exchange that records its phases."""

    def __init__(self, streams: RecordingStreams, batch: Batch) -> None:
        self._streams, self._batch = streams, batch
        streams.record("numbers", batch)

    def send(self) -> None:
        self._streams.record("send", self._batch)

    def receive(self) -> None:
        self._streams.record("receive", self._batch)


@pytest.fixture
def make_pipeline(alone: None) -> Callable[[int, list[str]], TrainPipeline]:
    """Return a function that makes a pipeline over a number of batches with 1, 2, ... rows."""

    def make(num_steps: int, calls: list[str]) -> TrainPipeline:
        streams = RecordingStreams(calls)
        steps = (Step(Batch(rows), Position(rows - 2), Position(rows - 1)) for rows in range(1, num_steps + 1))
        return TrainPipeline(steps, lambda batch: (batch, [RecordingExchange(streams, batch)]), streams)  # type: ignore

    return make


FILLED = ["copy: copy 1", "exchange: take copied 1", "exchange: numbers 1", "copy: copy 2", "exchange: send 1"]
FIRST = ["exchange: receive 1", "main: take exchanged 1", "exchange: take copied 2", "exchange: numbers 2"]
SECOND = [
    "exchange: send 2",
    "exchange: receive 2",
    "main: take exchanged 2",
    "exchange: take copied 3",
    "exchange: numbers 3",
]


def test_pipeline_prepares_next_batches_before_the_step(make_pipeline: Callable[..., TrainPipeline]) -> None:
    calls: list[str] = []
    pipeline = make_pipeline(3, calls)
    assert next(pipeline).batch.rows == 1
    assert calls == [*FILLED, *FIRST, "copy: copy 3"]
    calls.clear()
    pipeline.advance()  # after the forward pass of the first step
    assert next(pipeline).batch.rows == 2
    assert calls == SECOND
    calls.clear()
    pipeline.advance()
    assert next(pipeline).batch.rows == 3
    assert calls == ["exchange: send 3", "exchange: receive 3", "main: take exchanged 3"]
    pipeline.advance()
    assert next(pipeline, None) is None
    pipeline.close()
    assert len(calls) == 3


@pytest.mark.parametrize("should_advance", [True, False])
def test_close_receives_what_other_ranks_send(
    make_pipeline: Callable[..., TrainPipeline], should_advance: bool
) -> None:
    calls: list[str] = []
    pipeline = make_pipeline(9, calls)
    next(pipeline)
    if should_advance:
        pipeline.advance()
    pipeline.close()
    assert calls == [
        *FILLED,
        *FIRST,
        "copy: copy 3",
        "exchange: send 2",
        "exchange: receive 2",
        "main: take exchanged 2",
    ]
    assert next(pipeline, None) is None


@pytest.mark.parametrize("num_steps", range(6))
def test_pipeline_yields_each_step_once_up_to_a_stop(
    make_pipeline: Callable[..., TrainPipeline], num_steps: int
) -> None:
    """The exchanges depend on the numbers of steps alone, in which all ranks agree."""
    for num_trained in range(num_steps + 1):
        calls: list[str] = []
        pipeline, trained = make_pipeline(num_steps, calls), []
        for _ in range(num_trained):
            trained.append(next(pipeline).batch.rows)
            pipeline.advance()
        assert num_trained < num_steps or next(pipeline, None) is None
        pipeline.close()
        assert trained == list(range(1, num_trained + 1))
        exchanged = range(1, min(num_trained + 1, num_steps) + 1) if num_trained else range(0)
        for phase in ("numbers", "send", "receive"):
            of_phase = [call for call in calls if f": {phase} " in call]
            assert of_phase == [f"exchange: {phase} {step}" for step in exchanged], (num_trained, phase)


def test_pipeline_without_steps_is_empty(make_pipeline: Callable[..., TrainPipeline]) -> None:
    calls: list[str] = []
    assert list(make_pipeline(0, calls)) == []
    assert calls == []


def epochs(sizes: list[int]) -> Callable[[Cursor], Iterator[Batch]]:
    """Return a function that opens an epoch of batches with the given sizes at a cursor."""

    def open_epoch(cursor: Cursor) -> Iterator[Batch]:
        row = 0
        for rows in sizes:
            row += rows
            if row > cursor.row:
                yield Batch(rows, cursor=replace(cursor, row=row))

    return open_epoch


@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [
        (Position(), StopCondition(5), [(0, 0, 4), (1, 0, 8), (2, 1, 0), (3, 1, 4), (4, 1, 8)]),
        (Position(), StopCondition(None, 1), [(0, 0, 4), (1, 0, 8), (2, 1, 0)]),
        (Position(6, Cursor(1, 4)), StopCondition(9), [(7, 1, 8), (8, 2, 0)]),
        (Position(6, Cursor(1, 10)), StopCondition(9), [(7, 2, 4), (8, 2, 8)]),
        (Position(6, Cursor(1, 4)), StopCondition(7), []),
    ],
    ids=["steps", "epochs", "resumed", "at the end of an epoch", "complete"],
)
def test_read_steps_yields_positions_of_the_data(
    alone: None, start: Position, stop: StopCondition, expected: list[tuple[int, int, int]]
) -> None:
    open_epoch = epochs([4, 4, 2])
    steps = list(read_steps(open_epoch(start.cursor), open_epoch, start, stop))
    assert [(step.after.step, step.after.cursor.epoch, step.after.cursor.row) for step in steps] == expected
    assert [step.before for step in steps[1:]] == [step.after for step in steps[:-1]]
    if start.cursor.row == 10:
        assert steps[0].before == start.next_epoch()


def assert_checkpoints_equal(plain: Path, other: Path) -> None:
    """The weights, optimizer states and data positions of two runs are equal."""
    assert_equal(tensors(plain, STEPS - 1), tensors(other, STEPS - 1))
    assert position(plain) == position(other)


def position(model_dir: Path) -> Position:
    return store.find(model_dir).position


@pytest.mark.parametrize("case", [pytest.param(ONE_RANK[0], id="quick"), *map(slow, ONE_RANK[1:])])
def test_pipelined_run_equals_plain_run_on_one_rank(case: Case, tmp_path: Path) -> None:
    make_inputs(tmp_path, {case.example})
    train_both_ways(case, tmp_path)
    plain, pipelined = case.model_dir(tmp_path, "plain"), case.model_dir(tmp_path, "pipelined")
    assert results(plain) == results(pipelined)
    assert_checkpoints_equal(plain, pipelined)


@pytest.mark.parametrize("cases", [pytest.param(CASES[:1], id="quick"), slow(CASES[1:])])
def test_pipelined_run_equals_plain_run_on_two_ranks(cases: list[Case], tmp_path: Path) -> None:
    """The last step of an epoch has 32 rows on one rank and 22 on the other.

    A run that one rank stops continues as if it had not: batches that were read ahead of the stop are read again.
    """
    make_inputs(tmp_path, {case.example for case in cases})
    with RankPool(2) as ranks:
        assert ranks.run(2, two_ranks_job, cases, tmp_path, limit_s=900) == [len(cases)] * 2
    for case in cases:
        assert_checkpoints_equal(case.model_dir(tmp_path, "plain"), case.model_dir(tmp_path, "pipelined"))
    stopped = cases[0].model_dir(tmp_path, "stopped")
    at_stop = store.find(stopped / f"model.ckpt-{STOP}").position
    assert (at_stop.step, at_stop.cursor.row) == (STOP, 2 * BATCH * (STOP + 1))
    assert_checkpoints_equal(cases[0].model_dir(tmp_path, "plain"), stopped)
