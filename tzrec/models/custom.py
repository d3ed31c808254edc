"""CustomModel: a model outside of this package."""

from __future__ import annotations

from tzrec import registry
from tzrec.config.kwargs import kwargs
from tzrec.embedding.group import Dims
from tzrec.heads.build import Tasks
from tzrec.models.base import Grouped, Logits, Model
from tzrec.protos.models import custom_model_pb2 as pb

GROUP = "tzrec.models"
"""Entry points of installed packages under which models have names."""


class CustomModel(Model):
    """The model that `class_path` names; its `build` gets `params` as plain values in place of a message."""

    def build(self, config: pb.CustomModel, dims: Dims, tasks: Tasks) -> None:
        self.model = class_of(config)(kwargs(config).get("params", {}), dims, tasks)

    def body(self, grouped: Grouped) -> Logits:
        return self.model(grouped)  # type: ignore[no-any-return]


def class_of(config: pb.CustomModel) -> type[Model]:
    """The class that a message names.

    Raises:
        ConfigError: see `registry.load_extension`.
    """
    return registry.load_extension(config.class_path, GROUP, Model, "model_config.custom.class_path")
