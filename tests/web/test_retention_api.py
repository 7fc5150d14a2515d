"""Retention policies by programs: as on the pages, nothing is switched on without a dry run."""

from __future__ import annotations

from datetime import timedelta

import pytest

from registry_ui.models import RetentionPolicy, Tag, utc_now
from tests.support.removal_api import client
from tests.support.removals import IMAGE, adopt

URL = "/api/v4/projects/acme/app/-/retention-policies"


@pytest.fixture
def site(served, graph):
    """A project with four tags, a day apart, and its owner."""
    served.users("owner", "developer")
    served.project("acme/app")
    served.member("acme", "owner", "owner")
    served.member("acme", "developer", "developer")
    graph.tag(IMAGE, **{f"v{n}": graph.image(str(n)) for n in range(1, 5)})
    adopt(served)
    for n in range(1, 5):
        served.change(
            Tag, {"pushed_at": utc_now() - timedelta(days=n), "age_from": None}, name=f"v{n}"
        )
    return served


def test_a_policy_is_made_tried_switched_on_carried_out_and_deleted(site, graph):
    ask = client(site)
    made = ask(URL, {"keep_last": 3, "images": "web"})
    assert made.status_code == 201
    assert (made.json["keep_last"], made.json["is_on"]) == (3, False)
    assert [tag["reference"] for tag in made.json["dry_run"]["plan"]["removes"]] == [f"{IMAGE}:v4"]
    one = f"{URL}/{made.json['id']}"
    assert ask(f"{one}/run").status_code == 409, "it is off"
    assert ask(f"{one}/switch", {"on": True}).json["is_on"] is True
    changed = ask(one, {"keep_last": 2}, method="PUT").json
    assert (changed["keep_last"], changed["images"], changed["is_on"]) == (2, "**", False)
    assert ask(f"{one}/switch", {"on": True}).json["is_on"] is True
    assert len(graph.tags[IMAGE]) == 4
    begun = ask(f"{one}/run")
    assert (begun.status_code, begun.json["kind"]) == (202, "retention")
    assert sorted(graph.tags[IMAGE]) == ["v1", "v2"]
    (listed,) = ask(URL, method="GET").json["retention_policies"]
    assert listed["last_removal"] == begun.json["id"]
    assert ask(f"{one}/dry-run").json["dry_run"]["plan"]["removes"] == []
    assert ask(one, method="DELETE").status_code == 204
    assert site.rows(RetentionPolicy) == []


def test_a_policy_of_a_namespace_holds_below_it(site, graph):
    ask, url = client(site), "/api/v4/namespaces/acme/-/retention-policies"
    made = ask(url, {"older_than_days": 3}).json
    ask(f"{url}/{made['id']}/switch", {"on": True})
    assert ask(f"{url}/{made['id']}/run").status_code == 202
    assert sorted(graph.tags[IMAGE]) == ["v1", "v2"]
    assert ask(f"{URL}/{made['id']}/run").status_code == 404, "it is the namespace's"


def test_settings_that_nobody_tried_can_not_be_switched_on(site):
    ask = client(site)
    one = f"{URL}/{ask(URL, {'keep_last': 2}).json['id']}"
    site.change(RetentionPolicy, {"dry_run_fingerprint": ""})
    refused = ask(f"{one}/switch", {"on": True})
    assert refused.status_code == 409
    assert "dry run" in refused.json["error"]["message"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"keep_last": 0},
        {"keep_last": True},
        {"keep_last": [2]},
        {"keep_last": 1.5},
        {"keep_last": 2, "images": "\ud800"},
        {"keep_last": 2, "images": "x" * 300},
        {"keep_last": 2, "keep_matching": "(", "pattern_kind": "regex"},
        {"keep_last": 2, "pattern_kind": "perl"},
    ],
    ids=str,
)
def test_settings_that_can_not_be_used_are_refused(site, body):
    answer = client(site)(URL, body)
    assert answer.status_code == 422
    assert answer.json["error"]["message"]
    assert site.rows(RetentionPolicy) == []


@pytest.mark.parametrize(
    ("user", "scope"), [("developer", "delete_registry"), ("owner", "api")], ids=str
)
def test_who_may_not_delete_keeps_no_policy(site, user, scope):
    ask = client(site, user, scope)
    assert ask(URL, {"keep_last": 2}).status_code == 403
    assert ask(URL, method="GET").status_code == 403
    assert site.rows(RetentionPolicy) == []
