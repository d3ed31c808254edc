"""MIND in checkpoints of TorchEasyRec."""

from __future__ import annotations

import torch
from torch import Tensor

from tzrec.migration.origin import InSequence, Names, Origin
from tzrec.protos.models import match_model_pb2 as pb

_CONCAT = "_concat_mlp.mlp.0.perceptron.0.weight"


def names(config: pb.MIND) -> Names:
    """Name the modules of the model. The last MLP reads the features of the user before the capsule there."""
    width = config.user_tower.user_mlp.hidden_units[-1]

    def swap(weight: Tensor) -> Tensor:
        return torch.cat([weight[:, width:], weight[:, :width]], 1)

    return {
        "item_tower": "item_tower",
        "user_tower.user_mlp.mlp": "user_tower.user_mlp",
        "user_tower.user_mlp.linear": "user_tower.user_mlp_out",
        "user_tower.history_mlp.mlp": InSequence("user_tower._hist_seq_mlp"),
        "user_tower.history_mlp.linear": "user_tower._hist_seq_mlp_out",
        "user_tower.capsules.bilinear": "user_tower._capsule_layer.bilinear_matrix",
        "user_tower.concat_mlp": InSequence("user_tower._concat_mlp"),
        "user_tower.concat_mlp.layers.0.linear.weight": (Origin((f"user_tower.{_CONCAT}",), swap),),
        "user_tower.output": "user_tower.output",
    }
