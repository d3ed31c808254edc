"""BST: a transformer over the elements of a history and the candidate."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tzrec.modules.dropout import Dropout
from tzrec.modules.jagged_sequence import JaggedSequence
from tzrec.modules.transformer import TransformerBlock


@dataclass(frozen=True)
class BSTShape:
    """Tokens of a BST.

    Attributes:
        num_elements: number of elements of a row that are read, from the first.
        target: place of the candidate: "head" before the elements, "tail" after them, "ignore" for none.
        hidden_dim: width of a token.
        has_positions: True if an embedding of its position is added to each token.
        is_normalized: True if tokens pass layer norm and dropout before the first block.
        has_all_outputs: True if the outputs of all tokens are concatenated; otherwise that of the first is returned.
    """

    num_elements: int
    target: str
    hidden_dim: int
    has_positions: bool
    is_normalized: bool
    has_all_outputs: bool

    @property
    def num_tokens(self) -> int:
        return self.num_elements + (self.target != "ignore")


class BST(nn.Module):
    """`Transformer([W q, W s_1 ... W s_N])` of the candidate and the elements, zero for a row without elements.

    Chen et al., Behavior Sequence Transformer for E-commerce Recommendation in Alibaba, DLP-KDD 2019, sections 2.2 and
    2.3. What an element has beside the columns of the query, such as the embedding of a time gap, is learned for the
    candidate. Without `W` if tokens are as wide as elements.

    Args:
        query_dim: width of the query, at most that of an element.
        dim: width of an element.
        shape: of the tokens.
        blocks: the blocks of the transformer, of width `shape.hidden_dim`.
        dropout: ratio of tokens that are normalized.
        initializer_range: standard deviation of the initial weights, which are drawn within two of it.
    """

    def __init__(
        self,
        query_dim: int,
        dim: int,
        shape: BSTShape,
        blocks: list[TransformerBlock],
        dropout: float,
        initializer_range: float,
    ) -> None:
        super().__init__()
        self.shape = shape
        self.out_dim = shape.hidden_dim * (shape.num_tokens if shape.has_all_outputs else 1)
        self.projection = nn.Linear(dim, shape.hidden_dim) if dim != shape.hidden_dim else nn.Identity()
        has_target = shape.target != "ignore"
        self.target_columns = nn.Parameter(torch.empty(dim - query_dim)) if has_target and dim > query_dim else None
        self.positions = nn.Parameter(torch.empty(shape.num_tokens, shape.hidden_dim)) if shape.has_positions else None
        self.input_norm = (
            nn.Sequential(nn.LayerNorm(shape.hidden_dim), Dropout(dropout)) if shape.is_normalized else nn.Identity()
        )
        self.blocks = nn.ModuleList(blocks)
        self._initialize(initializer_range)

    def forward(self, query: Tensor | None, sequence: JaggedSequence) -> Tensor:
        """(B, query_dim), elements (T, dim) -> (B, hidden_dim times the number of outputs)"""
        size, target = self.shape.num_elements, self.shape.target
        sequence = sequence.first(size)
        elements = sequence.padded(size)  # (B, N, dim)
        is_present = torch.arange(size, device=elements.device) < sequence.lengths.unsqueeze(1)  # (B, N)
        if target != "ignore":
            parts, masks = [elements], [is_present]
            place = 0 if target == "head" else 1
            parts.insert(place, self._candidate(query, elements))
            masks.insert(place, torch.ones_like(is_present[:, :1]))
            elements, is_present = torch.cat(parts, 1), torch.cat(masks, 1)  # (B, P, dim)
        x = self.projection(elements)
        x = self.input_norm(x if self.positions is None else x + self.positions)
        for block in self.blocks:
            x = block(x, is_present)
        x = x * (is_present & (sequence.lengths > 0).unsqueeze(1)).unsqueeze(2)
        return x.flatten(1) if self.shape.has_all_outputs else x[:, 0]

    def _candidate(self, query: Tensor | None, elements: Tensor) -> Tensor:
        """The token of the query, `(B, 1, dim)`."""
        assert query is not None  # the group has features of the row
        parts = [query.to(elements.dtype)]
        if self.target_columns is not None:
            parts.append(self.target_columns.to(elements.dtype).expand(query.shape[0], -1))
        return torch.cat(parts, 1).unsqueeze(1)

    def _initialize(self, deviation: float) -> None:
        for name, parameter in self.named_parameters():
            if "norm" in name:
                continue
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            else:
                nn.init.trunc_normal_(parameter, std=deviation, a=-2 * deviation, b=2 * deviation)
