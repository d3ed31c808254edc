"""Requirements of CustomModel: task towers are optional."""

from __future__ import annotations

from tzrec.config.heads import DeclaredHeads, single_head, tower_heads
from tzrec.protos.pipeline_pb2 import EasyRecConfig

READS_ALL_GROUPS = True


def heads(config: EasyRecConfig) -> DeclaredHeads:
    """Declare a head per tower, or without towers the single head of model_config."""
    return DeclaredHeads(tower_heads(config) or [single_head(config)])
