"""A block that breaks off is logged, and the code after it still runs."""

from __future__ import annotations

import logging

import pytest

from registry_ui.exception_log import log_exceptions

logger = logging.getLogger(__name__)


def test_an_exception_is_logged_with_its_traceback_and_goes_no_further(caplog):
    with log_exceptions(logger, "%s %s broke off", "move", 7):
        raise RuntimeError("a bug")
    (record,) = caplog.records
    assert (record.name, record.levelname) == (__name__, "ERROR")
    assert record.getMessage() == "move 7 broke off"
    assert "RuntimeError: a bug" in caplog.text
    assert (record.pathname, record.funcName) == (
        __file__,
        "test_an_exception_is_logged_with_its_traceback_and_goes_no_further",
    )


def test_a_block_without_an_exception_logs_nothing_and_keeps_its_result(caplog):
    def result():
        with log_exceptions(logger, "broke off"):
            return "done"

    assert result() == "done"
    assert caplog.records == []


@pytest.mark.parametrize("signal", [KeyboardInterrupt, SystemExit])
def test_an_end_of_the_process_is_no_exception_of_the_block(caplog, signal):
    with pytest.raises(signal), log_exceptions(logger, "broke off"):
        raise signal
    assert caplog.records == []
