"""Check of a whole config: all problems at once, before any torch object exists."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from google.protobuf.message import Message

from tzrec import env
from tzrec.config.checker import Checker, FieldChecker
from tzrec.config.load import ConfigInput, ConfigSource, load_message_source, load_source
from tzrec.config.rules.components import check_components
from tzrec.config.rules.data import check_data
from tzrec.config.rules.dense_optimizer import check_dense_optimizer
from tzrec.config.rules.features import check_features
from tzrec.config.rules.fields import check_fields
from tzrec.config.rules.groups import check_groups
from tzrec.config.rules.layers import check_layers
from tzrec.config.rules.loss_weights import check_loss_weights
from tzrec.config.rules.model_groups import check_model_groups
from tzrec.config.rules.optimizers import check_optimizers
from tzrec.config.rules.run import check_export, check_length, check_sections
from tzrec.config.rules.support import check_support
from tzrec.config.rules.tasks import check_model
from tzrec.config.rules.tracking import check_tracking
from tzrec.config.rules.training_control import check_training_control
from tzrec.config.rules.unread import warn_of_unread
from tzrec.errors import ConfigError, Problem
from tzrec.log import logger
from tzrec.protos.pipeline_pb2 import EasyRecConfig

# check_support is first: the other rules do not look below what is not supported
_RULES = (
    check_support,
    check_fields,
    check_components,
    check_sections,
    check_length,
    check_features,
    check_layers,
    check_optimizers,
    check_dense_optimizer,
)
_MessageT = TypeVar("_MessageT", bound=Message)
_MODEL_RULES = (check_groups, check_model, check_model_groups, check_loss_weights)


def inspect(source: ConfigSource, device: str = "cpu") -> Checker:
    """Run all rules on a config.

    Args:
        source: config and the locations of its fields.
        device: "cpu" or "cuda", where the config is to run.

    Returns:
        Checker with all problems and warnings, in the order of the text.
    """
    checker = Checker(source, device)
    for rule in _RULES:
        rule(checker)
    if source.config.HasField("data_config"):
        check_data(checker)
    for rule in _MODEL_RULES if source.config.HasField("model_config") else ():
        rule(checker)
    check_export(checker)
    check_training_control(checker)
    check_tracking(checker)
    if not source.problems and not checker.problems:
        warn_of_unread(checker)
    _add_problems_of_text(checker)
    return checker


def check(source: ConfigSource, device: str = "cpu") -> list[Problem]:
    """Return all problems of a config in the order of its text; none if it is valid."""
    return inspect(source, device).problems


def load_checked(
    given: ConfigInput, edits: Mapping[str, Any] | None = None, device: str | Callable[[], str] = "cpu"
) -> EasyRecConfig:
    """Load a config that is valid, and set what torch reads from the environment when it is imported.

    Args:
        given: path of a text or JSON file, or a text, or a message.
        edits: changes to the config: path -> value.
        device: "cpu" or "cuda", where the config is to run, or a function that finds it and may import torch.

    Raises:
        ConfigError: The text, the edits or their content have problems.
    """
    source = load_source(given, edits)
    train = source.config.train_config
    env.set_openmp_spin(train.openmp_spin_count if train.HasField("openmp_spin_count") else None)
    checker = inspect(source, device if isinstance(device, str) else device())
    _raise_or_warn(checker)
    return source.config


def load_checked_message(
    path: str, message: _MessageT, rules: Sequence[Callable[[FieldChecker], None]] = ()
) -> _MessageT:
    """Load a config file of another root than a pipeline, whose rules are those of its fields.

    Args:
        path: text or JSON file.
        message: empty; receives the fields.
        rules: further rules, which report problems.

    Returns:
        `message`.

    Raises:
        ConfigError: The text or the values of its fields have problems; it has all of them, in the order of the text.

    Example:
        load_checked_message("server.config", ServeConfig())
    """
    check_message(FieldChecker(load_message_source(path, message)), rules)
    return message


def check_message(checker: FieldChecker, rules: Sequence[Callable[[FieldChecker], None]] = ()) -> None:
    """Check the fields of a message of another root than a pipeline, and by further rules.

    Raises:
        ConfigError: The values of its fields have problems.
    """
    for rule in (check_support, check_fields, *rules):
        rule(checker)
    _add_problems_of_text(checker)
    _raise_or_warn(checker)


def _add_problems_of_text(checker: FieldChecker) -> None:
    checker.problems = sorted([*checker.source.problems, *checker.problems], key=_order)
    checker.warnings = sorted([*checker.source.warnings, *checker.warnings], key=_order)


def _raise_or_warn(checker: FieldChecker) -> None:
    if checker.problems:
        raise ConfigError(checker.problems)
    if env.rank_info().is_main:
        for warning in checker.warnings:
            logger.warning("%s", warning)


def _order(problem: Problem) -> tuple[int, int]:
    """Sort by line and column; problems without a location (edits, JSON) come last."""
    parts = problem.location.rsplit(":", 2)
    return (int(parts[1]), int(parts[2])) if len(parts) == 3 and parts[1].isdigit() else (1 << 30, 0)
