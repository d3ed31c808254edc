"""PEPNet: embeddings and towers gated by features of domain, user, item and author."""

from __future__ import annotations

import torch
from torch import nn

from tzrec.config.kwargs import kwargs
from tzrec.embedding.group import Dims
from tzrec.heads.heads import Heads
from tzrec.models.base import Grouped, Model, ModelOutput
from tzrec.models.requirements.pepnet import DOMAIN, MAIN, PRIOR
from tzrec.modules.gated_mlp import Gate, GatedMLP
from tzrec.protos.models import multi_task_rank_pb2 as pb


class PEPNet(Model):
    """Parameter and embedding personalized network.

    EPNet scales the features, `x' = x * gate([domain, sg(x)])`, and PPNet each layer of each task,
    `h = dropout(act(W h) * gate([uia, sg(x)]))`, where sg stops the gradient: gates pass no gradient to their input.
    Without a group "domain" the features are not scaled; without "uia" the gates of the layers read x alone.

    With a label column of domains each task has a tower for every domain. Losses and metrics of a row read the tower of
    its domain; predictions are of all domains.

    Chang et al., PEPNet: Parameter and Embedding Personalized Network for Infusing with Personalized Prior
    Information, KDD 2023.
    """

    def build(self, config: pb.PEPNet, dims: Dims, heads: Heads) -> None:
        values, width = kwargs(config), dims[MAIN]
        self.has_domain, self.has_prior = DOMAIN in dims, PRIOR in dims
        if self.has_domain:
            hidden = config.epnet_hidden_unit or width
            self.epnet = Gate(dims[DOMAIN] + width, width, hidden, values["epnet_gamma"])
        gate_in_dim = width + (dims[PRIOR] if self.has_prior else 0)
        shape = {
            "hidden_units": values["ppnet_hidden_units"],
            "gamma": values["ppnet_gamma"],
            "dropout_ratio": values["ppnet_dropout_ratio"],
            "activation": values["ppnet_activation"],
        }
        ppnets = [GatedMLP(width, gate_in_dim, **shape) for _ in heads]
        self.ppnets = nn.ModuleList(ppnets)
        num_domains = config.task_domain_num if config.domain_input_name else 1
        self.towers = nn.ModuleList(heads.towers(ppnets[0].out_dim) for _ in range(num_domains))

    def forward(self, grouped: Grouped) -> ModelOutput:
        x = grouped[MAIN]  # (B, D)
        frozen = x.detach()
        gate_input = torch.cat([grouped[PRIOR], frozen], dim=1) if self.has_prior else frozen
        if self.has_domain:
            x = x * self.epnet(torch.cat([grouped[DOMAIN], frozen], dim=1))
        hidden = [ppnet(x, gate_input) for ppnet in self.ppnets]
        by_domain = [towers(hidden) for towers in self.towers]
        return ModelOutput({head: torch.cat([logits[head] for logits in by_domain], dim=1) for head in by_domain[0]})
