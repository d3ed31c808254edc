"""Frames of pyarrow, pandas and polars in the functions of the Python API: the same numbers as from Parquet."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tzrec
from tests.test_api import SMALL
from tzrec.checkpoint.position import Position
from tzrec.run.listeners import Listener
from tzrec.serving.frames import as_table

TEXT = """
model_dir: "model"
train_config {
  num_epochs: 2
  sparse_optimizer { adagrad_optimizer { lr: 0.1 } constant_learning_rate {} }
  dense_optimizer { adam_optimizer { lr: 0.01 } constant_learning_rate {} }
  use_tensorboard: false
}
data_config {
  dataset_type: ParquetDataset fg_mode: FG_DAG batch_size: 32 label_fields: ["clk"] shuffle: true null_values: "N/A"
  bad_row_policy: DEFAULT
}
feature_configs { id_feature { feature_name: "user" expression: "user:user" hash_bucket_size: 50 embedding_dim: 4 } }
feature_configs { id_feature { feature_name: "tags" expression: "item:tags" hash_bucket_size: 50 embedding_dim: 4 } }
feature_configs { raw_feature { feature_name: "price" expression: "item:price" } }
feature_configs { raw_feature { feature_name: "age" expression: "user:age" default_value: "-1" } }
model_config {
  feature_groups { group_name: "all" feature_names: ["user", "tags", "price", "age"] group_type: DEEP }
  multi_tower { towers { input: "all" mlp { hidden_units: [8] } } final { hidden_units: [4] } }
  losses { binary_cross_entropy {} } metrics { auc {} }
}
"""


def rows(num_rows: int = 400) -> pa.Table:
    """Rows with strings, words and nulls for missing ones, lists, numbers and integers that may be null."""
    rng = np.random.default_rng(3)
    users = [[f"u{number}", None, "N/A"][min(number % 13, 2) if number % 13 < 2 else 0] for number in range(num_rows)]
    return pa.table(
        {
            "user": pa.array([None if number % 7 == 0 else user for number, user in enumerate(users)]),
            "tags": pa.array([[f"t{tag}" for tag in range(number % 4)] for number in range(num_rows)]),
            "price": pa.array(rng.random(num_rows)),
            "age": pa.array([None if number % 5 == 0 else number % 60 for number in range(num_rows)]),
            "clk": pa.array(rng.integers(0, 2, num_rows)),
        }
    )


def _with_user(kind: pa.DataType) -> Callable[[pa.Table], Any]:
    def change(table: pa.Table) -> pa.Table:
        return table.set_column(0, "user", table["user"].combine_chunks().cast(kind))

    return change


def _pandas(table: pa.Table) -> Any:
    pytest.importorskip("pandas")
    frame = table.to_pandas()
    frame["age"] = frame["age"].astype("Int64")
    return frame.set_index(np.arange(len(frame)) * 2 + 5)  # an index that is not the number of a row


def _objects(table: pa.Table) -> Any:
    frame = _pandas(table)
    frame["user"] = frame["user"].astype(object)
    frame.loc[frame["user"].isna(), "user"] = float("nan")
    return frame


def _categorical(table: pa.Table) -> Any:
    frame = _pandas(table)
    frame["user"] = frame["user"].astype("category")
    return frame


def _polars(table: pa.Table) -> Any:
    return pytest.importorskip("polars").from_arrow(table)


def _polars_categorical(table: pa.Table) -> Any:
    polars = pytest.importorskip("polars")
    return polars.from_arrow(table).with_columns(polars.col("user").cast(polars.Categorical))


LAYOUTS: dict[str, Callable[[pa.Table], Any]] = {
    "string": lambda table: table,
    "large_string": _with_user(pa.large_string()),
    "string_view": _with_user(pa.string_view()),
    "dictionary": lambda table: table.set_column(0, "user", table["user"].dictionary_encode()),
    "batches": lambda table: pa.Table.from_batches(table.to_batches(max_chunksize=37)),
    "dict": lambda table: table.to_pydict(),
    "pandas": _pandas,
    "pandas_object_with_nan": _objects,
    "pandas_categorical": _categorical,
    "polars": _polars,
    "polars_categorical": _polars_categorical,
}


@pytest.fixture(scope="module")
def parquet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `train.parquet`, `eval.parquet` and the model that was trained on them in `model`."""
    directory = tmp_path_factory.mktemp("parquet")
    pq.write_table(rows(), directory / "train.parquet")
    pq.write_table(rows().slice(0, 100), directory / "eval.parquet")
    edit = {"eval_input_path": str(directory / "eval.parquet"), "train_input_path": str(directory / "train.parquet")}
    run = tzrec.train(TEXT, model_dir=directory / "model", edit=edit)
    assert set(run.metrics) == {"auc", "binary_cross_entropy"}
    return directory


