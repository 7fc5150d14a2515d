"""What a tag pointed to: pushes as events tell them, what a check finds, and removals."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from registry_ui.audit import OWN_SUBJECT
from registry_ui.jobs.pruning import prune
from registry_ui.models import RegistryEvent, TagHistoryEntry
from registry_ui.tag_detail import page as detail
from tests.support.html import Page
from tests.web.graph import Graph
from tests.web.support import event_of

IMAGE = "acme/app"
PAGE = f"/{IMAGE}/-/tags/v1"
NOW = datetime.now(UTC).replace(microsecond=0)
CAPTION = "What this tag pointed to"


@pytest.fixture
def graph(registry):
    registry.answer = made = Graph(by_tag=True)
    return made


@pytest.fixture
def site(served, graph):
    served.user("reader")
    served.project(IMAGE)
    served.member("acme", "reader", "maintainer")
    return served


def push(site, graph, seed, by="alice", **more):
    digest = graph.image(seed)
    graph.tag(IMAGE, v1=digest)
    site.deliver(event_of("push", IMAGE, "v1", digest=digest, by=by, **more))
    return digest


def reconcile(site):
    assert site.app.test_cli_runner().invoke(args=["reconcile"]).exit_code == 0


def history(site, query=""):
    page = Page(site.browser("reader").get(PAGE + query).text)
    return [(row["What"], row["Digest"].split()[0], row["Who"]) for row in page.table(CAPTION)]


def short(digest):
    return digest[7:19]


def test_every_push_is_kept_with_who_did_it_the_newest_first(site, graph):
    one = push(site, graph, "one", at=NOW - timedelta(hours=2))
    two = push(site, graph, "two", by="bob", at=NOW - timedelta(hours=1))
    assert history(site) == [("Pushed", short(two), "bob"), ("Pushed", short(one), "alice")]
    text = site.browser("reader").get(PAGE).text
    host = site.app.config["SETTINGS"].registry_host
    assert f"docker pull {host}/{IMAGE}@{one}" in text


def test_an_event_that_comes_late_takes_its_place_in_time(site, graph):
    two = push(site, graph, "two", at=NOW - timedelta(hours=1))
    one = graph.image("one")
    site.deliver(event_of("push", IMAGE, "v1", digest=one, at=NOW - timedelta(hours=2)))
    assert [digest for _, digest, _ in history(site)] == [short(two), short(one)]


def test_the_history_outlives_the_events(site, graph):
    push(site, graph, "one")
    before = history(site)
    long_ago = NOW - timedelta(days=400)
    site.change(RegistryEvent, {"received_at": long_ago})
    with site.app.app_context():
        prune()
    assert site.rows(RegistryEvent) == []
    assert history(site) == before


def test_what_no_event_told_is_found_by_a_check_and_what_was_before_is_kept(site, graph):
    one = graph.image("one")
    graph.tag(IMAGE, v1=one)
    reconcile(site)
    two = graph.image("two")
    graph.tag(IMAGE, v1=two)
    reconcile(site)
    found = "Found by a check"
    assert history(site) == [(found, short(two), "unknown"), (found, short(one), "unknown")]


def test_the_page_itself_notes_what_it_finds_changed(site, graph):
    push(site, graph, "one")
    two = graph.image("two")
    graph.tag(IMAGE, v1=two)
    assert history(site)[0] == ("Found by a check", short(two), "unknown")
    assert len(history(site)) == 2


def remove(site, graph, by):
    gone = graph.tags[IMAGE].pop("v1")
    graph.tag(IMAGE, other=graph.image("other"))
    site.deliver(event_of("delete", IMAGE, "v1", digest="", by=by))
    return gone


@pytest.mark.parametrize(("by", "told"), [("carol", "carol"), (OWN_SUBJECT, "unknown")])
def test_a_removal_is_part_of_the_history(site, graph, by, told):
    push(site, graph, "one")
    gone = remove(site, graph, by)
    push(site, graph, "three", at=datetime.now(UTC))
    assert history(site)[1] == ("Removed", short(gone), told)


def test_a_removal_from_these_pages_names_who_asked_for_it(site, graph):
    gone = push(site, graph, "one")
    graph.tag(IMAGE, other=graph.image("other"))
    reconcile(site)
    browser = site.browser("reader")
    preview = Page(browser.get(f"{PAGE}/-/delete").text)
    assert browser.post(f"{PAGE}/-/delete", preview.hidden).status_code == 302
    push(site, graph, "three", at=datetime.now(UTC))
    assert history(site)[1] == ("Removed", short(gone), "reader")


def test_the_history_of_one_tag_is_not_that_of_another(site, graph):
    push(site, graph, "one")
    other = graph.image("other")
    graph.tag(IMAGE, V1=other)
    site.deliver(event_of("push", IMAGE, "V1", digest=other))
    assert len(history(site)) == 1


def test_a_long_history_is_cut_until_all_of_it_is_asked_for(site, graph, monkeypatch):
    push(site, graph, "one")
    with site.session() as session:
        row = session.query(TagHistoryEntry).one()
        for n in range(30):
            at = NOW - timedelta(days=n + 1)
            values = {"image_id": row.image_id, "tag": "v1", "action": "pushed", "at": at}
            session.add(TagHistoryEntry(**values, digest=row.digest))
        session.commit()
    assert len(history(site)) == 20
    page = Page(site.browser("reader").get(PAGE).text)
    assert len(history(site, "?history=all")) == 31
    assert page.links["Show all 31 changes"] == f"{PAGE}?history=all"
    monkeypatch.setattr(detail, "MAX_ALL_MOMENTS", 25)
    assert len(history(site, "?history=all")) == 25
    text = Page(site.browser("reader").get(f"{PAGE}?history=all").text).text
    assert "The newest 25 of 31 changes are shown" in text


def test_a_tag_of_which_nothing_was_told_says_so(site, graph):
    graph.tag(IMAGE, v1=graph.image("one"))
    reconcile(site)
    assert "No push of it was seen yet" in site.browser("reader").get(PAGE).text


def test_the_preview_of_a_removal_leads_back_to_image_and_tag(site, graph):
    digest = graph.image("deep")
    graph.tag(f"{IMAGE}/a/b", v1=digest)
    reconcile(site)
    page = Page(site.browser("reader").get(f"/{IMAGE}/-/images/a/b/-/tags/v1/-/delete").text)
    (crumbs,) = [nav for nav in page.all("nav") if nav.attrs.get("aria-label") == "Breadcrumb"]
    assert [link.text for link in crumbs.all("a")] == ["acme", "app", "a", "b", "v1"]
