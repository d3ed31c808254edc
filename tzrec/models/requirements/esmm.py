"""Requirements of ESMM: two towers and a head for the conversion after a click."""

from __future__ import annotations

from tzrec.config.heads import DeclaredHeads, tower_heads
from tzrec.protos.pipeline_pb2 import EasyRecConfig


def heads(config: EasyRecConfig) -> DeclaredHeads:
    """Declare the heads of click and of click and conversion, and, derived from the latter, of `conditional_name`."""
    towers = tower_heads(config)
    derived = [tower.derive(config.model_config.esmm.conditional_name) for tower in towers[1:2]]
    return DeclaredHeads([*towers, *derived])
