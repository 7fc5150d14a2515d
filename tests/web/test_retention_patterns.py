"""Patterns of retention policies: lists, what they match now, and keeping nothing by mistake."""

from __future__ import annotations

from datetime import timedelta

import pytest

from registry_ui.jobs import tasks
from registry_ui.models import Removal, RetentionPolicy, Tag, utc_now
from registry_ui.retention.rules import Rules
from tests.support.html import Page
from tests.support.removal_api import client
from tests.support.removals import IMAGE, adopt, open_project

PAGE = "/acme/app/-/retention"
URL = "/api/v4/projects/acme/app/-/retention-policies"
TEAM = ("acme/app/team/web", "acme/app/team/web/api")


@pytest.fixture
def site(served, graph):
    """A project whose tags are all older than a day, and its owner."""
    open_project(served)
    for path in (IMAGE, *TEAM):
        tags = ("v1", "v2", "latest", "old")
        graph.tag(path, **{tag: graph.image(f"{path} {tag}") for tag in tags})
    adopt(served)
    served.change(Tag, {"pushed_at": utc_now() - timedelta(days=9), "age_from": None})
    return served


def post(site, url=PAGE, **form):
    return site.owner.post(url, {"older_than_days": "1", **form})


def planned(site):
    """The tags of the newest dry run."""
    return sorted(tag["reference"] for tag in site.rows(Removal)[-1].preview["removes"])


def test_the_hint_of_the_form_typed_as_it_is_keeps_what_it_names(site):
    hint = Page(site.owner.get(PAGE).text).text.partition("For example: ")[2][:10]
    assert hint == "v*, latest"
    assert post(site, images="web", keep_matching=hint).status_code == 302
    assert planned(site) == [f"{IMAGE}:old"]


@pytest.mark.parametrize("keep", ["v*,latest", "v*\r\nlatest", " latest ,\n v? "])
def test_a_list_is_separated_by_commas_or_lines(site, keep):
    assert post(site, images="web", keep_matching=keep).status_code == 302
    assert planned(site) == [f"{IMAGE}:old"]


@pytest.mark.parametrize(
    ("images", "paths"),
    [
        ("team/*", TEAM[:1]),
        ("team/**", TEAM),
        ("*", (IMAGE,)),
        ("web, team/web/*", (TEAM[1], IMAGE)),
        ("", (*TEAM, IMAGE)),
        ("**", (*TEAM, IMAGE)),
        ("**/web", TEAM[:1]),
    ],
)
def test_stars_mean_for_a_policy_what_they_mean_for_a_rule(site, images, paths):
    post(site, images=images, keep_matching="v*, latest")
    assert planned(site) == sorted(f"{path}:old" for path in paths)


@pytest.mark.parametrize("keep", ["{v*,keep}", "v*|latest", "v[0-9]", "v 1"])
def test_what_no_tag_can_contain_is_refused_and_named(site, keep):
    answer = post(site, keep_matching=keep)
    assert answer.status_code == 422
    error = Page(answer.text).text
    assert any(f"“{char}” can't be part of a tag" in error for char in "{|[") or (
        "A space can't be part of a tag" in error
    )
    assert site.rows(RetentionPolicy) == []
    ask = client(site)(URL, {"older_than_days": 1, "keep_matching": keep})
    assert ask.status_code == 422
    assert "can't be part of a tag" in ask.json["error"]["errors"]["keep_matching"]


def test_a_pattern_that_keeps_nothing_now_must_be_confirmed_by_name(site, graph):
    answer = post(site, images="web", keep_matching="v*, KEEP")
    assert answer.status_code == 422
    assert "No tag matches “KEEP” now" in Page(answer.text).text
    assert 'name="confirm_unmatched"' in answer.text
    assert site.rows(RetentionPolicy) == site.rows(Removal) == []
    wrong = {"images": "web", "keep_matching": "v*, KEPT", "confirm_unmatched": "KEEP"}
    assert "No tag matches “KEPT” now" in Page(post(site, **wrong).text).text
    assert site.rows(RetentionPolicy) == []
    right = {**wrong, "keep_matching": "v*, KEEP"}
    plan = site.owner.get(post(site, **right).headers["Location"])
    assert "No tag matches “KEEP” now" in Page(plan.text).text
    assert site.row(RetentionPolicy).keep_matching == "v*, KEEP"


