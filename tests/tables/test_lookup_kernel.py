"""Observers of lookups on a sharded model."""

from __future__ import annotations

from torch import Tensor

from tests.fixtures import toy_model
from tests.fixtures.toy_training import Case, Run
from tzrec.tables.lookup_kernel import lookup_kernels, observe_lookups


class Recorder:
    """Observer that stores the rows by table."""

    def __init__(self) -> None:
        self.rows: dict[str, list[int]] = {}

    def on_lookup(self, table: str, rows: Tensor) -> None:
        self.rows[table] = self.rows.get(table, []) + rows.tolist()


def flat(rows: list[list[int]]) -> list[int]:
    return [i for row in rows for i in row]


def test_observer_receives_the_rows_of_every_table(alone: None) -> None:
    run, recorder = Run(Case("one", "adagrad_optimizer")), Recorder()
    handles = observe_lookups(run.model.module, recorder)
    batch = next(toy_model.global_batches())
    run.model(batch.batch())
    ids = {name: flat(rows) for name, rows in batch.ids.items()}
    assert sorted(recorder.rows["ids"]) == sorted(ids["a"] + ids["c"])
    assert recorder.rows["b_emb"] == ids["b"]
    assert recorder.rows["sequence.s_emb"] == ids["s"]
    assert len(recorder.rows) == 8
    recorder.rows.clear()
    for handle in handles:
        handle.remove()
    run.model(batch.batch())
    assert recorder.rows == {}


def test_lookups_have_no_observer_by_default(alone: None) -> None:
    run = Run(Case("one", "adagrad_optimizer"))
    for kernel in lookup_kernels(run.model.module):
        assert not kernel.module._forward_pre_hooks
