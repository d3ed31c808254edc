"""PEPNet: embeddings and towers gated by what is known of domain, user, item and author."""

from __future__ import annotations

import torch
from torch import nn

from tzrec.config.kwargs import kwargs
from tzrec.embedding.group import Dims
from tzrec.heads.build import Tasks
from tzrec.models.base import Grouped, Logits, Model
from tzrec.modules.gated_mlp import Gate, GatedMLP
from tzrec.protos.models import multi_task_rank_pb2 as pb

MAIN, DOMAIN, PRIOR = "all", "domain", "uia"


class PEPNet(Model):
    """Parameter and embedding personalized network.

    EPNet scales the features, `x' = x * gate([domain, sg(x)])`, and PPNet each layer of each task,
    `h = dropout(act(W h) * gate([uia, sg(x)]))`, where sg stops the gradient: a gate does not change what it reads.
    Without a group "domain" the features stay as they are; without "uia" the gates of the layers read x alone.

    With a column of domains each task has a tower for every domain. A row learns and is scored in its own; all are
    predicted.

    Chang et al., PEPNet: Parameter and Embedding Personalized Network for Infusing with Personalized Prior
    Information, KDD 2023.
    """

    def build(self, config: pb.PEPNet, dims: Dims, tasks: Tasks) -> None:
        values, width = kwargs(config), dims[MAIN]
        self.has_domain, self.has_prior = DOMAIN in dims, PRIOR in dims
        if self.has_domain:
            hidden = config.epnet_hidden_unit or width
            self.epnet = Gate(dims[DOMAIN] + width, width, hidden, values["epnet_gamma"])
        known = width + (dims[PRIOR] if self.has_prior else 0)
        shape = {name: values[f"ppnet_{name}"] for name in ("hidden_units", "gamma", "dropout_ratio", "activation")}
        layers = [GatedMLP(width, known, **shape) for _ in tasks]
        self.ppnets = nn.ModuleList(layers)
        domains = config.task_domain_num if config.domain_input_name else 1
        self.towers = nn.ModuleList(tasks.towers(layers[0].out_dim) for _ in range(domains))
        if config.domain_input_name:
            tasks.split(config.domain_input_name, domains)

    def body(self, grouped: Grouped) -> Logits:
        x = grouped[MAIN]  # (B, D)
        frozen = x.detach()
        known = torch.cat([grouped[PRIOR], frozen], dim=1) if self.has_prior else frozen
        if self.has_domain:
            x = x * self.epnet(torch.cat([grouped[DOMAIN], frozen], dim=1))
        hidden = [ppnet(x, known) for ppnet in self.ppnets]
        per_domain = [towers(hidden) for towers in self.towers]
        return {task: torch.cat([each[task] for each in per_domain], dim=1) for task in per_domain[0]}
