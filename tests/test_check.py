"""`tzrec check` with and without data."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.fixtures.checked_config import MMOE, replaced
from tzrec.check import main
from tzrec.run.check import check

COLUMNS: dict[str, Any] = {
    "user_id": pa.array([1, 2, None, 4], pa.int64()),
    "cate_id": ["a", "b", "c", "d"],
    "price": [0.5, 1.5, 2.5, 3.5],
    "clk": [0, 1, 0, 1],
    "buy": [0, 0, 0, 1],
}


def write_config(tmp_path: Path, *pairs: str) -> str:
    text = replaced(MMOE, "data/train/*.parquet", str(tmp_path / "*.parquet"), *pairs)
    text = text.replace('eval_input_path: "data/eval/*.parquet"', "")  # unless a test replaces it
    text = re.sub(r"batch_size: \d+", "batch_size: 4", text)
    path = tmp_path / "my.config"
    path.write_text(text)
    return str(path)


def write_data(tmp_path: Path, **columns: Any) -> None:
    table = pa.table({name: values for name, values in {**COLUMNS, **columns}.items() if values is not None})
    pq.write_table(table, tmp_path / "part-0.parquet")


def test_check_without_data_warns_of_both_paths(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_config(tmp_path, "data/eval/*.parquet", f"{tmp_path}/eval/*.parquet")
    assert main(["--pipeline_config", path, "--device", "cpu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{path}: no problems; mmoe (ctr, cvr), 3 features, on cpu"
    assert [line.partition(" ")[2].partition(" ")[2] for line in lines[1:]] == [
        f'{name}_input_path: no file matches "{tmp_path}{folder}/*.parquet": training fails until there is one'
        for name, folder in (("train", ""), ("eval", "/eval"))
    ]


def test_check_warns_of_missing_tables_of_a_sampler(tmp_path: Path) -> None:
    items, edges = tmp_path / "items.txt", "s3://bucket/edges.txt"
    sampler = {"item_input_path": str(items), "pos_edge_input_path": edges, "user_input_path": "none"}
    fields = {"num_sample": 8, "attr_fields": ["item"], "item_id_field": "item", "user_id_field": "user"}
    result = check(write_config(tmp_path), {"data_config.negative_sampler_v2": {**sampler, **fields}})
    path = "data_config.negative_sampler_v2.item_input_path"
    assert [warning.message for warning in result.warnings if warning.field == path] == [
        f'no file matches "{items}": training fails until there is one'
    ]
    assert [warning.field for warning in result.warnings if "edges" in warning.message] == []
    items.touch()
    result = check(write_config(tmp_path), {"data_config.negative_sampler_v2": {**sampler, **fields}})
    assert path not in [warning.field for warning in result.warnings]


def test_check_prints_problems_with_location(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_config(tmp_path, 'label_name: "buy"', 'label_name: "by"', "hash_bucket_size", "hash_bucket_sise")
    assert main(["--pipeline_config", path]) == 2
    lines = capsys.readouterr().err.removesuffix("\n").split("\n")
    assert lines == [
        f'{path}:44:9 feature_configs[1].id_feature.hash_bucket_sise: no such field; did you mean "hash_bucket_size"?',
        f'{path}:82:13 model_config.mmoe.task_towers[1].label_name: "by" is not in data_config.label_fields '
        '(clk, buy); did you mean "buy"?',
        "2 problems. Nothing was started.",
    ]


def test_fields_without_effect_are_warnings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_config(tmp_path, "fg_mode: FG_DAG", "fg_mode: FG_DAG\n    in_order: false")
    assert main(["--pipeline_config", path, "--device", "cpu"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "_input_path" not in line]
    assert lines[1:] == [
        f"warning: {path}:29:5 data_config.in_order: has no effect: batches are always in the order of the data"
    ]


def test_check_with_invalid_edit_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--pipeline_config_path", write_config(tmp_path), "--edit_config_json", '{"train_config.num_step": 1}']
    assert main(arguments) == 2
    assert 'no such field "num_step" in train_config; did you mean "num_steps"?' in capsys.readouterr().err


def test_check_of_valid_data_prints_notes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_data(tmp_path)
    assert main(["--pipeline_config", write_config(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:] == [f"data   first 4 rows of {tmp_path}/*.parquet", "       user_id null 25 %"]


def test_check_looks_at_the_evaluation_data_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_data(tmp_path)
    (tmp_path / "eval").mkdir()
    table = pa.table({**COLUMNS, "price": ["cheap"] * 4}).drop_columns(["buy"])
    pq.write_table(table, tmp_path / "eval/a.parquet")
    path = write_config(tmp_path, "data/eval/*.parquet", f"{tmp_path}/eval")
    assert main(["--pipeline_config", path]) == 2
    error = capsys.readouterr().err
    assert f'label_fields[1]: {tmp_path}/eval: no column "buy" in the data' in error
    assert "1 problem. Nothing was started." in error


def test_check_compares_the_schemas_of_all_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_data(tmp_path)
    pq.write_table(pa.table({**COLUMNS, "user_id": ["1"] * 4}), tmp_path / "part-1.parquet")
    assert main(["--pipeline_config", write_config(tmp_path)]) == 2
    assert f'part-1.parquet: column "user_id" is string, but int64 in {tmp_path}/part-0' in capsys.readouterr().err
    pq.write_table(pa.table({**COLUMNS, "user_id": [1.0, None, 2.0, 3.0]}), tmp_path / "part-1.parquet")
    assert main(["--pipeline_config", write_config(tmp_path)]) == 0
    assert f'column "user_id" is double, read as int64 of {tmp_path}/part-0.parquet' in capsys.readouterr().out


def test_check_of_a_remote_path_says_that_it_was_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_config(tmp_path, "data/eval/*.parquet", "hdfs://namenode/eval/*.parquet")
    assert main(["--pipeline_config", path]) == 0
    assert 'eval_input_path: "hdfs://namenode/eval/*.parquet" is not on this machine' in capsys.readouterr().out


def test_check_of_more_tables_than_memory_warns_of_the_bytes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_config(tmp_path, "hash_bucket_size: 13000", f"hash_bucket_size: {2**62}")
    assert main(["--pipeline_config", path, "--device", "cpu"]) == 0  # the run may be on a larger machine
    output = capsys.readouterr().out
    size = r"590 EB \(weights 295 EB, adagrad_optimizer 295 EB\), and this machine has .* free"
    assert re.search(rf"warning: .*feature_configs\[1\].id_feature: the embedding tables need {size}", output), output
    assert f"The largest: cate_id_emb {2**62:,} x 16 = 295 EB" in output


CASES: list[tuple[dict[str, Any], str]] = [
    ({"price": None, "prize": [1.0] * 4}, r'51:9 .*raw_feature.expression: no column "price" .* mean "prize"\?'),
    ({"buy": None}, r'29:27 data_config.label_fields\[1\]: no column "buy" in the data'),
    ({"price": [{"a": 1}] * 4}, r'49:5 feature_configs\[2\].raw_feature: .*"price"'),
    ({"clk": ["yes"] * 4}, r'29:20 data_config.label_fields\[0\]: label column "clk" is string'),
    (
        {"user_id": [1, -1, 2, 9_999_999]},
        r"_policy: ERROR stops .*user_id out of range \[0, 1141730\) 50 % .*'-1'",
    ),
    ({"buy": [0, None, 1, 1]}, r"bad_row_policy: ERROR stops .*buy null label 25 %"),
]


@pytest.mark.parametrize(("columns", "pattern"), CASES, ids=[str(i) for i in range(len(CASES))])
def test_check_of_invalid_data_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], columns: dict[str, Any], pattern: str
) -> None:
    write_data(tmp_path, **columns)
    assert main(["--pipeline_config", write_config(tmp_path)]) == 2
    output = capsys.readouterr().err
    assert re.search(pattern, output), output
    assert "1 problem. Nothing was started." in output


def test_check_of_two_wrong_columns_prints_two_problems(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_data(tmp_path, price=[{"a": 1}] * 4, cate_id=[{"a": 1}] * 4)
    assert main(["--pipeline_config", write_config(tmp_path)]) == 2
    assert "2 problems." in capsys.readouterr().err


def test_check_with_tolerant_policy_prints_bad_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_data(tmp_path, user_id=[1, -1, 2, 9_999_999], clk=[0, 1, 1, 0], buy=[0, 0, 1, 0])
    path = write_config(tmp_path, "num_workers: 2", "num_workers: 2 bad_row_policy: SKIP_ROW")
    assert main(["--pipeline_config", path]) == 0
    assert "user_id out of range [0, 1141730) 50 % (e.g. '-1')" in capsys.readouterr().out


def test_check_of_csv_at_given_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rows.csv").write_text("user_id,cate_id,price,clk,buy\n1,a,0.5,0,1\n2,b,x,1,0\n")
    path = write_config(tmp_path, "ParquetDataset", "CsvDataset with_header: true bad_row_policy: DEFAULT")
    assert main(["--pipeline_config", path, "--data", str(tmp_path / "rows.csv")]) == 0
    assert "price not a number 50 % (e.g. 'x')" in capsys.readouterr().out


def test_check_of_missing_data_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--pipeline_config", write_config(tmp_path), "--data", str(tmp_path / "no.parquet")]) == 2
    assert "no file matches" in capsys.readouterr().err


def warnings_of(path: str) -> list[str]:
    return [f"{warning.field}: {warning.message}" for warning in check(path).warnings]


def test_check_warns_of_a_label_with_one_value(tmp_path: Path) -> None:
    write_data(tmp_path, clk=[0] * 4)
    path = write_config(tmp_path)
    assert warnings_of(path) == ['data_config.label_fields[0]: "clk" is 0 in all 4 rows; there is nothing to learn']
    table = {name: list(values) * 3000 for name, values in {**COLUMNS, "clk": [0] * 4}.items()}
    write_data(tmp_path, **{**table, "clk": [0] * 11_999 + [1]})
    assert warnings_of(path) == [
        'data_config.label_fields[0]: "clk" is 0 in the first 10,000 rows; shuffle the data if it is sorted by it'
    ]


def test_check_warns_of_a_batch_larger_than_the_training_data(tmp_path: Path) -> None:
    write_data(tmp_path)
    path = write_config(tmp_path)
    Path(path).write_text(Path(path).read_text().replace("batch_size: 4", "batch_size: 5"))
    received = "data_config.batch_size: the data has only 4 rows, less than one batch of 5: "
    assert warnings_of(path) == [f"{received}an epoch is one step; set it lower"]
    result = check(path, {"data_config.drop_remainder": True})
    assert [problem.message for problem in result.problems] == [
        received.partition(" ")[2] + "drop_remainder drops them all; set it to false, or batch_size lower"
    ]


@pytest.mark.parametrize(("policy", "is_error"), [("DEFAULT", False), ("SKIP_ROW", True)])
def test_check_reports_a_column_without_a_valid_value(tmp_path: Path, policy: str, is_error: bool) -> None:
    write_data(tmp_path, user_id=[-1] * 4)
    result = check(write_config(tmp_path, "num_workers: 2", f"num_workers: 2 bad_row_policy: {policy}"))
    (problem,) = result.problems if is_error else result.warnings
    assert problem.field == "feature_configs[0].id_feature.expression"
    assert problem.message == (
        "no value of \"user_id\" in 4 rows can be read: out of range [0, 1141730) (e.g. '-1'); "
        'for "user_id", which has values below 0, use hash_bucket_size in place of num_buckets, '
        "or correct the data or the feature"
    )


def test_check_of_raw_columns_read_as_encoded_names_the_mode(tmp_path: Path) -> None:
    write_data(tmp_path)
    (problem,) = check(write_config(tmp_path, "fg_mode: FG_DAG", "")).problems
    assert problem.message.endswith(
        "FG_NONE reads encoded features; for raw columns set fg_mode: FG_DAG, or use DEFAULT or SKIP_ROW"
    )


def test_check_of_a_label_that_is_missing_outside_of_its_task_space_names_the_fields(tmp_path: Path) -> None:
    write_data(tmp_path, buy=[None, 0, None, 1])
    (problem,) = check(write_config(tmp_path)).problems
    fields = 'task_space_indicator_label: "clk" out_task_space_weight: 0 metrics_in_task_space: true'
    assert f'"buy" is missing only where "clk" is 0: give its task {fields}' in problem.message
    result = check(write_config(tmp_path, 'label_name: "buy"', f'label_name: "buy" {fields}'))
    assert (result.problems, result.warnings) == ([], [])


def test_check_without_a_vocabulary_file_does_not_read_the_data(tmp_path: Path) -> None:
    write_data(tmp_path)
    file = 'vocab_file: "no/words.txt" default_bucketize_value: 0'
    result = check(write_config(tmp_path, "hash_bucket_size: 13000", file))
    assert result.problems == []
    assert result.notes == ['data   not read: "no/words.txt" is missing, without which features cannot be encoded']


def test_strict_check_counts_warnings_as_problems(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_config(tmp_path, "data/eval/*.parquet", f"{tmp_path}/eval/*.parquet")
    assert main(["--pipeline_config", path, "--strict"]) == 2
    error = capsys.readouterr().err
    assert error.count("no file matches") == 2
    assert error.endswith("2 problems. Nothing was started.\n")


def test_check_as_json_is_one_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_data(tmp_path, clk=[1] * 4)
    path = write_config(tmp_path)
    assert main(["--pipeline_config", path, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "problems": [],
        "warnings": [
            {
                "file": path,
                "line": 29,
                "column": 20,
                "field": "data_config.label_fields[0]",
                "message": '"clk" is 1 in all 4 rows; there is nothing to learn',
            }
        ],
        "notes": [f"data   first 4 rows of {tmp_path}/*.parquet", "user_id null 25 %"],
    }
    assert main(["--pipeline_config", "no.config", "--json"]) == 2
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert problem["message"] == "cannot read the config: No such file or directory"
