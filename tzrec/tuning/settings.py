"""Settings of a study: its space, its metric and its limits, from a config of its own and the pipeline config."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from tzrec import registry
from tzrec.config.check import check_message
from tzrec.config.checker import Checker, FieldChecker
from tzrec.config.load import ConfigSource, MessageSource, load_message_source
from tzrec.config.metric_names import metric_name
from tzrec.config.rules.tasks import evaluation_results, tasks
from tzrec.errors import ConfigError, Problem
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.protos.tune_pb2 import TuneConfig
from tzrec.tuning.default_space import default_parameters
from tzrec.tuning.space import Space, copy_config
from tzrec.tuning.space_rules import check_metric, check_space, check_study_data


@dataclass(frozen=True)
class TuneSettings:
    """Settings of a study.

    Attributes:
        config: of the study, with flags applied and the parameters of the space.
        space: parameters over the starting config.
        metric: name of an evaluation result.
        is_maximized: True if larger values of the metric are better.
    """

    config: TuneConfig
    space: Space
    metric: str
    is_maximized: bool

    def is_better(self, value: float, other: float) -> bool:
        return value > other if self.is_maximized else value < other

    def gain(self, value: float, start_value: float) -> float:
        """Return the improvement over the starting config; above 0 if there is one."""
        return value - start_value if self.is_maximized else start_value - value


def load_settings(config: EasyRecConfig, space_path: str = "", **overrides: Any) -> TuneSettings:
    """Load the config of a study and check it against the pipeline config.

    Args:
        config: checked pipeline config, from which the study starts.
        space_path: config of the study; "" for the default space.
        **overrides: fields of the config of the study that flags replace; None for none.

    Raises:
        ConfigError: lists all problems of the config of the study.
    """
    source = load_message_source(space_path, TuneConfig()) if space_path else MessageSource(TuneConfig())
    study = source.config
    assert isinstance(study, TuneConfig)
    for name, value in overrides.items():
        if value is not None:
            setattr(study, name, value)
    start = copy_config(config)
    if study.HasField("eval_split"):
        start.eval_input_path = ""
        start.data_config.eval_split.CopyFrom(study.eval_split)
    has_parameters = bool(study.parameters)
    if not has_parameters and not source.problems:
        study.parameters.extend(default_parameters(start))
    rules = [check_space, check_metric, check_study_data]
    check_message(FieldChecker(source), [partial(rule, start=start) for rule in rules])
    metric = study.metric or _default_metric(start)
    return TuneSettings(study, Space.of(start, study), metric, _is_maximized(study, start, metric))


def _default_metric(config: EasyRecConfig) -> str:
    known = evaluation_results(Checker(ConfigSource(config)))
    candidates = (config.train_config.early_stopping.metric, config.export_config.best_exporter_metric, *known)
    return next(metric for metric in candidates if metric in known)


def _is_maximized(study: TuneConfig, config: EasyRecConfig, metric: str) -> bool:
    """Return the direction of a metric: as given, as the config says, or that of its class; losses are minimized."""
    if study.direction != TuneConfig.AUTO:
        return study.direction == TuneConfig.MAXIMIZE
    stopping, export = config.train_config.early_stopping, config.export_config
    if stopping.metric == metric:
        return stopping.larger_is_better
    if export.best_exporter_metric == metric and export.HasField("metric_larger_is_better"):
        return export.metric_larger_is_better
    for head in tasks(Checker(ConfigSource(config))):
        for message in head.message.metrics:
            if f"{metric_name(message)}{head.suffix}" == metric:
                is_larger: bool | None = registry.resolve_class(message, "metric").larger_is_better
                if is_larger is None:
                    text = f"the best {metric} is neither the largest nor the smallest; set MAXIMIZE or MINIMIZE"
                    raise ConfigError([Problem("direction", text)])
                return is_larger
    return False
