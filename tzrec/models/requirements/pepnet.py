"""Requirements of PEPNet: heads with logits for every domain."""

from __future__ import annotations

from tzrec.config.heads import DeclaredHeads, tower_heads
from tzrec.protos.pipeline_pb2 import EasyRecConfig


def heads(config: EasyRecConfig) -> DeclaredHeads:
    """Declare a head per tower, with domains if `domain_input_name` is set."""
    model, towers = config.model_config.pepnet, tower_heads(config)
    if model.domain_input_name:
        towers = [tower.with_domains(model.domain_input_name, model.task_domain_num) for tower in towers]
    return DeclaredHeads(towers)
