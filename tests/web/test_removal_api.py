"""Removal by programs: by the API with a token, and by commands; and of whole namespaces."""

from __future__ import annotations

from datetime import timedelta

import pytest

from registry_ui.models import (
    ContainerImage,
    Namespace,
    Place,
    Removal,
    RetentionPolicy,
    Tag,
    utc_now,
)
from tests.support.html import Page
from tests.support.removal_api import URL, client
from tests.support.removals import IMAGE, adopt


@pytest.fixture
def site(served, graph):
    served.users("owner", "developer")
    served.project("acme/app")
    served.member("acme", "owner", "owner")
    served.member("acme", "developer", "developer")
    served.owner = served.browser("owner")
    graph.tag(IMAGE, **{tag: graph.image(tag) for tag in ("v1", "v2", "pr-1")})
    adopt(served)
    return served


def test_a_plan_is_made_confirmed_and_followed(site, graph):
    ask = client(site)
    planned = ask(URL, {"image": "web", "pattern": "pr-*"})
    assert planned.status_code == 201
    assert planned.json["state"] == "planned"
    assert [tag["reference"] for tag in planned.json["plan"]["removes"]] == [f"{IMAGE}:pr-1"]
    assert "pr-1" in graph.tags[IMAGE]
    one = f"{URL}/{planned.json['id']}"
    assert ask(f"{one}/confirm").status_code == 202
    found = ask(one, method="GET").json
    assert (found["state"], found["done"], found["total"]) == ("done", 2, 2)
    assert found["outcomes"] == {"deleted": 2}
    assert sorted(graph.tags[IMAGE]) == ["v1", "v2"]
    for deed in ("confirm", "cancel"):
        answer = ask(f"{one}/{deed}")
        assert (answer.status_code, answer.json["error"]["code"]) == (409, "CONFLICT")
    assert ask(f"{URL}/{planned.json['id'] + 1}/cancel").status_code == 404


def test_a_token_for_one_repository_removes_nothing_of_the_others_of_its_project(site, graph):
    graph.tag("acme/app", root=graph.image("root"))
    adopt(site)
    planned = client(site)(URL, {"image": "web", "all": True}).json["id"]
    bound = {"restriction": "acme/app", "restriction_exact": True}
    ask = client(site, "owner", "delete_registry", **bound)
    assert ask(URL, {"image": "web", "tags": ["v1"]}).status_code == 404
    one = f"{URL}/{planned}"
    assert ask(one, method="GET").status_code == 404
    assert ask(f"{one}/confirm").status_code == ask(f"{one}/cancel").status_code == 404
    assert site.row(Removal).state == "planned"
    assert len(graph.tags[IMAGE]) == 3
    own = ask(URL, {"image": "", "all": True}).json["id"]
    assert ask(f"{URL}/{own}/confirm").status_code == 202
    assert graph.tags["acme/app"] == {}


@pytest.mark.both_databases
def test_a_token_for_one_repository_confirms_no_dry_run_of_its_whole_project(site):
    site.change(Tag, {"pushed_at": utc_now() - timedelta(days=9), "age_from": None})
    policy = {"images": "*", "keep_last": "1"}
    assert site.owner.post("/acme/app/-/retention", policy).status_code == 302
    number = site.row(Removal, kind="retention").id
    bound = {"restriction": "acme/app", "restriction_exact": True}
    ask = client(site, "owner", "delete_registry", **bound)
    assert ask(f"{URL}/{number}/confirm").status_code == 404
    assert site.row(Removal).state == "planned"


@pytest.mark.parametrize("body", [{"pattern": "v*"}, {"all": True}], ids=["tags", "image"])
def test_a_plan_is_confirmed_only_by_those_whom_the_rules_let_delete_it(site, graph, body):
    site.users("maintainer")
    site.member("acme", "maintainer", "maintainer")
    site.rule("acme/app", "v*", "owner")
    number = client(site)(URL, {"image": "web", **body}).json["id"]
    page = f"/acme/app/-/removals/{number}/confirm"
    for refused in (
        client(site, "maintainer")(f"{URL}/{number}/confirm"),
        site.browser("maintainer").post(page),
    ):
        assert refused.status_code == 403
        assert "tag v1 is protected in acme/app/web: delete needs Owner" in refused.text
    assert site.row(Removal).state == "planned"
    assert len(graph.tags[IMAGE]) == 3
    assert site.owner.post(page).status_code == 302
    assert "v1" not in graph.tags[IMAGE]


def test_a_rule_that_came_after_the_plan_holds_when_it_is_confirmed(site, graph):
    ask = client(site)
    number = ask(URL, {"image": "web", "pattern": "pr-*"}).json["id"]
    site.rule("acme/app", "pr-*")
    refused = ask(f"{URL}/{number}/confirm")
    assert refused.status_code == 403
    assert refused.json["error"]["message"] == (
        "Not allowed: tag pr-1 is immutable in acme/app/web."
    )
    assert "pr-1" in graph.tags[IMAGE]


