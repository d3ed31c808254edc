"""Encoder of numbers: ids if the message has boundaries, else dense."""

from __future__ import annotations

from typing import Any

from tzrec.errors import ConfigError, Problem
from tzrec.features.base import Encoder
from tzrec.features.bucketize import Boundaries
from tzrec.features.encoders.dense import make_dense_encoder
from tzrec.features.encoders.sparse import make_number_ids_encoder
from tzrec.features.inputs import is_encoded
from tzrec.features.normalizer import make_normalizer
from tzrec.protos import data_pb2


def make_number_encoder(column: str, config: Any, data: data_pb2.DataConfig, width: int) -> Encoder:
    """Build the encoder of a feature of numbers.

    Args:
        column: name of the numbers, for the reports.
        config: a message with boundaries and, as far as it has them, normalizer and default_value ("0" without).
        data: the data_config.
        width: numbers in every row; 0 for any number with boundaries, else for 1.

    Raises:
        ConfigError: the boundaries do not rise, or the normalizer or the default cannot be read.
    """
    edges = list(config.boundaries)
    if edges != sorted(set(edges)):
        raise ConfigError([Problem("boundaries", f"{edges} do not rise")])
    normalize = make_normalizer(config)
    if edges:
        bucketizer = Boundaries(edges, None if is_encoded(data) else normalize)
        return make_number_ids_encoder(column, config, data, bucketizer, width)
    default = getattr(config, "default_value", "0")
    return make_dense_encoder(column, config, data, width or 1, config.separator, default, normalize)
