"""`tzrec plan`: plans for ranks that are not here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tzrec.config.check import load_checked
from tzrec.plan import main
from tzrec.run.plan import plan
from tzrec.tables.cluster import Cluster

CONFIG = """
train_input_path: "x.parquet" eval_input_path: "x.parquet" model_dir: "m"
train_config {{
  num_steps: 1
  sparse_optimizer {{ adagrad_optimizer {{ lr: 0.05 }} constant_learning_rate {{}} }}
  dense_optimizer {{ adam_optimizer {{ lr: 0.005 }} constant_learning_rate {{}} }}
}}
data_config {{ dataset_type: ParquetDataset fg_mode: FG_DAG batch_size: 1000 label_fields: "clk" }}
feature_configs {{
  id_feature {{ feature_name: "item" expression: "item:item" num_buckets: {rows} embedding_dim: 64 {more} }}
}}
model_config {{
  feature_groups {{ group_name: "all" feature_names: ["item"] group_type: DEEP }}
  multi_tower {{ towers {{ input: "all" mlp {{ hidden_units: [16] }} }} final {{ hidden_units: [4] }} }}
  losses {{ binary_cross_entropy {{}} }} metrics {{ auc {{}} }}
}}
"""


def config_file(directory: Path, rows: int = 1_000_000_000, more: str = "") -> str:
    path = directory / "c.config"
    path.write_text(CONFIG.format(rows=rows, more=more))
    return str(path)


@pytest.mark.parametrize(("device", "hbm"), [("cuda", "80GB"), ("cpu", "1GB")])
def test_plan_that_fits_prints_tables_and_fullest_rank(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], device: str, hbm: str
) -> None:
    """256 GB on 64 ranks are 4 GB a rank, and as much for Adagrad."""
    types = 'embedding_constraints { sharding_types: "row_wise" }'
    arguments = ["--pipeline_config", config_file(tmp_path, more=types), "--ranks", "64", "--device", device]
    assert main([*arguments, "--hbm", hbm]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split() == ["table", "rows", "dim", "bytes", "sharding", "kernel", "ranks", "exchange/step"]
    # ids: 1000 x 8 B x 63/64; vectors and gradients: 2 x 63 x 1000 x 64 x 4 B = 32.3 MB
    row = ["item_emb", "1,000,000,000", "64", "256", "GB", "row_wise", "fused", "0-63", "32", "MB"]
    assert printed[1].split() == row
    assert "weights 4.0 GB   optimizer 4.0 GB" in printed[3]
    assert printed[4].startswith("step of tables about ")


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_plan_that_does_not_fit_returns_1_and_names_changes_that_help(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], device: str
) -> None:
    flags = ["--ranks", "2", "--device", device, "--hbm", "80GB", "--host_memory", "100GB"]
    assert main(["--pipeline_config", config_file(tmp_path), *flags]) == 1
    problem = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("does not fit: "))
    assert "tables of 256 GB with 256 GB of optimizer state on 2 ranks" in problem
    assert "the largest is item_emb with 256 GB" in problem
    # 512 GB on GPUs with 85 % of 80 GB, or on halves of hosts with 100 GB
    assert f"use at least {8 if device == 'cuda' else 11} ranks" in problem
    assert "rowwise_adagrad_optimizer, which stores 4.0 GB" in problem
    assert "FP16, which makes 128 GB of the tables" in problem


def test_plan_of_512_ranks_covers_each_rank(tmp_path: Path) -> None:
    config = load_checked(config_file(tmp_path), {}, "cuda")
    report = plan(config, Cluster(512, device="cuda", memory=80 * 10**9, host_memory=10**11, batch_size=1000))
    assert report.problems == ()
    assert report.capacity.weights.sum() == pytest.approx(256e9)
    assert report.capacity.weights.shape == (512,)


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--hbm=80", "'80' is not a size"),
        ("--hbm=-1GB", "'-1GB' is not a size"),
        ("--ranks=1000000", "'1000000' is not a whole number from 1 to 100000"),
    ],
)
def test_plan_with_invalid_flag_is_rejected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: str, message: str
) -> None:
    assert main(["--pipeline_config", config_file(tmp_path), "--ranks", "2", flag]) == 2
    assert message in capsys.readouterr().err


def test_plan_without_memory_names_torchrecs_reason_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--pipeline_config", config_file(tmp_path), "--ranks", "2", "--hbm=1B", "--host_memory=1GB"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line[:36] for line in lines] == [
        "does not fit: tables of 256 GB with ",
        "does not fit: torchrec: Unable to fi",
    ]


def test_plan_counts_the_elements_of_sequences(capsys: pytest.CaptureFixture[str]) -> None:
    """50 elements and an item: 4096 rows x 51 x (8 B of id + 2 x 64 B of vector and gradient) x 7/8 = 24.9 MB."""
    root = Path(__file__).parents[2]
    assert main(["--pipeline_config", f"{root}/examples/configs/multi_tower_sequences_taobao.config", "--ranks=8"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert lines["sequence.adgroup_id_emb"].endswith("  25 MB")
