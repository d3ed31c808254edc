"""Every frame that a predictor cannot read is one class of error, which names the column and what to do."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from tests.fixtures.small_model import small_config, small_encoder, small_model, small_rows
from tzrec.errors import DataError
from tzrec.serving.predictor import Predictor
from tzrec.serving.servable import Servable

ROWS = small_rows(3)


class Stream:
    """Frame of another library, whose conversion fails."""

    columns = ROWS.column_names

    def __getitem__(self, names: Any) -> Any:
        return Stream() if "item" in names else ROWS.select(names) if isinstance(names, list) else ROWS[names]

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        raise TypeError("Could not convert '2' with type str: tried to convert to int64")


def as_type(values: list[int | None], kind: pa.DataType) -> pa.Array:
    is_decimal = pa.types.is_decimal(kind)
    return pa.array([Decimal(value) if is_decimal and value is not None else value for value in values], kind)


def changed(name: str, array: Any) -> pa.Table:
    return ROWS.set_column(ROWS.column_names.index(name), name, array)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (Stream(), r"""column "item" .*Could not convert '2' .*; .*frame\["item"\].astype\(str\)"""),
        (ROWS.append_column("item", ROWS["item"]), r'the table has 2 columns "item"; rename or drop'),
        (ROWS["item"], r"not a single column"),
        (ROWS.drop_columns(["item"]), r"no column item"),
        (ROWS.slice(0, 0), r"no rows"),
        (pa.table({}), r"no column "),
        ({"other": [1]}, r"no column item"),
        (
            changed("item", pa.array([1, 2, 3], pa.timestamp("s"))),
            r'column "item" has type timestamp.*: write it',
        ),
        (changed("item", pa.array([b"a"] * 3)), r'column "item" has type binary.*: write it as a string'),
        (changed("item", pa.array([{"a": 1}] * 3)), r'column "item" has type struct.*: write each of its fields'),
        (changed("price", pa.array([[[0.5]]] * 3)), r'column "price" has type list<item: list'),
    ],
)
def test_frame_that_cannot_be_read_is_a_data_error(frame: Any, message: str) -> None:
    predictor = Predictor(Servable.from_model(small_model()), small_config(), small_encoder())
    with pytest.raises(DataError, match=message):
        predictor.predict(frame)


def test_repeated_column_that_is_not_read_is_no_trouble() -> None:
    predictor = Predictor(Servable.from_model(small_model()), small_config(), small_encoder())
    frame = ROWS.append_column("other", ROWS["item"]).append_column("other", pa.array([{}] * 3))
    assert predictor.predict(frame) == predictor.predict(ROWS)


def test_frame_and_plain_columns_of_the_same_values_have_the_same_scores() -> None:
    predictor = Predictor(Servable.from_model(small_model()), small_config(), small_encoder())
    items = ROWS["item"].combine_chunks()
    for kind in (pa.uint64(), pa.int8(), pa.decimal128(5, 0), pa.decimal128(20, 0)):
        assert predictor.predict(changed("item", as_type(items.to_pylist(), kind))) == predictor.predict(ROWS)
    assert predictor.predict(changed("item", items.dictionary_encode())) == predictor.predict(ROWS)