@pytest.mark.parametrize("layout", LAYOUTS)
def test_train_evaluate_and_predict_of_frame_equal_those_of_parquet(layout: str, parquet: Path, tmp_path: Path) -> None:
    train, evaluation = LAYOUTS[layout](rows()), LAYOUTS[layout](rows().slice(0, 100))
    run = tzrec.train(TEXT, model_dir=tmp_path / "model", train=train, eval=evaluation)
    expected = tzrec.evaluate(parquet / "model/pipeline.config")
    assert dict(run.metrics) == dict(expected)
    model = parquet / "model"
    assert dict(tzrec.evaluate(model / "pipeline.config", eval_input_path=evaluation)) == dict(expected)
    scores = tzrec.predict(evaluation, config=model / "pipeline.config", reserved_columns=["clk"])
    assert type(scores) is (pa.Table if isinstance(evaluation, dict) else type(evaluation))
    loaded = tzrec.load(tmp_path / "model").predict(evaluation)
    if hasattr(evaluation, "index"):
        assert scores.index.tolist() == loaded.index.tolist() == evaluation.index.tolist()
    table = as_table(scores)
    assert table.column_names == ["logits", "probs", "clk"]
    assert table["clk"].to_pylist() == rows()["clk"].to_pylist()[:100]
    assert table["probs"].to_pylist() == as_table(loaded)["probs"].to_pylist()


def test_predict_of_frame_equals_predict_of_files(parquet: Path, tmp_path: Path) -> None:
    config = parquet / "model/pipeline.config"
    assert tzrec.predict(parquet / "eval.parquet", tmp_path / "scores", config=config) == 100
    (file,) = (tmp_path / "scores").glob("*.parquet")
    scores = tzrec.predict(rows().slice(0, 100), config=config)
    assert pq.read_table(file)["probs"].to_pylist() == scores["probs"].to_pylist()


def test_null_words_in_strings_of_any_source_are_missing(parquet: Path) -> None:
    predictor = tzrec.load(parquet / "model")
    row = {"tags": [["t1"]], "price": [0.5], "age": [3]}
    missing, word, value = (predictor.predict({**row, "user": pa.array([user], pa.string())}) for user in _USERS)
    assert word == missing
    assert value != missing


_USERS = (None, "N/A", "u1")


def test_temporary_files_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    tzrec.train(TEXT, model_dir=tmp_path / "model", train=rows(64))
    assert list((tmp_path / "temporary").iterdir()) == []


def test_training_frame_replaces_evaluation_data_of_config(tmp_path: Path) -> None:
    edit = {"eval_input_path": "absent/*.parquet"}
    run = tzrec.train(TEXT, model_dir=tmp_path / "a", train=rows(64), edit=edit)
    assert run.metrics == {}
    run = tzrec.train(TEXT, model_dir=tmp_path / "b", train=rows(), edit={"data_config.eval_split.fraction": 0.3})
    assert set(run.metrics) == {"auc", "binary_cross_entropy"}


def test_training_is_resumed_with_an_equal_frame(tmp_path: Path) -> None:
    whole = tzrec.train(TEXT, model_dir=tmp_path / "whole", train=rows(), eval=rows(100))
    half = {"train_config.num_steps": 9, "train_config.save_checkpoints_steps": 9}
    tzrec.train(TEXT, model_dir=tmp_path / "half", train=rows(), eval=rows(100), edit=half)
    run = tzrec.train(TEXT, model_dir=tmp_path / "half", train=rows(), eval=rows(100), continue_train=True)
    assert run.step == whole.step
    assert dict(run.metrics) == dict(whole.metrics)


def test_training_inside_of_an_epoch_refuses_another_frame(tmp_path: Path) -> None:
    class Failure(Listener):
        def on_step(self, position: Position) -> None:
            if position.step == 6:
                raise RuntimeError("step 6")

    edit = {"train_config.save_checkpoints_steps": 3}
    with pytest.raises(RuntimeError, match="step 6"):
        tzrec.train(TEXT, model_dir=tmp_path, train=rows(), edit=edit, listeners=[Failure()])
    with pytest.raises(
        tzrec.CheckpointError, match=r"missing: .*train\.arrow \(400 rows, .*\n  added: train \(300 rows, "
    ):
        tzrec.train(TEXT, model_dir=tmp_path, train=rows(300), continue_train=True)


