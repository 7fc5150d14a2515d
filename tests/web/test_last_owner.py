"""The last Owner of a group or project stays until someone else can manage it."""

from __future__ import annotations

import pytest

from registry_ui.models import Membership, User
from tests.support.html import Page

CHANGES = [{"remove": "1"}, {"role": "maintainer"}]


@pytest.fixture
def acme(site):
    """A group with two people, and a project in it; neither has an Owner yet."""
    site.user("root", admin=True)
    site.users("alice", "bob")
    site.project("acme/app")
    return site


def changed(site, path, data, *, by="alice", who="alice"):
    """Change a member by the form; return the page that follows, and whether it was done."""
    before = site.rows(Membership)
    browser = site.browser(by)
    answer = browser.post(f"/{path}/-/members/{who}", data)
    assert answer.status_code == 302
    text = Page(browser.get(answer.headers["Location"]).text).text
    roles = [(row.id, row.role) for row in before]
    return text, [(row.id, row.role) for row in site.rows(Membership)] != roles


@pytest.mark.parametrize("data", CHANGES, ids=str)
@pytest.mark.parametrize("path", ["acme", "acme/app"])
def test_the_last_owner_is_neither_removed_nor_demoted(acme, path, data):
    acme.member(path, "alice", "owner")
    acme.member(path, "bob", "maintainer")
    text, done = changed(acme, path, data)
    assert not done
    assert f"alice is the last Owner of {path}. Make someone else an Owner first." in text


@pytest.mark.parametrize("data", CHANGES, ids=str)
@pytest.mark.parametrize("other", ["acme", "acme/app"])
def test_beside_another_owner_of_here_or_of_above_they_can_go(acme, other, data):
    acme.member("acme/app", "alice", "owner")
    acme.member(other, "bob", "owner")
    assert changed(acme, "acme/app", data)[1]


def test_an_owner_below_does_not_manage_what_is_above(acme):
    acme.member("acme", "alice", "owner")
    acme.member("acme/app", "bob", "owner")
    assert not changed(acme, "acme", {"remove": "1"})[1]


def test_a_blocked_owner_manages_nothing(acme):
    acme.member("acme/app", "alice", "owner")
    acme.member("acme/app", "bob", "owner")
    acme.change(User, {"is_blocked": True}, username="bob")
    assert not changed(acme, "acme/app", {"remove": "1"})[1]


def test_their_own_role_above_is_enough(acme):
    acme.member("acme", "alice", "owner")
    acme.member("acme/app", "alice", "owner")
    assert changed(acme, "acme/app", {"remove": "1"})[1]


def test_what_lies_in_a_personal_namespace_has_its_owner(acme):
    acme.project("bob/tool")
    acme.member("bob/tool", "alice", "owner")
    assert changed(acme, "bob/tool", {"remove": "1"}, by="bob")[1]


def test_others_come_and_go_where_there_is_no_owner(acme):
    acme.member("acme/app", "alice", "maintainer")
    assert changed(acme, "acme/app", {"remove": "1"}, by="root")[1]


@pytest.mark.parametrize("data", CHANGES, ids=str)
def test_an_administrator_can_remove_the_last_owner_and_is_warned(acme, data):
    acme.member("acme/app", "alice", "owner")
    text, done = changed(acme, "acme/app", data, by="root")
    assert done
    assert "acme/app has no Owner. Only administrators can manage it." in text


@pytest.mark.parametrize("manager", ["nobody", "above", "here"])
def test_blocking_the_last_owner_names_the_places_that_nobody_manages(acme, manager):
    acme.member("acme/app", "alice", "owner")
    acme.member("acme/app", "bob", "maintainer")
    if manager != "nobody":
        acme.user("carol")
        acme.member("acme" if manager == "above" else "acme/app", "carol", "owner")
    browser = acme.browser("root")
    answer = browser.submit("/-/admin/users/alice", {"action": "block"})
    warned = "Only administrators can manage these now: acme/app." in Page(answer.text).text
    assert warned == (manager == "nobody")


@pytest.mark.both_databases
def test_blocking_a_maintainer_warns_of_nothing(acme):
    acme.member("acme/app", "alice", "owner")
    acme.member("acme/app", "bob", "maintainer")
    answer = acme.browser("root").submit("/-/admin/users/bob", {"action": "block"})
    assert "Nobody but administrators" not in answer.text