def test_a_whole_image_goes_and_a_plan_is_discarded(site, graph):
    ask = client(site)
    number = ask(URL, {"image": "web", "all": True}).json["id"]
    assert ask(f"{URL}/{number}/cancel").json["state"] == "cancelled"
    assert len(graph.tags[IMAGE]) == 3
    number = ask(URL, {"image": "web", "all": True}).json["id"]
    ask(f"{URL}/{number}/confirm")
    assert site.rows(ContainerImage) == []


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"image": 3},
        {"image": "web"},
        {"image": "web", "tags": "v1"},
        {"image": "web", "tags": [1]},
        {"image": "web", "tags": ["absent"]},
        {"image": "web", "pattern": ["*"]},
        {"image": "web", "pattern": "(", "kind": "regex"},
        {"image": "web", "older_than_days": -1},
        {"image": "web", "older_than_days": {}},
        {"image": "web", "all": "yes"},
    ],
)
def test_a_body_that_asks_for_nothing_or_nonsense_plans_nothing(site, body):
    answer = client(site)(URL, body)
    assert answer.status_code in {404, 422}
    assert answer.json["error"]["message"]
    assert site.rows(Removal) == []


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b'{"image": "\\ud800"}', b'{"image": "web\\u0000"}', b"{"],
    ids=["deep", "half a character", "NUL", "broken"],
)
def test_a_body_that_python_or_the_database_stumbles_over_is_refused(site, body):
    secret = site.access_token("owner", "delete_registry")
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
    answer = site.app.test_client().post(URL, data=body, headers=headers)
    assert answer.status_code == 422
    assert answer.json["error"]["message"]


@pytest.mark.parametrize(
    ("user", "scopes", "status"),
    [
        ("developer", ("delete_registry",), 403),
        ("owner", ("read_registry", "write_registry"), 403),
        ("owner", ("api",), 403),
    ],
)
def test_who_may_not_delete_plans_nothing(site, user, scopes, status):
    answer = client(site, user, *scopes)(URL, {"image": "web", "tags": ["v1"]})
    assert answer.status_code == status
    assert site.rows(Removal) == []


def test_without_credentials_a_private_project_is_not_there(site):
    browser = site.owner  # a cookie opens nothing here
    for url in (URL, f"{URL}/1/confirm", f"{URL}/1/cancel"):
        assert browser.client.post(url, json={"image": "web", "tags": ["v1"]}).status_code == 404


# -- commands ------------------------------------------------------------------------


def flask(site, *args, status=0):
    done = site.app.test_cli_runner().invoke(args=args)
    assert done.exit_code == status, done.output
    return done.output


def test_the_command_prints_the_tags_and_deletes_them(site, graph):
    assert f"{IMAGE}:pr-1\n" in flask(site, "tags", "delete", IMAGE, "--regex", "pr-.", "--dry-run")
    assert len(graph.tags[IMAGE]) == 3
    flask(site, "tags", "delete", IMAGE, "--matching", "pr-*", "--yes")
    assert sorted(graph.tags[IMAGE]) == ["v1", "v2"]
    flask(site, "tags", "delete", IMAGE, "--matching", "pr-*", "--yes", status=1)
    flask(site, "tags", "delete", IMAGE, status=2)
    flask(site, "image", "delete", IMAGE, "--yes")
    assert graph.tags[IMAGE] == {}


def test_policies_are_planned_and_run_by_command(site, graph):
    site.owner.post("/acme/app/-/retention", {"keep_last": "1"})
    number = site.row(RetentionPolicy).id
    site.owner.post(f"/acme/app/-/retention/{number}/switch", {"on": "1"})
    for days, name in enumerate(("v2", "v1", "pr-1")):
        site.change(
            Tag, {"pushed_at": utc_now() - timedelta(days=days), "age_from": None}, name=name
        )
    assert f"{IMAGE}:v1\n" in flask(site, "retention", "plan", "acme/app")
    assert len(graph.tags[IMAGE]) == 3
    flask(site, "retention", "run", "acme/app")
    assert sorted(graph.tags[IMAGE]) == ["v2"]
    flask(site, "retention", "plan", "acme/none", status=1)


# -- namespaces ----------------------------------------------------------------------


