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
    shared = ["weights", "optimizer", "activations"]
    names = ["table", "rows", "dim", "sharding", "kernel", "ranks", *shared, "exchange/step", "ms/step"]
    assert printed[0].split() == names
    # ids: 1000 x 8 B x 63/64; vectors and gradients: 2 x 63 x 1000 x 64 x 4 B = 32.3 MB
    assert " ".join(printed[1].split()[:-1]) == (
        "item_emb 1,000,000,000 64 row_wise fused 0-63 256 GB 256 GB 512 kB 32 MB"
    )
    assert printed[3].split() == ["ranks", *shared, "free", "exchange/step", "ms/step"]
    free = "72" if device == "cuda" else "117"
    # 512 kB of vectors and 1000 x (16 + 4 + 1) x 8 B of layer outputs
    assert " ".join(printed[4].split()[:-1]) == f"0-63 4.0 GB 4.0 GB 680 kB {free} GB 32 MB"
    # 64 x 16 + 16 + 16 x 4 + 4 + 4 + 1 values in layers, four numbers each; a ring sends 2 x 63/64 of the gradient
    assert printed[6].startswith(
        f"each rank has {'80' if device == 'cuda' else '125'} GB; dense layers take 18 kB of it"
    )
    assert printed[6].endswith("send 8.8 kB of gradients in a step")
    assert printed[7].startswith("step of tables about ")


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


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_plan_with_adam_has_dense_tables_on_cpu_and_fused_ones_on_cuda(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], device: str
) -> None:
    path = Path(config_file(tmp_path, rows=10_000_000))
    path.write_text(path.read_text().replace("adagrad_optimizer", "adam_optimizer"))
    assert main(["--pipeline_config", str(path), "--ranks", "4", "--device", device]) == 0
    line = capsys.readouterr().out.splitlines()[1]
    assert line.split()[4] == {"cuda": "fused", "cpu": "dense"}[device]
    # two moments, and the gradient of the dense kernel
    assert f"2.6 GB     {'5.1' if device == 'cuda' else '7.7'} GB" in line


def test_plan_replicates_large_table_where_nothing_else_is_allowed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = config_file(tmp_path, 1_000_000, 'embedding_constraints { sharding_types: "data_parallel" }')
    assert main(["--pipeline_config", path, "--ranks", "4"]) == 0
    assert "data_parallel  dense   0-3" in capsys.readouterr().out


def test_plan_with_kernel_that_no_sharding_type_has_is_rejected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = 'embedding_constraints { sharding_types: "row_wise" compute_kernels: "dense" }'
    assert main(["--pipeline_config", config_file(tmp_path, more=more), "--ranks", "4"]) == 2
    assert (
        'embedding_constraints: table "item_emb": none of its sharding types has the kernel dense on CUDA; row_wise '
        "has fused, fused_uvm_caching, fused_uvm"
    ) in capsys.readouterr().err


def test_advice_for_whole_table_names_row_wise_and_not_more_ranks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = config_file(tmp_path, more='embedding_constraints { sharding_types: "table_wise" }')
    assert main(["--pipeline_config", path, "--ranks", "64", "--device", "cpu"]) == 1
    problem = capsys.readouterr().out.splitlines()[-1]
    assert "What helps: allow row_wise in embedding_constraints.sharding_types of item_emb" in problem
    assert "ranks;" not in problem


def test_plan_with_batch_above_the_memory_names_batch_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = config_file(tmp_path, 1000)
    edits = '{"data_config.batch_size": 1000000}'
    flags = ["--ranks", "4", "--device", "cpu", "--host_memory", "1GB", "--edit_config_json", edits]
    assert main(["--pipeline_config", path, *flags]) == 1
    assert (
        "What helps: lower data_config.batch_size or the widths of layers, which take 680 MB" in capsys.readouterr().out
    )


def test_ranks_with_equal_needs_share_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One of 40 ranks holds the table, so that the fullest rank stands first, and then all others in one line."""
    path = config_file(tmp_path, 1_000_000, 'embedding_constraints { sharding_types: "table_wise" }')
    assert main(["--pipeline_config", path, "--ranks", "40", "--device", "cpu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[4:6]] == [["20", "256"], ["0-19,21-39", "0"]]


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
    assert lines["sequence.adgroup_id_emb"].split()[-3:-1] == ["25", "MB"]
