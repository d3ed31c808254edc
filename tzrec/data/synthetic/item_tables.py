"""Tables of synthetic items, users and edges for the sampler of a config."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tzrec.config.samplers import sampler_config
from tzrec.data.synthetic.items import NUM_CLUSTERS, ItemCatalog, texts
from tzrec.data.synthetic.tree_tables import make_tree_tables
from tzrec.protos.pipeline_pb2 import EasyRecConfig
from tzrec.protos.sampler_pb2 import TDMSampler

_EDGES = {"pos_edge_input_path": (5, 0), "hard_neg_edge_input_path": (4, 3)}
"""Edges per user, and the distance from the user's cluster to that of the items."""


def make_tables(config: EasyRecConfig, directory: str | Path) -> dict[str, str]:
    """Write the tables that the sampler of a config reads, with the names that the files have in it.

    Args:
        config: has a sampler or not.
        directory: of the files.

    Returns:
        paths of the files by the path of the field that is to name each; empty without a sampler.
    """
    catalog = ItemCatalog.of(config)
    sampler: Any = sampler_config(config.data_config)
    if catalog is None:
        return {}
    prefix = f"data_config.{config.data_config.WhichOneof('sampler')}"
    fields = [field.name for field in sampler.DESCRIPTOR.fields if field.name.endswith("input_path")]
    Path(directory).mkdir(parents=True, exist_ok=True)
    if isinstance(sampler, TDMSampler):
        tree = make_tree_tables(catalog, sampler, Path(directory))
        return {f"{prefix}.{field}": path for field, path in tree.items()}
    edits, names = {}, set()
    for field in fields:
        name = os.path.basename(getattr(sampler, field).rstrip("/")) or f"{field}.txt"
        name = f"{field}.txt" if name in names or set(name) & set("*?[,") else name
        names.add(name)
        path = Path(directory) / name
        if field == "user_input_path":
            _write(path, f"id:{_kind(catalog.users)}\tweight:float", ((user, 1.0) for user in texts(catalog.users)))
        elif field in _EDGES:
            _write_edges(path, catalog, *_EDGES[field])
        elif field in ("input_path", "item_input_path"):
            _write_items(path, catalog, sampler.attr_delimiter)
        else:
            continue
        edits[f"{prefix}.{field}"] = str(path)
    return edits


def _write_items(path: Path, catalog: ItemCatalog, delimiter: str) -> None:
    ids = catalog.columns[catalog.item_id]
    attributes = [
        texts(catalog.columns[name]) if name in catalog.columns else ["0"] * len(ids) for name in catalog.fields
    ]
    weights = [f"{weight:.3f}" for weight in np.random.default_rng(0).uniform(0.5, 2.0, len(ids))]
    is_joinable = not any(delimiter in text for texts in attributes for text in texts)
    rest = ["attrs:string"] if is_joinable else [f"{name}:string" for name in catalog.fields]
    cells = [[delimiter.join(row)] if is_joinable else row for row in zip(*attributes, strict=True)]
    lines = ([item, weight, *row] for item, weight, row in zip(texts(ids), weights, cells, strict=True))
    _write(path, "\t".join([f"id:{_kind(ids)}", "weight:float", *rest]), lines)


def _write_edges(path: Path, catalog: ItemCatalog, num_edges: int, distance: int) -> None:
    """Write edges from each user to items of the cluster at a distance from the one that the user prefers."""
    users, ids = catalog.users, catalog.columns[catalog.item_id]
    clusters = (np.repeat(catalog.clusters(users), num_edges) + distance) % NUM_CLUSTERS
    items = ids.take(pa.array(catalog.draw(clusters, np.random.default_rng(distance), share=1.0)))
    pairs = zip(np.repeat(texts(users), num_edges), texts(items), strict=True)
    _write(path, f"userid:{_kind(users)}\titemid:{_kind(ids)}\tweight:float", ((*pair, 1.0) for pair in pairs))


def _write(path: Path, header: str, lines: Iterable[Sequence[Any]]) -> None:
    path.write_text("".join(f"{line}\n" for line in [header, *("\t".join(map(str, cells)) for cells in lines)]))


def _kind(ids: pa.Array) -> str:
    return "int64" if pa.types.is_integer(ids.type) else "string"
