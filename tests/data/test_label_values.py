"""Labels that are written as text: the same numbers from every format and layout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.feather as feather
import pyarrow.orc as orc
import pyarrow.parquet as pq
import pytest

import tzrec
from tests.test_api_frames import _polars_categorical
from tzrec.config.check import inspect
from tzrec.config.load import ConfigText, load_source
from tzrec.data.label_values import NOT_LISTED, LabelValues
from tzrec.data.row_encoder import RowEncoder
from tzrec.data.synthetic import make_table
from tzrec.errors import DataError
from tzrec.features.bad_rows import BadRows
from tzrec.protos.data_pb2 import DataConfig
from tzrec.run.check import check

LISTED = 'label_values { label: "buy" values: ["no", "yes"] }'
TEXT = """
model_dir: "model"
train_config {
  num_epochs: 2
  sparse_optimizer { adagrad_optimizer { lr: 0.1 } constant_learning_rate {} }
  dense_optimizer { adam_optimizer { lr: 0.01 } constant_learning_rate {} }
  use_tensorboard: false
}
data_config {
  dataset_type: ParquetDataset fg_mode: FG_DAG batch_size: 32 label_fields: ["click", "buy"] shuffle: true
  bad_row_policy: DEFAULT with_header: true LISTED eval_split { fraction: 0.2 }
}
feature_configs { id_feature { feature_name: "user" expression: "user:user" hash_bucket_size: 50 embedding_dim: 4 } }
feature_configs { raw_feature { feature_name: "price" expression: "item:price" } }
model_config {
  feature_groups { group_name: "all" feature_names: ["user", "price"] group_type: DEEP }
  mmoe {
    num_expert: 2 expert_mlp { hidden_units: [4] }
    task_towers {
      tower_name: "click" label_name: "click" losses { binary_cross_entropy {} } metrics { auc { thresholds: 0 } }
      metrics { grouped_auc { grouping_key: "user" } }
    }
    task_towers {
      tower_name: "buy" label_name: "buy" losses { binary_cross_entropy {} } metrics { auc { thresholds: 0 } }
      task_space_indicator_label: "click" out_task_space_weight: 0 metrics_in_task_space: true
    }
  }
}
"""
CLICK = 'label_values { label: "click" values: ["shown", "clicked"] }'
NUMBERS, TEXTS = TEXT.replace("LISTED", ""), TEXT.replace("LISTED", f"{CLICK} {LISTED}")


def rows(num_rows: int = 400) -> pa.Table:
    """Rows with the labels 0 and 1; what was not clicked has no second label."""
    rng = np.random.default_rng(5)
    price, clicks = rng.random(num_rows), rng.integers(0, 2, num_rows)
    buys = [int(rng.random() < share) if click else None for share, click in zip(price, clicks, strict=True)]
    users = pa.array([f"u{user}" for user in rng.integers(0, 9, num_rows)])
    return pa.table({"user": users, "price": price, "click": clicks, "buy": pa.array(buys, pa.int64())})


def as_text(table: pa.Table) -> pa.Table:
    """The same labels as texts."""
    columns = {
        "click": pa.array(["shown", "clicked"]).take(table["click"].combine_chunks()),
        "buy": pa.array(["no", "yes"]).take(table["buy"].combine_chunks()),
    }
    return pa.table({**{name: table[name] for name in ("user", "price")}, **columns})


def _cast(kind: pa.DataType) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        for index in (2, 3):
            column = table.column(index).combine_chunks().cast(kind)
            table = table.set_column(index, table.column_names[index], column)
        return table

    return change


FRAMES: dict[str, Callable[[pa.Table], object]] = {
    "string": lambda table: table,
    "large_string": _cast(pa.large_string()),
    "string_view": _cast(pa.string_view()),
    "dictionary": _cast(pa.dictionary(pa.int32(), pa.string())),
    "pandas": lambda table: table.to_pandas(),
    "polars_categorical": _polars_categorical,
}
WRITERS: dict[str, tuple[str, Callable[[pa.Table, Path], object]]] = {
    "csv": ("CsvDataset", pacsv.write_csv),
    "parquet": ("ParquetDataset", pq.write_table),
    "orc": ("OrcDataset", lambda table, path: orc.write_table(table, str(path))),
    "arrow": ("ArrowDataset", lambda table, path: feather.write_feather(table, str(path), compression="uncompressed")),
}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """Metrics of the labels 0 and 1."""
    directory = tmp_path_factory.mktemp("numbers")
    pq.write_table(rows(), directory / "rows.parquet")
    run = tzrec.train(NUMBERS, train=str(directory / "rows.parquet"), model_dir=directory / "model")
    assert run.metrics["auc_buy"] > 0.6
    return run.metrics


@pytest.mark.parametrize("layout", FRAMES)
def test_frame_with_labels_of_text_trains_as_with_0_and_1(
    tmp_path: Path, expected: dict[str, float], layout: str
) -> None:
    frame = FRAMES[layout](as_text(rows()))
    assert tzrec.train(TEXTS, train=frame, model_dir=tmp_path / "model").metrics == expected


@pytest.mark.parametrize("name", WRITERS)
def test_file_with_labels_of_text_trains_as_with_0_and_1(tmp_path: Path, expected: dict[str, float], name: str) -> None:
    dataset_type, write = WRITERS[name]
    path = tmp_path / f"rows.{name}"
    write(as_text(rows()), path)
    edit = {"data_config.dataset_type": dataset_type, "train_input_path": str(path)}
    assert tzrec.check(TEXTS, edit=edit, data=path) == []
    assert tzrec.train(TEXTS, edit=edit, model_dir=tmp_path / "model").metrics == expected


def test_evaluation_of_labels_of_text_has_the_metrics_of_0_and_1(tmp_path: Path) -> None:
    config = str(tmp_path / "model" / "pipeline.config")
    pq.write_table(as_text(rows()), tmp_path / "texts.parquet")
    tzrec.train(TEXTS, train=tmp_path / "texts.parquet", model_dir=tmp_path / "model")
    pq.write_table(rows(), tmp_path / "numbers.parquet")
    of_text = tzrec.evaluate(config, eval_input_path=tmp_path / "texts.parquet")
    of_numbers = tzrec.evaluate(
        config, eval_input_path=tmp_path / "numbers.parquet", edit={"data_config.label_values": []}
    )
    assert of_text == of_numbers
    assert of_text["auc_buy"] > 0.6


def test_bool_labels_train_as_0_and_1_without_values(tmp_path: Path, expected: dict[str, float]) -> None:
    frame = _cast(pa.bool_())(rows())
    assert tzrec.train(NUMBERS, train=frame, model_dir=tmp_path / "model").metrics == expected


def numbers(
    column: pa.Array, values: list[str], **options: bool
) -> tuple[list[int | None], list[tuple[str, list[int]]]]:
    bad = BadRows(len(column))
    data = DataConfig(label_fields=["y"], label_values=[{"label": "y", "values": values, **options}])
    batch = LabelValues(data).to_numbers(pa.record_batch({"y": column}), bad)
    assert batch.column("y").type == pa.int64()
    return batch.column("y").to_pylist(), [(reason, rows.tolist()) for _, reason, rows, _ in bad.reports]


@pytest.mark.parametrize(
    ("column", "values", "expected_numbers"),
    [
        (pa.array(["b", "a", None, "c", ""]), ["a", "b", "c"], [1, 0, None, 2, None]),
        (pa.array([True, None, False]), ["False", "True"], [1, None, 0]),
        (pa.array([2, 1, None]), ["1", "2"], [1, 0, None]),
        (pa.array([1.0, -1.0, None]), ["-1", "1"], [1, 0, None]),
        (pa.array([None, None]), ["no", "yes"], [None, None]),
    ],
)
def test_values_become_their_positions_and_missing_ones_stay_missing(
    column: pa.Array, values: list[str], expected_numbers: list[int | None]
) -> None:
    assert numbers(column, values) == (expected_numbers, [])


def test_value_that_is_not_listed_is_a_bad_row() -> None:
    column = pa.array(["yes", "Yes", " no", "maybe", None])
    assert numbers(column, ["no", "yes"]) == ([1, None, None, None, None], [(NOT_LISTED, [1, 2, 3])])
    assert numbers(column, ["No ", "yes"], merge_variants=True) == ([1, 1, 0, None, None], [(NOT_LISTED, [3])])
    assert numbers(pa.array([True]), ["no", "yes"]) == ([None], [(NOT_LISTED, [0])])


def test_unlisted_value_stops_under_the_error_policy_with_its_place(tmp_path: Path) -> None:
    table = as_text(rows())
    texts = table["click"].to_pylist()
    texts[7] = "tapped"
    pacsv.write_csv(table.set_column(2, "click", pa.array(texts)), tmp_path / "rows.csv")
    path = str(tmp_path / "rows.csv")
    edit = {"data_config.dataset_type": "CsvDataset", "data_config.bad_row_policy": "ERROR", "train_input_path": path}
    with pytest.raises(
        DataError, match=r"rows\.csv, line 9: column \"click\" has 'tapped': not one of its data_config"
    ):
        tzrec.train(TEXTS, edit=edit, model_dir=tmp_path / "model")
    problem = next(iter(tzrec.check(TEXTS, edit=edit, data=path)))
    assert problem.field == "data_config.bad_row_policy"
    assert "click not one of its data_config.label_values 0.25 % (e.g. 'tapped')" in problem.message


def test_check_warns_of_values_that_are_not_listed(tmp_path: Path) -> None:
    table = as_text(rows())
    texts = [text if row % 5 else "tapped" for row, text in enumerate(table["click"].to_pylist())]
    pq.write_table(table.set_column(2, "click", pa.array(texts)), tmp_path / "rows.parquet")
    result = check(ConfigText(TEXTS), {"train_input_path": str(tmp_path / "rows.parquet")}, device="cpu")
    (message,) = [problem.message for problem in result.warnings if problem.field == "data_config.label_fields[0]"]
    assert message.startswith(
        '80 of 400 rows have no valid "click", and all tasks leave these rows out; "tapped" is not'
    )


@pytest.mark.parametrize("name", ["csv", "parquet"])
def test_check_names_the_values_of_a_label_of_text(tmp_path: Path, name: str) -> None:
    dataset_type, write = WRITERS[name]
    path = tmp_path / f"rows.{name}"
    write(as_text(rows()), path)
    edit = {"data_config.dataset_type": dataset_type, "train_input_path": str(path)}
    first, second = tzrec.check(NUMBERS, edit=edit, data=path)
    assert (first.field, second.field) == ("data_config.label_fields[0]", "data_config.label_fields[1]")
    setting = 'data_config { label_values { label: "click" values: ["shown", "clicked"] } }'
    assert f'{setting} ("clicked" is 1, by its word)' in first.message
    assert LISTED in second.message
    with pytest.raises(DataError, match="label_values"):
        tzrec.train(NUMBERS, edit=edit, model_dir=tmp_path / "model")


@pytest.mark.parametrize(
    ("values", "field", "message"),
    [
        ('label: "by" values: ["a", "b"]', "label", '"by" is not in data_config.label_fields'),
        ('label: "buy" values: ["a"]', "values", '"buy" has 1 values; list all of them, two at least'),
        ('label: "buy" values: ["a", "a"]', "values[1]", '"a" is already the name of another value'),
        ('label: "buy" values: ["a", "A "] merge_variants: true', "values[1]", '"a" is already the name of another'),
        ('label: "buy" values: ["a", ""]', "values[1]", '"" means that the label is missing'),
        (
            'label: "buy" values: ["a", "b", "c"]',
            "values",
            '"buy" has 3 values, which are 0 to 2, and binary_cross_entropy takes a number from 0 to 1; '
            "use softmax_cross_entropy and num_class: 3, or list 2 values",
        ),
    ],
)
def test_wrong_label_values_are_problems_of_the_config(values: str, field: str, message: str) -> None:
    checker = inspect(load_source(ConfigText(TEXT.replace("LISTED", f"label_values {{ {values} }}"))))
    (problem,) = [problem for problem in checker.problems if "label_values" in problem.field]
    assert problem.field == f"data_config.label_values[0].{field}"
    assert problem.message.startswith(message)


def test_encoded_rows_keep_the_text_of_labels() -> None:
    table = as_text(rows(20))
    encoded = RowEncoder(load_source(ConfigText(TEXTS)).config)(table)
    assert encoded.select(["click", "buy"]).to_pydict() == table.select(["click", "buy"]).to_pydict()


def test_synthetic_rows_have_the_values_of_labels() -> None:
    table = make_table(load_source(ConfigText(TEXTS)).config, 200)
    assert set(table["click"].to_pylist()) == {"shown", "clicked"}
    of_numbers = make_table(load_source(ConfigText(NUMBERS)).config, 200)
    assert [text == "clicked" for text in table["click"].to_pylist()] == [
        x > 0 for x in of_numbers["click"].to_pylist()
    ]
