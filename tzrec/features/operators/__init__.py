"""Operators of custom_feature that are part of tzrec; they have the names of TorchEasyRec's bundled libraries."""

BUNDLED = {
    "EditDistance": "tzrec.features.operators.edit_distance:EditDistance",
    "RegexReplace": "tzrec.features.operators.regex_replace:RegexReplace",
    "SeqExpr": "tzrec.features.operators.seq_expr:SeqExpr",
}
"""Classes by name."""