def test_a_policy_whose_pattern_came_to_keep_nothing_is_asked_about_at_its_next_dry_run(site):
    post(site, images="web", keep_matching="v*")
    number = site.row(RetentionPolicy).id
    site.change(RetentionPolicy, {"keep_matching": "KEEP", "dry_run_fingerprint": ""})
    answer = post(site, f"{PAGE}/{number}/dry-run")
    assert answer.status_code == 422
    assert "No tag matches “KEEP” now" in Page(answer.text).text
    assert f"{PAGE}/{number}" in answer.text, "the form to change it"
    assert site.row(RetentionPolicy).dry_run_fingerprint == ""


def test_a_stored_pattern_that_can_not_be_used_does_not_run_and_says_why(site, graph):
    post(site, images="web", keep_matching="v*")
    number = site.row(RetentionPolicy).id
    site.change(RetentionPolicy, {"keep_matching": "{v*,keep}"})
    answer = post(site, f"{PAGE}/{number}/dry-run")
    assert answer.status_code == 422
    assert "“{” can't be part of a tag" in Page(answer.text).text
    assert len(graph.tags[IMAGE]) == 4


@pytest.mark.parametrize(
    ("form", "left"),
    [
        ({"images": "web", "keep_matching": ""}, ["latest", "old", "v1", "v2"]),
        ({"images": "", "keep_matching": "v.*|latest"}, ["old"] * 3),
        ({"images": "", "keep_matching": ""}, ["latest", "old", "v1", "v2"] * 3),
    ],
    ids=["no pattern of tags", "no pattern of images", "neither"],
)
def test_regular_expressions_leave_a_field_empty_like_globs(site, form, left):
    assert post(site, pattern_kind="regex", **form).status_code == 302
    assert sorted(tag.rpartition(":")[2] for tag in planned(site)) == sorted(left)


def test_the_form_and_the_dry_run_say_what_matches_now(site):
    query = "?images=team/**&keep_matching=v*,+latest&pattern_kind=glob"
    found = site.owner.get(f"{PAGE}/matches{query}").text
    assert "Matches 6 of 8 tags in 2 images now." in found
    plan = Page(
        site.owner.get(post(site, images="team/**", keep_matching="v*").headers["Location"]).text
    )
    assert "The pattern “team/**” matches 8 tags in 2 images now." in plan.text
    assert "“v*” matches 4 of these tags" in plan.text
    number = site.row(RetentionPolicy).id
    assert "Matches 4 of 8 tags in 2 images now." in site.owner.get(f"{PAGE}/{number}").text
    wrong = site.owner.get(f"{PAGE}/matches?images=Team").text
    assert "Image names are lowercase." in wrong


def test_a_registry_that_is_down_leaves_no_half_made_policy(site, graph):
    def down(_asked):
        raise ConnectionError

    graph.before = down
    answer = post(site, images="web", keep_matching="v*, latest")
    assert answer.status_code == 502
    assert "could not be asked" in Page(answer.text).text
    assert "v*, latest" in answer.text, "what was typed is still there"
    assert site.rows(RetentionPolicy) == site.rows(Removal) == []


def test_programs_confirm_a_pattern_that_keeps_nothing_by_its_name_too(site):
    ask, body = client(site), {"older_than_days": 1, "images": "web", "keep_matching": "KEEP"}
    refused = ask(URL, body)
    assert refused.status_code == 422
    assert "“KEEP”" in refused.json["error"]["errors"]["keep_matching"]
    assert "confirm_unmatched" in refused.json["error"]["hint"]
    assert site.rows(RetentionPolicy) == []
    made = ask(URL, {**body, "confirm_unmatched": ["KEEP"]})
    assert made.status_code == 201
    one = f"{URL}/{made.json['id']}"
    assert ask(f"{one}/dry-run").status_code == 422
    assert ask(f"{one}/dry-run", {"confirm_unmatched": ["KEEP"]}).status_code == 201


