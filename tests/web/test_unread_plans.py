"""A failure of a moment changes no plan; what stays unread is named before it is confirmed."""

from __future__ import annotations

import pytest
from urllib3.exceptions import ProtocolError

from registry_ui.models import Manifest
from tests.support.removal_api import URL, client
from tests.support.removals import IMAGE, adopt
from tests.unit.hostile_registry import Answer

TAGS = ("v1", "v2", "pr-1")


@pytest.fixture
def site(served, graph):
    served.users("owner")
    served.project("acme/app")
    served.member("acme", "owner", "owner")
    graph.tag(IMAGE, **{tag: graph.image(tag) for tag in TAGS})
    adopt(served)
    with served.session() as session:
        session.query(Manifest).delete()
        session.commit()
    return served


def plan(site):
    return client(site)(URL, {"image": "web", "pattern": "pr-*"}).json


def resets(monkeypatch, site, method, marker, times):
    """Let the transport reset the connection of the first requests of that kind."""
    pool = site.app.extensions["registry"]._transport._pool
    request, failures = pool.request, []

    def breaking(asked, url, **more):
        if asked == method and marker in url and len(failures) < times:
            failures.append(url)
            raise ProtocolError("Connection aborted.", ConnectionResetError(104, "reset by peer"))
        return request(asked, url, **more)

    monkeypatch.setattr(pool, "request", breaking)
    return failures


@pytest.mark.parametrize(
    ("method", "marker"),
    [("GET", "/manifests/sha256:"), ("HEAD", "/manifests/"), ("GET", "/tags/list")],
    ids=["a manifest", "a tag", "the list"],
)
def test_a_connection_that_is_reset_while_planning_changes_nothing(
    site, monkeypatch, method, marker
):
    failures = resets(monkeypatch, site, method, marker, times=1)
    planned = plan(site)
    assert failures
    assert (planned["state"], planned["total"]) == ("planned", 2)
    assert planned["plan"]["unread"] == []


def test_what_stays_unread_is_named_in_the_api_and_on_the_page_before_confirmation(
    site, graph, registry
):
    def fails(asked):
        unread = asked.method == "GET" and asked.path.endswith(graph.tags[IMAGE]["v1"])
        return Answer(503) if unread else graph(asked)

    registry.answer = fails
    planned = plan(site)
    assert planned["plan"]["unread"] == [f"{IMAGE} (1 manifest)"]
    assert planned["total"] == 1
    page = site.browser("owner").get(f"/acme/app/-/removals/{planned['id']}").text
    assert "Not everything could be read, so this plan leaves something out:" in page
    assert f"{IMAGE} (1 manifest)" in page
    preview = site.browser("owner").get("/acme/app/-/images/web/-/tags/pr-1/-/delete").text
    assert "Not everything could be read" in preview
