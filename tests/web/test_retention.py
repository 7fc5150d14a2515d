"""Retention policies: what they keep, the dry run before, and the daily run."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from unittest import mock

import pytest
from sqlalchemy import select

from registry_ui.db.session import db
from registry_ui.endpoints import registry_events
from registry_ui.jobs import tasks
from registry_ui.models import Place, Removal, RetentionPolicy, Tag, utc_now
from registry_ui.retention import service as retention
from registry_ui.retention.rules import Rules, removable
from registry_ui.tags.selection import DatedTag
from tests.support.html import Page
from tests.support.removals import IMAGE, adopt, open_project
from tests.web.support import ACTOR, event_of

PAGE = "/acme/app/-/retention"
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def ago(days):
    return NOW - timedelta(days=days)


#: A tag a day: v1 is one day old, v5 five; r2 is as old as v2, and lately pulled.
TAGS = [
    *(DatedTag(f"v{n}", ago(n), None) for n in range(1, 6)),
    DatedTag("r2", ago(2), ago(0)),
    DatedTag("unknown", None, None),
    DatedTag("sha256-" + "a" * 64 + ".sig", ago(9), None),
]


@pytest.mark.parametrize(
    ("rules", "gone"),
    [
        ({"keep_last": 1}, "r2 v2 v3 v4 v5"),
        ({"keep_last": 4}, "v4 v5"),
        ({"keep_last": 99}, ""),
        ({"older_than_days": 4}, "v5"),
        ({"older_than_days": 3}, "v4 v5"),
        ({"keep_last": 5, "older_than_days": 2}, "v5"),
        ({"keep_last": 1, "older_than_days": 3}, "v4 v5"),
        ({"keep_last": 1, "keep_matching": "v?"}, "r2"),
        ({"keep_last": 1, "keep_matching": "v[45]", "pattern_kind": "regex"}, "r2 v2 v3"),
        ({"keep_last": 1, "keep_matching": "v"}, "r2 v2 v3 v4 v5"),
        ({"keep_last": 1, "keep_pulled_days": 1}, "v2 v3 v4 v5"),
        ({"older_than_days": 1, "keep_pulled_days": 1, "keep_matching": "v5"}, "v2 v3 v4"),
    ],
)
def test_what_no_rule_keeps_goes(rules, gone):
    assert sorted(removable(TAGS, Rules(**rules), NOW)) == gone.split()


def test_with_equal_push_times_the_higher_version_is_newer():
    names = ["1.9", "1.11", "1.10", "1.11-rc1"]
    tags = [DatedTag(name, ago(1), None) for name in names]
    for order in (tags, tags[::-1]):
        assert removable(order, Rules(keep_last=1), NOW) == {"1.9", "1.10", "1.11-rc1"}
        assert removable(order, Rules(keep_last=2), NOW) == {"1.9", "1.10"}
    older = DatedTag("2.0", ago(2), None)
    assert removable([older, *tags], Rules(keep_last=4), NOW) == {"2.0"}, "time comes first"


def test_tags_on_one_digest_count_once_and_are_kept_together():
    builds = [("1.9", 3, "a"), ("1.10", 2, "b"), ("1.11", 1, "c"), ("latest", 1, "c")]
    tags = [DatedTag(name, ago(days), None, digest) for name, days, digest in builds]
    assert removable(tags, Rules(keep_last=1), NOW) == {"1.9", "1.10"}
    assert removable(tags, Rules(keep_last=2), NOW) == {"1.9"}
    assert removable(tags, Rules(keep_last=3), NOW) == set()


def test_an_old_tag_on_a_digest_that_was_pushed_again_is_as_new_as_that():
    tags = [
        DatedTag("stable", ago(9), None, "a"),
        DatedTag("1.12", ago(5), None, "b"),
        DatedTag("1.13", ago(1), None, "a"),
    ]
    assert removable(tags, Rules(keep_last=1), NOW) == {"1.12"}


def test_a_tag_that_can_not_be_read_takes_the_place_of_none_that_can():
    damaged = DatedTag("1.3", ago(1), None, "c", is_damaged=True)
    tags = [damaged, DatedTag("1.2", ago(2), None, "b"), DatedTag("1.1", ago(3), None, "a")]
    assert "1.2" not in removable(tags, Rules(keep_last=1), NOW)
    assert "1.1" not in removable(tags, Rules(keep_last=2), NOW)


@pytest.fixture
def site(served, graph):
    """A project with old and new tags, and its owner."""
    open_project(served)
    for path in (IMAGE, "acme/app/other"):
        graph.tag(path, **{f"v{n}": graph.image(f"{path} {n}") for n in range(1, 5)})
    adopt(served)
    for n in range(1, 5):
        pushed = {"pushed_at": utc_now() - timedelta(days=n), "age_from": None}
        served.change(Tag, pushed, name=f"v{n}")
    return served


def create(site, **form):
    """Keep a policy; return the address of its dry run, and its number."""
    answer = site.owner.post(PAGE, {"keep_last": "2", **form})
    assert answer.status_code == 302, answer.text
    return answer.headers["Location"], site.rows(RetentionPolicy)[-1].id


def switch_on(site, number):
    return site.owner.post(f"{PAGE}/{number}/switch", {"on": "1"}, follow_redirects=True)


def run(site):
    with site.app.app_context():
        tasks.run_retention()


def test_a_dry_run_shows_what_would_go_and_changes_nothing(site, graph):
    before = {path: dict(tags) for path, tags in graph.tags.items()}
    address, _ = create(site, images="web")
    goes = Page(site.owner.get(address).text).section("What goes")
    assert f"{IMAGE}:v3" in goes
    assert f"{IMAGE}:v4" in goes
    assert "v2" not in goes
    assert "acme/app/other" not in goes
    assert graph.tags == before
    run(site)
    assert graph.tags == before


@pytest.fixture
def large(site, graph):
    """The site with sixty more tags in the other image, all old."""
    more = [f"1.{n}" for n in range(60)]
    graph.tag("acme/app/other", **{name: graph.image(name) for name in more})
    adopt(site)
    for name in more:
        site.change(Tag, {"pushed_at": ago(9), "age_from": None}, name=name)
    return site


@pytest.mark.both_databases
def test_a_dry_run_names_every_tag_page_by_page_and_says_how_many_stay(large):
    address, _ = create(large)
    first, second = (Page(large.owner.get(address + query).text) for query in ("", "?page=2"))
    named = [page.section("What goes") + page.text for page in (first, second)]
    goes = [f"acme/app/other:1.{n} " for n in range(60)]
    shown = [[name for name in goes if name in text] for text in named]
    assert sorted(shown[0] + shown[1]) == sorted(goes)
    assert min(map(len, shown)) > 0
    assert "Page 2 of 2, 64 tags" in second.text
    assert "and 14 more" not in first.text
    assert "pushed" in second.section("What goes")
    for page in (first, second):
        assert "4 of these 68 tags stay." in page.text
        assert "Delete 64 tags now" in [button.text for button in page.all("button")]
    assert large.owner.get(address + "?page=3").headers["Location"].endswith("?page=2")


def test_the_statements_for_a_dry_run_do_not_grow_with_its_tags(large):
    counts = []
    for form in ({"images": "web"}, {}):
        address, _ = create(large, **form)
        large.owner.get(address)
        with large.statements() as statements:
            large.owner.get(address)
        counts.append(len(statements))
    assert counts[0] == counts[1]


def test_a_dry_run_offers_to_switch_its_policy_on_before_it_offers_to_delete(site):
    address, number = create(site)
    page = Page(site.owner.get(address).text)
    main = page.first("main")
    buttons = {each.text: each.attrs["class"] for each in main.all("button")}
    assert list(buttons) == ["Switch the policy on", "Delete 4 tags now", "Keep them"]
    assert "primary" in buttons["Switch the policy on"]
    assert "solid" not in buttons["Delete 4 tags now"]
    actions = [form.attrs["action"] for form in main.all("form")]
    assert actions[0] == f"{PAGE}/{number}/switch"
    site.owner.post(actions[0], {"on": "1"})
    assert site.row(RetentionPolicy).is_enabled
    assert "Switch the policy on" not in site.owner.get(address).text


@pytest.mark.both_databases
def test_a_dry_run_of_settings_that_were_changed_since_switches_nothing_on(site):
    address, number = create(site)
    site.owner.post(f"{PAGE}/{number}", {"keep_last": "1"})
    assert "Switch the policy on" not in site.owner.get(address).text
    site.owner.post(f"{PAGE}/{number}/delete")
    assert site.owner.get(address).status_code == 200


def test_a_policy_that_is_on_removes_each_day_what_its_dry_run_showed(site, graph):
    _, number = create(site, images="web")
    assert "The policy is on." in switch_on(site, number).text
    run(site)
    assert sorted(graph.tags[IMAGE]) == ["v1", "v2"]
    assert len(graph.tags["acme/app/other"]) == 4
    done = site.rows(Removal)[-1]
    assert (done.kind, done.state, done.requested_by) == ("retention", "done", "-/worker")
    row = site.row(RetentionPolicy)
    assert row.last_removal == done.id
    assert f"/-/removals/{done.id}" in site.owner.get(PAGE).text
    count = len(site.rows(Removal))
    run(site)  # it has had its turn today
    assert len(site.rows(Removal)) == count
    site.change(RetentionPolicy, {"last_run_at": utc_now() - timedelta(days=1)})
    run(site)
    assert site.rows(Removal)[-1].total == 0
    assert site.rows(Removal)[-1].state == "done"


def test_a_tag_that_was_pushed_and_whose_event_was_lost_is_not_old(site, graph):
    _, number = create(site, images="web")
    switch_on(site, number)
    new = graph.image("pushed an hour ago")
    graph.tag(IMAGE, v4=new)
    run(site)
    assert graph.tags[IMAGE]["v4"] == new
    assert sorted(graph.tags[IMAGE]) == ["v1", "v2", "v4"]
    address, _ = create(site, images="web")
    page = Page(site.owner.get(address).text)
    assert f"so they stay: {IMAGE}:v4" in page.text


def test_events_that_wait_are_heeded_first(site, graph):
    _, number = create(site, images="web", keep_pulled_days="7")
    switch_on(site, number)
    with mock.patch.object(registry_events, "enqueue"):
        site.deliver(event_of("pull", IMAGE, "v4", digest=graph.tags[IMAGE]["v4"]))
    run(site)
    assert sorted(graph.tags[IMAGE]) == ["v1", "v2", "v4"]


def test_settings_of_which_nobody_saw_a_dry_run_can_not_be_switched_on(site, graph):
    _, number = create(site)
    switch_on(site, number)
    site.change(RetentionPolicy, {"keep_last": 1, "is_enabled": False})
    assert "Make a dry run of these settings first" in switch_on(site, number).text
    assert not site.row(RetentionPolicy).is_enabled
    site.owner.post(f"{PAGE}/{number}/dry-run")
    switch_on(site, number)
    assert site.row(RetentionPolicy).is_enabled


def test_changed_settings_are_off_until_they_are_switched_on_again(site, graph):
    _, number = create(site)
    switch_on(site, number)
    site.owner.post(f"{PAGE}/{number}", {"keep_last": "1"})
    assert not site.row(RetentionPolicy).is_enabled
    run(site)
    assert len(graph.tags[IMAGE]) == 4


@pytest.mark.parametrize("what", ["", "/delete", "/switch"], ids=["changed", "deleted", "off"])
def test_a_policy_that_changes_while_others_have_their_turn_does_not_run(
    site, graph, monkeypatch, what
):
    site.project("acme/another")
    site.owner.post("/acme/another/-/retention", {"keep_last": "1"})
    site.owner.post(f"/acme/another/-/retention/{site.row(RetentionPolicy).id}/switch", {"on": "1"})
    _, number = create(site)
    switch_on(site, number)
    plan_of, planned = retention.plan_of, []

    def plan_and_meddle(place, rules):
        planned.append(place.path)
        if len(planned) == 1:
            site.owner.post(f"{PAGE}/{number}{what}", {"keep_last": "1"})
        return plan_of(place, rules)

    with site.app.app_context():
        monkeypatch.setattr(retention, "plan_of", plan_and_meddle)
        tasks.run_retention()
    assert planned[0] == "acme/another"
    assert len(graph.tags[IMAGE]) == 4


@pytest.mark.both_databases
def test_settings_that_change_while_somebody_switches_them_on_stay_off(site, monkeypatch):
    _, number = create(site)
    other, record, threads = site.browser("owner"), retention.record, []

    def switch_meanwhile(session, actor, action, *args, **more):
        if action == "retention.save":
            switch = f"{PAGE}/{number}/switch"
            threads.append(threading.Thread(target=other.post, args=(switch, {"on": "1"})))
            threads[0].start()
            threads[0].join(0.5)  # it can't end before this transaction does
        record(session, actor, action, *args, **more)

    with site.app.app_context():
        place = db.session.scalars(select(Place).where(Place.path == "acme/app")).one()
        monkeypatch.setattr(retention, "record", switch_meanwhile)
        retention.save(ACTOR, place, Rules(keep_last=1), number)
    threads[0].join(60)
    row = site.row(RetentionPolicy)
    assert (row.keep_last, row.is_enabled) == (1, False)


def test_settings_that_are_saved_as_they_were_stay_on(site, graph):
    _, number = create(site)
    switch_on(site, number)
    site.owner.post(f"{PAGE}/{number}", {"keep_last": "2"})
    assert site.row(RetentionPolicy).is_enabled


def test_of_two_policies_of_a_place_the_second_has_its_turn_after_the_first(site, graph):
    for images in ("web", "other"):
        _, number = create(site, images=images)
        switch_on(site, number)
    run(site)
    assert [row.last_run_at is None for row in site.rows(RetentionPolicy)] == [False, True]
    run(site)
    assert [row.last_problem for row in site.rows(RetentionPolicy)] == ["", ""]
    assert {path: sorted(tags) for path, tags in graph.tags.items()} == {
        IMAGE: ["v1", "v2"],
        "acme/app/other": ["v1", "v2"],
    }


def test_a_policy_of_a_namespace_holds_for_every_image_below(site, graph):
    site.owner.post("/acme/-/retention", {"keep_last": "1"})
    number = site.row(RetentionPolicy).id
    site.owner.post(f"/acme/-/retention/{number}/switch", {"on": "1"})
    run(site)
    assert {path: list(tags) for path, tags in graph.tags.items()} == {
        IMAGE: ["v1"],
        "acme/app/other": ["v1"],
    }


def test_signatures_go_with_their_image_and_stay_with_the_others(site, graph):
    old, new = graph.tags[IMAGE]["v4"], graph.tags[IMAGE]["v1"]
    proofs = [digest.replace(":", "-") + ".sig" for digest in (old, new)]
    graph.tag(IMAGE, **{proof: graph.image(proof) for proof in proofs})
    adopt(site)
    _, number = create(site, images="web")
    switch_on(site, number)
    run(site)
    assert sorted(graph.tags[IMAGE]) == sorted([proofs[1], "v1", "v2"])


def test_a_registry_that_is_down_is_noted_and_the_policy_stays_on(site, graph):
    _, number = create(site)
    switch_on(site, number)

    def down(_asked):
        raise ConnectionError

    graph.before = down
    run(site)
    row = site.row(RetentionPolicy)
    assert "could not be asked" in row.last_problem
    assert row.is_enabled
    assert "could not be asked" in site.owner.get(PAGE).text


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"keep_last": ""}, "keep_last"),
        ({"keep_last": "", "keep_matching": "v*"}, "keep_last"),
        ({"keep_last": "", "keep_pulled_days": "3"}, "keep_last"),
        ({"keep_last": "0"}, "keep_last"),
        ({"keep_last": "-1"}, "keep_last"),
        ({"keep_last": "many"}, "keep_last"),
        ({"older_than_days": "9" * 40}, "older_than_days"),
        ({"keep_matching": "(", "pattern_kind": "regex"}, "keep_matching"),
        ({"images": "x" * 256}, "images"),
        ({"images": "Web"}, "images"),
        ({"keep_matching": "{v*,keep}"}, "keep_matching"),
        ({"pattern_kind": "perl"}, "pattern_kind"),
    ],
)
def test_settings_that_can_not_be_used_or_limit_nothing_are_refused(site, form, field):
    answer = site.owner.post(PAGE, {"keep_last": "2", **form})
    assert answer.status_code == 422
    assert f'id="{field}-error"' in answer.text
    assert site.rows(RetentionPolicy) == []


def test_a_policy_is_found_in_its_own_place_only(site):
    _, number = create(site)
    site.project("acme/other")
    for what in ("dry-run", "switch", "delete"):
        assert site.owner.post(f"/acme/other/-/retention/{number}/{what}").status_code == 404
    assert site.owner.get(f"/acme/other/-/retention/{number}").status_code == 404
    site.owner.post(f"{PAGE}/{number}/delete")
    assert site.rows(RetentionPolicy) == []
