from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.features import encode, id_feature, ids_by_row
from tzrec.config.vocabulary import read_vocabulary, self_contained
from tzrec.protos.pipeline_pb2 import EasyRecConfig


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "words.txt"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("abc\nefg\n模\n", {"abc": 0, "efg": 1, "模": 2}),
        ("abc\r\n\nefg", {"abc": 0, "efg": 1}),
        ("new york\nabc", {"new york": 0, "abc": 1}),
        ("a\nb\na\nc", {"a": 0, "b": 1, "c": 2}),
        ("abc 5\nnew york 0\n", {"abc": 5, "new york": 0}),
    ],
)
def test_words_have_their_ids(tmp_path: Path, text: str, expected: dict[str, int]) -> None:
    assert read_vocabulary(write(tmp_path, text)) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no words"),
        ("a 1\nb\n", 'has ids for some words and none for "b"'),
        ("a 9223372036854775808", "has an id of 2\\^63 or more"),
    ],
)
def test_invalid_vocabulary_file_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_vocabulary(write(tmp_path, text))


def test_missing_or_binary_vocabulary_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"words cannot be read: No such file"):
        read_vocabulary(tmp_path / "words")
    (tmp_path / "words").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(ValueError, match=r"words cannot be read: not UTF-8"):
        read_vocabulary(tmp_path / "words")


@pytest.mark.parametrize(
    ("text", "expected", "count"),
    [("xyz\nabc\nefg\n", [[1, 2], [], [0]], 3), ("xyz 7\nabc 4\nefg 5\n", [[4, 5], [], [3]], 8)],
)
def test_vocabulary_file_of_a_feature_is_checked(tmp_path: Path, text: str, expected: list, count: int) -> None:
    write(tmp_path, text)
    oov = expected[2][0]
    feature = id_feature(f'vocab_file: "words.txt" asset_dir: "{tmp_path}" default_bucketize_value: {oov}')
    column, bad = encode(feature, ["abc\x1defg", "", "hij"])
    assert ids_by_row(column) == expected
    assert not bad


def test_self_contained_config_contains_its_words(tmp_path: Path) -> None:
    path = write(tmp_path, "b 3\na 1\n")
    config = EasyRecConfig()
    feature = config.feature_configs.add().id_feature
    feature.vocab_file, feature.asset_dir, feature.default_bucketize_value = path.name, str(tmp_path), 0
    held = self_contained(config).feature_configs[0].id_feature
    assert dict(held.vocab_dict) == {"a": 1, "b": 3}
    assert not held.HasField("vocab_file")
    assert feature.vocab_file == "words.txt"
