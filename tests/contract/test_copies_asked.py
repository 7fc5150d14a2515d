"""How copies are asked for, by the form, programs and commands; and what is said of bad ones."""

from __future__ import annotations

import pytest

from registry_ui.models import Copy
from tests.support.html import Page
from tests.support.live import tiny
from tests.support.market import BOTH, LIVE, TAGS, Market

pytestmark = pytest.mark.contract


@pytest.fixture
def market(shop) -> Market:
    made = Market(shop)
    shop.push_and_index(made.source, TAGS)
    return made


WRONG = {
    "no project": ({"project": ""}, "Say which project"),
    "unknown project": ({"project": "absent/nothing"}, "no such project, or you may not see it"),
    "no name": ({"project": "Group/App"}, "no such project"),
    "an image of capitals": ({"image": "Web"}, "lower-case letters"),
    "an image with a gap": ({"image": "a//b"}, "lower-case letters"),
    "too long an image": ({"image": "a" * 250}, "longer than 255"),
    "a tag with a slash": ({"tag": "a/b"}, "up to 128 letters"),
    "too long a tag": ({"tag": "a" * 129}, "up to 128 letters"),
    "a tag of the trash": ({"tag": "_bin.0123456789abcdef"}, "reserved for the trash"),
    "a tag of a signature": ({"tag": "sha256-" + "a" * 64 + ".sig"}, "reserved for the trash"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_bad_name_is_said_clearly_beside_its_field(market, what):
    data, words = WRONG[what]
    page = market.plan("1.0", status=422, **data)
    assert words in page.text
    assert market.site.rows(Copy) == []


def test_a_project_that_may_not_be_seen_reads_as_one_that_is_not_there(market):
    hidden = f"{market.site.root}/hidden"
    market.site.project(hidden)
    texts = {
        market.plan("1.0", status=422, project=path).text.replace(path, "PATH").replace("csrf", "")
        for path in (hidden, f"{market.site.root}/absent")
    }
    said = [text for text in texts if "no such project, or you may not see it" in text]
    assert len(said) == len(texts)


def test_several_tags_keep_their_names(market):
    page = market.plan("1.0", "plain", tag="2.0", status=422)
    assert "Only a single tag" in page.text


def test_tags_that_match_are_copied_together(market):
    plan = market.plan(q="la")
    assert {tag["tag"] for tag in plan.preview["tags"]} == {"latest", "plain"}


def test_the_root_image_and_deep_names_are_targets_like_any(market):
    plan = market.plan("plain", image="")
    assert plan.target == market.stall
    plan = market.plan("plain", image="/a/b/c/d/e/f/g/h/")
    assert plan.target == f"{market.stall}/a/b/c/d/e/f/g/h"


def test_a_project_may_be_pasted_with_the_host_of_the_registry(market):
    host = market.site.config.registry_host
    assert market.plan("plain", project=f"{host}/{market.stall}").project_path == market.stall


def test_what_signs_a_tag_stays_where_that_is_wished(market):
    plan = market.plan("1.0", attached="")
    assert plan.preview["referrers"] == []
    market.confirm(plan)
    assert market.site.live(market.target) == {"1.0": BOTH.digest}


def test_bytes_that_the_project_has_already_are_not_new(market):
    market.confirm(market.plan("plain"))
    plan = market.plan("plain", image="another")
    assert plan.preview["size"] > plan.preview["new_size"] == 0


def test_the_page_of_a_tag_says_what_it_was_copied_from_to_those_who_see_that(market):
    market.confirm(market.plan("plain"))
    address = f"/{market.stall}/-/images/a/b/web/-/tags/plain"
    assert f"{market.source}:plain" in market.site.page(address, "alice").text
    market.site.user("bob")
    market.site.member(market.stall, "bob", "reporter")
    text = market.site.page(address, "bob").text
    assert "Copied" in text
    assert market.site.shop not in text
    activity = f"/{market.stall}/-/activity"
    assert f"{market.source}:plain" in market.site.page(activity, "alice").text
    text = market.site.page(activity, "bob").text
    assert "copied" in text
    assert market.site.shop not in text


def test_a_copy_is_found_again_where_one_begins_another(market):
    plan = market.plan("plain")
    address = f"/{market.stall}/-/copies/{plan.id}"
    assert address in market.site.browser("alice").get(market.form()).text
    assert address not in market.site.browser("maintainer").get(market.form()).text


def test_the_way_leads_from_the_tag_and_from_the_list(market):
    browser = market.site.browser("alice")
    tag = browser.get(f"/{market.site.shop}/-/images/web/-/tags/1.0").text
    assert f"{market.form()}?chosen=1.0" in tag
    image = browser.get(f"/{market.site.shop}/-/images/web").text
    assert f'formaction="{market.form()}"' in image
    assert f"{market.form()}?all=1" in image
    assert "delete-tags" not in image


# -- programs ---------------------------------------------------------------------


def client(market: Market, user: str, *scopes: str):
    """Posts and gets JSON with an access token."""
    secret = market.site.access_token(user, *(scopes or ("write_registry",)))
    headers = {"Authorization": f"Bearer {secret}"}
    return lambda url, body=None, method="POST": market.site.app.test_client().open(
        url, method=method, json=body, headers=headers
    )


def test_a_program_plans_confirms_and_follows_a_copy(market):
    ask = client(market, "alice")
    url = f"/api/v4/projects/{market.site.shop}/-/copies"
    body = {"image": "web", "tags": ["1.0"], "to_project": market.stall, "to_tag": "2.0"}
    planned = ask(url, {**body, "to_image": "a/b/web"})
    assert planned.status_code == 201, planned.text
    assert (planned.json["state"], planned.json["target"]) == ("planned", market.target)
    assert planned.json["plan"]["tags"][0]["state"] == "new"
    one = f"/api/v4/projects/{market.stall}/-/copies/{planned.json['id']}"
    assert ask(f"{one}/confirm", {"overwrite": True}).status_code == 202
    done = ask(one, method="GET").json
    assert (done["state"], done["outcomes"]) == ("done", {"copied": 1})
    assert market.site.live(market.target)["2.0"] == BOTH.digest
    for deed in ("confirm", "cancel"):
        answer = ask(f"{one}/{deed}")
        assert (answer.status_code, answer.json["error"]["code"]) == (409, "CONFLICT")


def test_a_program_is_told_what_is_wrong(market):
    ask = client(market, "alice")
    url = f"/api/v4/projects/{market.site.shop}/-/copies"
    for body in (None, [], {}, {"image": 5, "all": True}, {"image": "web", "tags": "1.0"}):
        assert ask(url, body).status_code in {415, 422}, body
    both = {"image": "web", "tags": ["1.0"], "all": True}
    assert ask(url, both).status_code == 422
    assert ask(url, {"image": "absent", "all": True}).status_code == 404


def test_a_token_that_reads_only_copies_nothing_and_one_of_elsewhere_neither(market):
    url = f"/api/v4/projects/{market.site.shop}/-/copies"
    body = {"image": "web", "all": True, "to_project": market.stall}
    assert client(market, "alice", "read_registry")(url, body).status_code == 422
    stall = market.site.deploy_token(market.stall, "write_registry")
    answer = market.site.app.test_client().post(url, json=body, auth=stall)
    assert answer.status_code == 404
    assert market.site.rows(Copy) == []


def test_a_deploy_token_of_the_namespace_copies_between_its_projects(market):
    username, secret = market.site.deploy_token(market.site.root, "write_registry")
    http = market.site.app.test_client()
    url = f"/api/v4/projects/{market.site.shop}/-/copies"
    body = {"image": "web", "tags": ["plain"], "to_project": market.stall}
    planned = http.post(url, json=body, auth=(username, secret))
    assert planned.status_code == 201, planned.text
    one = f"/api/v4/projects/{market.stall}/-/copies/{planned.json['id']}"
    assert http.post(f"{one}/confirm", auth=(username, secret)).status_code == 202
    assert http.get(one, auth=(username, secret)).json["state"] == "done"
    assert market.site.live(f"{market.stall}/web") == {"plain": tiny("plain").digest}


# -- commands ---------------------------------------------------------------------


def run(market: Market, *words: str):
    return market.site.app.test_cli_runner().invoke(args=words)


def test_a_command_copies_a_tag_under_another_name(market):
    done = run(market, "tag", "copy", f"{market.source}:1.0", f"{market.target}:2.0", "--yes")
    assert done.exit_code == 0, done.output
    assert f"{market.target}:2.0" in done.output
    assert market.site.live(market.target)["2.0"] == BOTH.digest


def test_a_command_copies_an_image_or_what_matches_and_prints_the_plan_alone(market):
    there = (market.source, market.target)
    done = run(market, "image", "copy", *there, "--matching", "pl*", "--dry-run")
    assert done.exit_code == 0, done.output
    assert market.site.pusher.tags(market.target) == []
    assert run(market, "image", "copy", *there, "--yes").exit_code == 0
    assert market.site.live(market.target) == LIVE


@pytest.mark.both_databases
def test_a_command_says_what_it_kept_and_what_is_wrong(market):
    market.site.push(market.target, {"plain": tiny("theirs")})
    done = run(market, "tag", "copy", f"{market.source}:plain", market.target, "--yes")
    assert "1 kept" in done.output
    assert market.site.live(market.target) == {"plain": tiny("theirs").digest}
    for words in (
        ("tag", "copy", market.source, market.target),
        ("tag", "copy", f"{market.source}:absent", market.target, "--yes"),
        ("tag", "copy", f"{market.source}:plain", "nobody/owns/this", "--yes"),
        ("image", "copy", f"{market.source}-not", market.target, "--yes"),
        ("image", "copy", market.source, market.target, "--matching", "nothing*", "--yes"),
    ):
        assert run(market, *words).exit_code != 0, words


def test_the_plan_page_has_what_a_reader_needs(market):
    market.site.push(market.target, {"plain": tiny("theirs")})
    plan = market.plan("plain", "1.0")
    page: Page = market.site.page(f"/{market.stall}/-/copies/{plan.id}", "alice")
    for words in ("Nothing has happened yet", "Overwrite 1 tag", "Copy 2 tags", "Attached"):
        assert words in page.text, words
