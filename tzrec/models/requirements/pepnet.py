"""Requirements of PEPNet: its feature groups, and heads with logits for every domain."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.config.heads import DeclaredHeads, tower_heads
from tzrec.config.model_groups import GroupRequirements
from tzrec.config.rules.layers import check_dropout_count
from tzrec.protos.models.multi_task_rank_pb2 import PEPNet
from tzrec.protos.pipeline_pb2 import EasyRecConfig

MAIN, DOMAIN, PRIOR = "all", "domain", "uia"
GROUPS = GroupRequirements(required=(MAIN,), optional=(DOMAIN, PRIOR))


def heads(config: EasyRecConfig) -> DeclaredHeads:
    """Declare a head per tower, with domains if `domain_input_name` is set."""
    model, towers = config.model_config.pepnet, tower_heads(config)
    if model.domain_input_name:
        towers = [tower.with_domains(model.domain_input_name, model.task_domain_num) for tower in towers]
    return DeclaredHeads(towers)


def check(checker: Checker, path: str, message: PEPNet) -> None:
    """Check the layers of the towers, and that several domains have a label column."""
    check_dropout_count(checker, f"{path}.ppnet_", message.ppnet_hidden_units, message.ppnet_dropout_ratio)
    if message.task_domain_num > 1 and not message.domain_input_name:
        problem = "is not set; name the label column that holds the domain of a row, or leave task_domain_num out"
        checker.error(f"{path}.domain_input_name", problem)
