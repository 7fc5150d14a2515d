"""Lists are read page by page: none is repeated, and a page that is gone leads to the last one."""

from __future__ import annotations

import pytest

from registry_ui.pagination import NoSuchPage, Page
from tests.support.html import Page as Html


@pytest.fixture
def acme(site):
    site.user("admin", admin=True)
    site.project("acme/app", "public")
    site.image("acme/app", "v1")
    return site


LISTS = [
    "/",
    "/acme",
    "/-/admin/users",
    "/-/admin/unassigned",
    "/-/admin/events",
    "/-/admin/audit",
    "/acme/app/-/trash",
    "/acme/app/-/images",
]


@pytest.mark.parametrize("address", LISTS)
def test_a_page_behind_the_last_one_leads_to_the_last_one(acme, address):
    browser = acme.browser("admin")
    assert browser.get(address).status_code == 200
    answer = browser.get(f"{address}?page=2&q=")
    assert (answer.status_code, answer.headers["Location"]) == (302, address)


def test_it_leads_to_the_last_of_several_and_keeps_the_search(acme):
    for number in range(51):
        acme.user(f"worker{number}")
    browser = acme.browser("admin")
    answer = browser.get("/-/admin/users?q=worker&page=9")
    assert answer.headers["Location"] == "/-/admin/users?q=worker&page=2"
    assert len(Html(browser.get("/-/admin/users?q=worker&page=2").text).table("Users")) == 1


def test_the_pages_of_groups_beside_those_of_projects_lead_to_their_own_last(acme):
    answer = acme.browser("admin").get("/?groups=7&page=1")
    assert answer.headers["Location"] == "/?page=1"


def test_a_program_finds_an_empty_page_behind_the_last_one(acme):
    secret = acme.access_token("admin", "read_registry")
    headers = {"Authorization": f"Bearer {secret}"}
    first = acme.app.test_client().get("/api/v4/projects", headers=headers).json
    assert (len(first["projects"]), first["pages"]) == (1, 1)
    second = acme.app.test_client().get("/api/v4/projects?page=2", headers=headers).json
    assert second == {"projects": [], "page": 2, "pages": 1, "total": 1}


def test_a_page_starts_where_the_one_before_ends_whatever_its_size():
    rows = list(range(7))
    pages = [Page.of(number, len(rows), 3) for number in (1, 2, 3)]
    assert [page.offset for page in pages] == [0, 3, 6]
    assert [page.cut(rows) for page in pages] == [[0, 1, 2], [3, 4, 5], [6]]
    with pytest.raises(NoSuchPage):
        Page.of(4, len(rows), 3)
    assert Page.of(1, 0).cut([]) == []
