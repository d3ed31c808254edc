from __future__ import annotations

import logging
import re

import pytest

from tzrec.serving.stages import Stages


def test_stage_is_logged_with_its_seconds_when_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "tzrec"), Stages("user").stage("trace the model"):
        assert caplog.messages == []
    assert re.fullmatch(r"export user: trace the model  0\.\d s", caplog.messages[0])


def test_stage_that_fails_is_not_logged_as_done(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "tzrec"), pytest.raises(ValueError, match="no"), Stages().stage("compile"):
        raise ValueError("no")
    assert caplog.messages == []
