"""PEPNet in checkpoints of TorchEasyRec."""

from __future__ import annotations

from tzrec.migration.origin import Names
from tzrec.protos.models import multi_task_rank_pb2 as pb


def names(config: pb.PEPNet) -> Names:
    """Name the modules of the model: layers, gates and towers of all tasks stand in one list there."""
    renamed = {"epnet": "epnet.gate_nu"}
    num_domains = config.task_domain_num if config.domain_input_name else 1
    num_layers = len(config.ppnet_hidden_units)
    for task, tower in enumerate(config.task_towers):
        for layer in range(num_layers):
            index = task * num_layers + layer
            renamed |= {
                f"ppnets.{task}.layers.{layer}.layers.0.linear": f"ppnet.linears.{index}",
                f"ppnets.{task}.layers.{layer}.layers.0.activation": f"ppnet.activations.{index}",
                f"ppnets.{task}.gates.{layer}": f"ppnet.gate_nus.{index}",
            }
        for domain in range(num_domains):
            head = f"towers.{domain}.tower_{tower.tower_name}"
            index = task * num_domains + domain
            renamed |= {
                f"{head}.mlp": f"_task_tower.{index}.tower_mlp",
                f"{head}.linear": f"_task_tower.{index}.linear",
            }
    return renamed
