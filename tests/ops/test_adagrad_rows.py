"""Adagrad on looked-up rows: the CPU kernel against the reference; tests/tables holds it against fbgemm's kernel."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from tzrec.ops.adagrad_rows import cpu, reference
from tzrec.ops.adagrad_rows.reference import Lookups, Tables


def make_tables(sizes: Sequence[tuple[int, int]], owners: Sequence[int]) -> Tables:
    """Tables of (rows, width); `owners` is the table of each feature."""
    starts = [0]
    for rows, width in sizes:
        starts.append(starts[-1] + rows * width)
    features, column = [], 0
    for table in owners:
        features.append((starts[table], column, sizes[table][1]))
        column += sizes[table][1]
    return Tables(torch.randn(starts[-1]), torch.rand(starts[-1]), torch.tensor(features))


def make_lookups(tables: Tables, rows: Sequence[int], lengths: torch.Tensor, scaled: bool) -> Lookups:
    """Random ids; `rows` is the number of rows per feature, lengths are (F, B)."""
    ids = torch.cat([torch.randint(size, (int(n),)) for size, n in zip(rows, lengths.sum(1), strict=True)])
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.flatten().cumsum(0)])
    return Lookups(ids, offsets, torch.rand(len(ids)) if scaled else None)


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize(
    ("sizes", "owners", "batch_size"),
    [([(50, 16)], [0], 40), ([(3, 4), (1000, 36), (1, 64)], [0, 1, 2], 30), ([(30, 8), (7, 8)], [0, 0, 0, 1], 25)],
)
def test_adagrad_rows_cpu_equals_reference(
    sizes: list[tuple[int, int]], owners: list[int], batch_size: int, scaled: bool
) -> None:
    """The same rows change, up to rounding; rows of different lengths, some of them empty."""
    tables = make_tables(sizes, owners)
    lengths = torch.randint(0, 4, (len(owners), batch_size))
    lookups = make_lookups(tables, [sizes[table][0] for table in owners], lengths, scaled)
    gradient = torch.randn(batch_size, sum(sizes[table][1] for table in owners))
    expected = Tables(tables.weights.clone(), tables.sums.clone(), tables.features)
    before = tables.weights.clone()
    reference.adagrad_rows(expected, lookups, gradient, 0.1, 1e-8)
    cpu.adagrad_rows(tables, lookups, gradient, 0.1, 1e-8)
    assert ((tables.weights != before) == (expected.weights != before)).all()
    torch.testing.assert_close(tables.weights, expected.weights, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(tables.sums, expected.sums, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("adagrad_rows", [cpu.adagrad_rows, reference.adagrad_rows])
def test_adagrad_rows_of_one_table(adagrad_rows) -> None:
    """Row 1 is looked up twice, with gradients 1 and 2; row 0 once, with 4; row 2 not at all."""
    tables = Tables(torch.ones(12), torch.full((12,), 16.0), torch.tensor([[0, 0, 4]]))
    gradient = torch.tensor([[1.0], [4.0], [2.0]]).expand(3, 4)
    adagrad_rows(tables, Lookups(torch.tensor([1, 0, 1]), torch.arange(4)), gradient, 0.5, 1e-8)
    assert tables.sums.tolist() == [32.0] * 4 + [25.0] * 4 + [16.0] * 4
    assert tables.weights.view(3, 4)[:, 0].tolist() == pytest.approx([1 - 2 / 32**0.5, 1 - 1.5 / 5, 1.0], rel=1e-6)


@pytest.mark.parametrize("num_threads", [2, 3, 7])
def test_adagrad_rows_of_many_threads_equals_one(num_threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit, with a table that is most of the work and so is divided."""
    monkeypatch.setattr(cpu, "_MIN_VALUES", 1)
    tables = make_tables([(5, 16), (400, 16), (9, 32)], [0, 1, 1, 2])
    one = Tables(tables.weights.clone(), tables.sums.clone(), tables.features)
    lookups = make_lookups(tables, [5, 400, 400, 9], torch.randint(0, 9, (4, 50)), False)
    gradient = torch.randn(50, 80)
    cpu.adagrad_rows(one, lookups, gradient, 0.1, 1e-8)
    monkeypatch.setattr(torch, "get_num_threads", lambda: num_threads)
    cpu.adagrad_rows(tables, lookups, gradient, 0.1, 1e-8)
    assert torch.equal(tables.weights, one.weights)
    assert torch.equal(tables.sums, one.sums)


@pytest.mark.parametrize("batch_size", [0, 3])
def test_adagrad_rows_without_ids_changes_nothing(batch_size: int) -> None:
    tables = make_tables([(5, 4), (2, 4)], [0, 1])
    before = tables.weights.clone()
    empty = Lookups(torch.empty(0, dtype=torch.int64), torch.zeros(2 * batch_size + 1, dtype=torch.int64))
    cpu.adagrad_rows(tables, empty, torch.randn(batch_size, 8), 0.1, 1e-8)
    assert torch.equal(tables.weights, before)


def test_jobs_divide_work_evenly() -> None:
    """Three equal tables on two threads: three halves each; rows of a table that is not looked up are nobody's job."""
    features = torch.tensor([[0, 0, 16], [16000, 16, 16], [32000, 32, 16], [48000, 48, 16]]).numpy()
    bounds = torch.tensor([0, 8192, 16384, 16384, 24576]).numpy()
    jobs = cpu._jobs(features, bounds, 2)
    assert [len(part) for part in jobs] == [3, 3]
    assert sorted(job[2] for part in jobs for job in part.tolist()) == [0, 0, 16000, 16000, 48000, 48000]
    assert [len(part) for part in cpu._jobs(features, bounds // 100, 2)] == [3]
