"""Comparison of runs, and the fields of configs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tzrec.checkpoint.store import RESULTS
from tzrec.report.compare import compare_page
from tzrec.report.config_fields import changed_fields, differences, parse
from tzrec.report.record import RECORD, to_line
from tzrec.report.run_files import RunFiles
from tzrec.tools import report

CONFIG = """
model_dir: "{name}"
train_config {{
  sparse_optimizer {{ adagrad_optimizer {{ lr: {lr} }} constant_learning_rate {{}} }}
  dense_optimizer {{ adam_optimizer {{ lr: 0.001 }} constant_learning_rate {{}} }}
  num_epochs: 2 keep_checkpoint_max: 0
}}
data_config {{ batch_size: 64 label_fields: "a" label_fields: "b" }}
feature_configs {{ id_feature {{ feature_name: "user" num_buckets: 9 embedding_dim: 8 }} }}
"""


def write_run(model_dir: Path, auc: float, lr: float, seed: int = 1, eval_data: str = "") -> None:
    """Write the files of a run with two evaluations."""
    model_dir.mkdir()
    (model_dir / "pipeline.config").write_text(CONFIG.format(name=model_dir.name, lr=lr))
    lines: list[dict[str, Any]] = [{"global_step": 5, "auc": auc - 0.1}, {"global_step": 9, "auc": auc}]
    lines = [line | ({"eval_data": eval_data} if eval_data else {}) for line in lines]
    (model_dir / RESULTS).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    auc_info = {"kind": "auc", "task": "", "larger_is_better": True, "is_loss": False}
    facts = {"model": "deepfm", "seed": seed, "num_dense_parameters": 7, "tables": [], "versions": {"tzrec": "1"}}
    log = {"epoch": 0, "losses": {"bce": 0.5}, "metrics": {}, "learning_rates": [0.1], "rows_per_second": 10.0}
    end = {"signal": 0, "seconds": 65.0, "stage_seconds": {}, "peak_memory_bytes": 10**9, "bad_rows": {}}
    events = [
        to_line("start", 0, -1, {**facts, "metrics": {"auc": auc_info}}),
        to_line("log", 1, 5, log),
        to_line("end", 2, 9, end),
    ]
    (model_dir / RECORD).write_text("\n".join(events) + "\n")


def test_compare_page_marks_best_run_and_lists_config_differences(tmp_path: Path) -> None:
    write_run(tmp_path / "one", auc=0.7, lr=0.05)
    write_run(tmp_path / "two", auc=0.8, lr=0.1)
    html = compare_page([RunFiles.of_run(tmp_path / name) for name in ("one", "two")])
    assert "<h1>Comparison of 2 runs</h1>" in html
    assert "<td>0.7000 <small>best 0.7000 at 9</small></td>" in html
    assert "<td><b>0.8000 ✓</b> <small>best 0.8000 at 9</small></td>" in html
    config = html[html.index('id="config"') :]
    rows = re.findall(r"<tr><td>(.*?)</td><td[^>]*>(.*?)</td><td[^>]*>(.*?)</td></tr>", config)
    assert rows == [("train_config.sparse_optimizer.adagrad_optimizer.lr", "0.05", "0.1")]
    assert ">1:05</td>" in html


@pytest.mark.parametrize(
    ("digests", "is_doubtful"), [(("", ""), False), (("a", ""), False), (("a", "a"), False), (("a", "b"), True)]
)
def test_compare_page_says_if_evaluated_files_differ(
    tmp_path: Path, digests: tuple[str, str], is_doubtful: bool
) -> None:
    for name, digest in zip(("one", "two"), digests, strict=True):
        write_run(tmp_path / name, auc=0.7, lr=0.05, eval_data=digest)
    html = compare_page([RunFiles.of_run(tmp_path / name) for name in ("one", "two")])
    assert ("The runs have read different files to evaluate" in html) == is_doubtful
    assert "eval_data" not in html, "a digest is no metric"


def test_report_of_one_run_is_written_into_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "one", auc=0.7, lr=0.05)
    facts = {"num_ranks": 1, "num_train_rows": None, "train_input_path": "t", "eval_input_path": "", "batch_size": 8}
    hardware = {
        "device": "cpu",
        "processor": "p",
        "cores": 2,
        "threads": 1,
        "memory_bytes": 1,
        "host": "h",
        "system": "s",
    }
    path = tmp_path / "one" / RECORD
    first, *rest = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps({**json.loads(first), **facts, "hardware": hardware}), *rest]))
    assert report.main([str(tmp_path / "one")]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/one/report.html\n"
    html = (tmp_path / "one" / "report.html").read_text()
    assert "<span>auc</span><b>0.7000</b>" in html
    assert "deepfm" in html
    assert "1970-01-01 00:00 UTC" in html


def test_report_of_several_runs_is_one_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        write_run(tmp_path / name, auc=0.7, lr=0.05)
    output = tmp_path / "page.html"
    assert report.main([str(tmp_path / "a"), str(tmp_path / "b"), "--output_path", str(output)]) == 0
    assert "No field differs, but for model_dir." in output.read_text()


def test_report_of_directory_without_run_names_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report.main([str(tmp_path)]) == 2
    message = capsys.readouterr().err
    assert f"{tmp_path}: neither metrics.jsonl nor {RESULTS} is there" in message


def test_changed_fields_leaves_out_defaults_and_features() -> None:
    rows = {
        row["field"]: (row["value"], row["default"]) for row in changed_fields(parse(CONFIG.format(name="m", lr=0.1)))
    }
    assert rows["train_config.sparse_optimizer.adagrad_optimizer.lr"][0] == "0.1"
    assert rows["data_config.label_fields"] == ("a, b", "—")
    assert "train_config.keep_checkpoint_max" not in rows
    assert not [name for name in rows if name.startswith("feature_configs")]


def test_differences_names_entries_of_lists() -> None:
    one, two = (parse(CONFIG.format(name="m", lr=0.1)) for _ in range(2))
    two.feature_configs[0].id_feature.embedding_dim = 16
    two.train_config.keep_checkpoint_max = 3
    assert differences([one, two]) == [
        ("train_config.keep_checkpoint_max", ["0", "3"]),
        ("feature_configs[user].id_feature.embedding_dim", ["8", "16"]),
    ]
