"""The trash was called bin. Its old addresses redirect, and reveal no more than the new ones."""

from __future__ import annotations

from datetime import timedelta

import pytest

from registry_ui.models import Project, TrashedTag, utc_now
from tests.web.support import digest

OLD, NEW = "/acme/app/-/bin", "/acme/app/-/trash"


@pytest.fixture
def acme(site):
    """A project with a tag in its trash, an owner, and a guest."""
    site.users("owner", "guest", "stranger")
    site.project("acme/app")
    site.member("acme", "owner", "owner")
    site.member("acme/app", "guest", "guest")
    with site.session() as session:
        session.add(
            TrashedTag(
                id=7,
                project_id=session.query(Project).filter_by(path="acme/app").one().id,
                repository="acme/app/web",
                tag="v1",
                trash_tag="_bin.0123456789abcdef",
                digest=digest("a"),
                removed_by="owner",
                purge_at=utc_now() + timedelta(days=1),
            )
        )
        session.commit()
    return site


@pytest.mark.parametrize("rest", ["", "?page=2", "?a=%2F-%2Fbin&a=b%20c", "/7/restore?x=%3F"])
def test_an_old_address_redirects_with_its_query_string(acme, rest):
    answer = acme.browser("owner").get(OLD + rest)
    assert answer.status_code == 308
    assert answer.headers["Location"] == NEW + rest
    assert "no-store" in answer.headers["Cache-Control"]


def test_the_redirect_leads_to_the_trash(acme):
    answer = acme.browser("owner").get(OLD, follow_redirects=True)
    assert answer.status_code == 200
    assert "acme/app/web:v1" in answer.text
    assert OLD not in answer.text


def test_a_form_of_an_old_page_is_sent_again_to_the_new_address(acme):
    for action in ("restore", "remove"):
        answer = acme.browser("owner").post(f"{OLD}/7/{action}")
        assert answer.status_code == 308
        assert answer.headers["Location"] == f"{NEW}/7/{action}"


def test_nothing_else_is_redirected(acme):
    browser = acme.browser("owner")
    assert browser.get(f"{OLD}/7/remove").status_code == 405
    for rest in ("/7", "/restore", "/seven/restore", "/7/restore/more"):
        assert browser.get(OLD + rest).status_code == 404, rest
    for address in ("/acme/-/bin", "/acme/none/-/bin", "/acme/app/web/-/bin"):
        assert browser.get(address).status_code == 404, address


@pytest.mark.both_databases
def test_the_old_address_of_a_renamed_project_leads_to_its_trash(acme):
    acme.old_path("acme/was", "acme/app", acme.move("acme/app", "grace", source="acme/was"))
    answer = acme.browser("owner").get("/acme/was/-/bin?page=1", follow_redirects=True)
    assert (answer.request.path, answer.request.query_string) == (NEW, b"page=1")
    assert answer.status_code == 200


@pytest.mark.parametrize("who", [None, "stranger", "guest"])
@pytest.mark.parametrize("rest", ["", "/7/restore", "/7/remove"])
def test_without_the_permission_the_old_address_answers_and_costs_like_the_new_one(acme, who, rest):
    browser = acme.browser(who)
    found = []
    for address in (OLD + rest, NEW + rest, f"/acme/none/-/bin{rest}"):
        with acme.statements() as statements:
            answer = browser.post(address) if rest else browser.get(address)
        found.append((answer.status_code, len(statements)))
        assert answer.status_code != 308
    assert found[0] == found[1]
    if who != "guest":
        assert found[0] == found[2]
