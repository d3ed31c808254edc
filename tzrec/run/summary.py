"""Last lines of a run: its metrics, its best checkpoint, its report, and the command that comes next."""

from __future__ import annotations

import shlex

from tzrec.checkpoint.store import RESULTS, best_first, comparable, read_results
from tzrec.formatting import format_duration
from tzrec.log import log_facts, logger, side_output
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.run.reporting import NAME
from tzrec.run.training_loop import Outcome
from tzrec.storage.path import AnyPath, to_path


def log_end(config: EasyRecConfig, outcome: Outcome) -> None:
    """Log how a run has ended; on rank 0."""
    model_dir, facts = to_path(config.model_dir), {"signal": outcome.signal, "seconds": outcome.seconds}
    if outcome.signal:
        text = f"stop   saved at step {outcome.step}; resume with the same command and --continue_train"
        log_facts(text, event="end", step=outcome.step, **facts)
        return
    metrics = "".join(f"  {name} {value:.4f}" for name, value in outcome.metrics.items())
    text = f"done   {outcome.step + 1:,} steps in {format_duration(outcome.seconds)}{metrics}"
    log_facts(text, event="end", step=outcome.step, metrics=outcome.metrics, **facts)
    with side_output("the best step"):
        _log_best(config, model_dir)
    if (model_dir / NAME).exists():
        logger.info("report %s", model_dir / NAME)
    arguments = ["--pipeline_config", str(model_dir / "pipeline.config"), "--export_dir", str(model_dir / "export")]
    logger.info("next   tzrec export %s", shlex.join(arguments))


def _log_best(config: EasyRecConfig, model_dir: AnyPath) -> None:
    """Log the checkpoint that an export takes, if it is chosen by a metric."""
    export = config.export_config
    if export.exporter_type != "best":
        return
    metric = export.best_exporter_metric
    paths = best_first(model_dir, metric, export.metric_larger_is_better)
    if paths:
        step = int(paths[0].name.rpartition("-")[2])
        lines = read_results(model_dir / RESULTS)
        values = {line["global_step"]: line.get(metric) for line in comparable(lines)}
        is_part = len(values) < len({line["global_step"] for line in lines})
        remark = f", of {len(values)} evaluated on the present rows" if is_part else ""
        logger.info("best   %s  %s %.4f%s; tzrec export takes it", paths[0].name, metric, values[step], remark)
