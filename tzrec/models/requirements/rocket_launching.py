"""Requirements of RocketLaunching: a served and a training-only head, and the losses that compare them."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.config.heads import AuxiliaryLoss, DeclaredHeads, DistillationPair, single_head
from tzrec.protos.models.general_rank_model_pb2 import RocketLaunching
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.protos.simi_pb2 import COSINE, INNER_PRODUCT

LIGHT, BOOSTER = "light", "booster"
HINT = "hint_l2_loss"
COSINE_FACTOR = -0.1


def heads(config: EasyRecConfig) -> DeclaredHeads:
    """Declare the light head and its booster, the loss between their logits and those between their hidden layers."""
    model = config.model_config.rocket_launching
    losses = [AuxiliaryLoss(HINT, is_sample_weighted=True, is_training_only=True)]
    for pair in compared_layers(model):
        name = similarity_name(pair)
        if model.feature_distillation_function == COSINE:
            loss = AuxiliaryLoss(name, COSINE_FACTOR, is_sample_weighted=True, is_training_only=True)
        else:
            loss = AuxiliaryLoss(name, reduction="root_of_sum", is_sample_weighted=True, is_training_only=True)
        losses.append(loss)
    return DeclaredHeads(DistillationPair.of(single_head(config), LIGHT, BOOSTER), losses)


def compared_layers(model: RocketLaunching) -> list[tuple[int, int]]:
    """Pair each hidden layer of the light net with the first one of the booster that is as wide, if there is any."""
    if not model.feature_based_distillation:
        return []
    booster = list(model.booster_mlp.hidden_units)
    return [(i, booster.index(units)) for i, units in enumerate(model.light_mlp.hidden_units) if units in booster]


def similarity_name(layers: tuple[int, int]) -> str:
    """Name of the loss between layer i of the light net and layer j of the booster: `similarity_i_j`."""
    i, j = layers
    return f"similarity_{i}_{j}"


def check(checker: Checker, path: str, message: RocketLaunching) -> None:
    """Check the losses between hidden layers."""
    if not message.feature_based_distillation:
        return
    if message.feature_distillation_function == INNER_PRODUCT:
        problem = "INNER_PRODUCT is not a distance; use COSINE or EUCLID"
        checker.error(f"{path}.feature_distillation_function", problem)
    if message.light_mlp.hidden_units and message.booster_mlp.hidden_units and not compared_layers(message):
        problem = "compares layers of equal width; light_mlp and booster_mlp have none"
        checker.error(f"{path}.feature_based_distillation", problem)
