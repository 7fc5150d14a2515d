"""Each API endpoint refuses what it does not know or can't follow, and says which key it is."""

from __future__ import annotations

import json

import pytest

from registry_ui.models import Copy, GarbageCollection, Move, Place, Removal, RetentionPolicy
from tests.support.addresses import routes
from tests.support.removal_api import client
from tests.support.removals import IMAGE, adopt

PROJECT = "/api/v4/projects/acme/app/-"
SCOPES = ("api", "read_registry", "write_registry", "delete_registry")
#: Speaks with the registry, not with programs.
NOT_OURS = {"events.registry_events"}


@pytest.fixture
def site(served, graph):
    served.users("owner")
    served.user("boss", admin=True)
    served.project("acme/app")
    served.member("acme", "owner", "owner")
    graph.tag(IMAGE, **{tag: graph.image(tag) for tag in ("v1", "v2", "pr-1")})
    adopt(served)
    return served


@pytest.fixture
def everything(site):
    """A project with one of everything that an address can name."""
    for make in (lambda: site.removal("acme/app"), lambda: site.move("acme/app")):
        make()
    site.copying("acme/app", "acme/app")
    with site.session() as session:
        place = session.query(Place).filter_by(path="acme/app").one()
        session.add(RetentionPolicy(place_id=place.id, older_than_days=100, created_by="x"))
        session.add(GarbageCollection(dry_run=True, requested_by="boss", state="done"))
        session.commit()
    return site


def addresses(site):
    """Every address that takes a body, with the numbers of what there is."""
    numbers = {
        "removal_id": site.row(Removal).id,
        "move_id": site.row(Move).id,
        "copy_id": site.row(Copy).id,
        "policy_id": site.row(RetentionPolicy).id,
        "collection_id": site.row(GarbageCollection).id,
    }
    for method in ("POST", "PUT"):
        for endpoint, url in routes(site, method, path="acme/app", name="web", **numbers):
            if url.startswith("/api/") and endpoint not in NOT_OURS:
                yield method, url


def test_no_endpoint_ignores_a_key_that_it_does_not_know(everything):
    ask = client(everything, "boss", *SCOPES)
    ask("/api/v4/projects", method="GET")  # the first use of the token is noted
    before, wrong, asked = everything.dump(), [], 0
    for method, url in addresses(everything):
        asked += 1
        answer = ask(url, {"no_such_key": 1}, method=method)
        told = (answer.json or {}).get("error", {}).get("errors", {})
        if answer.status_code != 422 or "“no_such_key”" not in told.get("no_such_key", ""):
            wrong.append((method, url, answer.status_code))
    assert wrong == []
    assert asked > 15
    assert everything.dump() == before


REMOVALS, COPIES = f"{PROJECT}/removals", f"{PROJECT}/copies"
POLICIES, MOVES = f"{PROJECT}/retention-policies", f"{PROJECT}/moves"
WEB = {"image": "web"}
REFUSED = [
    (REMOVALS, {**WEB, "older_than": 5}, "older_than", "Did you mean “older_than_days”?"),
    (REMOVALS, {**WEB, "tags": ["v1"], "all": True}, "all", "“all” and “tags” contradict"),
    (REMOVALS, {**WEB, "tags": [], "all": True}, "all", "“all” and “tags” contradict"),
    (REMOVALS, {**WEB, "tags": ["v1"], "pattern": "v*"}, "tags", "“tags” and “pattern”"),
    (REMOVALS, {**WEB, "pattern": "v*", "all": True}, "all", "“all” and “pattern”"),
    (REMOVALS, {**WEB, "older_than_days": 5, "all": True}, "all", "“older_than_days”"),
    (REMOVALS, {**WEB, "project": True}, "project", "“project” and “image” contradict"),
    (REMOVALS, {**WEB, "tags": ["v1"], "kind": "regex"}, "kind", "“kind” needs “pattern”."),
    (REMOVALS, {**WEB, "all": True, "attached": False}, "attached", "“all” implies “attached”"),
    (REMOVALS, {**WEB, "tags": ["v1", "v9", "w*"]}, "tags", "has no tag “v9”, “w*”."),
    (REMOVALS, {**WEB, "tags": "v1"}, "tags", "“tags” must be a list of strings."),
    (REMOVALS, {**WEB, "all": "yes"}, "all", "“all” must be a boolean."),
    (REMOVALS, {**WEB, "older_than_days": "5"}, "older_than_days", "must be an integer."),
    (REMOVALS, {**WEB, "older_than_days": 0}, "older_than_days", "from 1 to"),
    (REMOVALS, {**WEB, "pattern": "{v*}"}, "pattern", "“{” can't be part of a tag."),
    (COPIES, {**WEB, "tags": ["v9"], "to_image": "new"}, "tags", "has no tag “v9”."),
    (COPIES, {**WEB, "tags": ["v1"], "all": True}, "all", "“all” and “tags” contradict"),
    (COPIES, {**WEB, "tags": ["v1"], "target": "new"}, "target", "is not a key"),
    (MOVES, {}, "to", "“to” is required."),
    (MOVES, {**WEB, "to": None}, "to", "“to” must be a string"),
    (POLICIES, {"keep_latest": 5}, "keep_latest", "Did you mean “keep_last”?"),
    (POLICIES, {"keep_last": 5, "older_then_days": 5}, "older_then_days", "“older_than_days”?"),
    (POLICIES, {"keep_last": "5"}, "keep_last", "“keep_last” must be an integer."),
    (POLICIES, {"keep_last": 0}, "keep_last", "A whole number is needed, from 1 to"),
    (POLICIES, {"images": "web"}, "keep_last", "Set how many digests are kept"),
]


