"""An administrator reads on the overview that the registry's clock differs."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from tests.support.html import Page
from tests.unit.hostile_registry import Answer

UNAUTHORIZED = {"errors": [{"code": "UNAUTHORIZED"}]}
API_VERSION = {"Docker-Distribution-Api-Version": "registry/2.0"}


def answer_at(seconds):
    """Answer a registry's clock, which refuses tokens if it is more than 70 seconds behind."""

    def reply(_asked):
        headers = {**API_VERSION, "Date": formatdate(time.time() + seconds, usegmt=True)}
        return Answer(401, UNAUTHORIZED, headers) if seconds < -70 else Answer(200, {}, headers)

    return reply


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-120, "seconds behind this server's. If they differ by more than 60 seconds"),
        (45, "seconds ahead of this server's"),
    ],
)
def test_the_overview_warns_of_clocks_that_differ(served, registry, seconds, words):
    served.user("admin", admin=True)
    registry.answer = answer_at(seconds)
    page = Page(served.browser("admin").get("/-/admin").text)
    assert words in page.text
    assert "Synchronize both clocks" in page.text


def test_the_overview_is_silent_about_clocks_that_agree(served, registry):
    served.user("admin", admin=True)
    registry.answer = answer_at(0)
    assert "clock is" not in Page(served.browser("admin").get("/-/admin").text).text
