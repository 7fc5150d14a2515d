"""A name under which the registry holds images is nobody's to take but an administrator's."""

from __future__ import annotations

import pytest

from registry_ui.catalog.reconcile import reconcile, reconcile_all
from registry_ui.distribution.errors import RegistryError
from registry_ui.models import REGISTRY_READ, Heartbeat, UnassignedRepository
from registry_ui.names import RepositoryName
from tests.unit.hostile_registry import Answer
from tests.web.graph import refusal


@pytest.fixture
def site(served, graph):
    """A site with a user and a project, in front of a registry that was not read yet."""
    served.user("mallory")
    served.project("acme/app")
    return served


def stumbles(graph, registry, repository):
    """Let the registry answer 500 to whoever asks for the tags of one repository."""

    def answer(asked):
        if asked.path.startswith(f"/v2/{repository}/"):
            return Answer(500, {"errors": [{"code": "UNKNOWN", "message": "words"}]})
        return graph(asked)

    registry.answer = answer


def read(site):
    with site.app.app_context():
        return reconcile_all()


def take(site, name):
    """Create a group at the top; return whether that was allowed."""
    form = {"name": name, "description": ""}
    answer = site.browser("mallory").post("/-/new/namespace", form)
    assert answer.status_code in {302, 403, 422}
    return answer.status_code == 302


def test_what_the_registry_stumbles_over_is_in_use_all_the_same(site, graph, registry):
    graph.tag("legacy/app", v1=graph.image("one"))
    graph.tag("zoo/app", v1=graph.image("two"))
    stumbles(graph, registry, "legacy/app")
    read(site)
    counts = {row.path: row.tag_count for row in site.rows(UnassignedRepository)}
    assert counts == {"legacy/app": None, "zoo/app": 1}
    assert not take(site, "legacy")
    assert not take(site, "zoo")


def test_a_registry_whose_catalog_cannot_be_read_gives_no_name_away(site, graph, registry):
    registry.answer = lambda _asked: Answer(503)
    with pytest.raises(RegistryError):
        read(site)
    assert site.rows(Heartbeat, name=REGISTRY_READ) == []
    assert not take(site, "other")
    registry.answer = graph
    read(site)
    assert take(site, "other")


@pytest.mark.parametrize("broken", ["legacy/app", "acme/app/web"], ids=["unowned", "owned"])
def test_one_repository_that_fails_keeps_nobody_waiting(site, graph, registry, broken):
    graph.tag(broken, v1=graph.image("one"))
    stumbles(graph, registry, broken)
    read(site)
    assert site.rows(Heartbeat, name=REGISTRY_READ)
    assert take(site, "other")


def test_a_name_whose_tags_are_all_gone_is_still_in_use(site, graph):
    digest = graph.image("one")
    graph.tag("legacy/app", v1=digest)
    read(site)
    graph.tags["legacy/app"].clear()  # the manifest can be pulled by digest all the same
    for _ in range(2):
        read(site)
        with site.app.app_context():
            reconcile(RepositoryName("legacy/app"))
    assert site.row(UnassignedRepository).tag_count == 0
    assert not take(site, "legacy")


@pytest.mark.parametrize("listed", [True, False], ids=["listed", "not listed"])
def test_a_name_is_free_when_neither_list_nor_catalog_knows_it(site, graph, registry, listed):
    graph.tag("legacy/app", v1=graph.image("one"))
    read(site)
    if not listed:
        del graph.tags["legacy/app"]

    def answer(asked):
        if asked.path.startswith("/v2/legacy/app/tags/"):
            return refusal(404, "NAME_UNKNOWN")
        return graph(asked)

    registry.answer = answer
    read(site)
    assert bool(site.rows(UnassignedRepository)) is listed
    assert take(site, "legacy") is not listed


def test_a_name_that_the_catalog_omits_stays_in_use(site, graph, registry):
    graph.tag("legacy/app", v1=graph.image("one"))
    read(site)

    def answer(asked):
        if asked.path.startswith("/v2/_catalog"):
            return Answer(200, {"repositories": []})
        return graph(asked)

    registry.answer = answer
    read(site)
    assert site.row(UnassignedRepository).tag_count == 1


def test_what_a_project_owns_is_not_unassigned_even_if_it_is_empty(site, graph):
    graph.tag("acme/late/web", v1=graph.image("one"))
    read(site)
    graph.tags["acme/late/web"].clear()
    site.project("acme/late")
    read(site)
    assert site.rows(UnassignedRepository) == []


def test_whose_the_repositories_are_is_asked_once_for_all_of_them(site, graph):
    for number in range(20):
        graph.tag(f"legacy/app{number}", v1=graph.image("one"))
    with site.statements() as statements:
        read(site)
    assert len([sql for sql in statements if sql.startswith("SELECT places.path")]) == 1
