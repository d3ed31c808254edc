"""CustomModel: a model outside of this package."""

from __future__ import annotations

from tzrec import registry
from tzrec.config.kwargs import kwargs
from tzrec.embedding.group import Dims
from tzrec.heads.heads import Heads
from tzrec.models.base import Grouped, Model, ModelOutput
from tzrec.protos.models import custom_model_pb2 as pb
from tzrec.protos.pipeline_pb2 import EasyRecConfig

ENTRY_POINT_GROUP = "tzrec.models"
"""Group of the entry points by which installed packages name their models."""


class CustomModel(Model):
    """Model of the class `class_path`; its `build` receives `params` as a dict in place of a message."""

    @classmethod
    def heads(cls, config: EasyRecConfig) -> Heads:
        return load_custom_class(config.model_config.custom).heads(config)

    def build(self, config: pb.CustomModel, dims: Dims, heads: Heads) -> None:
        self.model = load_custom_class(config)(kwargs(config).get("params", {}), dims, heads)

    def forward(self, grouped: Grouped) -> ModelOutput:
        output: ModelOutput = self.model(grouped)
        return output


def load_custom_class(config: pb.CustomModel) -> type[Model]:
    """Import the class that a message names.

    Raises:
        ConfigError: See `registry.load_extension`.
    """
    return registry.load_extension(config.class_path, ENTRY_POINT_GROUP, Model, "model_config.custom.class_path")
