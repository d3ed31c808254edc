"""Operators of custom_feature that are part of tzrec; all but TimePart are named as TorchEasyRec's libraries."""

BUNDLED = {
    "EditDistance": "tzrec.features.operators.edit_distance:EditDistance",
    "RegexReplace": "tzrec.features.operators.regex_replace:RegexReplace",
    "SeqExpr": "tzrec.features.operators.seq_expr:SeqExpr",
    "TimePart": "tzrec.features.operators.time_part:TimePart",
}
"""Classes by name."""
