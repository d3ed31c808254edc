"""Requirements of feature types without torch: one file per feature type that has any.

`check(checker, path, message)` receives the message of a feature; for a feature of a sequence that of one element, see
`tzrec.config.sequences.feature_members`.
"""
