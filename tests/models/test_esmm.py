from __future__ import annotations

import numpy as np
import torch

from tests.models import multi_task as mt
from tzrec.data.batch import Batch

TASKS = mt.tower("ctr", mlp="hidden_units: [6, 3]") + mt.tower("ctcvr", "buy", mlp="hidden_units: 4")


def naive(w: mt.Weights, x: mt.Array) -> dict[str, mt.Array]:
    logits = mt.towers(w, ["ctr", "ctcvr"], mt.bottom(w, x, 2))
    both = mt.sigmoid(logits["ctr"]) * mt.sigmoid(logits["ctcvr"])
    return {"ctr": logits["ctr"], "ctcvr": np.log(both / (1 - both)), "cvr": logits["ctcvr"]}


def test_equals_a_naive_loop() -> None:
    for bottom in ("", "bottom_mlp { hidden_units: 5 }"):
        model, _ = mt.build("esmm", bottom + TASKS)
        mt.check_rows(model, mt.inputs(), lambda w, row: naive(w, row["all"]))


def test_losses_are_those_of_click_and_of_both_over_all_rows() -> None:
    model, tasks = mt.build("esmm", TASKS)
    x = mt.inputs(rows=20)
    batch = mt.path_batch(x["all"])
    logits = model(x)
    losses = tasks.losses(logits, batch)
    click = mt.sigmoid(logits["ctr"][:, 0].double().detach().numpy())
    both = click * mt.sigmoid(logits["cvr"][:, 0].double().detach().numpy())
    assert list(losses) == ["binary_cross_entropy_ctr", "binary_cross_entropy_ctcvr"]
    for name, p in (("clk", click), ("buy", both)):
        y = batch.labels[name].numpy()
        right = -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()
        received = losses[f"binary_cross_entropy_{'ctr' if name == 'clk' else 'ctcvr'}"]
        np.testing.assert_allclose(received.item(), right, rtol=1e-5)


def test_all_three_are_predicted() -> None:
    model, tasks = mt.build("esmm", 'conditional_name: "after_click"' + TASKS)
    predictions = tasks.predict(model(mt.inputs()))
    names = ["ctr", "ctcvr", "after_click"]
    assert sorted(predictions) == sorted(f"{kind}_{name}" for kind in ("logits", "probs") for name in names)
    torch.testing.assert_close(
        predictions["probs_ctcvr"], predictions["probs_ctr"] * predictions["probs_after_click"], rtol=1e-5, atol=0
    )


def test_rows_that_do_not_count() -> None:
    model, tasks = mt.build("esmm", TASKS)
    x = mt.inputs(rows=4)
    whole = mt.path_batch(x["all"])
    losses = tasks.losses(model(x), Batch(0, labels=whole.labels))
    assert all(loss.item() == 0 for loss in losses.values())


def test_gradients_equal_finite_differences() -> None:
    tanh = 'hidden_units: 2 activation: "nn.Tanh"'
    mt.check_gradients(mt.build("esmm", mt.tower("a", mlp=tanh) + mt.tower("b", mlp=tanh))[0])


def test_can_be_exported() -> None:
    mt.check_export(mt.build("esmm", TASKS)[0], mt.inputs())


def test_half_precision() -> None:
    mt.check_half_precision(mt.build("esmm", TASKS)[0])


def test_overfits() -> None:
    model, tasks = mt.build("esmm", "bottom_mlp { hidden_units: 64 }" + TASKS)
    grouped = mt.inputs(rows=256)
    mt.check_overfits(model, tasks, grouped, mt.path_batch(grouped["all"]))
