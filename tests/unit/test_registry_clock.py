"""The registry's clock is read from its responses, and a difference is reported once."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from registry_ui.distribution.clock import RegistryClock
from registry_ui.distribution.errors import RegistryRefused
from registry_ui.names import RepositoryName
from tests.unit.hostile_registry import Answer, always

APP = RepositoryName("acme/app")
UNAUTHORIZED = {"errors": [{"code": "UNAUTHORIZED"}]}
NOW = 1_800_000_000.25


def answer_at(seconds, status=200, body=None):
    """Answer as a registry does whose clock is so many seconds ahead of ours."""

    def reply(_asked):
        date = formatdate(time.time() + seconds, usegmt=True)
        return Answer(status, body or {"tags": []}, {"Date": date})

    return reply


def observed(clock, ahead, duration=0.1):
    clock.observe(formatdate(NOW + ahead, usegmt=True), NOW, NOW + duration)
    return clock.problem


@pytest.mark.parametrize(
    ("ahead", "words"),
    [
        (120, "120 seconds ahead of this server's"),
        (-120, "120 seconds behind this server's"),
        (35, "seconds ahead of"),
        (-35, "seconds behind"),
        (25, None),
        (-25, None),
        (0, None),
    ],
)
def test_a_difference_of_half_the_leeway_is_a_problem(ahead, words):
    problem = observed(RegistryClock(), ahead)
    assert words in problem if words else problem is None


@pytest.mark.parametrize("date", [None, "", "yesterday", "Mon, 99 Foo 2026", "0", "x" * 5000])
def test_an_unusable_date_changes_nothing(date):
    clock = RegistryClock()
    observed(clock, 120)
    clock.observe(date, NOW, NOW)
    assert "120 seconds" in clock.problem


def test_the_date_of_a_slow_response_says_nothing():
    assert observed(RegistryClock(), 120, duration=60) is None


def test_the_log_has_a_line_when_clocks_part_and_one_when_they_agree_again(caplog):
    clock = RegistryClock()
    for ahead in (0, 1, 90, 91, 92, 0, 1, -90):
        observed(clock, ahead)
    assert [line.split(".")[0].split(" is ")[0] for line in caplog.messages] == [
        "The registry's clock",
        "The registry's clock agrees with ours again",
        "The registry's clock",
    ]


def test_a_refused_token_comes_with_the_difference_of_the_clocks(asker, hostile):
    hostile.answer = answer_at(-120, 401, UNAUTHORIZED)
    with pytest.raises(RegistryRefused, match="seconds behind this server's"):
        asker.tags(APP)
    assert "seconds behind" in asker.clock_problem


def test_a_refused_token_is_not_blamed_on_clocks_that_agree(asker, hostile):
    hostile.answer = always(401, UNAUTHORIZED)
    with pytest.raises(RegistryRefused) as caught:
        asker.tags(APP)
    assert "clock" not in str(caught.value)


def test_a_response_that_succeeds_tells_the_time_too(asker, hostile):
    hostile.answer = answer_at(40)
    asker.tags(APP)
    assert "ahead of" in asker.clock_problem
