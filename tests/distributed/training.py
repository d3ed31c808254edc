"""Trains the toy sharded, on as many ranks as there are; run as a module it is one of two ranks.

    RANK=0 WORLD_SIZE=2 ... python -m tests.distributed.training DIR

writes what every case did into DIR, for the tests to compare.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch import Tensor
from torchrec.distributed.model_parallel import DistributedModelParallel

from tests.distributed import toy
from tzrec import env
from tzrec.distributed import group
from tzrec.distributed.shard import dense_parameters, shard
from tzrec.optim.loss_scale import LossScale
from tzrec.optim.pareto import Pareto
from tzrec.tables.lookup_kernel import lookup_kernels
from tzrec.tables.plan_summary import plan_json
from tzrec.tables.sparse_optimizer import SparseOptimizer

Piece = tuple[str, int, int, Tensor]
"""Name, first row, first column, values."""


def whole(pieces: Iterable[Piece]) -> dict[str, Tensor]:
    """Tables from the pieces of all ranks; a value that nobody holds is NaN."""
    tables = {table.name: torch.full((table.rows, table.dim), torch.nan) for table in toy.TABLES.values()}
    for name, row, column, value in pieces:
        tables[name][row : row + value.shape[0], column : column + value.shape[1]] = value
    return tables


LEAST = [0.1, 0.2, 0.0]
"""Lower bounds of the weights of three losses."""


@dataclass(frozen=True)
class Case:
    """An optimizer, its fields, and the sharding types all tables are held to."""

    name: str
    optimizer: str
    types: tuple[str, ...] = ()
    fields: dict[str, Any] = field(default_factory=dict)


ADAGRAD = "adagrad_optimizer"
CASES = [
    Case("default", ADAGRAD),
    Case("table_wise", ADAGRAD, ("table_wise",)),
    Case("row_wise", ADAGRAD, ("row_wise",)),
    Case("column_wise", ADAGRAD, ("column_wise",)),
    Case("data_parallel", ADAGRAD, ("data_parallel",)),
    Case("accumulator", ADAGRAD, ("row_wise",), {"initial_accumulator_value": 0.5}),
    Case("accumulator_replicated", ADAGRAD, ("data_parallel",), {"initial_accumulator_value": 0.5}),
    Case("clipped", "sgd_optimizer", ("table_wise",), {"gradient_clipping": True, "max_gradient": 0.002}),
    Case("clipped_replicated", "sgd_optimizer", ("data_parallel",), {"gradient_clipping": True, "max_gradient": 0.002}),
    Case("sgd_row_wise", "sgd_optimizer", ("row_wise",)),
    Case("rowwise_table_wise", "rowwise_adagrad_optimizer", ("table_wise",)),
    Case("rowwise_row_wise", "rowwise_adagrad_optimizer", ("row_wise",)),
    Case("rowwise_data_parallel", "rowwise_adagrad_optimizer", ("data_parallel",)),
    Case("adam_table_wise", "adam_optimizer", ("table_wise",)),
    Case("adam_row_wise", "adam_optimizer", ("row_wise",)),
    Case("adam_column_wise", "adam_optimizer", ("column_wise",)),
    Case("adam_data_parallel", "adam_optimizer", ("data_parallel",)),
    Case("partial_rowwise_adam_row_wise", "partial_rowwise_adam_optimizer", ("row_wise",)),
]
SCALED = ["default", "row_wise", "clipped", "clipped_replicated"]
"""Cases that are run with a loss scale as well."""
WEIGHED = [case for case in CASES if (case.optimizer == ADAGRAD and not case.fields) or case.name == "adam_row_wise"]
"""Cases whose losses are weighed as well."""
MOVES = [("row_wise", "table_wise"), ("column_wise", "data_parallel"), ("data_parallel", "row_wise")]
"""Checkpoints of one case restored into another, both on two ranks."""


class Run:
    """A sharded toy with its optimizers."""

    def __init__(self, case: Case, scale: LossScale | None = None) -> None:
        self.scale = scale
        self.config = toy.config(case.optimizer, **case.fields)
        torch.manual_seed(toy.SEED)
        model = toy.Toy(toy.features(case.types))
        self.model: DistributedModelParallel = shard(model, self.config, torch.device("cpu"))
        world = torch.distributed.get_world_size()
        guard = scale.guard if scale else None
        self.sparse = SparseOptimizer(self.model.module, self.config.train_config.sparse_optimizer, world, guard)
        self.dense = torch.optim.SGD([param for _, param in dense_parameters(self.model)], lr=0.1)

    def step(self, rows: toy.Rows, lr: float, pareto: Pareto | None = None) -> float:
        """One step on this rank's share; the mean loss of all ranks. Asking for weights must change nothing of it."""
        world, rank = torch.distributed.get_world_size(), torch.distributed.get_rank()
        share = 2 * toy.ROWS // world
        batch = rows.cut(rank * share, (rank + 1) * share).batch()
        self.sparse.param_groups[0]["lr"] = lr
        self.sparse.zero_grad()
        self.dense.zero_grad()
        loss = (self.model(batch) - batch.labels["y"]).square().mean()
        if pareto:
            assert pareto.weights([loss, 2 * loss])[0] > 0.999
        (loss * self.scale.value if self.scale else loss).backward()
        if self.scale:
            self.scale.unscale([param.grad for _, param in dense_parameters(self.model) if param.grad is not None])
        self.sparse.step()
        self.dense.step()
        return group.total([loss.item()])[0] / world

    def train(self, steps: int = toy.STEPS, weighed: bool = False) -> list[float]:
        pareto = self.make_pareto([0.0, 0.0]) if weighed else None
        return [self.step(rows, toy.rate(i), pareto) for i, rows in enumerate(toy.global_batches(steps))]

    def make_pareto(self, least: list[float]) -> Pareto:
        return Pareto(self.model, (each for _, each in dense_parameters(self.model)), least)

    def pareto(self, first: int = toy.ROWS, steps: int = 3) -> list[list[float]]:
        """Weights of three losses of some batches, `first` rows of which are rank 0's; nothing is learned meanwhile."""
        world, rank = torch.distributed.get_world_size(), torch.distributed.get_rank()
        pareto, found = self.make_pareto(LEAST), []
        for rows in toy.global_batches(steps):
            mine = rows if world == 1 else rows.cut(0, first) if rank == 0 else rows.cut(first, 2 * toy.ROWS)
            batch, share = mine.batch(), len(mine.x) * world / len(rows.x)
            self.sparse.zero_grad()
            losses = toy.three_losses(self.model(batch), mine.x, mine.label)
            found.append(pareto.weights([each.mean() * share for each in losses]))
        return found

    def train_with_pauses(self) -> list[float]:
        """Three steps; before each a forward pass that nothing follows, as for a loss that is no number, and one
        without gradients, as in an evaluation.
        """
        losses = []
        for i, rows in enumerate(toy.global_batches(3)):
            self.model(rows.cut(0, toy.ROWS).batch())
            with torch.no_grad():
                self.model(rows.cut(0, toy.ROWS).batch())
            losses.append(self.step(rows, toy.rate(i)))
        return losses

    def pieces(self) -> list[Piece]:
        """This rank's pieces of all tables."""
        found = []
        for kernel in lookup_kernels(self.model.module):
            for table, weight in kernel.pieces:
                row, column = table.local_metadata.shard_offsets if table.local_metadata else (0, 0)
                found.append((table.name, row, column, weight.clone()))
        return found

    def state(self) -> dict[str, dict[str, Tensor]]:
        return {"model": self.model.state_dict(), "optimizer": self.sparse.state()}

    def save(self, directory: Path) -> None:
        for part, tensors in self.state().items():
            dcp.save(tensors, checkpoint_id=directory / part)

    def load(self, directory: Path) -> None:
        for part, tensors in self.state().items():
            dcp.load(tensors, checkpoint_id=directory / part)


