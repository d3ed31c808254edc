"""Sample of raw rows: the self-test of a package scores it, and the package keeps the first rows as a request.

`sample_request.json` is a request as a server takes it, `{"user": {...}, "items": [{...}], "context": {...}}`, and
`sample_response.json` the answer, `{"outputs": {name: [score, ...]}}`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tzrec.data.batch import Batch
from tzrec.data.batch_encoder import BatchEncoder
from tzrec.data.raw_rows import raw_rows
from tzrec.data.samplers.base import SampledRows
from tzrec.data.text_schema import TextSchema
from tzrec.errors import DataError, PackageError
from tzrec.features.base import Feature
from tzrec.features.feature_encoder import FeatureEncoder
from tzrec.serving.draft import PackageDraft
from tzrec.serving.package_manifest import PackageManifest
from tzrec.serving.predictor import Predictor
from tzrec.serving.trained_model import TrainedModel

SAMPLE, _RESPONSE = "sample", "sample_response"
"""Kinds of the contents of a package."""
NUM_ITEMS = 8
_ITEMS = "items"


@dataclass(frozen=True)
class SampleRows:
    """Raw rows for the self-test of a package.

    Attributes:
        rows: columns of features, and labels where they have any, of the types that training reads.
        source: where they are from, for people: a path, or "synthetic".
        is_given: False for synthetic rows, of which the labels mean nothing.
    """

    rows: pa.RecordBatch
    source: str
    is_given: bool

    def encode(self, trained: TrainedModel) -> Batch:
        """Encode them as training does, with their labels.

        Raises:
            DataError: a column is missing or has a type that cannot be read, or a bad value under the ERROR policy.
        """
        encoder = FeatureEncoder.from_config(trained.config.feature_configs, trained.config.data_config)
        labels = [name for name in trained.config.data_config.label_fields if name in self.rows.schema.names]
        raw = raw_rows(self.rows, list(dict.fromkeys([*encoder.columns, *labels])))
        batches = BatchEncoder(trained.config, encoder, TextSchema({}, {}, {}), labels)
        numbers = np.arange(raw.num_rows)
        return batches.encode(SampledRows.unchanged(raw), numbers, lambda row: f"row {row} of {self.source}").batch


@dataclass(frozen=True)
class SampleRequest:
    """Request with the scores that the package gave it when it was exported.

    Attributes:
        request: as a server takes it.
        outputs: scores of its items by output.
    """

    request: dict[str, Any]
    outputs: dict[str, list[Any]]

    @classmethod
    def read(cls, directory: Path, manifest: PackageManifest) -> SampleRequest | None:
        """Read the sample of a package; None if it has none.

        Raises:
            PackageError: it is damaged.
        """
        contents = manifest.contents
        if SAMPLE not in contents:
            return None
        try:
            request = json.loads((directory / contents[SAMPLE].file).read_text())
            return cls(request, json.loads((directory / contents[_RESPONSE].file).read_text())["outputs"])
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise PackageError(f"the sample request of {directory} cannot be read: {error}") from None

    @classmethod
    def of(cls, sample: SampleRows, predictor: Predictor) -> SampleRequest:
        """Take the user of the first row and the items of the first rows, and score them.

        Raises:
            DataError: a value cannot be read, or is of a type that JSON has no form for.
        """
        rows = sample.rows.slice(0, NUM_ITEMS)
        part_by_column = _parts(predictor.encoder.features)
        columns = {name: rows.column(name) for name in predictor.columns}
        many = {name: column for name, column in columns.items() if part_by_column[name] == _ITEMS}
        once = {name: column.slice(0, 1) for name, column in columns.items() if name not in many}
        if not many:
            once, many = {}, columns
        request: dict[str, Any] = {part: {} for part in dict.fromkeys(part_by_column[name] for name in once)}
        for name, column in once.items():
            request[part_by_column[name]][name] = _to_json(name, column)[0]
        values = {name: _to_json(name, column) for name, column in many.items()}
        request[_ITEMS] = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
        scores = predictor.rank(pa.table(once), pa.table(many)) if once else predictor.predict(pa.table(many))
        return cls(request, scores.to_pydict())

    def score(self, predictor: Predictor, num_items: int) -> pa.Table:
        """Score as many items as asked for, those of the request over and over: to warm up, or to compare the scores.

        Raises:
            DataError: a value cannot be read.
        """
        items = [self.request[_ITEMS][index % len(self.request[_ITEMS])] for index in range(num_items)]
        once = {**self.request.get("user", {}), **self.request.get("context", {})}
        many = _from_json(items)
        return predictor.rank(_from_json([once]), many) if once else predictor.predict(many)

    def add_to(self, draft: PackageDraft, source: str) -> None:
        """Add its files to a package.

        Args:
            draft: the package.
            source: of the rows.
        """
        about = {"source": source, "items": len(self.request[_ITEMS])}
        draft.add(SAMPLE, "sample_request.json", _dump(self.request), about)
        draft.add(_RESPONSE, "sample_response.json", _dump({"outputs": self.outputs}))


def _parts(features: Mapping[str, Feature]) -> dict[str, str]:
    """Part of a request that each raw column belongs to: that of its side, "items" if features disagree.

    The features of a sequence are those of its elements, as of items that a user has seen; the sequence is the user's.
    """
    sides: dict[str, set[str]] = {}
    for feature in features.values():
        for column in feature.inputs:
            sides.setdefault(column.name, set()).add("user" if feature.sequence else column.side)
    parts = {"user": "user", "context": "context"}
    return {name: parts.get(min(found), _ITEMS) if len(found) == 1 else _ITEMS for name, found in sides.items()}


def _to_json(name: str, column: pa.Array) -> list[Any]:
    """Convert a column to JSON values; maps become objects."""
    is_map = pa.types.is_map(column.type)
    values = [dict(value) if is_map and value is not None else value for value in column.to_pylist()]
    try:
        json.dumps(values, allow_nan=False)
    except (TypeError, ValueError):
        raise DataError(f'column "{name}" has values of type {column.type}, which JSON has no form for') from None
    return values


def _from_json(rows: list[dict[str, Any]]) -> pa.Table:
    """Convert objects to columns; the inverse of `_to_json`."""
    columns = {}
    for name in rows[0]:
        values = [row[name] for row in rows]
        maps = [value for value in values if isinstance(value, dict)]
        kind = (
            pa.map_(pa.string(), pa.array([item for value in maps for item in value.values()]).type) if maps else None
        )
        pairs = [list(value.items()) if isinstance(value, dict) else value for value in values]
        columns[name] = pa.array(pairs, kind)
    return pa.table(columns)


def _dump(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