def test_a_namespace_goes_with_everything_in_it_and_nothing_beside_it(site, graph):
    site.project("acme/deep/er/one")
    site.project("acmes/app")
    graph.tag("acme/deep/er/one/x", v1=graph.image("deep"))
    graph.tag("acmes/app", v1=graph.image("beside"))
    adopt(site)
    text = Page(site.owner.get("/acme/-/delete").text).text
    assert "2 projects and 2 namespaces" in text
    assert "acme/deep/er/one/x:v1" in text
    assert site.owner.post("/acme/-/delete", {"confirm": "acm"}).status_code == 422
    assert site.owner.post("/acme/-/delete", {"confirm": "acme"}).status_code == 302
    assert {path: list(tags) for path, tags in graph.tags.items() if tags} == {"acmes/app": ["v1"]}
    assert {place.path for place in site.rows(Place) if place.path.startswith("acme")} == {
        "acmes",
        "acmes/app",
    }
    assert site.row(Removal).state == "done"
    number = site.row(Removal).id
    assert site.owner.get(f"/acme/-/removals/{number}").status_code == 200


@pytest.mark.both_databases
def test_a_namespace_into_which_somebody_pushes_meanwhile_stays(site, graph):
    def push(asked):
        if asked.method == "DELETE" and "/manifests/sha256" in asked.path:
            graph.tag(IMAGE, fresh=graph.image("fresh"))

    graph.before = push
    site.owner.post("/acme/-/delete", {"confirm": "acme"})
    assert site.row(Removal).state == "failed"
    assert "fresh" in graph.tags[IMAGE]
    assert "acme/app" in {place.path for place in site.rows(Place)}


def test_a_name_whose_namespace_was_removed_is_for_administrators(site):
    site.owner.post("/acme/-/delete", {"confirm": "acme"})
    assert "acme" not in {place.path for place in site.rows(Namespace)}
    answer = site.browser("developer").post("/-/new/namespace", {"name": "acme"})
    assert answer.status_code == 422
    assert "was in use before" in answer.text


def test_a_personal_namespace_with_something_in_it_does_not_go(site):
    site.project("owner/app")
    answer = site.owner.post("/owner/-/delete", {"confirm": "owner"})
    assert answer.status_code == 409
    assert "owner/app" in {place.path for place in site.rows(Place)}


@pytest.mark.parametrize(
    ("kind", "path", "body"),
    [("project", "acme/app", {"project": True}), ("namespace", "acme", None)],
)
def test_a_whole_place_goes_by_a_program_of_an_owner(site, graph, kind, path, body):
    site.users("maintainer")
    site.member("acme", "maintainer", "maintainer")
    url = f"/api/v4/{kind}s/{path}/-/removals"
    both = ("api", "delete_registry")
    for user, scopes in (("maintainer", both), ("owner", both[1:])):
        assert client(site, user, *scopes)(url, body).status_code == 403
    assert site.rows(Removal) == []
    planned = client(site, "owner", *both)(url, body)
    assert (planned.status_code, planned.json["kind"]) == (201, kind)
    one = f"{url}/{planned.json['id']}"
    # Who deletes images only, confirms none of it, by a program or on the page.
    page = f"/{path}/-/removals/{planned.json['id']}/confirm"
    assert client(site, "maintainer", *both)(f"{one}/confirm").status_code == 403
    assert client(site, "owner", "delete_registry")(f"{one}/confirm").status_code == 403
    assert site.browser("maintainer").post(page).status_code == 403
    assert len(graph.tags[IMAGE]) == 3
    assert client(site, "owner", *both)(f"{one}/confirm").status_code == 202
    assert graph.tags[IMAGE] == {}
    assert path not in {place.path for place in site.rows(Place)}


@pytest.mark.parametrize(
    ("url", "body"),
    [(URL, {"project": True}), (URL.replace("removals", "retention-policies"), {"keep_last": 1})],
)
def test_a_token_for_the_root_image_alone_is_for_no_whole_project(site, url, body):
    bound = {"restriction": "acme/app", "restriction_exact": True}
    ask = client(site, "owner", "api", "delete_registry", **bound)
    assert ask(url, body).status_code == 404
    assert ask("/api/v4/projects/acme/app/-/moves", {"to": "acme/other"}).status_code == 404


def test_an_empty_namespace_goes_by_a_program_too(site):
    site.namespace("acme/empty")
    ask = client(site, "owner", "api", "delete_registry")
    url = "/api/v4/namespaces/acme/empty/-/removals"
    one = f"{url}/{ask(url).json['id']}"
    assert ask(f"{one}/confirm").status_code == 202
    assert "acme/empty" not in {place.path for place in site.rows(Place)}
    site.project("owner/app")
    assert ask("/api/v4/namespaces/owner/-/removals").status_code == 409, "it is personal"


def test_places_go_by_commands(site, graph):
    assert f"{IMAGE}:v1\n" in flask(site, "project", "delete", "acme/app", "--dry-run")
    assert "is a namespace" in flask(site, "project", "delete", "acme", "--yes", status=1)
    assert len(graph.tags[IMAGE]) == 3
    flask(site, "project", "delete", "acme/app", "--yes")
    assert graph.tags[IMAGE] == {}
    flask(site, "namespace", "delete", "acme", "--yes")
    assert not {"acme", "acme/app"} & {place.path for place in site.rows(Place)}
