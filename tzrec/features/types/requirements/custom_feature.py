"""Requirements of CustomFeature: a bucketizer, or a number as default; valid parameters of a bundled operator."""

from __future__ import annotations

from tzrec.config.checker import Checker
from tzrec.config.completion import ENCODED
from tzrec.config.rules.bucketizer import check_bucketizer_choice, check_default_numbers, set_bucketizers
from tzrec.errors import ConfigError
from tzrec.features.operators import BUNDLED
from tzrec.protos.feature_pb2 import CustomFeature


def check(checker: Checker, path: str, message: CustomFeature) -> None:
    """Check bucketizer, default and a bundled operator; an operator of a user is looked up by the feature."""
    if checker.has_parse_errors(path):
        return
    _check_operator(checker, path, message)
    bucketizers = set_bucketizers(message)
    if not bucketizers:
        check_default_numbers(checker, path, message, message.separator)
    elif message.boundaries:
        checker.error(f"{path}.boundaries", f"{bucketizers[0]} is set as well; choose one")
    elif not any(checker.is_unsupported(f"{path}.{name}") for name in bucketizers):
        check_bucketizer_choice(checker, path, message, bucketizers)


def _check_operator(checker: Checker, path: str, message: CustomFeature) -> None:
    """Check the library, which is not loaded, and the parameters of a bundled operator."""
    is_encoded = checker.config.data_config.fg_mode in ENCODED
    is_bundled = message.operator_name in BUNDLED
    if message.operator_lib_file and (is_bundled or is_encoded):
        reason = f"{message.operator_name} is part of tzrec" if is_bundled else "encoded data holds the results"
        checker.warning(f"{path}.operator_lib_file", f"has no effect: {reason}")
    if is_encoded or not (is_bundled or message.operator_lib_file):
        return
    from tzrec.features.types.custom_feature import make_operator

    try:
        make_operator(message)
    except ConfigError as error:
        for problem in error.problems:
            checker.error(f"{path}.{problem.field}", problem.message)
