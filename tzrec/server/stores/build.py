"""Construction of the feature stores of a config."""

from __future__ import annotations

from collections.abc import Iterable

from tzrec import registry
from tzrec.errors import ConfigError, Problem
from tzrec.protos.feature_store_pb2 import FeatureStore as StoreConfig
from tzrec.server.stores.base import FeatureStore


def build_stores(configs: Iterable[StoreConfig]) -> list[FeatureStore]:
    """Create the feature stores of a config, by the naming rule; none is opened.

    Raises:
        ConfigError: two stores have one name, one has no kind, or a setting of its kind is wrong.
        SetupError: a package that a store needs is missing.
    """
    stores: list[FeatureStore] = []
    for index, config in enumerate(configs):
        path = f"feature_stores[{index}]"
        if config.name in [store.name for store in stores]:
            raise ConfigError([Problem(f"{path}.name", f'two feature stores are called "{config.name}"; rename one')])
        if registry.oneof_member(config, "store") is None:
            kinds = ", ".join(field.name for field in config.DESCRIPTOR.oneofs_by_name["store"].fields)
            raise ConfigError([Problem(path, f'feature store "{config.name}" has no kind; set one of {kinds}')])
        stores.append(registry.resolve_class(config, "store")(config))
    return stores
