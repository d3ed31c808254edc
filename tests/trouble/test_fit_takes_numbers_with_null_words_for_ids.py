"""Words for a missing value among numbers: `init` declares them, and `check` and `train` name the setting."""

from __future__ import annotations

from pathlib import Path

import pytest

import tzrec
from tests.fixtures.click_files import clicks, write_config, write_csv
from tzrec.errors import DataError
from tzrec.run.check import check

WORDS = ["\\N", "NULL", "NaN", "None", "-", "n/a"]


def write(folder: Path, word: str) -> Path:
    columns = clicks(400)
    columns["price"][10::13] = [word] * len(columns["price"][10::13])
    columns["user"][5::31] = [word] * len(columns["user"][5::31])
    write_csv(folder / "t.csv", columns)
    return folder / "t.csv"


@pytest.mark.parametrize("word", WORDS)
def test_init_declares_null_words_of_numbers(tmp_path: Path, word: str) -> None:
    result = tzrec.init(write(tmp_path, word), ["clk"], tmp_path / "first.config")
    assert list(result.config.data_config.null_values) == [word]
    kinds = {feature.WhichOneof("feature") for feature in result.config.feature_configs}
    assert kinds == {"id_feature", "raw_feature"}
    price = next(column for column in result.columns if column.name == "price")
    assert (price.is_numeric, price.missing) == (True, 30)
    assert [item.reason for item in result.suggestions if item.path == "data_config.null_values"] == [
        "words for a missing value among the numbers of price, user"
    ]
    assert tzrec.check(tmp_path / "first.config") == []


def test_init_declares_the_single_unknown_word_among_many_numbers(tmp_path: Path) -> None:
    result = tzrec.init(write(tmp_path, "unknown"), ["clk"], tmp_path / "first.config")
    assert list(result.config.data_config.null_values) == ["unknown"]
    (price,) = (reading for reading in result.readings if reading.name == "price")
    assert price.evidence.startswith('7.5 % "unknown", ')


def test_init_notes_an_unknown_word_that_is_frequent_among_numbers(tmp_path: Path) -> None:
    path = write(tmp_path, "NULL")
    lines = path.read_text().splitlines()
    index = lines[0].split(",").index("price")
    cells = [line.split(",") for line in lines]
    for row in cells[1::5]:
        row[index] = "ask"
    path.write_text("\n".join(map(",".join, cells)))
    result = tzrec.init(path, ["clk"], tmp_path / "first.config")
    assert list(result.config.data_config.null_values) == ["NULL"]
    note = "column \"price\" holds numbers but for 'ask' in 20 % of the first 400 rows; if it stands for a missing"
    assert [line for line in result.notes if line.startswith(note)]


@pytest.mark.parametrize("word", ["\\N", "NULL", "None", "-"])
def test_check_and_train_name_the_setting_of_null_words(tmp_path: Path, word: str) -> None:
    config = write_config(tmp_path / "c.config", str(write(tmp_path, word)))
    setting = f'null_values: "{word}"'.replace("\\", "\\\\")
    (problem,) = check(config).problems
    assert f"declare the words for missing values: data_config {{ {setting} }}, or use" in problem.message
    with pytest.raises(DataError, match="Declare the words for missing values") as caught:
        tzrec.train(config)
    assert setting in str(caught.value)
    assert tzrec.check(config, edit={"data_config.null_values": [word]}) == []
