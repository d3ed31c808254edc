"""TDM: scores of the nodes of a tree of items, by attention of a node over windows of the history."""

from __future__ import annotations

import torch
from torch import nn

from tzrec.config.kwargs import kwargs
from tzrec.embedding.group import Dims
from tzrec.heads.heads import Heads
from tzrec.models.base import Grouped, Model, ModelOutput
from tzrec.modules.din import MultiWindowDIN
from tzrec.modules.jagged_sequence import JaggedSequence
from tzrec.modules.mlp import MLP
from tzrec.protos.models import match_model_pb2 as pb


class TDM(Model):
    """Attention over windows of the history, then an MLP (Zhu et al., KDD 2018, section 3.3 and figure 2).

    The query of the sequence group is a node, an item or an inner node of the tree; a beam search finds the items with
    the highest probabilities (section 3.2).
    """

    def build(self, config: pb.TDM, dims: Dims, heads: Heads) -> None:
        ((self.history, (query_dim, dim)),) = dims.sequences.items()
        windows, attn_mlp = config.multiwindow_din.windows_len, kwargs(config.multiwindow_din.attn_mlp)
        self.multiwindow_din = MultiWindowDIN(query_dim, dim, windows, attn_mlp)
        self.groups = list(dims)
        width = self.multiwindow_din.out_dim + sum(dims[group] for group in self.groups)
        self.deep_mlp = MLP(width, **kwargs(config.final))
        self.output_mlp = nn.Linear(self.deep_mlp.out_dim, heads[""].out_dim)

    def forward(self, grouped: Grouped) -> ModelOutput:
        padded, lengths = grouped[f"{self.history}.sequence"], grouped[f"{self.history}.sequence_length"]
        interest = self.multiwindow_din(grouped[f"{self.history}.query"], JaggedSequence.from_padded(padded, lengths))
        x = torch.cat([interest, *(grouped[group] for group in self.groups)], 1)
        return ModelOutput({"": self.output_mlp(self.deep_mlp(x))})
