from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import tzrec
from tests.fixtures.small_model import OUTPUTS, exported_package, small_rows
from tests.serving.test_request_log import write
from tzrec.errors import UsageError
from tzrec.replay import main
from tzrec.run.replay import OutputComparison, replay
from tzrec.serving.request_log import LoggedRequest

USER_COLUMNS = ["user", "friend", "scores", "place", "clicks__item", "clicks__tags", "clicks__price"]


def requests(count: int = 6) -> list[LoggedRequest]:
    """Requests and the scores of the package, every other one for one user."""
    predictor = tzrec.load(exported_package())
    made = []
    for number in range(count):
        rows, user = small_rows(8 + number).select(predictor.columns), None
        if number % 2:
            user, rows = rows.slice(0, 1).select(USER_COLUMNS), rows.drop_columns(USER_COLUMNS)
            scores = predictor.rank(user, rows)
        else:
            scores = predictor.predict(rows)
        made.append(LoggedRequest(number, "", "small", "1", user, rows, scores))
    return made


def changed(request: LoggedRequest, name: str, values: Iterable[float]) -> LoggedRequest:
    index = request.scores.column_names.index(name)
    column = pa.array(list(values), request.scores.schema.field(name).type)
    return replace(request, scores=request.scores.set_column(index, name, column))


def test_replay_with_the_same_package_has_equal_scores() -> None:
    result = replay(requests(), tzrec.load(exported_package()))
    assert result.num_requests == 6 and sorted(result.outputs) == OUTPUTS
    assert result.max_difference == 0.0 and not result.refused
    row = result.outputs["probs_ctr"].row()
    assert row == {
        "values": "63",
        "equal": "100 %",
        **dict.fromkeys(("50 %", "90 %", "99 %", "max"), "0"),
        **{"reordered": "0 %", "other first": "0 %", "top 10 kept": "100 %"},
    }
    assert result.outputs["probs_kind"].row()["values"] == "189"


def test_replay_finds_a_planted_difference() -> None:
    log = requests(2)
    values = log[0].scores.column("probs_ctr").to_pylist()
    log[0] = changed(log[0], "probs_ctr", [values[0] + 0.25, *values[1:]])
    result = replay(log, tzrec.load(exported_package()))
    assert result.max_difference == pytest.approx(0.25, abs=1e-6)
    assert result.outputs["logits_ctr"].row()["max"] == "0" and result.outputs["probs_ctr"].row()["max"] == "0.25"


def test_comparison_counts_orders() -> None:
    comparison = OutputComparison()
    scores = np.linspace(1, 0, 20)
    comparison.add(scores, scores - 0.5)  # shifted: the same order
    comparison.add(scores, scores[::-1])  # reversed: another first row, nothing of the first 10 stays
    comparison.add(scores, np.concatenate([scores[:18], scores[:17:-1]]))  # the last two are exchanged
    comparison.add(np.array([1.0]), np.array([0.0]))  # one row has no order
    row = comparison.row()
    assert (row["reordered"], row["other first"], row["top 10 kept"]) == ("66.67 %", "33.33 %", "66.67 %")
    assert row["values"] == "61" and row["max"] == "1"


def test_comparison_of_values_that_are_not_finite() -> None:
    comparison = OutputComparison()
    comparison.add(np.array([np.nan, np.inf, 1.0]), np.array([np.nan, np.inf, np.nan]))
    assert comparison.row()["max"] == "inf" and comparison.row()["equal"] == "66.67 %"


def test_replay_names_outputs_and_requests_that_cannot_be_compared() -> None:
    log = requests(3)
    log[0] = replace(log[0], scores=log[0].scores.rename_columns(["old", *OUTPUTS[1:]]))
    price = log[2].rows.column_names.index("price")
    log[2] = replace(log[2], rows=log[2].rows.set_column(price, "price", pa.array([{"a": 1}] * log[2].rows.num_rows)))
    result = replay(log, tzrec.load(exported_package()))
    assert result.num_requests == 2 and result.only_logged == {"old"} and result.only_new == {OUTPUTS[0]}
    text = result.as_text()
    assert "outputs of the log only: old" in text and f"outputs of the package only: {OUTPUTS[0]}" in text
    assert '1 requests refused by the package: column "price"' in text


def test_replay_scores_columns_that_the_log_lacks_as_missing() -> None:
    log = requests(1)
    rows = log[0].rows
    missing = rows.set_column(rows.column_names.index("price"), "price", pa.nulls(rows.num_rows))
    scores = tzrec.load(exported_package()).predict(missing)
    result = replay([replace(log[0], rows=rows.drop_columns(["price"]), scores=scores)], tzrec.load(exported_package()))
    assert result.max_difference == 0.0


def test_replay_of_several_models_needs_a_name() -> None:
    log, predictor = requests(2), tzrec.load(exported_package())
    log[1] = replace(log[1], model="other")
    with pytest.raises(UsageError, match="of the models other and small; choose --model_name"):
        replay(log, predictor)
    assert replay(log, predictor, "other").num_requests == 1
    with pytest.raises(UsageError, match="no request of third, only of other, small"):
        replay(log, predictor, "third")
    with pytest.raises(UsageError, match="the log has no requests"):
        replay([], predictor)


def test_replay_command_prints_the_comparison(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "requests-1.arrow", requests(2))
    assert main([str(tmp_path), "--model_path", str(exported_package())]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "2 requests replayed"
    assert [line.split()[0] for line in lines[2:]] == OUTPUTS
    assert lines[4].split()[1:4] == ["17", "100", "%"]
