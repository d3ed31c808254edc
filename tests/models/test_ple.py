from __future__ import annotations

import pytest

from tests.fixtures import multi_task, reference

TASKS = multi_task.task_tower("ctr", mlp="hidden_units: [6, 3]") + multi_task.task_tower("cvr", "buy")


def level(own: int, shared: int, units: str, shared_units: str = "", more: str = "") -> str:
    share = f"share_num: {shared} " if shared else ""
    net = f"share_expert_net {{ hidden_units: {shared_units} {more} }}" if shared_units else ""
    task = f"task_expert_net {{ hidden_units: {units} {more} }}"
    return f'extraction_networks {{ network_name: "n" expert_num_per_task: {own} {share} {task} {net} }}'


def naive(
    w: reference.Weights, x: reference.Array, levels: list[tuple[int, int]], tasks: list[str]
) -> dict[str, reference.Array]:
    """Level by level, task by task, expert by expert."""
    own, shared = [x] * len(tasks), x
    for number, (per_task, share_num) in enumerate(levels):
        prefix = f"levels.{number}"
        task_experts = [
            [reference.relu_layers(w, f"{prefix}.task_experts.{t}.{n}", own[t]) for n in range(per_task)]
            for t in range(len(tasks))
        ]
        common = [reference.relu_layers(w, f"{prefix}.shared_experts.{n}", shared) for n in range(share_num)]
        if number + 1 < len(levels) and f"{prefix}.shared_gate.weight" in w:
            experts_read = [expert for experts in task_experts for expert in experts] + common
            above = reference.softmax_mixture(reference.linear(w, f"{prefix}.shared_gate", shared), experts_read)
        own = [
            reference.softmax_mixture(reference.linear(w, f"{prefix}.task_gates.{t}", own[t]), task_experts[t] + common)
            for t in range(len(tasks))
        ]
        shared = above if number + 1 < len(levels) and f"{prefix}.shared_gate.weight" in w else shared * float("nan")
    return reference.towers(w, tasks, own)


@pytest.mark.parametrize(
    ("levels", "text"),
    [
        ([(2, 1)], level(2, 1, "[8, 5]")),
        ([(2, 3), (1, 2)], level(2, 3, "[8, 5]", "[9, 5]") + level(1, 2, "4")),
        ([(1, 2), (2, 1), (1, 1)], level(1, 2, "5") + level(2, 1, "[4, 4]", "4") + level(1, 1, "3")),
        ([(2, 0), (2, 0)], level(2, 0, "5") + level(2, 0, "4")),
        ([(2, 1), (2, 0), (1, 2)], level(2, 1, "5") + level(2, 0, "4") + level(1, 2, "6")),
    ],
    ids=["one level", "two", "three", "nothing shared", "a level without shared experts between"],
)
def test_logits_equal_the_reference(levels: list[tuple[int, int]], text: str) -> None:
    model, _ = multi_task.build("ple", text + TASKS)
    multi_task.assert_equals_reference(
        model, multi_task.random_groups(), lambda w, row: naive(w, row["all"], levels, ["ctr", "cvr"])
    )


def test_shared_gates_that_no_level_reads_are_not_built() -> None:
    """A shared mixture that no level above reads would be a parameter without gradient."""
    gates = [
        [level.shared_gate is not None for level in multi_task.build("ple", text + TASKS)[0].levels]
        for text in (
            level(1, 1, "5") + level(1, 1, "4"),
            level(1, 1, "5") + level(1, 0, "4"),
            level(1, 1, "5") + level(1, 0, "4") + level(1, 1, "4"),
        )
    ]
    assert gates == [[True, False], [False, False], [True, True, False]]


def test_gradients_equal_finite_differences() -> None:
    tanh = 'activation: "nn.Tanh"'
    text = level(1, 1, "3", more=tanh) + level(1, 1, "2", "2", more=tanh)
    multi_task.assert_gradients_correct(
        multi_task.build("ple", text + multi_task.task_tower("a") + multi_task.task_tower("b"))[0]
    )


def test_exported_program_equals_the_model() -> None:
    multi_task.assert_exports(
        multi_task.build("ple", level(2, 1, "5") + level(1, 1, "4") + TASKS)[0], multi_task.random_groups()
    )


def test_half_precision_stays_near_float32() -> None:
    multi_task.assert_half_precision(multi_task.build("ple", level(2, 1, "8") + level(1, 1, "8") + TASKS)[0])


def test_training_overfits_a_batch() -> None:
    model, heads = multi_task.build("ple", level(2, 1, "[32, 16]") + level(1, 1, "16") + TASKS)
    grouped = multi_task.random_groups(num_rows=256)
    multi_task.assert_overfits(model, heads, grouped, multi_task.click_and_buy_batch(grouped["all"]))
