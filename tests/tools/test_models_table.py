"""The page with the table of models is that of the schema and of the measured results."""

from __future__ import annotations

import models_table

from tzrec import registry
from tzrec.protos.model_pb2 import ModelConfig

PAGE = models_table.PAGE.read_text()


def test_committed_page_is_up_to_date() -> None:
    assert models_table.page() == PAGE, "run: python tools/models_table.py"


def test_table_has_a_row_for_every_model() -> None:
    fields = ModelConfig.DESCRIPTOR.oneofs_by_name["model"].fields
    names = [field.name for field in fields if registry.is_implemented(field)]
    rows = models_table.models_table().splitlines()[2:]
    assert [row.split("]")[0].removeprefix("| [") for row in rows] == names
    assert {row.count(" | ") for row in rows} == {5}


def test_row_has_task_paper_and_measured_quality() -> None:
    (row,) = [row for row in PAGE.splitlines() if row.startswith("| [ple]")]
    cells = row.strip("| ").split(" | ")
    assert cells[1:4] == [
        "several tasks",
        "Progressive layered extraction: shared and per-task experts in levels",
        "Tang et al., RecSys 2020",
    ]
    assert 0.95 < float(cells[4]) <= 1
    assert next(row for row in PAGE.splitlines() if row.startswith("| [dssm]")).split(" | ")[1] == "matching"
    assert PAGE.count("Pi et al., CIKM 2020") == 1
