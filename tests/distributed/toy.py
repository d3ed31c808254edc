"""A small model with every kind of feature, its batches, and what it must do, written out in plain torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tzrec.data.batch import Batch
from tzrec.data.collate import collate
from tzrec.embedding.group import EmbeddingGroup
from tzrec.features.base import DenseEmbedding, Feature, Table
from tzrec.features.column import Column
from tzrec.protos.model_pb2 import FeatureGroupConfig
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.tables.initialization import init_table

SEED = 3
ROWS = 16
"""Rows of a batch on each of two ranks; one rank alone takes both shares."""
STEPS = 20

TABLES = {
    "a": Table("ids", 50, 8),
    "b": Table("b_emb", 17, 4, pooling="mean"),
    "c": Table("ids", 50, 8),
    "d": Table("d_emb", 20, 16, pooling="mean"),
    "e": Table("e_emb", 9, 4, trainable=False),
    "f": Table("f_emb", 30, 8, init_fn="nn.init.normal_,std=0.1"),
    "s": Table("s_emb", 40, 8, pooling="mean"),
    "t": Table("t_emb", 12, 8),
    "u": Table("u_emb", 25, 4),
}
SEQUENCES = {"s", "t", "u"}
"""Those whose ids are steps, of s in two steps of up to two ids; their steps are added up by an encoder."""
WEIGHTED = {"d", "f"}
SOFT = DenseEmbedding("autodis", 1, 4, num_channels=3, temperature=0.5, keep_prob=0.8)
DEEP = ["b", "x", "a", "e", "y", "c", "d", "f"]
ORDER = [*DEEP, *sorted(SEQUENCES)]


def feature(
    name: str, table: Table | None, dim: int = 0, weighted: bool = False, soft: DenseEmbedding | None = None
) -> Feature:
    """A feature as the embedding room sees it."""
    made = Feature()
    made.name, made.table, made.dim, made.is_sparse, made.is_weighted = name, table, dim, table is not None, weighted
    made.embedding = soft
    return made


def features(sharding_types: Sequence[str] = ()) -> dict[str, Feature]:
    made = {
        name: feature(name, replace(table, sharding_types=tuple(sharding_types)), weighted=name in WEIGHTED)
        for name, table in TABLES.items()
    }
    for name in SEQUENCES:
        made[name].is_sequence = True
    return made | {"x": feature("x", None, 3), "y": feature("y", None, 1, soft=SOFT)}


class Toy(nn.Module):
    """One group and a linear layer."""

    def __init__(self, made: dict[str, Feature]) -> None:
        super().__init__()
        group = FeatureGroupConfig(group_name="all", feature_names=DEEP, group_type=0)
        group.sequence_groups.add(feature_names=sorted(SEQUENCES))
        encoder = group.sequence_encoders.add().pooling_encoder
        encoder.input, encoder.pooling_type = "all", "sum"
        self.embedding_group = EmbeddingGroup(made, [group], device=torch.device("meta"))
        self.linear = nn.Linear(self.embedding_group.dims["all"], 1)

    def forward(self, batch: Batch) -> Tensor:
        return self.linear(self.embedding_group(batch)["all"]).squeeze(1)  # (B,)


def three_losses(logits: Tensor, x: Tensor, label: Tensor) -> list[Tensor]:
    """Losses that pull in different directions, (B,) each: some rows count in several of them."""
    return [(logits - label).square(), F.softplus(2 * logits) * (x[:, 0] > 0), logits.abs() * 5 * (x[:, 1] > 0)]


def config(optimizer: str, **fields: object) -> EasyRecConfig:
    made = EasyRecConfig()
    made.train_config.seed = SEED
    message = getattr(made.train_config.sparse_optimizer, optimizer)
    for key, value in {"lr": 0.1, **fields}.items():
        setattr(message, key, value)
    return made


@dataclass
class Rows:
    """Samples as plain lists: per feature a list of (ids, weights), dense values and labels."""

    ids: dict[str, list[list[int]]]
    weights: dict[str, list[list[float]]]
    x: Tensor
    label: Tensor

    def cut(self, start: int, stop: int) -> Rows:
        ids, weights = ({k: v[start:stop] for k, v in each.items()} for each in (self.ids, self.weights))
        return Rows(ids, weights, self.x[start:stop], self.label[start:stop])

    def batch(self) -> Batch:
        columns = {"x": Column(self.x.numpy(), dim=3), "y": Column(self.x[:, :1].numpy(), dim=1)}
        for name, rows in self.ids.items():
            ids = np.array([i for row in rows for i in row], np.int64)
            sizes = np.array([len(row) for row in rows], np.int32)
            if name not in SEQUENCES:
                weights = np.array([w for row in self.weights[name] for w in row], np.float32)
                columns[name] = Column(ids, sizes, weights)
            elif name == "s":
                inner = np.array([len(step) for row in rows for step in in_two(row)], np.int32)
                columns[name] = Column(ids, inner, sequence_lengths=np.full(len(rows), 2, np.int32))
            else:
                columns[name] = Column(ids, sequence_lengths=sizes)
        return replace(collate(columns, len(self.x)), labels={"y": self.label})


def in_two(row: list[int]) -> tuple[list[int], list[int]]:
    """The steps of s."""
    return row[:2], row[2:]


def global_batches(steps: int = STEPS, first: int = 0) -> Iterator[Rows]:
    """What all ranks together see at each step; bags of 0 to 3 ids, some ids often."""
    for step in range(first, first + steps):
        generator = torch.Generator().manual_seed(
            100 + step
        )  # no gradient here is the difference of nearly equal numbers
        ids: dict[str, list[list[int]]] = {}
        weights: dict[str, list[list[float]]] = {}
        for name in sorted(TABLES):
            sizes = torch.randint(0, 4, (2 * ROWS,), generator=generator).tolist()
            ids[name] = [torch.randint(0, TABLES[name].rows, (n,), generator=generator).tolist() for n in sizes]
            drawn = [(torch.rand(n, generator=generator) + 0.5).tolist() for n in sizes]
            weights[name] = drawn if name in WEIGHTED else [[1.0] * n for n in sizes]
        x = torch.randn(2 * ROWS, 3, generator=generator)
        yield Rows(ids, weights, x, torch.randn(2 * ROWS, generator=generator))


def rate(step: int) -> float:
    """A schedule: the rate halves at step 5."""
    return 0.1 if step < 5 else 0.05


def first_table(name: str) -> Tensor:
    table = next(table for table in TABLES.values() if table.name == name)
    return init_table(torch.empty(table.rows, table.dim), table, SEED)


class Reference:
    """The same model on one rank in float64: dense tables, a Python loop over bags, optimizers from their formulas."""

    def __init__(self, optimizer: str, **fields: float) -> None:
        self.optimizer, self.fields = optimizer, fields
        names = dict.fromkeys(table.name for table in TABLES.values())
        self.tables = {name: first_table(name).double() for name in names}
        self.state: dict[str, dict[str, Tensor]] = {name: {} for name in names}
        torch.manual_seed(SEED)
        named = Toy(features()).named_parameters()
        self.dense = {name: value.detach().double() for name, value in named if "emb_impls" not in name}
        self.steps = 0

    def columns(self, tables: dict[str, Tensor], dense: dict[str, Tensor], rows: Rows) -> dict[str, Tensor]:
        """Every feature's columns, bag by bag."""
        columns = {"x": rows.x.double(), "y": self.softly(dense, rows.x[:, 0].double())}
        for name, table in TABLES.items():
            bags = []
            if name in SEQUENCES:
                columns[name] = torch.stack([self.summed(tables, name, ids) for ids in rows.ids[name]])
                continue
            for ids, weights in zip(rows.ids[name], rows.weights[name], strict=True):
                total = torch.zeros(table.dim, dtype=torch.float64)
                for i, w in zip(ids, weights, strict=True):
                    total = total + w * tables[table.name][i]
                bags.append(total / sum(weights) if table.pooling == "mean" and ids else total)
            columns[name] = torch.stack(bags)
        return columns

    def softly(self, dense: dict[str, Tensor], x: Tensor) -> Tensor:
        """Mixtures of vectors, number by number."""
        prefix = "embedding_group.dense_impls.embeddings.0."
        scale, mix, vectors = (dense[prefix + name][0] for name in ("scale", "mix", "vectors"))
        hidden = [torch.nn.functional.leaky_relu(each * scale[0]) for each in x]
        scores = [each @ mix + SOFT.keep_prob * each for each in hidden]
        return torch.stack([(each / SOFT.temperature).softmax(0) @ vectors for each in scores])

    def summed(self, tables: dict[str, Tensor], name: str, ids: list[int]) -> Tensor:
        """The sum of the steps of one row."""
        total = torch.zeros(TABLES[name].dim, dtype=torch.float64)
        for step in in_two(ids) if name == "s" else [[i] for i in ids]:
            for i in step:
                vector = tables[TABLES[name].name][i]
                if "max_gradient" in self.fields:  # each looked-up vector is clipped for itself
                    bound = self.fields["max_gradient"]
                    vector.register_hook(partial(torch.clamp, min=-bound, max=bound))
                total = total + vector / len(step)
        return total

    def step(self, rows: Rows, lr: float) -> float:
        """One step of everything; the loss before it."""
        tables = {name: value.clone().requires_grad_() for name, value in self.tables.items()}
        dense = {name: value.clone().requires_grad_() for name, value in self.dense.items()}
        columns = self.columns(tables, dense, rows)
        if "max_gradient" in self.fields:
            bound = self.fields["max_gradient"]
            for name in TABLES.keys() - SEQUENCES:
                columns[name].register_hook(lambda grad: grad.clamp(-bound, bound))
        logits = torch.cat([columns[name] for name in ORDER], 1) @ dense["linear.weight"].T + dense["linear.bias"]
        loss = (logits.squeeze(1) - rows.label.double()).square().mean()
        loss.backward()
        self.steps += 1
        for name, table in tables.items():
            if name != "e_emb":
                self.update(name, table.grad, lr)
        self.dense = {name: value.detach() - 0.1 * value.grad for name, value in dense.items()}
        return loss.item()

    def gram(self, rows: Rows) -> Tensor:
        """Inner products of the gradients of `three_losses` by everything that learns, (3, 3)."""
        tables = {name: value.clone().requires_grad_(name != "e_emb") for name, value in self.tables.items()}
        dense = {name: value.clone().requires_grad_() for name, value in self.dense.items()}
        columns = self.columns(tables, dense, rows)
        logits = torch.cat([columns[name] for name in ORDER], 1) @ dense["linear.weight"].T + dense["linear.bias"]
        learning = [*dense.values(), *(table for table in tables.values() if table.requires_grad)]
        flat = [
            torch.cat([each.flatten() for each in torch.autograd.grad(loss.mean(), learning, retain_graph=True)])
            for loss in three_losses(logits.squeeze(1), rows.x.double(), rows.label.double())
        ]
        return torch.stack(flat) @ torch.stack(flat).T

    def update(self, name: str, grad: Tensor, lr: float) -> None:
        value, state, seen = self.tables[name], self.state[name], grad.abs().sum(1, keepdim=True) > 0
        if self.optimizer == "sgd_optimizer":
            self.tables[name] = value - lr * grad
        elif self.optimizer == "adagrad_optimizer":
            begin = torch.full_like(value, self.fields.get("initial_accumulator_value", 0.0))
            state["momentum1"] = state.get("momentum1", begin) + grad**2
            self.tables[name] = value - lr * grad / (state["momentum1"].sqrt() + 1e-8)
        elif self.optimizer == "rowwise_adagrad_optimizer":
            state["momentum1"] = state.get("momentum1", torch.zeros(len(value)).double()) + (grad**2).mean(1)
            self.tables[name] = value - lr * grad / (state["momentum1"].sqrt() + 1e-8).unsqueeze(1)
        else:
            rowwise = self.optimizer == "partial_rowwise_adam_optimizer"
            squares = (grad**2).mean(1) if rowwise else grad**2
            m = state.get("momentum1", torch.zeros_like(value))
            v = state.get("exp_avg_sq", torch.zeros_like(squares))
            m = torch.where(seen, 0.9 * m + 0.1 * grad, m)
            v = torch.where(seen.view_as(v) if rowwise else seen, 0.999 * v + 0.001 * squares, v)
            scale = (v / (1 - 0.999**self.steps)).sqrt() + 1e-8
            change = (m / (1 - 0.9**self.steps)) / (scale.unsqueeze(1) if rowwise else scale)
            self.tables[name] = torch.where(seen, value - lr * change, value)
            state["momentum1"], state["exp_avg_sq"] = m, v
