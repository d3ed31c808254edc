"""Build the sequence encoders of all DEEP groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor, nn

from tzrec import registry
from tzrec.config.query import query_problem, query_width
from tzrec.embedding.assemble import SequenceTensors
from tzrec.embedding.encoders.base import SequenceEncoder, TrainedEncoder
from tzrec.errors import ConfigError, Problem
from tzrec.protos.model_pb2 import FeatureGroupConfig
from tzrec.protos.seq_encoder_pb2 import SeqEncoderConfig
from tzrec.tables.layout import SequenceGroup


class Encoders(nn.ModuleList):
    """Encoders of one DEEP group, in order."""

    @property
    def out_dims(self) -> list[int]:
        return [encoder.out_dim for encoder in self]  # type: ignore[misc]

    def forward(self, sequences: Mapping[str, SequenceTensors], losses: dict[str, Tensor]) -> list[Tensor]:
        """Encode the inputs of all encoders.

        Args:
            sequences: sequence groups by name.
            losses: receives the losses that encoders have in training; those with the same name are added.

        Returns:
            One output per encoder, `(B, width)`.
        """
        outputs = []
        for encoder in self:
            if self.training and isinstance(encoder, TrainedEncoder):
                output, own = encoder.encode_with_losses(sequences)
                losses.update({name: losses[name] + loss if name in losses else loss for name, loss in own.items()})
                outputs.append(output)
            else:
                outputs.append(encoder(sequences[encoder.input]))  # type: ignore[index]
        return outputs


def build_encoders(groups: Iterable[FeatureGroupConfig], sequences: Mapping[str, SequenceGroup]) -> dict[str, Encoders]:
    """Build the encoders of each DEEP group that has any; weights are drawn from torch's current generator."""
    return {
        group.group_name: Encoders(_encoder(config, sequences) for config in group.sequence_encoders)
        for group in groups
        if group.sequence_encoders
    }


def _encoder(config: SeqEncoderConfig, sequences: Mapping[str, SequenceGroup]) -> nn.Module:
    member = registry.oneof_member(config, "seq_module")
    assert member is not None  # of a checked config
    field, message = member[0], getattr(config, member[0].name)
    group = sequences[message.input]
    query_dim, dim = sum(entry.dim for entry in group.query), sum(entry.dim for entry in group.elements)
    if problem := query_problem(query_width(field), query_dim, dim):
        raise ConfigError([Problem(f"{field.name}.input", f'group "{message.input}": {problem}')])
    encoder_class: type[SequenceEncoder] = registry.load_class(field)
    return encoder_class(message, group)
