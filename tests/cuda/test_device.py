"""Proofs on a GPU: `pytest -m cuda`. The same tests run on the CPU, where the fast ones keep them from rotting."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import pytest
import torch
import torch.distributed as dist

from tests.fixtures import toy_model as toy
from tests.fixtures.devices import on_device
from tests.fixtures.pipelined_runs import EXAMPLES, Case, PlainPipeline, make_inputs
from tests.integration import test_examples
from tzrec.config.check import load_checked
from tzrec.distributed import group
from tzrec.distributed.shard import dense_parameters, shard
from tzrec.env import RankInfo
from tzrec.run import trainer as trainer_module
from tzrec.run.session import Session
from tzrec.tables import sharders
from tzrec.tables.id_exchange import IdExchange
from tzrec.tables.lookup_kernel import lookup_kernels
from tzrec.tables.sparse_optimizer import SparseOptimizer

CUDA = pytest.param("cuda", marks=pytest.mark.cuda, id="cuda")
SLOW_CPU = pytest.param("cpu", marks=pytest.mark.slow, id="cpu")
BOTH = ["cpu", CUDA]
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.config"))
SMALL = "multi_tower_sequences_taobao"
"""Example with small tables, bags and sequences."""
STEPS = 4
Losses = list[dict[str, float]]


def assert_near(losses: Losses, expected: Losses, rel: float) -> None:
    """Losses of all steps are near those expected."""
    assert len(losses) == len(expected) > 0
    for step, (one, two) in enumerate(zip(losses, expected, strict=True)):
        assert one == pytest.approx(two, rel=rel, abs=1e-5), step


@pytest.mark.parametrize("device", BOTH, indirect=True)
@pytest.mark.parametrize("optimizer", ["adagrad_optimizer", "rowwise_adagrad_optimizer", "adam_optimizer"])
def test_lookups_and_updates_equal_the_reference(device: torch.device, optimizer: str) -> None:
    """All kinds of lookups, and the kernels that update tables, against plain Python in double precision."""
    device = group.init(RankInfo(0, 1, 0, 1, launched=False))
    try:
        config, reference = toy.config(optimizer), toy.Reference(optimizer)
        torch.manual_seed(toy.SEED)
        model = shard(toy.Toy(toy.features()), config, device)
        sparse = SparseOptimizer(model.module, config.train_config.sparse_optimizer)
        dense = torch.optim.SGD([parameter for _, parameter in dense_parameters(model)], lr=0.1)
        for rows in toy.global_batches(5):
            sparse.param_groups[0]["lr"] = 0.1
            sparse.zero_grad()
            dense.zero_grad()
            batch = rows.batch().to(device)
            loss = (model(batch) - batch.label("y")).square().mean()
            loss.backward()
            sparse.step()
            dense.step()
            assert loss.item() == pytest.approx(reference.step(rows, 0.1), rel=1e-4)
        for kernel in lookup_kernels(model.module):
            for table, weight in kernel.shards:
                expected = reference.tables[table.name].float()
                torch.testing.assert_close(weight.detach().cpu(), expected, rtol=1e-3, atol=1e-4)
    finally:
        group.close()


@pytest.mark.parametrize("device", ["cuda"], indirect=True)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.cuda
def test_steps_of_every_example_equal_those_on_cpu(device: torch.device, name: str, tmp_path: Path) -> None:
    assert_equals_cpu(device, name, tmp_path)


@pytest.mark.parametrize("device", ["cpu"], indirect=True)
def test_steps_of_an_example_repeat(device: torch.device, tmp_path: Path) -> None:
    """The comparison of the test before, on the CPU with itself."""
    assert_equals_cpu(device, SMALL, tmp_path)


def assert_equals_cpu(device: torch.device, name: str, directory: Path) -> None:
    """Two steps without dropout, whose random numbers differ between devices in the other steps."""
    make_inputs(directory, {name})
    case = Case("case", name)
    losses = case.train(directory, "device", 2)
    with on_device("cpu"):
        expected = case.train(directory, "cpu", 2)
    has_dropout = "dropout" in (EXAMPLES / f"{name}.config").read_text()
    assert_near(losses, expected, rel=0.2 if has_dropout and device.type == "cuda" else 1e-3)


@pytest.mark.parametrize("device", BOTH, indirect=True)
def test_exchange_of_a_single_rank_equals_local_lookups(device: torch.device, tmp_path: Path) -> None:
    """With one rank NCCL can be proved as well: ids and vectors go through its collective operations."""
    case = Case("case", SMALL)
    make_inputs(tmp_path, {case.example})
    local = case.train(tmp_path, "local", STEPS)
    with (
        patch.object(sharders, "_is_local", lambda params, env: False),
        patch.object(IdExchange, "look_up", autospec=True, side_effect=IdExchange.look_up) as look_up,
    ):
        exchanged = case.train(tmp_path, "exchanged", STEPS)
    assert look_up.call_count >= STEPS
    assert_near(exchanged, local, rel=1e-5 if device.type == "cpu" else 1e-3)


@pytest.mark.parametrize("device", [CUDA], indirect=True)
def test_pipeline_equals_plain_loop(device: torch.device, tmp_path: Path) -> None:
    """On CUDA sums of gradients have no fixed order, so that the last bits of two runs differ."""
    case = Case("case", SMALL)
    make_inputs(tmp_path, {case.example})
    with patch.object(trainer_module, "TrainPipeline", PlainPipeline):
        plain = case.train(tmp_path, "plain", STEPS)
    assert_near(case.train(tmp_path, "pipelined", STEPS), plain, rel=1e-3)


@pytest.mark.parametrize("device", BOTH, indirect=True)
def test_batches_are_pinned_for_cuda_only(device: torch.device, tmp_path: Path) -> None:
    make_inputs(tmp_path, {"mmoe_taobao"})
    data = str(tmp_path / "mmoe_taobao" / "*.parquet")
    for should_pin in (True, False):
        edits = {"train_input_path": data, "model_dir": str(tmp_path), "data_config.pin_memory": should_pin}
        with Session.new(load_checked(str(EXAMPLES / "mmoe_taobao.config"), edits)) as session:
            batch = next(session.loader(data, "train").epoch())
        values = [*batch.dense.values(), *batch.sparse.values(), *batch.sequences.values()]
        tensors = [value.values() for value in values] + [batch.label(name) for name in batch.labels]
        assert len(tensors) > 2
        assert {tensor.is_pinned() for tensor in tensors} == {should_pin and device.type == "cuda"}


@pytest.mark.parametrize("device", BOTH, indirect=True)
def test_reduced_precision_stays_near_full_precision(device: torch.device, tmp_path: Path) -> None:
    make_inputs(tmp_path, {SMALL})
    full = Case("full", SMALL).train(tmp_path, "fp32", STEPS)
    for name, edits in {
        "bf16": {"train_config.mixed_precision": "BF16"},
        "tf32": {"train_config.cuda_matmul_allow_tf32": True, "train_config.cudnn_allow_tf32": True},
    }.items():
        assert_near(Case(name, SMALL, edits=edits).train(tmp_path, name, STEPS), full, rel=0.02)


@pytest.mark.parametrize("device", [CUDA], indirect=True)
@pytest.mark.parametrize(("first", "second"), [("cpu", "cuda"), ("cuda", "cpu")])
def test_checkpoint_continues_on_another_device(device: torch.device, first: str, second: str, tmp_path: Path) -> None:
    case = Case("case", "mmoe_taobao")
    make_inputs(tmp_path, {case.example})
    with on_device("cpu"):
        whole = case.train(tmp_path, "whole", STEPS)
    with on_device(first):
        losses = case.train(tmp_path, "moved", STEPS // 2)
    with on_device(second):
        losses += case.train(tmp_path, "moved", STEPS, resume=True)
    assert_near(losses, whole, rel=0.05)


@pytest.mark.parametrize("device", [SLOW_CPU, CUDA], indirect=True)
def test_all_commands_work_and_the_package_equals_the_checkpoint(device: torch.device, tmp_path: Path) -> None:
    test_examples.test_example_config_passes_all_commands(EXAMPLES / "mmoe_taobao.config", 1, tmp_path)


@pytest.mark.parametrize("device", BOTH, indirect=True)
def test_backend_exchanges_values_on_one_rank(device: torch.device) -> None:
    """Collective operations of the backend itself; the functions of `group` skip them on a single rank."""
    assert group.init(RankInfo(0, 1, 0, 1, launched=False)).type == device.type
    try:
        assert dist.get_backend() == ("nccl" if device.type == "cuda" else "gloo")
        values = torch.arange(3.0, device=device)
        dist.all_reduce(values)
        gathered = [torch.empty_like(values)]
        dist.all_gather(gathered, values)
        assert gathered[0].tolist() == [0.0, 1.0, 2.0]
    finally:
        group.close()


def test_cuda_tests_are_one_command() -> None:
    makefile = (Path(__file__).parents[2] / "Makefile").read_text()
    assert "timeout 300 $(BIN)/python -m pytest -m cuda" in makefile
