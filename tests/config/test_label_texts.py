"""Order of the values of labels of text."""

from __future__ import annotations

import pytest

from tzrec.config.label_texts import label_order, text_label_advice, variants


@pytest.mark.parametrize(
    ("positive", "negative"),
    [
        ("yes", "no"),
        ("True", "False"),
        ("Y", "N"),
        (">50K", "<=50K"),
        (" >50K.", " <=50K."),
        ("Survived", "Died"),
        ("Churn", "No churn"),
        ("clicked", "not_clicked"),
        ("subscribed", "unsubscribed"),
        ("tested_positive", "tested_negative"),
        ("Attrited Customer", "Existing Customer"),
        ("1", "0"),
        ("1", "-1"),
        ("2", "1"),
        ("mild", "none"),
    ],
)
def test_word_of_a_value_tells_the_positive_one_whichever_is_rarer(positive: str, negative: str) -> None:
    for num in (1, 99):
        order = label_order({positive: num, negative: 100 - num})
        assert order.values == [negative, positive]
        assert order.reason.endswith("is 1, by its word")


def test_rarer_value_is_1_where_no_word_tells() -> None:
    assert label_order({"R": 30, "M": 70}).values == ["M", "R"]
    order = label_order({"R": 70, "M": 30})
    assert (order.values, order.reason) == (["R", "M"], '"M" is 1, as it is rarer (30 % of the rows)')
    assert label_order({"true": 1, "yes": 2}).values == ["yes", "true"], "both words are positive"


def test_several_values_are_in_alphabetical_order_or_that_of_their_numbers() -> None:
    order = label_order({"cat": 1, "Bird": 5, "ant": 3})
    assert (order.values, order.reason) == (["ant", "Bird", "cat"], "3 classes, in alphabetical order")
    order = label_order({"10": 1, "9": 5, "1": 3})
    assert (order.values, order.reason) == (["1", "9", "10"], "3 classes, in the order of their numbers")


def test_advice_names_the_setting_with_the_values() -> None:
    advice = text_label_advice("y", {'a "b"': 1, "c": 2})
    assert 'data_config { label_values { label: "y" values: ["c", "a \\"b\\""] } }' in advice
    assert "more than 50 different texts" in text_label_advice("y", {f"v{number}": 1 for number in range(51)})
    assert text_label_advice("y", {"a": 3}) == 'it is always "a", and there is nothing to learn'


def test_variants_differ_only_in_case_and_spaces() -> None:
    assert variants(["yes", "Yes ", "no", "YES", "nope"]) == [["YES", "Yes ", "yes"]]
