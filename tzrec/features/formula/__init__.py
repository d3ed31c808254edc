"""Formulas of expr_feature: grammar, functions and vectors."""
