"""UserOnce: a servable that computes what depends on users alone once for each user."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from itertools import count
from typing import Any

import torch
from torch import Tensor, fx, nn

from tzrec.log import logger
from tzrec.models.base import RecModel
from tzrec.serving.dependence import InseparableError, Separation, SeparationInput
from tzrec.serving.request_signature import OWNERS, USER, RequestSignature, user_features
from tzrec.serving.separation import separate
from tzrec.serving.servable import Servable
from tzrec.serving.stored_tables import TablePlace
from tzrec.serving.trained_model import TrainedModel, precision_of

_ROWS = 5
"""Rows of the example that is traced; any number from 2 on gives the same program."""


class UserOnce(nn.Module):
    """A program of U users and B items: a tuple of outputs in alphabetical order, with a row for each item.

    Args:
        graph: of `separate`.
        signature: its inputs.
        tables: bytes of all tables.
        outputs: names of the outputs, in order.
    """

    def __init__(
        self, graph: fx.GraphModule, signature: RequestSignature, tables: Tensor, outputs: Sequence[str]
    ) -> None:
        super().__init__()
        self.separated, self.signature, self._outputs = graph, signature, tuple(outputs)
        self.register_buffer("tables", tables)
        self.eval()

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The inputs of `signature` -> per output `(B,)` or `(B, C)`."""
        return tuple(self.separated(self.tables, *inputs))

    def predict(self, inputs: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """The inputs of `signature` -> outputs by name."""
        return dict(zip(self._outputs, self(*inputs), strict=True))


def make_servable(trained: TrainedModel, places: Mapping[str, TablePlace]) -> Servable | UserOnce:
    """The program of a package, which computes users once if `export_config.user_once` says so. Its `tables` are empty.

    A model without features of users, or with no others, is the same program either way.
    """
    precision, outputs = precision_of(trained.config), trained.config.export_config.output_columns
    servable = Servable(trained.model, torch.empty(0, dtype=torch.uint8), places, precision, outputs)
    if not trained.config.export_config.user_once:
        return servable
    signature = RequestSignature.of(servable.signature, user_features(trained.features))
    if not signature.users.features or not signature.items.features:
        return servable
    try:
        return user_once(trained.model, signature, places, precision, outputs)
    except InseparableError as error:
        logger.warning("export_config.user_once has no effect: items need the input %s of their user", error)
        return servable


def user_once(
    model: RecModel,
    signature: RequestSignature,
    places: Mapping[str, TablePlace],
    precision: str = "",
    outputs: Collection[str] = (),
) -> UserOnce:
    """Trace a model and separate what depends on users alone. Its `tables` are empty.

    Args:
        model: unsharded.
        signature: its inputs, those of users and of items.
        places: of the tables.
        precision, outputs: see `Servable`.

    Raises:
        InseparableError: an item would need an input of users that has no row for each user.
    """
    sides = {USER: signature.users, "": signature.items}
    servable = Servable(model, torch.zeros(64, dtype=torch.uint8), places, precision, outputs, sides)
    specs = signature.describe_row_inputs()
    example = zero_inputs(specs, {"U": _ROWS, "B": _ROWS})
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # from torch, about its own tree specs
        names = sorted(servable.predict(example))
        shapes = tuple(dynamic_dimensions(spec["shape"]) for spec in specs)
        program = torch.export.export(servable, example, dynamic_shapes=(shapes,), strict=False)
        traced = program.run_decompositions({}).module(check_guards=False)  # without changes in place
    graph = separate(traced, _separation(signature))
    return UserOnce(graph, signature, torch.empty(0, dtype=torch.uint8), names)


def _separation(signature: RequestSignature) -> Separation:
    jagged = signature.jagged_groups
    of_users = set(signature.users.prefixed_names(USER))
    groups = signature.users.sequences.groups
    shared = {f"L {name}" for name, group in groups.items() if not group.is_jagged}
    shared |= {f"P {name}" for name, group in groups.items() if group.is_jagged and group.is_padded}
    item_versions = {f"{name}.rows": f"{name}.item_rows" for name in jagged}
    return Separation(
        inputs=[
            SeparationInput(spec["name"], spec["shape"], spec["name"] in of_users, item_versions.get(spec["name"], ""))
            for spec in signature.describe_row_inputs()
        ],
        indices=signature.names[len(signature.describe_row_inputs()) :],
        index_by_dimension={"U": OWNERS} | {f"L {name}": f"{name}.elements" for name in jagged},
        shared_dimensions=frozenset(shared),
        row_index=OWNERS,
    )


def zero_inputs(specs: Sequence[Mapping[str, Any]], rows: Mapping[str, int]) -> tuple[Tensor, ...]:
    """Inputs without ids and elements, to trace with: all sizes differ, because torch.export takes equal ones for the
    same dimension.

    Args:
        specs: of `describe_inputs`.
        rows: sizes of dimensions of rows by name.
    """
    sizes, numbers = dict(rows), count(1009)
    for name in (name for spec in specs for name in spec["shape"] if isinstance(name, str)):
        if name not in sizes:
            sizes[name] = next(numbers)
    return tuple(
        torch.zeros([sizes.get(size, size) for size in spec["shape"]], dtype=getattr(torch, spec["dtype"]))
        for spec in specs
    )


def dynamic_dimensions(shape: Sequence[object]) -> dict[int, Any]:
    """The dimensions that have a name instead of a number, as torch.export declares them."""
    return {index: torch.export.Dim.DYNAMIC for index, size in enumerate(shape) if isinstance(size, str)}
