from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.fixtures.features import config_problem, encode, encoder, ids_by_row, reports
from tests.fixtures.tokenizers import write_bpe
from tzrec.errors import DataError, SetupError
from tzrec.features.base import Table

tokenizers = pytest.importorskip("tokenizers")
sentencepiece = pytest.importorskip("sentencepiece")

# merges: " " separates words, "a" and "b" join to "ab", "ab" and "c" to "abc"
VOCABULARY = {"[UNK]": 0, "a": 1, "b": 2, "c": 3, "ab": 4, "abc": 5, "e": 6, "雪": 7, "A": 8, "B": 9}


@pytest.fixture(scope="module")
def bpe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = {"unk_token": "[UNK]", "fuse_unk": False}
    return write_bpe(tmp_path_factory.mktemp("bpe"), VOCABULARY, ["a b", "ab c"], **settings)


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pieces") / "spm.model"
    with path.open("wb") as out:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(["red shoes", "blue shoes", "red hat", "blue hat"] * 20),
            model_writer=out, vocab_size=16, minloglevel=2,
        )  # fmt: skip
    return path


def tokenize(path: Path, text: str = "") -> str:
    text = f'vocab_file: "{path.name}" asset_dir: "{path.parent}" embedding_dim: 4 {text}'
    return f'tokenize_feature {{ feature_name: "f" expression: "user:c" {text} }}'


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["abc e", "", None, "ba", "abab"], [[5, 6], [], [], [2, 1], [4, 4]]),
        (pa.array(["x", "a雪x", None], pa.large_string()).slice(1), [[1, 7, 0], []]),
        ([["abc", "e"], [], ["a"], None], [[5, 6], [], [1], []]),
        (pa.array(["a", "b", "a"]).dictionary_encode(), [[1], [2], [1]]),
        (["  ", "a"], [[], [1]]),
        (pa.array([], pa.string()), []),
    ],
)
def test_bpe_tokens_become_ids(bpe: Path, values: Any, expected: list[list[int]]) -> None:
    column, bad = encode(tokenize(bpe), values)
    assert ids_by_row(column) == expected
    assert not bad
    assert encoder(tokenize(bpe)).features["f"].table == Table("f_emb", 10, 4)


def test_default_text_is_tokenized(bpe: Path) -> None:
    column, _ = encode(tokenize(bpe, 'default_value: "abc e"'), ["a", "", None])
    assert ids_by_row(column) == [[1], [5, 6], [5, 6]]


def test_sentencepiece_ids_equal_package(pieces: Path) -> None:
    texts = ["red hat", "blue shoes red", "hat"]
    column, bad = encode(tokenize(pieces, 'tokenizer_type: "sentencepiece"'), [*texts, None])
    model = sentencepiece.SentencePieceProcessor(model_file=str(pieces))
    assert ids_by_row(column) == [*(model.encode(text) for text in texts), []]
    assert max(map(len, ids_by_row(column))) > 1
    assert encoder(tokenize(pieces, 'tokenizer_type: "sentencepiece"')).features["f"].table == Table("f_emb", 16, 4)
    assert not bad


def test_texts_are_cleaned_before_tokenization(bpe: Path) -> None:
    text = "text_normalizer { norm_options: [TEXT_UPPER2LOWER, TEXT_SBC2DBC, TEXT_FILTER] }"
    column, _ = encode(tokenize(bpe, text + ' default_value: "E!"'), ["AbC!", "ａｂｃ", "", "a b"])
    assert ids_by_row(column) == [[5], [5], [6], [1, 2]]


def test_encoded_data_is_read_as_ids(bpe: Path) -> None:
    column, bad = encode(tokenize(bpe), ["1\x035", None, "10"], "FG_NONE")
    assert ids_by_row(column) == [[1, 5], [], []]
    assert reports(bad) == [("f", "out of range [0, 10)", [2], ["10"])]


def test_numbers_are_tokenized_and_maps_rejected(bpe: Path) -> None:
    assert ids_by_row(encode(tokenize(bpe), [12])[0]) == [[0, 0]]
    with pytest.raises(DataError, match='column "c" has type map'):
        encode(tokenize(bpe), pa.array([[("k", 1.0)]], pa.map_(pa.string(), pa.float64())))
    broken = pa.array([b"a\xff"], pa.binary()).cast(pa.string(), safe=False)
    with pytest.raises(DataError, match='column "c" holds text that is not UTF-8'):
        encode(tokenize(bpe), broken)


def test_invalid_config_is_rejected(bpe: Path, tmp_path: Path) -> None:
    (tmp_path / "none.json").write_text("{}")
    for path, text, field, message in [
        (bpe.with_name("x.json"), "", "vocab_file", "x.json cannot be read: No such file"),
        (tmp_path / "none.json", "", "vocab_file", "none.json is not a bpe tokenizer"),
        (bpe, 'tokenizer_type: "wordpiece"', "tokenizer_type", '"wordpiece" is not one of bpe, sentencepiece'),
        (bpe, 'tokenizer_type: "sentencepiece"', "vocab_file", "tokenizer.json is not a sentencepiece tokenizer"),
        (bpe, 'text_normalizer { stop_char_file: "no/file" }', "text_normalizer.stop_char_file", "no/file cannot be"),
    ]:
        problem = config_problem(tokenize(path, text))
        assert problem.field == f"feature_configs[0].tokenize_feature.{field}"
        assert message in problem.message


@pytest.mark.parametrize("package", ["tokenizers", "sentencepiece"])
def test_missing_package_error_names_install_command(bpe: Path, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    kind = "bpe" if package == "tokenizers" else package
    with pytest.raises(SetupError, match=rf"needs the package {package}: pip install 'tzrec\[text\]'"):
        encoder(tokenize(bpe, f'tokenizer_type: "{kind}"'))
