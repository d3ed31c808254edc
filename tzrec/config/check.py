"""Everything that is wrong with a config, at once, before any torch object exists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tzrec.config.checker import Checker
from tzrec.config.load import ConfigSource, load_source
from tzrec.config.rules.data import check_data
from tzrec.config.rules.dense_optimizer import check_dense_step
from tzrec.config.rules.features import check_features
from tzrec.config.rules.groups import check_groups
from tzrec.config.rules.implemented import refuse_unimplemented
from tzrec.config.rules.loss_weights import check_weighing
from tzrec.config.rules.modules import check_modules
from tzrec.config.rules.multi_task import check_multi_task
from tzrec.config.rules.optimizer import check_optimizers
from tzrec.config.rules.ranking import check_ranking
from tzrec.config.rules.run import check_export, check_sections, check_train
from tzrec.config.rules.tasks import check_model
from tzrec.config.rules.training_control import check_steering
from tzrec.errors import ConfigError, Problem
from tzrec.protos.pipeline_pb2 import EasyRecConfig

# what is not implemented comes first: the others stay out of it
_ALWAYS = (
    refuse_unimplemented,
    check_sections,
    check_train,
    check_features,
    check_modules,
    check_optimizers,
    check_dense_step,
)


def check(source: ConfigSource, device: str = "cpu") -> list[Problem]:
    """All problems of a config in the order of its text; empty when it is fine.

    Args:
        source: the config and the places of its fields.
        device: "cpu" or "cuda", where it is to run.
    """
    checker = Checker(source, device)
    for rule in _ALWAYS:
        rule(checker)
    if source.config.HasField("data_config"):
        check_data(checker)
    if source.config.HasField("model_config"):
        check_groups(checker)
        check_model(checker)
        check_ranking(checker)
        check_multi_task(checker)
        check_weighing(checker)
    check_export(checker)
    check_steering(checker)
    return sorted([*source.problems, *checker.problems], key=_order)


def load_checked(path: str, edits: Mapping[str, Any] | None = None, device: str = "cpu") -> EasyRecConfig:
    """Read a config that is good to run.

    Raises:
        ConfigError: with all problems of the text, of the edits and of what they say.
    """
    source = load_source(path, edits)
    problems = check(source, device)
    if problems:
        raise ConfigError(problems)
    return source.config


def _order(problem: Problem) -> tuple[int, int]:
    """Line and column; what has none (edits, JSON) comes last."""
    parts = problem.location.rsplit(":", 2)
    return (int(parts[1]), int(parts[2])) if len(parts) == 3 and parts[1].isdigit() else (1 << 30, 0)
