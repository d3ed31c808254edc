"""Rules of components, which are in their requirements modules."""

from __future__ import annotations

from tzrec import registry
from tzrec.config.checker import Checker
from tzrec.config.parser import join
from tzrec.config.schema import descriptor_of
from tzrec.protos.feature_pb2 import FeatureConfig, SeqFeatureConfig


def check_components(checker: Checker) -> None:
    """Call `check` of the requirements of every component that is chosen, except features: see `check_features`."""
    for path, message in checker.messages():
        if isinstance(message, (FeatureConfig, SeqFeatureConfig)):
            continue
        for oneof in descriptor_of(message).oneofs:
            member = registry.oneof_member(message, oneof.name)
            if member is None:
                continue
            field, component = member
            component_path = join(path, field.name)
            check = getattr(registry.requirements(field), "check", None)
            if check is not None and not checker.is_unsupported(component_path):
                check(checker, component_path, component)
