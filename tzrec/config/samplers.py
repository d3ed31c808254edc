"""Samplers: settings of a config's sampler that do not depend on its kind."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message

from tzrec.protos.data_pb2 import DataConfig


def sampler_config(data: DataConfig) -> Message | None:
    """Return the message of the sampler; None without one."""
    name = data.WhichOneof("sampler")
    return None if name is None else getattr(data, name)


def sampled_columns(data: DataConfig) -> frozenset[str]:
    """Return the columns to which a sampler adds rows of negatives, and to no others.

    Empty for the sampler of TDM, which repeats all other columns, so that all have the same number of rows.
    """
    name = data.WhichOneof("sampler")
    if name is None or name == "tdm_sampler":
        return frozenset()
    sampler: Any = getattr(data, name)
    return frozenset(sampler.attr_fields)
