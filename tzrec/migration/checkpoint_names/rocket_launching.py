"""RocketLaunching in checkpoints of TorchEasyRec."""

from __future__ import annotations

from tzrec.migration.origin import Names
from tzrec.protos.models import general_rank_model_pb2 as pb


def names(config: pb.RocketLaunching) -> Names:
    """Name the modules of the model."""
    nets = {name: f"{name}_mlp" for name in ("share", "booster", "light")}
    return nets | {"booster_output": "booster_linear", "light_output": "light_linear"}