@pytest.mark.parametrize(("url", "body", "key", "words"), REFUSED, ids=str)
def test_what_can_not_be_followed_is_named_and_nothing_is_written(site, url, body, key, words):
    ask = client(site, "owner", *SCOPES)
    ask("/api/v4/projects", method="GET")
    before = site.dump()
    answer = ask(url, body)
    assert answer.status_code == 422
    error = answer.json["error"]
    assert words in error["errors"][key]
    assert words in error["message"], "what most programs print"
    assert site.dump() == before


@pytest.mark.both_databases
def test_every_mistake_of_a_body_is_named_at_once(site):
    ask = client(site, "owner", *SCOPES)
    errors = ask(REMOVALS, {"older_than": 5, "tags": 7, "al": True}).json["error"]["errors"]
    assert errors.keys() == {"older_than", "tags", "al"}


def test_of_thousands_of_unknown_keys_a_few_are_named(site):
    body = {f"key{n}": n for n in range(20_000)}
    answer = client(site, "owner", *SCOPES)(REMOVALS, body)
    assert answer.status_code == 422
    assert len(answer.json["error"]["errors"]) == 10
    assert len(answer.data) < 4000


@pytest.mark.parametrize(
    ("data", "content_type", "words"),
    [
        (b'{"image": "web", "tags": ["v1"]}', "application/x-www-form-urlencoded", "must be JSON"),
        (b'{"image": "web", "tags": ["v1"]', "application/json", "not valid JSON"),
        (b"[1]", "application/json", "a JSON object"),
        (b'{"image": "web", "tags": ["v1"], "tags": ["v2"]}', "application/json", "more than once"),
        (b"[" * 100_000, "application/json", "not valid JSON"),
    ],
    ids=["form", "broken", "list", "twice", "deep"],
)
def test_a_body_that_can_not_be_read_is_not_taken_for_an_empty_one(site, data, content_type, words):
    headers = {"Authorization": f"Bearer {site.access_token('owner', *SCOPES)}"}
    planned = client(site, "owner", *SCOPES)(REMOVALS, {"image": "web", "tags": ["v1"]}).json["id"]
    for url in (REMOVALS, f"{REMOVALS}/{planned}/confirm"):
        answer = site.app.test_client().post(
            url, data=data, headers=headers, content_type=content_type
        )
        assert answer.status_code == 422
        assert words in answer.json["error"]["message"]
    assert site.row(Removal).state == "planned"


def test_no_body_is_an_empty_object(site):
    ask = client(site, "owner", *SCOPES)
    planned = ask(REMOVALS, {"image": "web", "tags": ["v1"]}).json["id"]
    assert ask(f"{REMOVALS}/{planned}/confirm").status_code == 202
    assert ask(f"{REMOVALS}/{planned}/confirm", json.loads("{}")).status_code == 409


def test_a_tag_that_was_pushed_a_moment_ago_is_no_unknown_one(site, graph):
    graph.tag(IMAGE, fresh=graph.image("fresh"))
    ask = client(site, "owner", *SCOPES)
    planned = ask(REMOVALS, {"image": "web", "tags": ["fresh"]})
    assert planned.status_code == 201
    assert [t["reference"] for t in planned.json["plan"]["removes"]] == [f"{IMAGE}:fresh"]


def test_who_may_not_see_a_project_learns_nothing_from_a_wrong_body(site):
    site.users("stranger")
    ask = client(site, "stranger", *SCOPES)
    hidden = ask(REMOVALS, {"no_such_key": 1})
    absent = ask(REMOVALS.replace("app", "none"), {"no_such_key": 1})
    assert hidden.status_code == absent.status_code == 404
    assert hidden.data == absent.data