def main(directory: Path) -> None:
    """One of two ranks."""
    torch.set_num_threads(1)
    group.init(env.rank_info())
    rank, results = torch.distributed.get_rank(), {}
    for case in CASES:
        run = Run(case)
        first = run.pieces()
        losses = run.train()
        results[case.name] = {"losses": losses, "first": first, "last": run.pieces(), "plan": plan_json(run.model.plan)}
        results[case.name]["dense"] = [name for name, _ in dense_parameters(run.model)]
        if len(case.types) == 1:
            run.save(directory / case.name)
            other = Run(case)
            other.load(directory / "one" / case.optimizer)
            results[case.name]["restored"] = other.pieces()
            results[case.name]["resumed"] = [other.step(rows, 0.05) for rows in toy.global_batches(3, first=50)]
    for name in ("default", "table_wise"):
        results[f"{name} paused"] = Run(next(case for case in CASES if case.name == name)).train_with_pauses()
    for name in SCALED:
        scale = LossScale(group.any_rank, 1024.0, 2.0, 0.5, 2000)
        results[f"{name} scaled"] = Run(next(case for case in CASES if case.name == name), scale).train(3)
    scale = LossScale(group.any_rank, 1024.0, 2.0, 0.5, 2000)
    results["overflow"] = [scale.unscale([torch.tensor(torch.inf if rank else 1.0)]), scale.value]
    for source, target in MOVES:
        moved = Run(next(case for case in CASES if case.name == target))
        moved.load(directory / source)
        results[f"{source} to {target}"] = moved.pieces()
    for case in WEIGHED:
        results[f"{case.name} pareto"] = Run(case).pareto(10)
        results[f"{case.name} weighed"] = Run(case).train(4, weighed=True)
    results["gathered"] = group.gather_states({"n": torch.arange(rank + 1), f"only{rank}": torch.empty(0, 2)})
    results["agree"] = [
        group.all_agree(rank == 0),
        group.all_agree(True),
        group.any_rank(rank == 1),
        group.any_rank(False),
    ]
    results["total"] = group.total([rank + 1.0, 0.5])
    results["told"] = [group.broadcast({"from": rank}), group.gather({"rank": rank})]
    torch.save(results, directory / f"rank{rank}.pt")
    group.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
