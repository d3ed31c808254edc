"""RequestSignature: the inputs of a program that computes what depends on users alone once for each user."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tzrec.data.batch import Batch
from tzrec.embedding.assemble import max_lengths
from tzrec.features.base import Feature, FeatureInput
from tzrec.features.column import Column, member_positions
from tzrec.features.feature_encoder import EncodedRequest
from tzrec.serving.sequence_inputs import SequenceInputs
from tzrec.serving.signature import ROW_INPUTS, Signature

OWNERS = "owners"
USER = "user."


@dataclass(frozen=True)
class RequestSignature:
    """Inputs of U users, and of B items to score for them.

    Those of the users come first, as in `Signature` with U rows; `values`, `lengths`, `weights` and `dense` have the
    prefix `user.`. Those of the items follow, with B rows; then `owners` int64 `(B,)`, the user of each item; and for
    each group `g` of the users' sequences without padding `g.elements` int64 `(E,)`, the positions of the elements of
    each item's user among those of all users, and `g.item_rows` int64 `(E,)`, the item that each of them belongs to.

    Attributes:
        users: inputs of the users.
        items: inputs of the items.
    """

    users: Signature
    items: Signature

    @classmethod
    def of(cls, signature: Signature, features: Collection[str]) -> RequestSignature:
        """Divide the inputs of a program into those of some features and the others.

        Args:
            signature: the inputs.
            features: the features of users; those of sequences are those of items if a group has others too.
        """
        chosen = set(features)
        groups = signature.sequences.groups
        while mixed := {
            name
            for group in groups.values()
            if not chosen.issuperset(group.features)
            for name in group.features
            if name in chosen
        }:
            chosen -= mixed
        return cls(_part(signature, chosen), _part(signature, set(signature.features) - chosen))

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> RequestSignature:
        """The inverse of `to_json`."""
        return cls(Signature.from_json(value["users"]), Signature.from_json(value["items"]))

    def to_json(self) -> dict[str, Any]:
        """Its form in a manifest."""
        return {"users": self.users.to_json(), "items": self.items.to_json()}

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features that the program reads."""
        return self.users.features + self.items.features

    @property
    def names(self) -> tuple[str, ...]:
        """The inputs, in order."""
        return tuple(str(spec["name"]) for spec in self.describe_inputs())

    @property
    def jagged_groups(self) -> tuple[str, ...]:
        """Groups of the users' sequences without padding."""
        return tuple(name for name, group in self.users.sequences.groups.items() if group.is_jagged)

    def describe_row_inputs(self) -> list[dict[str, Any]]:
        """Name, type and shape of the inputs of users and items."""
        users = [_described(spec, USER, "U") for spec in self.users.describe_inputs()]
        return users + [_described(spec, "", "B") for spec in self.items.describe_inputs()]

    def describe_inputs(self) -> list[dict[str, Any]]:
        """Name, type and shape of each input, in order; dimensions with a name are free."""
        inputs = [*self.describe_row_inputs(), {"name": OWNERS, "dtype": "int64", "shape": ["B"]}]
        for group in self.jagged_groups:
            for name in ("elements", "item_rows"):
                inputs.append({"name": f"{group}.{name}", "dtype": "int64", "shape": [f"E {group}"]})
        return inputs

    def from_batch(self, batch: Batch) -> tuple[Tensor, ...]:
        """The inputs of a batch of the loader: each row is a user and an item."""
        users, items = self.users.from_batch(batch), self.items.from_batch(batch)
        return self._with_owners(users, items, np.arange(batch.rows))

    def from_columns(self, columns: Mapping[str, Column], num_rows: int) -> tuple[Tensor, ...]:
        """The inputs of encoded features: each row is a user and an item."""
        return self._with_owners(*self.row_inputs(columns, num_rows), np.arange(num_rows))

    def row_inputs(self, columns: Mapping[str, Column], num_rows: int) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """The inputs of users and those of items, for rows of a user and an item each."""
        return self.users.from_columns(columns, num_rows), self.items.from_columns(columns, num_rows)

    def from_request(self, request: EncodedRequest) -> tuple[Tensor, ...]:
        """The inputs of the items of a request.

        A request in which a feature of the users depends on a column of the items is one of rows of a user and an item.
        """
        num_items = len(request.owners)
        if not request.by_user.keys() >= set(self.users.features):
            return self.from_columns(request.columns(), num_items)
        columns = {
            name: request.by_item[name] if name in request.by_item else request.by_user[name].expand(request.owners)
            for name in self.items.features
        }
        users = self.users.from_columns(request.by_user, request.num_users)
        return self._with_owners(users, self.items.from_columns(columns, num_items), request.owners)

    def _with_owners(
        self, users: tuple[Tensor, ...], items: tuple[Tensor, ...], owners: np.ndarray
    ) -> tuple[Tensor, ...]:
        by_name = dict(zip(self.users.names, users, strict=True))
        return (*users, *items, torch.from_numpy(owners), *self._elements(by_name, owners))

    def _elements(self, users: Mapping[str, Tensor], owners: np.ndarray) -> Iterator[Tensor]:
        for name in self.jagged_groups:
            group = self.users.sequences.groups[name]
            lengths = max_lengths([users[f"{feature}.lengths"] for feature in group.features], group.limit).numpy()
            yield torch.from_numpy(member_positions(lengths, owners))
            yield torch.from_numpy(np.repeat(np.arange(len(owners)), lengths[owners]))


def read_signature(value: Mapping[str, Any]) -> Signature | RequestSignature:
    """The inputs of a program from a manifest."""
    return RequestSignature.from_json(value) if "users" in value else Signature.from_json(value)


def user_features(features: Mapping[str, Feature]) -> set[str]:
    """Names of the features whose inputs are all of the user, the context, or a sequence of a sequence_feature.

    Args:
        features: by name, in an order in which features follow those that they read.
    """
    chosen: set[str] = set()
    remaining = dict(features)
    while computable := {
        name for name, feature in remaining.items() if all(_is_of_user(feature, one, chosen) for one in feature.inputs)
    }:
        chosen |= computable
        remaining = {name: feature for name, feature in remaining.items() if name not in computable}
    return chosen


def _is_of_user(feature: Feature, source: FeatureInput, chosen: Collection[str]) -> bool:
    if source.side == "feature":
        return source.name in chosen
    is_element = bool(feature.sequence) and source.name.startswith(f"{feature.sequence}__")
    return is_element or source.side in ("user", "context", "const")


def _part(signature: Signature, features: Collection[str]) -> Signature:
    """The inputs of some features."""
    sequences = signature.sequences
    return replace(
        signature,
        sparse=tuple(name for name in signature.sparse if name in features),
        has_weights=signature.has_weights and any(name in features for name in signature.sparse),
        dense={name: width for name, width in signature.dense.items() if name in features},
        sequences=SequenceInputs(
            {name: width for name, width in sequences.width_by_feature.items() if name in features},
            {name: group for name, group in sequences.groups.items() if set(group.features) <= set(features)},
        ),
    )


def _described(spec: Mapping[str, Any], prefix: str, rows: str) -> dict[str, Any]:
    """The description of an input with a prefix, and the name `rows` for B."""
    is_own = spec["name"] in ROW_INPUTS
    shape = [{"B": rows, "N": f"N{rows}"}.get(size, size) for size in spec["shape"]]
    return {"name": f"{prefix if is_own else ''}{spec['name']}", "dtype": spec["dtype"], "shape": shape}
