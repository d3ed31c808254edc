"""Conversion of text configs of EasyRec, which is built on TensorFlow. EasyRec is not needed.

Each module converts a section by tables of its fields. What no table names is listed with its place.
"""
