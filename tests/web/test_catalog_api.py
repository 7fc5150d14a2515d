"""Everybody's own catalog: the repositories that the caller may pull (issue 3)."""

from __future__ import annotations

import functools

import pytest

from registry_ui.models import AccessToken
from tests.web.support import PASSWORD, ROLES, VISIBILITIES, basic

URL = "/api/v4/registry/catalog"


@pytest.fixture
def ask(world):
    def ask(username=None, query="", *, secret=PASSWORD):
        headers = basic(username, secret) if username else {}
        answer = world.app.test_client().get(f"{URL}{query}", headers=headers)
        assert answer.status_code == 200, answer.text
        return answer

    return ask


def of(*visibilities):
    return sorted(path for v in visibilities for path in (f"acme/{v}", f"acme/{v}/web/api"))


@pytest.mark.parametrize(
    ("who", "seen"),
    [
        (None, of("public")),
        ("stranger", of("public", "internal")),
        ("guest", of("public", "internal")),
        ("reporter", of(*VISIBILITIES)),
        ("owner", of(*VISIBILITIES)),
        ("admin", [*of(*VISIBILITIES), "veiled/private", "veiled/private/web/api"]),
    ],
)
def test_it_lists_what_the_caller_may_pull_and_nothing_else(ask, who, seen):
    assert ask(who).json == {"repositories": seen}


def test_what_it_lists_is_what_the_token_endpoint_grants(world, ask):
    every = ask("admin").json["repositories"]
    for who in ("stranger", *ROLES):
        scopes = [f"repository:{path}:pull" for path in every]
        assert sorted(world.granted(*scopes, auth=(who, PASSWORD))) == ask(who).json["repositories"]


def test_it_is_paged_as_the_registrys_own(ask):
    pages, query = [], "?n=2"
    while query:
        answer = ask("reporter", query)
        pages.append(answer.json["repositories"])
        link = answer.headers.get("Link", "")
        query = link.partition(">")[0].removeprefix(f"<{URL}")
    assert [len(page) for page in pages] == [2, 2, 2]
    assert [path for page in pages for path in page] == of(*VISIBILITIES)


@pytest.mark.parametrize("query", ["?n=abc", "?n=-1", "?n=" + "9" * 5000, "?last=%00", "?n=²"])
def test_a_page_that_is_none_is_the_first(ask, query):
    assert ask("reporter", query).json["repositories"] == of(*VISIBILITIES)


def test_no_page_is_an_empty_page_without_an_end_to_follow(ask):
    answer = ask("reporter", "?n=0")
    assert answer.json == {"repositories": []}
    assert "Link" not in answer.headers


@pytest.mark.parametrize(
    ("restriction", "exact", "seen"),
    [
        ("acme/private", False, of("private")),
        ("acme/private", True, ["acme/private"]),
        ("acme/private/web", False, ["acme/private/web/api"]),
        ("acme/private/we", False, []),
        ("veiled", False, []),
    ],
)
def test_a_bound_token_lists_what_it_is_bound_to(world, ask, restriction, exact, seen):
    secret = world.access_token("owner", "read_registry")
    world.change(AccessToken, {"restriction_path": restriction, "restriction_exact": exact})
    assert ask("owner", secret=secret).json == {"repositories": seen}


@pytest.mark.parametrize(("exact", "seen"), [(False, ["", "web/api"]), (True, [""])])
def test_a_bound_token_opens_the_images_of_a_project_that_it_is_bound_to(world, exact, seen):
    more = {"restriction": "acme/private", "restriction_exact": exact}
    secret = world.access_token("owner", "read_registry", **more)
    client, project = world.app.test_client(), "/api/v4/projects/acme/private/-"
    get = functools.partial(client.get, headers=basic("owner", secret))
    assert [image["name"] for image in get(f"{project}/images").json["images"]] == seen
    assert get(f"{project}/tags").status_code == 200
    assert get(f"{project}/images/web/api/-/tags").status_code == (404 if exact else 200)


def test_a_deploy_token_lists_its_place_and_what_is_public(world, ask):
    username, secret = world.deploy_token("acme/private", "read_registry")
    assert ask(username, secret=secret).json == {"repositories": of("private", "public")}


def test_a_token_that_does_not_pull_lists_nothing(world):
    secret = world.access_token("owner", "api")
    answer = world.app.test_client().get(URL, headers=basic("owner", secret))
    assert answer.status_code == 403
    assert answer.json["error"]["hint"] == "It needs read_registry."


def test_the_number_of_queries_does_not_grow_with_what_is_listed(world, ask):
    counts = []
    for query in ("?n=1", "?n=100"):
        with world.statements() as statements:
            ask("reporter", query)
        counts.append(len(statements))
    assert counts[0] == counts[1]
