"""The encoders of all DEEP groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor, nn

from tzrec import registry
from tzrec.embedding.assemble import SequenceTensors
from tzrec.embedding.encoders.base import SequenceEncoder
from tzrec.protos.model_pb2 import FeatureGroupConfig
from tzrec.protos.seq_encoder_pb2 import SeqEncoderConfig
from tzrec.tables.layout import Layout


class Encoders(nn.ModuleList):
    """The encoders of one DEEP group, in order."""

    @property
    def out_dims(self) -> list[int]:
        return [encoder.out_dim for encoder in self]  # type: ignore[misc]

    def forward(self, sequences: Mapping[str, SequenceTensors]) -> list[Tensor]:
        """Every sequence group by name -> what each encoder makes of its own, `(B, width)`."""
        return [encoder(sequences[encoder.input]) for encoder in self]  # type: ignore[index]


def build_encoders(groups: Iterable[FeatureGroupConfig], layout: Layout) -> dict[str, Encoders]:
    """Per DEEP group that has any, its encoders with weights drawn from torch's current generator."""
    return {
        group.group_name: Encoders(_encoder(config, layout) for config in group.sequence_encoders)
        for group in groups
        if group.sequence_encoders
    }


def _encoder(config: SeqEncoderConfig, layout: Layout) -> nn.Module:
    message = getattr(config, config.WhichOneof("seq_module"))
    group = layout.sequences[message.input]
    made: type[SequenceEncoder] = registry.resolve_class(config, "seq_module", "tzrec.embedding.encoders")
    return made(message, sum(entry.dim for entry in group.query), sum(entry.dim for entry in group.steps))
