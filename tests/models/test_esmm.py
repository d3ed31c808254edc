from __future__ import annotations

import numpy as np
import torch

from tests.fixtures import multi_task, reference
from tzrec.data.batch import Batch

TASKS = multi_task.task_tower("ctr", mlp="hidden_units: [6, 3]") + multi_task.task_tower(
    "ctcvr", "buy", mlp="hidden_units: 4"
)


def naive(w: reference.Weights, x: reference.Array) -> dict[str, reference.Array]:
    logits = reference.towers(w, ["ctr", "ctcvr"], reference.bottom(w, x, 2))
    both = reference.sigmoid(logits["ctr"]) * reference.sigmoid(logits["ctcvr"])
    return {"ctr": logits["ctr"], "ctcvr": np.log(both / (1 - both)), "cvr": logits["ctcvr"]}


def test_logits_equal_the_reference() -> None:
    for bottom in ("", "bottom_mlp { hidden_units: 5 }"):
        model, _ = multi_task.build("esmm", bottom + TASKS)
        multi_task.assert_equals_reference(model, multi_task.random_groups(), lambda w, row: naive(w, row["all"]))


def test_losses_are_of_click_and_of_click_and_conversion_over_all_rows() -> None:
    model, heads = multi_task.build("esmm", TASKS)
    x = multi_task.random_groups(num_rows=20)
    batch = multi_task.click_and_buy_batch(x["all"])
    output = model(x)
    logits, losses = output.logits, multi_task.compute_losses(heads, output, batch)
    click = reference.sigmoid(logits["ctr"][:, 0].double().detach().numpy())
    both = click * reference.sigmoid(logits["cvr"][:, 0].double().detach().numpy())
    assert list(losses) == ["binary_cross_entropy_ctr", "binary_cross_entropy_ctcvr"]
    for name, p in (("clk", click), ("buy", both)):
        y = batch.labels[name].numpy()
        correct = -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()
        received = losses[f"binary_cross_entropy_{'ctr' if name == 'clk' else 'ctcvr'}"]
        np.testing.assert_allclose(received.item(), correct, rtol=1e-5)


def test_predictions_include_the_conditional_head() -> None:
    model, heads = multi_task.build("esmm", 'conditional_name: "after_click"' + TASKS)
    predictions = heads.predict(model(multi_task.random_groups()).logits)
    names = ["ctr", "ctcvr", "after_click"]
    assert sorted(predictions) == sorted(f"{kind}_{name}" for kind in ("logits", "probs") for name in names)
    torch.testing.assert_close(
        predictions["probs_ctcvr"], predictions["probs_ctr"] * predictions["probs_after_click"], rtol=1e-5, atol=0
    )


def test_losses_without_rows_that_count_are_zero() -> None:
    model, heads = multi_task.build("esmm", TASKS)
    x = multi_task.random_groups(num_rows=4)
    batch = multi_task.click_and_buy_batch(x["all"])
    losses = multi_task.compute_losses(heads, model(x), Batch(0, labels=batch.labels))
    assert all(loss.item() == 0 for loss in losses.values())


def test_gradients_equal_finite_differences() -> None:
    tanh = 'hidden_units: 2 activation: "nn.Tanh"'
    multi_task.assert_gradients_correct(
        multi_task.build("esmm", multi_task.task_tower("a", mlp=tanh) + multi_task.task_tower("b", mlp=tanh))[0]
    )


def test_exported_program_equals_the_model() -> None:
    multi_task.assert_exports(multi_task.build("esmm", TASKS)[0], multi_task.random_groups())


def test_half_precision_stays_near_float32() -> None:
    multi_task.assert_half_precision(multi_task.build("esmm", TASKS)[0])


def test_training_overfits_a_batch() -> None:
    model, heads = multi_task.build("esmm", "bottom_mlp { hidden_units: 64 }" + TASKS)
    grouped = multi_task.random_groups(num_rows=256)
    multi_task.assert_overfits(model, heads, grouped, multi_task.click_and_buy_batch(grouped["all"]))
