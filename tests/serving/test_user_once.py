"""UserOnce against the program that computes every row of a user and an item."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
import torch
from torch import Tensor, fx

from tests.fixtures.small_model import small_config, small_encoder, small_model, small_rows
from tzrec.embedding.group import EmbeddingGroup
from tzrec.errors import PackageError
from tzrec.serving.dependence import InseparableError, Separation, SeparationInput
from tzrec.serving.predictor import Predictor
from tzrec.serving.request_check import ensure_equal_scores
from tzrec.serving.request_signature import RequestSignature, user_features
from tzrec.serving.separation import separate
from tzrec.serving.servable import Servable
from tzrec.serving.stored_tables import stored_tables
from tzrec.serving.trained_model import TrainedModel
from tzrec.serving.user_once import UserOnce, make_servable, user_once

USER_COLUMNS = ("user", "friend", "scores", "place")


@cache
def program() -> UserOnce:
    """The small model: all kinds of features on both sides, and encoders of the user's sequences."""
    model, tables = small_model(), stored_tables(small_model())
    signature = RequestSignature.of(Servable.from_model(model).signature, user_features(small_encoder().features))
    once = user_once(model, signature, tables.places)
    once.tables = tables.flat()
    return once


def split(rows: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The columns of the user and those of the items."""
    of_user = [name for name in rows.column_names if name in USER_COLUMNS or name.startswith("clicks__")]
    return rows.select(of_user), rows.drop_columns(of_user)


def assert_ranks_alike(users: pa.Table, items: pa.Table, owners: npt.NDArray[np.int64]) -> None:
    """Compare the scores of both programs, relative to values above 1."""
    config, encoder = small_config(), small_encoder()
    received = Predictor(program(), config, encoder).rank_users(users, items, owners)
    expected = Predictor(Servable.from_model(small_model()), config, encoder).rank_users(users, items, owners)
    assert received.column_names == expected.column_names
    for name in expected.column_names:
        ours, theirs = (np.stack(scores[name].to_numpy()) for scores in (received, expected))
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("owners", [[2, 0, 0, 1, 2, 0, 1], [1] * 7, [0, 1, 2]])
def test_user_once_scores_items_of_users_alike(owners: list[int]) -> None:
    users, _ = split(small_rows(10).slice(7))
    _, items = split(small_rows(len(owners)))
    assert_ranks_alike(users, items, np.array(owners))


def test_user_once_scores_one_user_and_single_items_alike() -> None:
    users, items = split(small_rows(5))
    assert_ranks_alike(users.slice(3, 1), items, np.zeros(5, np.int64))
    assert_ranks_alike(users.slice(4, 1), items.slice(2, 1), np.zeros(1, np.int64))


def test_user_once_scores_users_without_sequences_alike() -> None:
    rows = small_rows(4)
    for name in [name for name in rows.column_names if name.startswith("clicks__")]:
        index = rows.column_names.index(name)
        rows = rows.set_column(index, name, pa.nulls(4, rows.schema.field(name).type))
    users, items = split(rows)
    assert_ranks_alike(users, items, np.array([3, 3, 0, 1]))


def test_user_once_scores_whole_rows_alike() -> None:
    """predict, and a request whose items have a column of the user."""
    users, items = split(small_rows(6))
    mixed = items.append_column("friend", users["friend"])
    assert_ranks_alike(users.drop_columns("friend").slice(0, 1), mixed, np.zeros(6, np.int64))
    config, encoder = small_config(), small_encoder()
    received = Predictor(program(), config, encoder).predict(small_rows(6))
    expected = Predictor(Servable.from_model(small_model()), config, encoder).predict(small_rows(6))
    for name in expected.column_names:
        ours, theirs = (np.stack(scores[name].to_numpy()) for scores in (received, expected))
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


def test_make_servable_divides_only_where_configured_and_useful() -> None:
    config, encoder, places = small_config(), small_encoder(), stored_tables(small_model()).places
    trained = TrainedModel(small_model(), config, encoder.features, step=1)
    assert isinstance(make_servable(trained, places), Servable)
    config.export_config.user_once = True
    of_items = {name: feature for name, feature in encoder.features.items() if name in ("item", "tags")}
    assert isinstance(make_servable(TrainedModel(small_model(), config, of_items, step=1), places), Servable)


class Network(torch.nn.Module):
    """A program of users `(U, 2)` and items `(B, 3)`, with all operations of a separation."""

    def __init__(self) -> None:
        super().__init__()
        self.own, self.linear = torch.nn.Linear(2, 4), torch.nn.Linear(3 + 4 + 1, 5)
        self.register_buffer("tables", torch.empty(0, dtype=torch.uint8))

    def forward(self, users: Tensor, items: Tensor) -> tuple[Tensor, ...]:
        hidden = self.own(users).relu()  # (U, 4)
        x = torch.cat([items[:, :1], hidden, items], 1)  # (B, 8)
        positions = torch.arange(users.shape[0])  # (B,), of rows
        return self.linear(x), items[:, 0] + positions, hidden, items.sum(1) * (users.t() @ users).sum()


def separated(module: torch.nn.Module) -> fx.GraphModule:
    """Separate a program of users and items."""
    rows = {0: torch.export.Dim.DYNAMIC}
    example = (torch.zeros(5, 2), torch.zeros(5, 3))
    exported = torch.export.export(module, example, dynamic_shapes=(rows, rows), strict=False)
    inputs = [SeparationInput("users", ["U", 2], True), SeparationInput("items", ["B", 3], False)]
    separation = Separation(inputs, ["owners"], {"U": "owners"}, frozenset(), "owners")
    return separate(exported.run_decompositions({}).module(check_guards=False), separation)


def test_separated_program_equals_formulas() -> None:
    module = Network()
    graph = separated(module)
    users, items, owners = torch.randn(2, 2), torch.randn(4, 3), torch.tensor([1, 1, 0, 1])
    with torch.inference_mode():
        linear, with_positions, hidden, scaled = graph(module.tables, users, items, owners)
        by_item = module.own(users).relu()[owners]
        torch.testing.assert_close(linear, module.linear(torch.cat([items[:, :1], by_item, items], 1)))
        torch.testing.assert_close(with_positions, items[:, 0] + torch.arange(4))
        torch.testing.assert_close(hidden, by_item)
        torch.testing.assert_close(scaled, items.sum(1) * (users.t() @ users).sum())


def test_separated_program_multiplies_users_once() -> None:
    """The users' layer and their columns of the second one have a row for each user, the others one for each item."""
    module, rows = Network(), []
    users, items = torch.randn(2, 2), torch.randn(7, 3)

    class Recorder(fx.Interpreter):
        def run_node(self, n: fx.Node) -> object:
            result = super().run_node(n)
            if n.target is torch.ops.aten.linear.default:
                assert isinstance(result, Tensor)
                rows.append(tuple(result.shape))
            return result

    Recorder(separated(module)).run(module.tables, users, items, torch.zeros(7, dtype=torch.long))
    assert rows == [(2, 4), (2, 5), (7, 5)]


class Flat(torch.nn.Module):
    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        return items.sum() + users.reshape(-1)  # (2 * U,)


def test_separate_with_input_that_items_need_in_vain_raises() -> None:
    rows = {0: torch.export.Dim.DYNAMIC}
    exported = torch.export.export(Flat(), (torch.zeros(5, 2), torch.zeros(5, 3)), dynamic_shapes=(rows, rows))
    inputs = [SeparationInput("users", ["E", 2], True), SeparationInput("items", ["B", 3], False)]
    with pytest.raises(InseparableError, match="users"):
        separate(exported.module(check_guards=False), Separation(inputs, ["owners"], {}, frozenset(), "owners"))


def test_ensure_equal_scores_accepts_equal_programs_only() -> None:
    features = small_encoder().features
    ensure_equal_scores(program(), Servable.from_model(small_model()), features)
    other = small_model()
    with torch.no_grad():
        next(other.model.parameters()).add_(0.1)
    with pytest.raises(PackageError, match=r"of a request differs by .*Set export_config.user_once to false"):
        ensure_equal_scores(program(), Servable.from_model(other), features)


def test_embedding_group_of_small_model_has_sequences_of_users() -> None:
    """The test above would show nothing without them."""
    group = small_model().embedding_group
    assert isinstance(group, EmbeddingGroup)
    assert set(program().signature.users.sequences.groups) == set(group.layout.sequences) == {"clicks", "tags"}
    assert program().signature.jagged_groups == ("clicks", "tags")
