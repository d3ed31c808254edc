"""Requirements of DAT: two towers, each with an augmented vector as wide as the vector of the other tower."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.config.heads import AuxiliaryLoss, DeclaredHeads, candidate_head
from tzrec.config.kwargs import shortest
from tzrec.config.match_towers import TOWERS
from tzrec.config.rules.two_towers import check_two_towers, group_width
from tzrec.protos.models.match_model_pb2 import DAT
from tzrec.protos.pipeline_pb2 import EasyRecConfig

USER_LOSS, ITEM_LOSS = "amm_loss_u", "amm_loss_i"
"""Losses between the augmented vectors of users and items, and the vectors of the other tower."""


def heads(config: EasyRecConfig) -> DeclaredHeads:
    """Declare the head over the candidates of a row, and the losses of the augmented vectors."""
    model = config.model_config.dat
    factors = {USER_LOSS: model.amm_u_weight, ITEM_LOSS: model.amm_i_weight}
    losses = [
        AuxiliaryLoss(name, shortest(factor), is_sample_weighted=True, is_training_only=True)
        for name, factor in factors.items()
    ]
    return DeclaredHeads([candidate_head(config)], losses)


def check(checker: Checker, path: str, message: DAT) -> None:
    """Check towers, negatives, and the widths of the augmented vectors."""
    check_two_towers(checker, path, message)
    for tower, other in (TOWERS, TOWERS[::-1]):
        augment = getattr(message, tower).augment_input
        units = getattr(message, other).mlp.hidden_units
        expected = message.output_dim if message.output_dim > 0 else (units[-1] if units else 0)
        width = group_width(checker, augment)
        if width and expected and width != expected:
            received = f'group "{augment}" is {width} wide, the vector of the {other} that it learns {expected}'
            checker.error(f"{path}.{tower}.augment_input", f"{received}; make them equal")
