"""The last lines of a run."""

from __future__ import annotations

from pathlib import Path

from tests.fixtures.log_lines import recorded_log
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.run.summary import log_end
from tzrec.run.training_loop import Outcome


def test_log_end_names_metrics_best_checkpoint_report_and_next_command(tmp_path: Path) -> None:
    model_dir = tmp_path / "my model"
    model_dir.mkdir()
    (model_dir / "report.html").write_text("")
    lines = ['{"global_step": 4, "auc": 0.75}', '{"global_step": 9, "auc": 0.5}']
    (model_dir / "train_eval_result_v2.txt").write_text("\n".join(lines) + "\n")
    config = EasyRecConfig(model_dir=str(model_dir))
    config.export_config.exporter_type, config.export_config.best_exporter_metric = "best", "auc"
    with recorded_log() as logged:
        log_end(config, Outcome(9, {"auc": 0.5}, seconds=65.2))
    assert logged == [
        "done   10 steps in 1:05  auc 0.5000",
        "best   model.ckpt-4  auc 0.7500; tzrec export takes it",
        f"report {model_dir}/report.html",
        f"next   tzrec export --pipeline_config '{model_dir}/pipeline.config' --export_dir '{model_dir}/export'",
    ]


def test_log_end_names_the_best_of_the_evaluations_on_the_present_rows(tmp_path: Path) -> None:
    lines = [(4, "a", 0.75), (9, "a", 0.8), (14, "b", 0.5), (19, "b", 0.6), (24, "b", 0.55)]
    text = "".join(f'{{"global_step": {step}, "eval_data": "{data}", "auc": {auc}}}\n' for step, data, auc in lines)
    (tmp_path / "train_eval_result_v2.txt").write_text(text)
    config = EasyRecConfig(model_dir=str(tmp_path))
    config.export_config.exporter_type, config.export_config.best_exporter_metric = "best", "auc"
    with recorded_log() as logged:
        log_end(config, Outcome(24, {"auc": 0.55}))
    assert logged[1] == "best   model.ckpt-19  auc 0.6000, of 3 evaluated on the present rows; tzrec export takes it"


def test_log_end_after_signal_names_the_way_to_go_on(tmp_path: Path) -> None:
    with recorded_log() as logged:
        log_end(EasyRecConfig(model_dir=str(tmp_path)), Outcome(9, signal=2))
    assert logged == ["stop   saved at step 9; resume with the same command and --continue_train"]
