from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.fixtures.page_examples import run_example
from tests.fixtures.small_model import OUTPUTS, exported_package, small_rows
from tzrec.errors import DataError, UsageError
from tzrec.run.predict import PredictOptions, predict
from tzrec.serving.predictor import package_config
from tzrec.serving.row_scorer import RowScorer

ROWS = 101


def test_row_scorer_equals_predict(tmp_path: Path) -> None:
    rows = small_rows(ROWS)
    pq.write_table(rows, tmp_path / "a.parquet")
    package = str(exported_package())
    options = PredictOptions(reserved_columns=("row", "ALL_EFFECTIVE_COLUMNS"))
    predict(package_config(Path(package)), f"{tmp_path}/a.parquet", f"{tmp_path}/out", package, options=options)
    expected = pq.read_table(tmp_path / "out")
    scorer = RowScorer(package, ["row", "ALL_EFFECTIVE_COLUMNS"])
    scored = scorer(rows)
    copies = [name for name in scored.column_names if name not in OUTPUTS]
    assert scored.schema.equals(expected.schema) and scored.select(copies).equals(expected.select(copies))
    for name in OUTPUTS:  # products of batches of other sizes are rounded differently
        np.testing.assert_allclose(scored[name].to_pylist(), expected[name].to_pylist(), atol=1e-6)
    assert scorer.schema(rows.schema).equals(expected.schema)
    batch = rows.combine_chunks().to_batches()[0]
    again = pickle.loads(pickle.dumps(scorer))
    assert again(batch).equals(scored.combine_chunks().to_batches()[0])
    assert again(batch.slice(0, 0)).schema.equals(expected.schema)
    selected = RowScorer(package, ["user"], ["probs_kind"])(batch)
    assert selected.schema.names == ["probs_kind", "user"] and selected.num_rows == ROWS


def test_row_scorer_applies_the_bad_row_policy() -> None:
    rows = small_rows(5)
    items = rows["item"].to_pylist()
    items[3] = 999
    rows = rows.set_column(rows.column_names.index("item"), "item", pa.array(items))
    package = str(exported_package())
    with pytest.raises(DataError, match=r"row 3 of the batch: column \"item\" has '999'"):
        RowScorer(package, ["row"])(rows)
    for policy, kept in (("DEFAULT", [0, 1, 2, 3, 4]), ("SKIP_ROW", [0, 1, 2, 4])):
        scored = RowScorer(package, ["row"], edit={"data_config.bad_row_policy": policy})(rows)
        assert scored["row"].to_pylist() == kept
    nothing = RowScorer(package, ["row"], edit={"data_config.bad_row_policy": "SKIP_ROW"})(rows.slice(3, 1))
    assert nothing.num_rows == 0 and nothing.column_names == [*OUTPUTS, "row"]


def test_row_scorer_with_invalid_columns_raises() -> None:
    rows, package = small_rows(3), str(exported_package())
    with pytest.raises(DataError, match=r"no column friend in the rows; their columns are row, user, item"):
        RowScorer(package)(rows.drop_columns(["friend"]))
    with pytest.raises(DataError, match="no column nothing in the rows"):
        RowScorer(package, ["nothing"]).schema(rows.schema)
    with pytest.raises(UsageError, match='--output_columns: the model has no output "probs"'):
        RowScorer(package, [], ["probs"]).schema(rows.schema)
    twice = rows.append_column("probs_ctr", rows["row"])
    with pytest.raises(UsageError, match='"probs_ctr" is also an output'):
        RowScorer(package, ["ALL_COLUMNS"])(twice)


def test_examples_of_the_page_score_as_predict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first examples run here; those of Ray and Spark in their own tests."""
    monkeypatch.chdir(tmp_path)
    Path("rows").mkdir()
    pq.write_table(small_rows(20), "rows/a.parquet")
    Path("package").symlink_to(exported_package())
    names = run_example("RowScorer", tmp_path)
    assert names["scores"].column_names == [*OUTPUTS, "user"] and names["scores"].num_rows == 20
    assert json.dumps(names["scores"]["user"].to_pylist()) == json.dumps(small_rows(20)["user"].to_pylist())
