"""Every page of a namespace or project has the same tabs: those that the visitor can open."""

from __future__ import annotations

import pytest

from tests.support.html import Page

#: The pages of a project by the tab that is the current one.
PAGES = {
    "Images": "",
    "Activity": "/-/activity",
    "Storage": "/-/storage",
    "Members": "/-/members",
    "Trash": "/-/trash",
    "Retention": "/-/retention",
    "Deploy tokens": "/-/deploy-tokens",
    "Protection": "/-/protection",
    "Access log": "/-/decisions",
    "Settings": "/-/settings",
}
TABS = {
    "owner": list(PAGES),
    "maintainer": list(PAGES),
    "developer": ["Images", "Activity", "Storage", "Members"],
    "guest": ["Images", "Activity", "Storage", "Members"],
    "stranger": ["Images", "Activity", "Storage"],
    "admin": list(PAGES),
}


@pytest.fixture
def acme(site):
    site.user("admin", admin=True)
    site.users(*[name for name in TABS if name != "admin"])
    site.project("acme/app", "public")
    for role in ("owner", "maintainer", "developer", "guest"):
        site.member("acme/app", role, role)
    return site


def tabs(site, address, who):
    answer = site.browser(who).get(address)
    assert answer.status_code == 200, address
    (bar,) = [n for n in Page(answer.text).all("nav") if "Pages of" in n.attrs["aria-label"]]
    return {link.text: link.attrs["href"] for link in bar.all("a")}


@pytest.mark.parametrize("who", TABS)
def test_a_tab_stands_on_every_page_or_on_none_and_leads_to_a_page(acme, who):
    for current in TABS[who]:
        found = tabs(acme, f"/acme/app{PAGES[current]}", who)
        assert list(found) == TABS[who], current
    browser = acme.browser(who)
    assert {browser.get(address).status_code for address in found.values()} == {200}


@pytest.mark.parametrize("who", [None, "stranger"])
def test_who_the_members_are_is_not_offered_to_strangers(acme, who):
    assert "Members" not in tabs(acme, "/acme/app", who)
    answer = acme.browser(who).get("/acme/app/-/members")
    assert answer.status_code == (302 if who is None else 404)