def test_a_suspended_policy_says_why_until_its_next_dry_run(site):
    post(site, images="web", keep_matching="v*,latest")
    number, reason = site.row(RetentionPolicy).id, "Suspended by an update: a comma was a comma."
    site.change(RetentionPolicy, {"suspension_reason": reason, "dry_run_fingerprint": ""})
    page = site.owner.get(PAGE)
    assert reason in Page(page.text).text
    assert "suspended" in page.text
    site.owner.post(f"{PAGE}/{number}/switch", {"on": "1"})
    assert not site.row(RetentionPolicy).is_enabled
    assert post(site, f"{PAGE}/{number}/dry-run").status_code == 302
    assert reason not in Page(site.owner.get(PAGE).text).text
    site.owner.post(f"{PAGE}/{number}/switch", {"on": "1"})
    assert site.row(RetentionPolicy).is_enabled


@pytest.mark.both_databases
def test_a_nightly_run_with_a_pattern_that_can_not_be_used_deletes_nothing(site, graph):
    post(site, images="web", keep_matching="v*")
    broken = Rules(images="web", keep_matching="{v*", older_than_days=1)
    values = {"keep_matching": "{v*", "is_enabled": True, "dry_run_fingerprint": broken.fingerprint}
    site.change(RetentionPolicy, values)
    with site.app.app_context():
        tasks.run_retention()
    assert "“{” can't be part of a tag" in site.row(RetentionPolicy).last_problem
    assert len(graph.tags[IMAGE]) == 4


def confirmations(answer):
    """The patterns that the form offers to save all the same, and whether each is ticked."""
    inputs = [element.attrs for element in Page(answer.text).all("input")]
    boxes = [attrs for attrs in inputs if attrs.get("name") == "confirm_unmatched"]
    return {box["value"]: "checked" in box for box in boxes}


@pytest.mark.parametrize("images", ["web", "none/such", ""])
@pytest.mark.parametrize(
    ("keep", "kind", "patterns"),
    [
        ("1.*, stable", "glob", ["1.*", "stable"]),
        ("1.*\r\nstable", "glob", ["1.*", "stable"]),
        (r"1\..*|stable", "regex", [r"1\..*|stable"]),
        ("v*, KEEP", "regex", ["v*, KEEP"]),
    ],
)
def test_each_pattern_that_keeps_nothing_can_be_confirmed(site, images, keep, kind, patterns):
    form = {"images": images, "keep_matching": keep, "pattern_kind": kind}
    answer = post(site, **form)
    assert answer.status_code == 422
    assert confirmations(answer) == dict.fromkeys(patterns, False)
    assert post(site, **form, confirm_unmatched=patterns).status_code == 302


def test_the_hint_of_the_form_can_be_confirmed_if_it_matches_nothing(site):
    form = {"images": "none/such", "keep_matching": "v*, latest"}
    assert confirmations(post(site, **form)) == {"v*": False, "latest": False}
    assert post(site, **form, confirm_unmatched=["v*", "latest"]).status_code == 302


def test_patterns_can_be_confirmed_one_after_the_other(site):
    form = {"images": "web", "keep_matching": "1.*, stable"}
    second = post(site, **form, confirm_unmatched=["1.*"])
    assert "No tag matches “stable” now" in Page(second.text).text
    assert confirmations(second) == {"1.*": True, "stable": False}
    assert post(site, **form, confirm_unmatched=["1.*", "stable"]).status_code == 302


def test_a_confirmation_survives_another_mistake_and_a_registry_that_is_down(site, graph):
    form = {"images": "web", "keep_matching": "KEEP", "confirm_unmatched": "KEEP"}
    wrong = post(site, **form, keep_last="many")
    assert wrong.status_code == 422
    assert confirmations(wrong) == {"KEEP": True}

    def down(_asked):
        raise ConnectionError

    graph.before = down
    assert confirmations(post(site, **form)) == {"KEEP": True}


def test_only_patterns_of_the_form_are_offered_for_confirmation(site):
    form = {"images": "web", "keep_matching": "v*", "confirm_unmatched": "KEEP"}
    assert confirmations(post(site, **form, keep_last="many")) == {}
