"""Features of a sequence group that an encoder names in its config."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from tzrec import registry


@dataclass(frozen=True)
class GroupFeature:
    """Field of an encoder that names a feature of its group: an entry of FEATURES of the requirements of the encoder.

    Attributes:
        field: name of the field.
        is_sequence: the feature is one of the elements, not of the row.
        has_ids: the encoder reads the first id of each value; otherwise the feature is a number.
    """

    field: str
    is_sequence: bool
    has_ids: bool


def group_features(encoder: FieldDescriptor) -> tuple[GroupFeature, ...]:
    """Return the fields of an encoder, a member of the oneof `seq_module`, that name features of its group."""
    features: tuple[GroupFeature, ...] = getattr(registry.requirements(encoder), "FEATURES", ())
    return features


def id_features(encoder: FieldDescriptor, message: Any) -> list[str]:
    """Return the features whose first ids an encoder reads."""
    return [getattr(message, feature.field) for feature in group_features(encoder) if feature.has_ids]
