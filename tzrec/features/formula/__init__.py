"""Formulas of expr_feature and of normalizers: grammar, functions and vectors."""
