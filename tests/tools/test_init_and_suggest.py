"""`tzrec init` and `tzrec suggest`: from data files to a config that trains."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from tzrec import train_eval
from tzrec.check import main as check_main
from tzrec.config.load import load_config
from tzrec.data.synthetic import make_data
from tzrec.profile.suggest import REFITTABLE
from tzrec.tools import init, suggest

ROWS = 3000


@pytest.fixture(scope="module")
def table() -> pa.Table:
    rng = np.random.default_rng(1)
    price = rng.lognormal(3, 1.5, ROWS)
    clk = (rng.random(ROWS) < 0.3).astype(np.int64)
    return pa.table(
        {
            "request": np.arange(ROWS),
            "user_id": rng.zipf(1.3, ROWS).clip(max=10_000),
            "city": np.char.add("city ", rng.integers(0, 30, ROWS).astype(str)),
            "price": pa.array(price, mask=rng.random(ROWS) < 0.02),
            "rate": rng.random(ROWS),
            "clk": clk,
            "pay": price * clk,
            "at": pa.array(np.arange(ROWS), pa.timestamp("s")),
        }
    )


@pytest.fixture(scope="module")
def data(table: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("data")
    pq.write_table(table.slice(0, 2000), folder / "a.parquet")
    pq.write_table(table.slice(2000), folder / "b.parquet")
    return f"{folder}/*.parquet"


def test_init_writes_a_config_that_trains(data: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new" / "first.config"
    words = ["--train_input_path", data, "--label_fields", "clk,pay", "--output_config", str(path)]
    assert init.main([*words, "--report", str(tmp_path / "report.json")]) == 0
    output = capsys.readouterr().out
    assert output.startswith(f"read    {data}   3,000 rows, 8 columns   ")
    assert 'model_config: not set -> "mmoe" (2 labels)' in output
    table = {line.split()[0]: " ".join(line.split()[1:]) for line in output.split("\n\n")[1].splitlines()}
    assert table["column"] == "taken as because override"
    assert table["at"] == "time 1970-01-01 to 1970-01-01, the time of the row -> hour --as at=skip"
    assert table["request"] == "left out nearly every row has its own value, 3,000 in 3,000 --as request=number"
    expected = r"id order says nothing \(rank 0\.[45]\d\); its name says user; 4.* --as user_id=number"
    assert re.fullmatch(expected, table["user_id"]), table["user_id"]
    assert re.fullmatch(r"label 1 in [\d.]+ % of the rows", table["clk"]), table["clk"]
    wrote, next_command = output.splitlines()[-2:]
    assert wrote == f"wrote   {path}   5 features, mmoe, check: no problems"
    assert next_command == f"next    tzrec train --pipeline_config {path}"

    assert check_main(["--pipeline_config", str(path)]) == 0
    assert "mmoe (clk, pay), 5 features" in capsys.readouterr().out
    edits = {"train_config.num_steps": 2, "train_config.num_epochs": 0, "train_config.save_checkpoints_epochs": 0}
    model = ["--model_dir", str(tmp_path / "model"), "--edit_config_json", json.dumps(edits)]
    assert train_eval.main(["--pipeline_config", str(path), *model]) == 0

    config = load_config(str(path))
    assert config.model_dir == "experiments/first"
    user, city, price, rate, at_hour = config.feature_configs
    assert len(rate.raw_feature.piecewise_linear.edges) == 61  # of 60 intervals with 50 rows each
    num_prices = 3000 - pq.read_table(Path(data).parent)["price"].null_count
    # one more below the others, for missing prices
    assert len(price.raw_feature.piecewise_linear.edges) == num_prices // 50 + 2
    assert config.data_config.eval_split.column == "at"
    assert (config.data_config.batch_size, config.train_config.early_stopping.metric) == (
        64,
        "binary_cross_entropy_clk",
    )
    assert len(city.id_feature.vocab_list) == 30
    hour = at_hour.custom_feature
    assert (hour.feature_name, hour.operator_name, hour.num_buckets) == ("at_hour", "TimePart", 25)
    assert 5 * 100 < user.id_feature.hash_bucket_size < 5 * 2000
    assert not price.raw_feature.normalizer  # the edges are its quantiles
    report = json.loads((tmp_path / "report.json").read_text())
    assert [column["name"] for column in report["columns"]] == [
        "request",
        "user_id",
        "city",
        "price",
        "rate",
        "clk",
        "pay",
        "at",
    ]


def test_init_reads_csv(table: pa.Table, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pacsv.write_csv(table.drop_columns(["at"]), tmp_path / "a.csv")
    path = tmp_path / "first.config"
    words = ["--train_input_path", str(tmp_path / "a.csv"), "--label_fields", "clk", "--output_config", str(path)]
    assert init.main([*words, "--features", "user_id,price"]) == 0
    assert check_main(["--pipeline_config", str(path)]) == 0
    assert "multi_tower, 2 features" in capsys.readouterr().out
    user, price = load_config(str(path)).feature_configs
    assert user.id_feature.hash_bucket_size > 0
    num_prices = table.num_rows - table["price"].null_count
    assert len(price.raw_feature.piecewise_linear.edges) == num_prices // 50 + 2


CONFIG = """
train_input_path: "{data}" eval_input_path: "{data}" model_dir: "model"
train_config {{
  num_epochs: 1
  sparse_optimizer {{ adagrad_optimizer {{ lr: 0.1 }} constant_learning_rate {{}} }}
  dense_optimizer {{ adam_optimizer {{ lr: 0.01 }} constant_learning_rate {{}} }}
}}
data_config {{ dataset_type: ParquetDataset fg_mode: FG_DAG batch_size: 64 label_fields: "clk" }}
feature_configs {{ id_feature {{ feature_name: "user" expression: "user:user_id" }} }}
feature_configs {{ id_feature {{ feature_name: "city" expression: "item:city" hash_bucket_size: 9 embedding_dim: 8 }} }}
feature_configs {{ raw_feature {{ feature_name: "rate" expression: "item:rate" }} }}
model_config {{
  feature_groups {{ group_name: "all" feature_names: ["user", "city", "rate"] group_type: DEEP }}
  multi_tower {{ towers {{ input: "all" mlp {{ hidden_units: [8] }} }} final {{ hidden_units: [8] }} }}
  losses {{ binary_cross_entropy {{}} }}
}}
"""


@pytest.fixture
def config(data: str, tmp_path: Path) -> Path:
    path = tmp_path / "mine.config"
    path.write_text(CONFIG.format(data=data))
    return path


def test_suggest_completes_only_open_fields(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = config.read_text()
    assert suggest.main(["--pipeline_config", str(config)]) == 0
    output = capsys.readouterr().out
    assert "nothing written" in output
    assert config.read_text() == before
    assert [line.partition(": not set ->")[0] for line in output.splitlines() if " -> " in line] == [
        "feature_configs[0].id_feature.hash_bucket_size",
        "feature_configs[0].id_feature.embedding_dim",
    ]
    assert "note" not in output

    out = tmp_path / "complete.config"
    assert suggest.main(["--pipeline_config", str(config), "--output_config", str(out)]) == 0
    assert check_main(["--pipeline_config", str(out)]) == 0
    old, new = before.replace('user_id"', 'user_id" hash_bucket_size: 1 embedding_dim: 8'), load_config(str(out))
    config.write_text(old)
    expected = load_config(str(config))
    user = new.feature_configs[0].id_feature
    assert user.embedding_dim == 8  # the dimension of all other features
    added = f"hash_bucket_size: {user.hash_bucket_size} embedding_dim: 8"
    assert out.read_text() == before.replace('expression: "user:user_id"', f'expression: "user:user_id" {added}')
    expected.feature_configs[0].id_feature.hash_bucket_size = user.hash_bucket_size
    assert new == expected  # nothing else has changed


def test_suggest_keeps_comments_unless_the_config_is_edited(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "complete.config"
    words = ["--pipeline_config", str(config), "--output_config", str(out)]
    config.write_text(f"# mine\n{config.read_text()}")
    assert suggest.main([*words, "--eval_input_path", "other"]) == 0
    assert out.read_text().startswith("# mine")
    assert load_config(str(out)).eval_input_path == "other"
    edits = json.dumps({"feature_configs[:].id_feature.embedding_dim": 4})
    assert suggest.main([*words, "--overwrite", "--edit_config_json", edits]) == 0
    assert "# mine" not in out.read_text()
    assert [feature.id_feature.embedding_dim for feature in load_config(str(out)).feature_configs] == [4, 4, 0]


def test_suggest_refits_the_fields_asked_for(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert suggest.main(["--pipeline_config", str(config), "--features", "city", "--refit", "hash_bucket_size"]) == 0
    output = capsys.readouterr().out
    assert "feature_configs[1].id_feature.hash_bucket_size: 9 -> 150 (city: 30 distinct values;" in output
    assert output.count(" -> ") == 1
    assert "note: feature_configs[0].id_feature.embedding_dim is required and missing" in output


def test_init_replaces_the_features_of_a_config(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "other.config"
    words = ["--pipeline_config", str(config), "--features", "city,price", "--output_config", str(out)]
    assert init.main(words) == 0
    output = capsys.readouterr().out
    names = '["city", "price"]'
    assert f'feature_configs: ["user", "city", "rate"] -> {names} (one for each column)' in output
    assert "note: model_config.feature_groups[0].feature_names[0]: unknown feature" in output
    assert "model_config: not set" not in output
    text = out.read_text()
    assert text.count("feature_configs {") == 2 and "multi_tower" in text


def test_init_completes_a_config_without_features(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = config.read_text().partition("feature_configs")[0]
    config.write_text(head)
    out = tmp_path / "first.config"
    assert init.main(["--pipeline_config", str(config), "--output_config", str(out)]) == 0
    assert check_main(["--pipeline_config", str(out)]) == 0
    output = capsys.readouterr().out
    assert "predicts clk alone (AUC 1.000)" in output and "multi_tower, 5 features" in output
    assert load_config(str(out)).train_config.sparse_optimizer.adagrad_optimizer.lr == pytest.approx(0.1)
    config.write_text(head[: head.index("train_config")] + head[head.index("data_config") :])
    assert init.main(["--pipeline_config", str(config), "--output_config", str(out), "--overwrite"]) == 0
    reason = "of embedding tables and of dense parameters"
    assert f'train_config: not set -> "Adagrad and Adam" ({reason})' in capsys.readouterr().out
    assert suggest.main(["--pipeline_config", str(out)]) == 0
    assert "no field is left open" in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["--train_input_path", "x"]])
def test_init_requires_data_and_labels(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert init.main(words) == 2
    assert "give --train_input_path and --label_fields, or --pipeline_config" in capsys.readouterr().err


def test_suggest_requires_features(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(config.read_text().partition("feature_configs")[0])
    assert suggest.main(["--pipeline_config", str(config)]) == 2
    assert "feature_configs: is empty; create features from the data with tzrec init" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--pipeline_config", "x", "--refit", "boundries"], "'boundries' is not one of vocab_list, hash_bucket_size"),
        (["--pipeline_config", "x", "--report", "x.txt"], "'x.txt' ends in neither .json nor .html"),
        (["--pipeline_config", "x", "--output_config", "x.json"], "x.json would be read as JSON, but text is written"),
        (
            ["--pipeline_config", __file__, "--output_config", __file__],
            "exists; choose another file, or add --overwrite",
        ),
    ],
)
def test_suggest_rejects_wrong_command_lines(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert suggest.main(words) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "change", "words", "status", "message"),
    [
        (suggest, ("item:rate", "item:rat"), [], 1, 'no column "rat" (did you mean "rate"?)'),
        (suggest, ('feature_name: "rate"', 'feature_nam: "rate"'), [], 2, "feature_nam"),
        (suggest, ("", ""), ["--features", "cit"], 2, '"cit" is not a feature that values can be suggested for'),
        (init, ("FG_DAG", "FG_NONE"), [], 2, "features can be created from raw columns only; use FG_DAG"),
        (init, ("", ""), ["--features", "x"], 1, 'no column "x"'),
        (init, ("", ""), ["--label_fields", "click"], 1, 'no column "click" (did you mean "clk"?)'),
    ],
)
def test_wrong_configs_are_reported(
    config: Path,
    command: Any,
    change: tuple[str, str],
    words: list[str],
    status: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config.write_text(config.read_text().replace(*change))
    assert command.main(["--pipeline_config", str(config), *words]) == status
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("name", ["mmoe_features", "mmoe_more_features"])
def test_suggest_refits_the_computed_features_of_the_examples(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example = Path(__file__).parents[2] / "examples" / "configs" / f"{name}.config"
    make_data(load_config(str(example)), str(tmp_path / "data"), rows=500, seed=3)
    words = ["--pipeline_config", str(example), "--train_input_path", f"{tmp_path}/data/*.parquet"]
    out = tmp_path / "new.config"
    words += ["--refit", ",".join(REFITTABLE), "--output_config", str(out)]
    assert suggest.main(words) == 0
    output = capsys.readouterr().out
    assert "note" not in output
    assert output.count(" -> ") >= 5
    assert check_main(["--pipeline_config", str(out)]) == 0
