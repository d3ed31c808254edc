from __future__ import annotations

import pytest

from tests.features.reference.hashes import bucket, farm64, murmur64a

# Ids that other implementations of the same features give, modulo 100.
KNOWN = {
    "abc": 33, "efg": 44, "hij": 66, "xyz": 13, "1": 95, "2": 70, "3": 13, "4": 56, "0": 26, "x": 35, "y": 30, "z": 54,
    "ua_abc": 2, "ua_efg": 42, "ua_hij": 3, "ub_hij": 23, "match_feat_1": 71,
    "ua_ia": 37, "ua_ib": 90, "ub_ia": 5, "ub_ib": 97, "uc_ic": 60, "ud_ic": 56, "ug_id": 40, "ug_ie": 57, "uh_if": 55,
}  # fmt: skip

# std::hash<std::string> of libstdc++ (g++ 12.2, x86-64): no block, one block exactly, a block and a tail, five blocks
LIBSTDCXX = {
    "": 6142509188972423790,
    "abc": 3663726644998027833,
    "12345678": 10113836418918046885,
    "match_feat_1": 10801117929797616171,
    "the quick brown fox jumps over the lazy dog": 4385160446860836741,
    "模型训练": 11306466790140848702,
}


@pytest.mark.parametrize(("word", "row"), KNOWN.items())
def test_murmur_ids_equal_torcheasyrec(word: str, row: int) -> None:
    assert bucket(word, 100) == row


@pytest.mark.parametrize(("word", "value"), LIBSTDCXX.items())
def test_murmur_equals_libstdcxx(word: str, value: int) -> None:
    assert murmur64a(word.encode()) == value


@pytest.mark.parametrize(
    ("word", "value"),
    [
        # of the public farmhash library, one for each range of lengths
        ("abcdefghijklmnopq", 0x9E2106C72D7793A8),
        ("The quick brown fox jumps over the lazy dog", 0xABBE83F33B1B5134),
        ("0123456789" * 6 + "abcde", 0x99D301F66DB2B434),
        ("0123456789" * 9, 0xCEBDEE636EA564B6),
        ("", 0x9AE16A3B2F90404F),
    ],
)
def test_farm64_equals_farmhash_library(word: str, value: int) -> None:
    assert farm64(word.encode()) == value


@pytest.mark.parametrize(("word", "expected"), [("1", 49), ("2", 59), ("3", 21)])
def test_farm_ids_equal_torcheasyrec(word: str, expected: int) -> None:
    assert bucket(word, 100, farm=True) == expected
