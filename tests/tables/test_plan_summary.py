"""Sharding plan as text and as JSON."""

from __future__ import annotations

from tests.fixtures.toy_training import Case, Run
from tzrec.tables.plan_summary import PlanRow, plan_json, plan_rows, render


def test_rendered_plan_aligns_numbers_to_the_right() -> None:
    rows = [
        PlanRow("user_id_emb", 1141730, 16, "fp32", "row_wise", "fused", "adagrad", 1141730 * 64, (0, 1)),
        PlanRow("age", 7, 4, "fp16", "table_wise", "fused", "frozen", 56, (1,)),
    ]
    assert render(rows).splitlines() == [
        "table             rows  dim  dtype  sharding    kernel  optimizer  bytes  ranks",
        "user_id_emb  1,141,730   16  fp32   row_wise    fused   adagrad    73 MB  0,1",
        "age                  7    4  fp16   table_wise  fused   frozen      56 B  1",
    ]


def test_plan_rows_of_model_list_all_tables(alone: None) -> None:
    run = Run(Case("one", "rowwise_adagrad_optimizer"))
    rows = {row.table: row for row in plan_rows(run.model.module, run.model.plan, run.config.train_config)}
    assert rows["ids"] == PlanRow("ids", 50, 8, "fp32", "table_wise", "fused", "rowwise_adagrad", 1600, (0,))
    assert rows["e_emb"].optimizer == "frozen"
    assert sorted(rows) == ["b_emb", "d_emb", "e_emb", "f_emb", "ids", *(f"sequence.{name}_emb" for name in "stu")]


def test_plan_json_of_table_has_type_kernel_and_ranks(alone: None) -> None:
    plan = plan_json(Run(Case("one", "adam_optimizer")).model.plan)
    entry = plan["embedding_group.emb_impls.__BASE__.ebc"]["ids"]
    assert entry == {"sharding_type": "table_wise", "compute_kernel": "dense", "ranks": [0]}
