from __future__ import annotations

import pytest

from tests.models import multi_task as mt

TASKS = mt.tower("ctr", mlp="hidden_units: [6, 3]") + mt.tower("cvr", "buy")


def level(own: int, shared: int, units: str, shared_units: str = "", more: str = "") -> str:
    share = f"share_num: {shared} " if shared else ""
    net = f"share_expert_net {{ hidden_units: {shared_units} {more} }}" if shared_units else ""
    task = f"task_expert_net {{ hidden_units: {units} {more} }}"
    return f'extraction_networks {{ network_name: "n" expert_num_per_task: {own} {share} {task} {net} }}'


def naive(w: mt.Weights, x: mt.Array, levels: list[tuple[int, int]], tasks: list[str]) -> dict[str, mt.Array]:
    """Level by level, task by task, expert by expert."""
    own, shared = [x] * len(tasks), x
    for number, (per_task, share_num) in enumerate(levels):
        here = f"levels.{number}"
        task_experts = [
            [mt.relu_layers(w, f"{here}.task_experts.{t}.{n}", own[t]) for n in range(per_task)]
            for t in range(len(tasks))
        ]
        common = [mt.relu_layers(w, f"{here}.shared_experts.{n}", shared) for n in range(share_num)]
        if number + 1 < len(levels) and f"{here}.shared_gate.weight" in w:
            everything = [each for experts in task_experts for each in experts] + common
            above = mt.mixed(mt.linear(w, f"{here}.shared_gate", shared), everything)
        own = [
            mt.mixed(mt.linear(w, f"{here}.task_gates.{t}", own[t]), task_experts[t] + common)
            for t in range(len(tasks))
        ]
        shared = above if number + 1 < len(levels) and f"{here}.shared_gate.weight" in w else shared * float("nan")
    return mt.towers(w, tasks, own)


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
def test_equals_a_naive_loop(levels: list[tuple[int, int]], text: str) -> None:
    model, _ = mt.build("ple", text + TASKS)
    mt.check_rows(model, mt.inputs(), lambda w, row: naive(w, row["all"], levels, ["ctr", "cvr"]))


def test_only_what_is_read_is_made() -> None:
    """A shared mixture that no level above reads would be a parameter without gradient."""
    gates = [
        [each.shared_gate is not None for each in mt.build("ple", text + TASKS)[0].levels]
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
    mt.check_gradients(mt.build("ple", text + mt.tower("a") + mt.tower("b"))[0])


def test_can_be_exported() -> None:
    mt.check_export(mt.build("ple", level(2, 1, "5") + level(1, 1, "4") + TASKS)[0], mt.inputs())


def test_half_precision() -> None:
    mt.check_half_precision(mt.build("ple", level(2, 1, "8") + level(1, 1, "8") + TASKS)[0])


def test_overfits() -> None:
    model, tasks = mt.build("ple", level(2, 1, "[32, 16]") + level(1, 1, "16") + TASKS)
    grouped = mt.inputs(rows=256)
    mt.check_overfits(model, tasks, grouped, mt.path_batch(grouped["all"]))
