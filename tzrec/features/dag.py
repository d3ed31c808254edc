"""Dag: the columns that features need and the order in which they are encoded."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from tzrec.config.graph import order_by_reads
from tzrec.config.names import did_you_mean
from tzrec.errors import ConfigError, Problem
from tzrec.features.base import Feature, FeatureInput


@dataclass(frozen=True)
class Dag:
    """Features in topological order.

    Attributes:
        order: names of the features to encode, inputs first.
        columns: raw columns they read, in order of first use.
        is_linked: true if `feature:` and `const:` inputs are resolved here; else they are columns of the data.
    """

    order: tuple[str, ...]
    columns: tuple[str, ...]
    is_linked: bool

    def is_column(self, source: FeatureInput) -> bool:
        return not self.is_linked or source.side not in ("feature", "const")

    @classmethod
    def from_order(cls, features: Mapping[str, Feature], order: Sequence[str], is_linked: bool) -> Dag:
        """Build the Dag of features whose order is known."""
        dag = cls(tuple(order), (), is_linked)
        sources = (source for feature in features.values() for source in feature.inputs)
        columns = dict.fromkeys(source.name for source in sources if dag.is_column(source))
        return cls(dag.order, tuple(columns), is_linked)

    def computable(self, features: Mapping[str, Feature], columns: frozenset[str]) -> tuple[str, ...]:
        """List the features that depend on nothing but these columns and constants, inputs first."""
        names: dict[str, None] = {}
        for name in self.order:
            if all(self._is_available(source, columns, names) for source in features[name].inputs):
                names[name] = None
        return tuple(names)

    def _is_available(self, source: FeatureInput, columns: frozenset[str], names: Container[str]) -> bool:
        if self.is_column(source):
            return source.name in columns
        return source.side == "const" or source.name in names

    def closure(self, features: Mapping[str, Feature], names: frozenset[str]) -> tuple[str, ...]:
        """List these features and all that they read, directly or indirectly, inputs first."""
        needed = set(names)
        for name in reversed(self.order):
            if name in needed:
                needed |= {source.name for source in features[name].inputs if not self.is_column(source)}
        return tuple(name for name in self.order if name in needed)


def make_dag(features: Mapping[str, Feature], paths: Mapping[str, str], is_linked: bool) -> Dag:
    """Order the features.

    Args:
        features: by name.
        paths: config path of every feature's expression, for the errors.
        is_linked: see Dag.

    Raises:
        ConfigError: a feature reads a feature that does not exist, or depends on itself.
    """
    reads = {name: _feature_inputs(feature) if is_linked else [] for name, feature in features.items()}
    problems = [
        Problem(paths[name], f'no feature "{source}" for "feature:{source}"{did_you_mean(source, features)}')
        for name, sources in reads.items()
        for source in sources
        if source not in features
    ]
    if problems:
        raise ConfigError(problems)
    order, cycles = order_by_reads(reads)
    if cycles:
        message = "features read each other in a cycle: "
        raise ConfigError([Problem(paths[cycle[0]], message + " -> ".join(cycle)) for cycle in cycles])
    return Dag.from_order(features, order, is_linked)


def _feature_inputs(feature: Feature) -> list[str]:
    return [source.name for source in feature.inputs if source.side == "feature"]
