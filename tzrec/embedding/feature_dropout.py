"""FeatureDropout: variational dropout of the features of every group, between embeddings and model."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from torch import Tensor, nn

from tzrec.config.kwargs import shortest
from tzrec.modules.variational_dropout import VariationalDropout
from tzrec.protos import module_pb2


class FeatureDropout(nn.Module):
    """Dropout of `model_config.variational_dropout` with probabilities of its own for each group.

    Args:
        config: the message.
        widths: per group, the widths of its features; other groups are returned unchanged. With
            embedding_wise_variational_dropout every column counts as a feature.

    Attributes:
        groups: names of the groups, in the order of `dropouts`.
    """

    def __init__(self, config: module_pb2.VariationalDropout, widths: Mapping[str, Sequence[int]]) -> None:
        super().__init__()
        self.groups = list(widths)
        self._config = config
        is_per_column = config.embedding_wise_variational_dropout
        factor = shortest(config.regularization_lambda)
        self.dropouts = nn.ModuleList(
            VariationalDropout([1] * sum(row) if is_per_column else row, factor) for row in widths.values()
        )

    def select(self, groups: Collection[str]) -> FeatureDropout:
        """Return the dropout of some of the groups, with the same parameters; other names are ignored."""
        selected = FeatureDropout(self._config, {})
        chosen = [pair for pair in zip(self.groups, self.dropouts, strict=True) if pair[0] in groups]
        selected.groups = [group for group, _ in chosen]
        selected.dropouts = nn.ModuleList(dropout for _, dropout in chosen)
        return selected

    def probabilities(self) -> dict[str, Tensor]:
        """Dropout probability of each feature, or column, by group."""
        parameters = dict(self.named_parameters())
        return {
            group: parameters[f"dropouts.{index}.logits"].detach().sigmoid() for index, group in enumerate(self.groups)
        }

    def forward(self, grouped: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Scale the features; return the groups, and in training the penalties `<group>_feature_p_loss` by name."""
        scaled, losses = dict(grouped), {}
        for group, dropout in zip(self.groups, self.dropouts, strict=True):
            scaled[group], penalty = dropout(grouped[group])
            if self.training:
                losses[f"{group}_feature_p_loss"] = penalty
        return scaled, losses
