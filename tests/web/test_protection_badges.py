"""A badge promises only what is enforced, and a tag that was changed against a rule says so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from registry_ui.models import GATE_ASKED, Heartbeat, ProtectionRule, ProtectionViolation, Tag
from tests.support.html import Page
from tests.web.support import Site, digest, event_of

NOW = datetime.now(UTC).replace(microsecond=0)
MINUTE = timedelta(minutes=1)
LIST = "/acme/app/-/images"
PROMISE = "Is never overwritten or deleted."
UNENFORCED = "Not enforced: pushes that break it go through."


def made(make_app, *, gate):
    site = Site(make_app(gate=gate))
    site.users("dev")
    site.project("acme/app")
    site.member("acme/app", "dev", "developer")
    site.rule("acme/app", "v*")
    site.change(ProtectionRule, {"created_at": NOW - timedelta(days=100)})
    return site


def push(site, tag, letter="a", at=NOW, by="mallory"):
    site.deliver(event_of("push", "acme/app", tag, digest=digest(letter), at=at, by=by))


def ask_gate(site, at):
    with site.session() as session:
        session.merge(Heartbeat(name=GATE_ASKED, at=at))
        session.commit()


def row_of(site, tag):
    """The first cell of a tag's row in the list."""
    page = Page(site.browser("dev").get(LIST).text)
    rows = page.all("tbody")[0].all("tr")
    (row,) = [row for row in rows if row.first("a").text == tag]
    return row


def badge_of(site, tag):
    """What the badge of a tag says, and what it says when it is pointed at."""
    (badge,) = [
        each
        for each in row_of(site, tag).all("span")
        if "badge" in each.attrs.get("class", "").split() and "title" in each.attrs
    ]
    return badge.text, badge.attrs["title"]


@pytest.mark.parametrize(
    ("gate", "asked", "is_enforced"),
    [
        (False, None, False),
        (False, NOW, False),
        (True, None, False),
        (True, NOW, True),
        (True, NOW - 5 * MINUTE, True),
        (True, NOW - 15 * MINUTE, False),
    ],
    ids=["none", "not set", "never asked", "asked", "asked before", "passed by"],
)
def test_a_badge_says_whether_its_rule_is_enforced(make_app, gate, asked, is_enforced):
    site = made(make_app, gate=gate)
    push(site, "v1")
    push(site, "main")
    if asked is not None:
        ask_gate(site, asked)
    mark, title = badge_of(site, "v1")
    assert mark == ("immutable" if is_enforced else "immutable, not enforced")
    assert title == (PROMISE if is_enforced else f"Rule: {PROMISE} {UNENFORCED}")
    assert "immutable" not in row_of(site, "main").text
    said = Page(site.browser("dev").get("/acme/app/-/tags/v1").text).first("main").text
    assert PROMISE in said
    assert (UNENFORCED in said) is not is_enforced
    words = "Protection rules are not enforced"
    unconfirmed = gate and asked is None
    said = Page(site.browser("dev").get("/acme/app").text).text
    assert (words in said) is not (is_enforced or unconfirmed)
    assert ("Push once to confirm" in said) is unconfirmed


@pytest.mark.parametrize(
    ("gate", "asked", "added", "advice"),
    [
        (False, None, "not enforced without a gate", "make run-gate"),
        (True, None, "the next push shows whether the gate enforces it", "Push once to confirm"),
        (True, NOW - 15 * MINUTE, "because pushes bypass the gate", "Check the proxy"),
    ],
    ids=["none", "never asked", "passed by"],
)
def test_a_new_rule_says_why_it_is_not_enforced_and_what_to_do(
    make_app, gate, asked, added, advice
):
    site = made(make_app, gate=gate)
    site.user("root", admin=True)
    push(site, "v1")
    if asked is not None:
        ask_gate(site, asked)
    values = {"images": "**", "tags": "x*", "choice": "immutable"}
    browser = site.browser("root")
    browser.post("/acme/app/-/protection", values)
    page = Page(browser.get("/acme/app/-/protection").text).text
    assert added in page
    assert advice in page
    assert "Ask an administrator" not in page


@pytest.mark.both_databases
def test_a_gate_before_which_nothing_was_pushed_yet_is_believed(make_app):
    site = made(make_app, gate=True)
    site.image("acme/app", "v1")
    assert badge_of(site, "v1") == ("immutable", PROMISE)


@pytest.mark.parametrize("gate", [False, True])
def test_a_tag_that_was_changed_against_its_rule_says_so(make_app, gate):
    site = made(make_app, gate=gate)
    ask_gate(site, NOW)
    push(site, "v1", "a", NOW - timedelta(days=9))
    push(site, "v2", "a")
    for letter in "bc":
        push(site, "v1", letter, NOW - timedelta(days=3, hours=1))
    said = "Overwritten 3 days ago by mallory, against the rule"
    assert said in row_of(site, "v1").text
    assert "against the rule" not in row_of(site, "v2").text
    assert said in Page(site.browser("dev").get("/acme/app/-/tags/v1").text).first("main").text
    site.change(ProtectionViolation, {"at": NOW - timedelta(days=91)})
    assert "against the rule" not in row_of(site, "v1").text


def test_the_statements_for_a_list_do_not_grow_with_rules_and_violations(make_app):
    site, counts = made(make_app, gate=True), []
    for count in (1, 20):
        for number in range(count):
            push(site, f"v{count}-{number}", "a", NOW - MINUTE)
            push(site, f"v{count}-{number}", "b")
        browser = site.browser("dev")
        browser.get(LIST)
        with site.statements() as statements:
            browser.get(LIST)
        counts.append(len(statements))
    assert len(site.rows(Tag)) == len(site.rows(ProtectionViolation)) == 21
    assert counts[0] == counts[1]