def test_init_check_train_and_load_of_frame(tmp_path: Path) -> None:
    result = tzrec.init(rows(), ["clk"], model_dir=tmp_path / "model")
    assert result.rows == 400
    assert not result.config.train_input_path
    assert tzrec.check(result.config, data=rows()) == []
    run = tzrec.train(result.config, train=rows(), edit={"train_config.num_epochs": 1})
    assert run.model_dir == tmp_path / "model"
    assert tzrec.load(run.model_dir).predict(rows()).num_rows == 400


def test_check_of_frame_names_missing_column() -> None:
    (problem,) = tzrec.check(TEXT, data=rows().drop_columns("price"))
    assert 'no column "price"' in problem.message


def test_load_of_checkpoint_and_of_model_directory_are_equal(parquet: Path) -> None:
    (checkpoint,) = (parquet / "model").glob("model.ckpt-*")
    scores = [tzrec.load(path).predict(rows()) for path in (checkpoint, parquet / "model")]
    assert scores[0] == scores[1]


def test_load_of_checkpoint_without_config_names_the_cure(parquet: Path, tmp_path: Path) -> None:
    with pytest.raises(tzrec.CheckpointError, match=r"there is no pipeline.config beside it; pass the config"):
        tzrec.load(tmp_path / "model.ckpt-3")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tzrec.train(TEXT, train=3), "train: train must be a path, or a frame of pyarrow, pandas"),
        (lambda: tzrec.train(TEXT, train=rows(), eval="x.parquet"), "must be two frames or two paths"),
        (lambda: tzrec.train(TEXT, eval=rows()), "must be two frames or two paths"),
        (lambda: tzrec.predict(rows(), "out", config=TEXT), "those of a frame are returned, without"),
        (lambda: tzrec.predict("x.parquet", config=TEXT), "scores of files are written to output_path"),
        (lambda: tzrec.train(TEXT, train=rows(), listeners=[3]), "listeners must be a list of listeners"),
    ],
)
def test_wrong_argument_raises_usage_error(call: Callable[[], object], message: str) -> None:
    with pytest.raises(tzrec.UsageError, match=message):
        call()


def test_frame_without_rows_or_with_objects_raises_data_error() -> None:
    with pytest.raises(tzrec.DataError, match=r"^train: the frame has no rows$"):
        tzrec.train(TEXT, train=rows().slice(0, 0))
    with pytest.raises(tzrec.DataError, match=r'^train: column "a" cannot be read: .* give all values one'):
        tzrec.train(TEXT, train={"a": [1, "x"]})


def test_error_of_the_data_names_the_argument(tmp_path: Path) -> None:
    with pytest.raises(tzrec.DataError, match=r'^eval: no column "price"\. The file has: user, tags, age, clk$'):
        tzrec.train(TEXT, model_dir=tmp_path, train=rows(64), eval=rows(64).drop_columns("price"))


def test_progress_draws_a_bar_and_a_line_for_each_evaluation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tzrec.train(TEXT, model_dir=tmp_path, train=rows(), eval=rows(100), progress=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "26/26" in shown.err
    assert "loss 0." in shown.err
    assert "eval   step 25  auc 0." in shown.err


def test_training_is_silent_by_default(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("tzrec"), "handlers", [])  # those of verbs that ran in this process
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tzrec.train(TEXT, model_dir=tmp_path, train=rows(64))
    assert capsys.readouterr() == ("", "")
    assert [str(warning.message) for warning in caught] == []


def test_frame_of_text_config_reads_words_as_csv_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = SMALL.replace("with_header: true", 'with_header: true null_values: "-"')
    users = ["-" if number % 5 == 0 else str(number % 4) for number in range(64)]
    clicks = [int(number % 4 < 2) for number in range(64)]
    lines = [f"{user},{click}" for user, click in zip(users, clicks, strict=True)]
    (tmp_path / "log.csv").write_text("\n".join(["user,clk", *lines]) + "\n")
    edit = {"train_config.num_epochs": 3}
    frame = {"user": users, "clk": clicks}
    by_file = tzrec.train(text, model_dir="a", edit=edit)
    by_frame = tzrec.train(text, model_dir="b", edit=edit, train=frame, eval=frame)
    assert dict(by_frame.metrics) == dict(by_file.metrics)
