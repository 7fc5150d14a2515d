"""Protection rules, as the Maintainers of a project handle them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from registry_ui.models import AuditEntry, ProtectionRule, ProtectionViolation, utc_now
from registry_ui.projects.tag_rules import MAX_RULES
from tests.support.html import Page
from tests.web.support import Site

URL = "/acme/app/-/protection"
GOOD = {"tags": "v*", "images": "**", "choice": "immutable"}


@pytest.fixture
def acme(site):
    site.users("alice", "olga", "dev")
    site.project("acme/app")
    site.project("acme/other")
    site.member("acme/app", "alice", "maintainer")
    site.member("acme/app", "olga", "owner")
    site.member("acme/app", "dev", "developer")
    site.image("acme/app", "v1", "v2", "latest")
    site.image("acme/app/web", "v1", "main")
    site.image("acme/app/web/api", "v1")
    return site


def add(site, who="alice", *, follow=False, **changes):
    browser = site.browser(who)
    answer = browser.post(URL, {**GOOD, **changes})
    return browser.get(URL) if follow else answer


SENTENCES = [
    ({}, "Tags v* of all images may be created, and are never overwritten or deleted.", 4),
    (
        {"tags": "*", "images": "web/*"},
        "All tags of images web/* may be created, and are never overwritten or deleted.",
        1,
    ),
    (
        {"tags": "latest", "images": "", "choice": "maintainer"},
        "Tags latest of the root image are pushed and deleted by Maintainers and Owners alone.",
        1,
    ),
]


@pytest.mark.parametrize(("changes", "says", "count"), SENTENCES)
def test_a_rule_says_what_it_does_and_how_many_tags_it_covers_now(acme, changes, says, count):
    assert add(acme, **changes).status_code == 302
    text = acme.browser("alice").get(URL).text
    assert says in text
    assert f">{count} tag" in text
    assert "<bdi>alice</bdi>" in text


def test_each_kind_of_rule_has_its_own_label(acme):
    for choice in ("immutable", "signable", "maintainer", "owner"):
        add(acme, "olga", tags=f"{choice}-*", choice=choice)
    rows = Page(acme.browser("olga").get(URL).text).table("Protection rules")
    assert {row["Rule"].split("-")[0]: row["Kind"] for row in rows} == {
        "Tags immutable": "Immutable",
        "Tags signable": "Immutable, except signatures",
        "Tags maintainer": "Maintainers and Owners",
        "Tags owner": "Owners only",
    }


@pytest.mark.both_databases
def test_a_rule_and_its_end_are_in_the_audit_with_all_that_they_say(acme):
    add(acme, "olga", tags="latest", choice="owner", images="web")
    number = acme.row(ProtectionRule).id
    assert acme.browser("olga").post(f"{URL}/{number}/delete").status_code == 302
    made, gone = acme.rows(AuditEntry)[-2:]
    assert (made.actor, made.action, made.subject) == ("olga", "protection_rule.create", "acme/app")
    assert made.detail == {"images": "web", "tags": "latest", "kind": "protected", "from": "Owner"}
    assert (gone.action, gone.detail) == ("protection_rule.delete", made.detail)
    assert acme.rows(ProtectionRule) == []


WRONG = [
    ({"tags": ""}, "Enter a pattern, for example v*, latest."),
    ({"tags": "v[0-9]+"}, "“[” can&#39;t be part of a tag."),
    ({"tags": "x" * 129}, "at most 128"),
    ({"images": "<b>"}, "“&lt;” can&#39;t be part of an image name."),
    ({"images": "web, /team"}, "“/team” can&#39;t match"),
    ({"images": "Web"}, "Image names are lowercase."),
    ({"choice": "frozen"}, "Choose one of"),
]


@pytest.mark.parametrize(("wrong", "words"), WRONG, ids=str)
def test_a_form_that_can_not_be_used_is_shown_again_with_what_was_typed(acme, wrong, words):
    before = acme.dump()
    answer = add(acme, **wrong)
    assert answer.status_code == 422
    assert words in answer.text
    assert "<b>" not in answer.text.partition("new-rule")[2].partition("</form>")[0]
    assert acme.dump() == before


def test_what_is_wrong_with_a_pattern_is_said_once(acme):
    text = Page(add(acme, tags="v 1").text).text
    assert text.count("A space can't be part of a tag.") == 1


@pytest.mark.both_databases
def test_the_same_rule_is_not_added_twice_and_there_are_not_too_many(acme):
    add(acme)
    assert "this very rule already" in add(acme).text
    for number in range(MAX_RULES - 1):
        acme.rule("acme/app", f"t{number}")
    answer = add(acme, tags="one-more")
    assert answer.status_code == 422
    assert f"{MAX_RULES} rules at most" in answer.text


def test_a_maintainer_neither_makes_nor_deletes_a_rule_for_owners(acme):
    assert add(acme, tags="latest", choice="owner").status_code == 403
    add(acme, "olga", tags="latest", choice="owner")
    number = acme.row(ProtectionRule).id
    page = acme.browser("alice").get(URL).text
    assert f"{URL}/{number}/delete" not in page
    assert 'value="owner"' not in page
    assert acme.browser("alice").post(f"{URL}/{number}/delete").status_code == 403
    assert len(acme.rows(ProtectionRule)) == 1


def test_a_rule_of_another_project_is_not_there(acme):
    acme.rule("acme/other", "v*")
    number = acme.row(ProtectionRule).id
    assert acme.browser("olga").post(f"{URL}/{number}/delete").status_code == 404
    assert len(acme.rows(ProtectionRule)) == 1


def test_an_empty_page_teaches_what_rules_are_for(acme):
    page = acme.browser("alice").get(URL).text
    assert "No rules yet" in page
    assert "immutable" in page


def test_projects_alone_have_the_tab_and_maintainers_see_it(acme):
    assert URL in acme.browser("alice").get("/acme/app").text
    assert URL not in acme.browser("dev").get("/acme/app").text
    acme.member("acme", "olga", "owner")
    assert "/acme/-/protection" not in acme.browser("olga").get("/acme").text
    assert acme.browser("olga").get("/acme/-/protection").status_code == 404


@pytest.mark.parametrize("gate", [True, False])
def test_without_the_gate_the_pages_say_that_rules_are_only_watched(make_app, gate):
    site = Site(make_app(gate=gate))
    site.users("alice", "guest")
    site.project("acme/app", "public")
    site.member("acme/app", "alice", "maintainer")
    words = "Protection rules are not enforced"
    assert words not in site.browser("alice").get("/acme/app").text  # there are none
    answer = add(site, follow=True)
    added = "Rule added:" if gate else "Rule added, but not enforced without a gate:"
    assert added in answer.text
    for url in ("/acme/app", URL):
        assert (words in site.browser("alice").get(url).text) is not gate
    assert words not in site.browser("guest").get("/acme/app").text


def test_violations_of_a_month_are_shown_to_those_who_push(acme):
    acme.rule("acme/app", "v*")
    place = acme.row(ProtectionRule).place_id
    with acme.session() as session:
        for tag, age in (("v1", 1), ("v2", 40)):
            session.add(
                ProtectionViolation(
                    place_id=place,
                    repository="acme/app",
                    tag=tag,
                    change="overwritten",
                    actor="<b>mallory",
                    at=utc_now() - timedelta(days=age),
                )
            )
        session.commit()
    for who in ("dev", "alice"):
        text = acme.browser(who).get("/acme/app").text
        assert "<code>acme/app:v1</code> was overwritten by <bdi>&lt;b&gt;mallory</bdi>" in text
        assert "acme/app:v2" not in text
    acme.users("guest")
    acme.member("acme/app", "guest", "guest")
    assert "was overwritten" not in acme.browser("guest").get("/acme/app").text
