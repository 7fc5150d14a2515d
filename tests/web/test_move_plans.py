"""Plans of moves: what is refused, what a plan says and to whom, and who may begin it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from registry_ui.models import Move, Tag, UnassignedRepository, WriteFreeze, utc_now
from tests.support.html import Page
from tests.support.moves import plan
from tests.web.support import basic

# -- what is refused -------------------------------------------------------------


REFUSED = [
    ("acme/app", "acme/app", "That is where it is."),
    ("acme/app", "acme/other", "“acme/other” is taken."),
    ("acme/app", "acme/APP", "lower-case letters"),
    ("acme/app", "acme/other/app", "is a project, and holds only images"),
    ("acme/app", "app", "A project lies in a namespace"),
    ("acme/app", "nowhere/app", "There is no namespace “nowhere”"),
    ("acme/app", "elsewhere/new", "There is no namespace “elsewhere”"),
    ("acme/app", "acme/in-use", "“acme/in-use” is taken."),
    ("acme/app", "acme/was/below", "There is no namespace “acme/was”"),
    ("acme/app", "acme/was", "“acme/was” is taken."),
    ("acme/app", "acme/soon", "“acme/soon” is taken."),
    ("acme", "acme/inner", "lies in what is to be moved"),
    ("acme", "v2", "reserved"),
    ("acme", "a..b", "lower-case letters"),
    ("acme", "elsewhere", "“elsewhere” is taken."),
    ("acme", "boss", "“boss” is taken."),
    ("acme", "x" * 250, "would be longer than 255 characters"),
]


def reserve(site):
    """Let one path be in use in the registry, one be an old path, one the new one of a move."""
    with site.session() as session:
        used = {"path": "acme/in-use/image", "first_seen_at": utc_now(), "tag_count": 1}
        session.add(UnassignedRepository(**used))
        session.commit()
    site.old_path("acme/was", "acme/other", site.move("acme/other", "grace", source="acme/was"))
    site.move("acme/other", "failed", target="acme/soon", source="acme/gone")


@pytest.mark.parametrize(("path", "target", "words"), REFUSED)
def test_a_path_that_cant_be_used_is_refused_in_words(two_groups, path, target, words):
    if path == "acme/app":
        reserve(two_groups)
    answer, text = plan(two_groups, path, target)
    assert answer.status_code == 422
    assert words in text
    assert two_groups.rows(Move, state="planned") == []


IMAGES = [
    ("acme/app/web", "That is where it is."),
    ("acme/app", "There is an image “acme/app”."),
    ("acme/none/web", "There is no project that owns “acme/none/web”"),
    ("elsewhere/app/web", "There is no project that owns “elsewhere/app/web”"),
    ("acme/app/we b", "lower-case letters"),
]


@pytest.mark.parametrize(("target", "words"), IMAGES)
def test_a_name_that_an_image_cant_have_is_refused_in_words(two_groups, target, words):
    answer, text = plan(two_groups, "acme/app", target, image="web")
    assert answer.status_code == 422
    assert words in text


def test_a_tag_that_a_rule_keeps_keeps_its_image_where_it_is(two_groups):
    two_groups.rule("acme/app", "v2")
    answer, text = plan(two_groups, "acme/app", "acme/other/web", image="web")
    assert answer.status_code == 422
    assert "Tag v2 is immutable in acme/app/web." in text


def test_a_tag_that_a_rule_would_not_let_one_push_comes_by_no_move(two_groups):
    two_groups.rule("acme/other", "v*", "maintainer")
    two_groups.member("acme/app", "worker", "maintainer")
    answer, text = plan(two_groups, "acme/app", "acme/other/web", "worker", image="web")
    assert answer.status_code == 422
    assert "Tag v1 is protected in acme/other/web: push needs Maintainer." in text
    assert plan(two_groups, "acme/app", "acme/other/web", image="web")[0].status_code == 302


def test_a_personal_namespace_keeps_the_name_of_its_account(two_groups):
    answer, text = plan(two_groups, "owner", "free", "owner")
    assert answer.status_code == 422
    assert "has the name of its account" in text
    assert "Rename or move" not in two_groups.browser("owner").get("/owner/-/settings").text


def test_what_is_being_deleted_or_moved_is_not_moved(two_groups):
    two_groups.move("acme/app", "copying", target="acme/first")
    answer = two_groups.browser("owner").post("/acme/-/move", {"target": "free"})
    assert answer.status_code == 409
    assert "being moved already" in Page(answer.text).text


# -- the plan --------------------------------------------------------------------


def test_the_plan_says_who_gains_and_who_loses_what(two_groups):
    two_groups.user("root", admin=True)
    two_groups.member("elsewhere", "worker", "guest")
    two_groups.member("acme/app", "owner", "owner")
    two_groups.deploy_token("acme", "read_registry")
    two_groups.deploy_token("elsewhere", "read_registry")
    two_groups.access_token("owner", "read_registry", restriction="acme")
    two_groups.access_token("owner", "read_registry", restriction="acme/app/web")
    answer, _ = plan(two_groups, "acme/app", "elsewhere/app2", "root")
    page = Page(two_groups.browser("root").get(answer.headers["Location"]).text).text
    assert "boss none Owner" in page
    assert "worker Developer Guest" in page
    assert (
        "owner Owner" not in page.partition("Who gains or loses access")[2].partition("Deploy")[0]
    )
    assert "Deploy tokens of acme that hold here no more: 1." in page
    assert "Deploy tokens of elsewhere that hold here too: 1." in page
    assert "Access tokens that are limited to this path follow it: 1." in page
    assert "limited to a path above, and hold here no more: 1." in page
    assert "2 images with 3 tags" in page


@pytest.mark.parametrize(
    ("tags", "shown"),
    [
        (["v1", "v2"], ":v2"),
        (["latest", "v1"], ":latest"),
        (["v1", "sha256-" + "a" * 64 + ".sig"], ":v1"),
    ],
)
def test_the_new_pull_command_of_a_plan_has_a_tag_that_exists(site, tags, shown):
    site.users("owner")
    site.project("acme/app")
    site.member("acme", "owner", "owner")
    site.image("acme/app/store", *tags)
    for days, name in enumerate(reversed(tags)):
        site.change(Tag, {"pushed_at": utc_now() - timedelta(days=days)}, name=name)
    answer, _ = plan(site, "acme/app", "acme/new")
    page = Page(site.browser("owner").get(answer.headers["Location"]).text)
    commands = [code.text for code in page.all("code") if code.text.startswith("docker pull")]
    host = site.app.config["SETTINGS"].registry_host
    assert commands == [f"docker pull {host}/acme/new/store{shown}"]


def test_the_plan_of_an_image_says_that_everyone_can_pull_it_then(two_groups):
    answer, _ = plan(two_groups, "acme/app", "acme/other/web", image="web")
    page = Page(two_groups.browser("owner").get(answer.headers["Location"]).text).text
    assert "anyone can pull it then, without signing in" in page


@pytest.mark.both_databases
def test_who_looks_after_one_end_only_is_not_told_who_is_a_member_of_the_other(two_groups):
    two_groups.users("here", "there", "ninotchka", "vassilissa")
    for path, lead, member in (
        ("acme/app", "here", "ninotchka"),
        ("elsewhere/app", "there", "vassilissa"),
    ):
        two_groups.member(path, lead, "maintainer")
        two_groups.member(path, member, "guest")
    two_groups.member("elsewhere/app", "owner", "developer")
    address = plan(two_groups, "acme/app", "elsewhere/app/web", image="web")[0].headers["Location"]
    number = two_groups.row(Move).id

    def told(who, path):
        page = two_groups.browser(who).get(f"/{path}/-/moves/{number}").text
        auth = basic(who, two_groups.access_token(who, "api"))
        address = f"/api/v4/projects/{path}/-/moves/{number}"
        text = page + two_groups.browser().get(address, headers=auth).text
        return {name for name in ("ninotchka", "vassilissa") if name in text}

    assert address == f"/acme/app/-/moves/{number}"
    assert told("here", "acme/app") == set()
    two_groups.change(Move, {"switched_at": utc_now(), "state": "grace"})
    assert told("there", "elsewhere/app") == set()
    assert told("owner", "acme/app") == {"ninotchka", "vassilissa"}


def test_a_token_for_the_root_image_opens_no_move_of_another(two_groups):
    plan(two_groups, "acme/app", "acme/other/web", image="web")
    number = two_groups.row(Move).id
    found = []
    for exact in (True, False):
        bound = {"restriction": "acme/app", "restriction_exact": exact, "name": str(exact)}
        auth = basic("owner", two_groups.access_token("owner", "api", **bound))
        address = f"/api/v4/projects/acme/app/-/moves/{number}"
        found.append(two_groups.browser().get(address, headers=auth).status_code)
    assert found == [404, 200]


def test_who_looks_after_a_project_finds_its_move_again(two_groups):
    number = two_groups.move("acme/app", "copying")
    address = f"/acme/app/-/moves/{number}"
    assert address in two_groups.browser("owner").get("/acme/app").text
    assert address not in two_groups.browser("worker").get("/acme/app").text
    assert "0 of 0 tags" in Page(two_groups.browser("owner").get(address).text).text


def test_nothing_begins_before_the_path_is_typed(two_groups):
    answer, _ = plan(two_groups, "acme/app", "acme/new")
    address = answer.headers["Location"]
    refused = two_groups.browser("owner").post(f"{address}/confirm", {"confirm": "acme/new"})
    assert refused.status_code == 422
    assert "Type acme/app to confirm." in Page(refused.text).text
    assert two_groups.row(Move).state == "planned"
    assert two_groups.rows(WriteFreeze) == []


def test_a_plan_whose_path_was_taken_meanwhile_does_not_begin(two_groups):
    answer, _ = plan(two_groups, "acme/app", "acme/new")
    two_groups.project("acme/new")
    address = answer.headers["Location"]
    refused = two_groups.browser("owner").post(f"{address}/confirm", {"confirm": "acme/app"})
    assert refused.status_code == 409
    assert "is taken" in Page(refused.text).text
    assert two_groups.browser("owner").post(f"{address}/cancel").status_code == 302
    assert two_groups.row(Move).state == "cancelled"


def test_whoever_lost_the_right_since_the_plan_begins_nothing(two_groups):
    answer, _ = plan(two_groups, "acme/app", "acme/new")
    two_groups.change(Move, {"requested_by": "worker"})
    two_groups.user("late")
    two_groups.member("acme/app", "late", "owner")
    address = answer.headers["Location"]
    refused = two_groups.browser("late").post(f"{address}/confirm", {"confirm": "acme/app"})
    assert refused.status_code == 403
    assert "in which you may create something" in Page(refused.text).text


# -- programs -----------------------------------------------------------------------


def test_a_program_plans_looks_and_discards(two_groups):
    headers = {"Authorization": f"Bearer {two_groups.access_token('owner', 'api')}"}
    client = two_groups.app.test_client()
    url = "/api/v4/projects/acme/app/-/moves"
    planned = client.post(url, json={"to": "acme/new"}, headers=headers)
    assert planned.status_code == 201
    assert planned.json["state"] == "planned"
    assert [part["to"] for part in planned.json["images"]] == ["acme/new", "acme/new/web"]
    one = f"{url}/{planned.json['id']}"
    assert client.get(one, headers=headers).json["from"] == "acme/app"
    assert client.post(f"{one}/cancel", headers=headers).json["state"] == "cancelled"
    assert client.post(f"{one}/confirm", headers=headers).status_code == 409
    for body in ({"to": 3}, {"to": "acme/x", "image": 4}, []):
        assert client.post(url, json=body, headers=headers).status_code == 422
    weak = {
        "Authorization": f"Bearer {two_groups.access_token('owner', 'read_registry', name='r')}"
    }
    assert client.post(url, json={"to": "acme/new"}, headers=weak).status_code == 403
    of_group = client.post("/api/v4/namespaces/acme/-/moves", json={"to": "free"}, headers=headers)
    assert of_group.status_code == 201
