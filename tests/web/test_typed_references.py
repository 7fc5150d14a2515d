"""The name of an image, typed as an address the way clients write it."""

from __future__ import annotations

import pytest

from tests.support.html import Page

HIDDEN = ["/acme/veiled/web", "/acme/veiled/web:1.0", "/acme/veiled:1.0", "/acme/nothing/web:1.0"]


@pytest.fixture
def acme(site):
    site.users("alice", "stranger")
    site.project("acme/app")
    site.project("acme/veiled")
    site.member("acme/app", "alice", "guest")
    return site


@pytest.mark.parametrize(
    ("typed", "page"),
    [
        ("/acme/app/web", "/acme/app/-/images/web"),
        ("/acme/app/a/b/c", "/acme/app/-/images/a/b/c"),
        ("/acme/app/web:1.0", "/acme/app/-/images/web/-/tags/1.0"),
        ("/acme/app:latest", "/acme/app/-/tags/latest"),
        ("/acme/app/web:sha256-aa.sig", "/acme/app/-/images/web/-/tags/sha256-aa.sig"),
    ],
)
def test_a_reference_leads_to_its_page(acme, typed, page):
    answer = acme.browser("alice").get(typed)
    assert (answer.status_code, answer.headers["Location"]) == (302, page)


@pytest.mark.parametrize("typed", HIDDEN)
def test_below_what_one_may_not_see_there_is_nothing(acme, typed):
    for who in ("alice", "stranger", None):
        answer = acme.browser(who).get(typed)
        assert answer.status_code == 404, who
        assert Page(answer.text).text == Page(acme.browser(who).get("/nobody/has/this").text).text


@pytest.mark.parametrize("typed", ["/acme/app/web:", "/acme/app:-x", "/acme/App:1", "/acme:1.0"])
def test_what_is_no_reference_is_not_found(acme, typed):
    assert acme.browser("alice").get(typed).status_code == 404
