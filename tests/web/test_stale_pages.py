"""Whoever opens the page of an image that was compared long ago starts one job, not many."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from registry_ui.catalog.reconcile import reconcile_wanted
from registry_ui.models import ContainerImage, Tag
from registry_ui.web import images as image_pages
from tests.unit.hostile_registry import Answer

IMAGE = "acme/app"
LONG_AGO = datetime.now(UTC) - timedelta(hours=5)


@pytest.fixture
def jobs(monkeypatch):
    """What pages leave for the worker; nobody does it."""
    found = []
    monkeypatch.setattr(image_pages, "enqueue", lambda *job: found.append(job))
    return found


@pytest.fixture
def site(served, graph):
    """A site with a public image that was compared long ago; a push was missed since."""
    served.project(IMAGE, "public")
    graph.tag(IMAGE, v1=graph.image("one"))
    assert served.app.test_cli_runner().invoke(args=["reconcile"]).exit_code == 0
    served.change(ContainerImage, {"reconciled_at": LONG_AGO})
    served.change(Tag, {"seen_at": LONG_AGO})
    graph.tag(IMAGE, v1=graph.image("two"))
    return served


def look(site):
    assert site.browser().get(f"/{IMAGE}/-/images").status_code == 200


def work(site):
    with site.app.app_context():
        reconcile_wanted()


def heads(registry):
    return [asked for asked in registry.asked if asked.method == "HEAD"]


def test_many_views_are_one_job_and_it_asks_what_the_tags_stand_for(site, graph, jobs):
    for _ in range(5):
        look(site)
    assert jobs == [("reconcile_wanted",)]
    work(site)
    assert site.row(Tag).digest == graph.tags[IMAGE]["v1"]
    assert site.row(ContainerImage).reconcile_requested_at is None
    look(site)
    assert len(jobs) == 1, "it was compared just now"


def test_of_what_was_compared_lately_only_the_list_is_asked(site, registry):
    now = datetime.now(UTC)
    site.change(ContainerImage, {"reconciled_at": now, "reconcile_requested_at": now})
    registry.asked.clear()
    work(site)
    assert [asked.path for asked in registry.asked] == [f"/v2/{IMAGE}/tags/list"]


def test_a_registry_that_fails_is_not_asked_for_everything_again_and_again(
    site, graph, registry, jobs
):
    down = False

    def answer(asked):
        """Fail from the first question about a tag on."""
        nonlocal down
        down = down or asked.method == "HEAD"
        return Answer(503) if down else graph(asked)

    registry.answer = answer
    look(site)
    registry.asked.clear()
    work(site)
    assert len(heads(registry)) == 1, "the list of tags failed, too: the tag is not at fault"
    assert site.row(ContainerImage).reconcile_error
    registry.asked.clear()
    down = True
    for _ in range(3):
        look(site)
        work(site)
    assert len(jobs) == 1
    assert heads(registry) == []
    down = False
    work(site)
    image = site.row(ContainerImage)
    assert (image.reconcile_requested_at, image.reconcile_error) == (None, None)


@pytest.mark.parametrize("clock", [timedelta(), timedelta(hours=-5), timedelta(hours=5)])
def test_a_request_during_a_reconcile_leads_to_another_one(site, graph, registry, clock):
    """Also if the clock of the machine that applies the event is slow or fast."""
    site.change(ContainerImage, {"reconcile_requested_at": datetime.now(UTC) + clock})

    def answer(asked):
        """Answer; then somebody deletes the tag, and the event says so."""
        listed = graph(asked)
        if asked.path.endswith("/tags/list"):
            graph.tags[IMAGE].clear()
            site.change(ContainerImage, {"reconcile_requested_at": datetime.now(UTC) + clock})
        return listed

    registry.answer = answer
    work(site)
    assert site.row(ContainerImage).reconcile_requested_at, "the list is older than the deletion"
    registry.answer = graph
    work(site)
    assert site.rows(Tag) == []
    assert [row.reconcile_requested_at for row in site.rows(ContainerImage)] in ([], [None])
