"""Deleting tags that were ticked, or that have something in common: by a stored plan."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest

from registry_ui.jobs.pruning import prune
from registry_ui.models import Manifest, Removal, Tag, utc_now
from registry_ui.tags.table import TableQuery
from registry_ui.web import images
from tests.support.html import Page
from tests.support.removals import IMAGE, adopt, names, open_project, whole
from tests.web.graph import Graph
from tests.web.support import ACTOR

LIST = "/acme/app/-/images/web"
PAGE = f"{LIST}/-/delete-tags"
BOTH = pytest.mark.parametrize("graph", [False, True], ids=["2.8", "3.x"], indirect=True)


@pytest.fixture
def graph(request, registry):
    made = Graph(by_tag=getattr(request, "param", True))
    registry.answer = made
    return made


@pytest.fixture
def site(served):
    open_project(served)
    return served


def plan(site, **form):
    """Ask for a plan; return the address of its page."""
    answer = site.owner.post(PAGE, form)
    assert answer.status_code == 302, answer.text
    return answer.headers["Location"]


def carry_out(site, **form):
    address = plan(site, **form)
    assert site.owner.post(f"{address}/confirm").status_code == 302
    return address


@BOTH
def test_chosen_tags_go_with_the_manifests_that_only_they_need(site, graph):
    one, two, shared = graph.image("one"), graph.image("two"), graph.image("shared")
    kept = graph.index(shared, two)
    gone = graph.index(shared, one)
    graph.tag(IMAGE, v1=gone, v2=kept, also=kept, v3=two)
    adopt(site)
    carry_out(site, chosen=["v1", "also", "v3"])
    assert graph.tags[IMAGE] == {"v2": kept}
    assert whole(graph, kept)
    assert gone not in graph.manifests
    assert one not in graph.manifests
    assert names(site) == ["v2"]
    assert site.row(Removal).state == "done"


def test_a_plan_is_stored_shown_and_changes_nothing_until_it_is_confirmed(site, graph):
    graph.tag(IMAGE, v1=graph.image("one"), v2=graph.image("two"))
    adopt(site)
    before = dict(graph.tags[IMAGE])
    page = Page(site.owner.get(plan(site, chosen=["v1"])).text)
    assert f"{IMAGE}:v1" in page.section("What goes")
    assert "1 manifest" in page.section("What goes")
    assert site.row(Removal).state == "planned"
    assert graph.tags[IMAGE] == before


def test_what_was_planned_is_done_and_nothing_else(site, graph):
    one, two, new = graph.image("one"), graph.image("two"), graph.image("new")
    graph.tag(IMAGE, a1=one, a2=two)
    adopt(site)
    address = plan(site, pattern="a*")
    graph.tag(IMAGE, a2=new, a3=graph.image("three"))
    site.owner.post(f"{address}/confirm")
    assert graph.tags[IMAGE] == {"a2": new, "a3": graph.tags[IMAGE]["a3"]}
    outcomes = {line["reference"]: line["outcome"] for line in site.report()}
    assert outcomes[f"{IMAGE}:a1"] == "deleted"
    assert outcomes[f"{IMAGE}:a2"] == "kept"


def test_a_manifest_that_somebody_tags_since_the_preview_stays(site, graph):
    one = graph.image("one")
    both = graph.index(one)
    graph.tag(IMAGE, v1=both, other=graph.image("other"))
    adopt(site)
    address = plan(site, chosen=["v1"])
    graph.tag(IMAGE, rescued=one)
    site.owner.post(f"{address}/confirm")
    assert one in graph.manifests
    assert both not in graph.manifests


def test_a_plan_is_carried_out_once(site, graph):
    graph.tag(IMAGE, v1=graph.image("one"), v2=graph.image("two"))
    adopt(site)
    address = carry_out(site, chosen=["v1"])
    assert site.owner.post(f"{address}/confirm").status_code == 409
    assert site.owner.post(f"{address}/cancel").status_code == 409


def test_a_discarded_plan_can_not_be_confirmed(site, graph):
    graph.tag(IMAGE, v1=graph.image("one"))
    adopt(site)
    address = plan(site, chosen=["v1"])
    site.owner.post(f"{address}/cancel")
    assert site.row(Removal).state == "cancelled"
    page = site.owner.get(address).text
    assert "The plan was discarded. Nothing was deleted." in page
    assert "<progress" not in page
    assert site.owner.post(f"{address}/confirm").status_code == 409
    assert list(graph.tags[IMAGE]) == ["v1"]


@pytest.mark.parametrize(
    ("form", "left"),
    [
        ({"pattern": "pr-*"}, ["1.0", "10", "xpr-1"]),
        ({"pattern": "?.?"}, ["10", "pr-1", "pr-22", "xpr-1"]),
        ({"pattern": r"pr-\d", "kind": "regex"}, ["1.0", "10", "pr-22", "xpr-1"]),
        ({"pattern": "1|10", "kind": "regex"}, ["1.0", "pr-1", "pr-22", "xpr-1"]),
        ({"all": "1", "q": "PR"}, ["1.0", "10"]),
        ({"all": "1", "q": "pr", "pattern": "*2"}, ["1.0", "10", "pr-1", "xpr-1"]),
        ({"all": "1"}, []),
    ],
)
def test_tags_go_by_what_they_match_as_a_whole(site, graph, form, left):
    every = ("1.0", "10", "pr-1", "pr-22", "xpr-1")
    graph.tag(IMAGE, **{tag: graph.image(tag) for tag in every})
    adopt(site)
    carry_out(site, **form)
    assert sorted(graph.tags[IMAGE]) == left


def test_a_plan_counts_the_tags_that_go_and_names_them_in_the_order_of_versions(site, graph):
    graph.tag(IMAGE, **{tag: graph.image(tag) for tag in ("1.10", "1.9", "2.0", "2.0-rc1")})
    adopt(site)
    goes = Page(site.owner.get(plan(site, all="1")).text).section("What goes")
    assert goes.startswith("4 tags")
    named = [word.rpartition(":")[2] for word in goes.split() if word.startswith(IMAGE)]
    assert named == ["1.9", "1.10", "2.0-rc1", "2.0"]


def test_who_ticked_nothing_is_told_so(site, graph):
    graph.tag(IMAGE, v1=graph.image("one"))
    adopt(site)
    words = "No tag was ticked"
    assert words in site.owner.get(f"{PAGE}?ticked=1").text
    assert words not in site.owner.get(f"{PAGE}?ticked=1&chosen=v1").text
    assert words not in site.owner.get(PAGE).text
    assert 'name="ticked"' in site.owner.get(LIST).text


def test_tags_go_by_age_and_those_of_unknown_age_stay(site, graph):
    graph.tag(IMAGE, old=graph.image("old"), new=graph.image("new"), unknown=graph.image("x"))
    for tag in ("built", "found"):
        graph.tag(IMAGE, **{tag: graph.image(tag, created="2020-01-01T00:00:00Z")})
    adopt(site)
    site.owner.get(LIST)  # learns the facts
    site.change(Tag, {"pushed_at": utc_now() - timedelta(days=31), "age_from": None}, name="old")
    site.change(Tag, {"pushed_at": utc_now() - timedelta(days=29), "age_from": None}, name="new")
    site.change(Tag, {"age_from": utc_now() - timedelta(days=31)}, name="built")
    carry_out(site, days="30")
    assert sorted(graph.tags[IMAGE]) == ["found", "new", "unknown"]


def signed(graph):
    """An image under v1 and v2, another under v3, and signatures of both."""
    one, three = graph.image("one"), graph.image("three")
    proofs = {
        digest.replace(":", "-") + ".sig": graph.image(f"proof {digest}") for digest in (one, three)
    }
    graph.tag(IMAGE, v1=one, v2=one, v3=three, **proofs)
    first, second = proofs
    return first, second


def test_signatures_go_with_what_they_sign_if_that_is_wished(site, graph):
    of_one, of_three = signed(graph)
    adopt(site)
    carry_out(site, chosen=["v1", "v3"], attached="1")
    assert sorted(graph.tags[IMAGE]) == sorted([of_one, "v2"])
    assert of_three not in graph.tags[IMAGE]


def test_signatures_stay_otherwise_and_are_never_matched(site, graph):
    proofs = signed(graph)
    adopt(site)
    carry_out(site, pattern="*")
    assert sorted(graph.tags[IMAGE]) == sorted(proofs)


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"pattern": "nothing-*"},
        {"chosen": ["absent"]},
        {"pattern": "(", "kind": "regex"},
        {"pattern": "(?=x)", "kind": "regex"},
        {"pattern": "x" * 201},
        {"pattern": "a", "kind": "perl"},
        {"days": "0"},
        {"days": "-1"},
        {"days": "soon"},
        {"days": "9" * 30},
        {"days": "٣"},
    ],
)
def test_a_form_that_asks_for_nothing_or_nonsense_plans_nothing(site, graph, form):
    graph.tag(IMAGE, v1=graph.image("one"))
    adopt(site)
    answer = site.owner.post(PAGE, form)
    assert answer.status_code == 422
    assert site.rows(Removal) == []


def test_ticks_are_carried_from_page_to_page_in_the_address(site, graph, monkeypatch):
    monkeypatch.setattr(images, "TableQuery", partial(TableQuery, per_page=2))
    image = graph.image("one")
    graph.tag(IMAGE, t0=image, t1=image, t2=image, t3=image, t4=image)
    adopt(site)
    page = Page(site.owner.get(f"{LIST}?chosen=t0&chosen=t3&page=2").text)
    boxes = {b.attrs["value"]: b.attrs for b in page.all("input") if b.attrs["name"] == "chosen"}
    assert boxes.keys() == {"t0", "t2", "t3"}
    assert boxes["t0"]["type"] == "hidden"
    assert "checked" in boxes["t3"]
    assert "checked" not in boxes["t2"]
    assert page.links["Next"] == f"{LIST}?chosen=t0&chosen=t3&page=3"


def test_who_may_not_delete_is_offered_to_copy_what_is_ticked_alone(site, graph):
    graph.tag(IMAGE, v1=graph.image("one"))
    adopt(site)
    site.users("developer")
    site.member("acme", "developer", "developer")
    text = site.browser("developer").get(LIST).text
    assert "Copy chosen" in text
    assert "Delete" not in Page(text).text
    assert "delete-tags" not in text


def test_a_plan_of_another_project_is_not_found(site, graph):
    graph.tag(IMAGE, v1=graph.image("one"))
    adopt(site)
    number = plan(site, chosen=["v1"]).rpartition("/")[2]
    site.project("acme/other")
    assert site.owner.post(f"/acme/other/-/removals/{number}/confirm").status_code == 404
    assert ACTOR.name not in {row.requested_by for row in site.rows(Removal)}


def test_a_tag_that_a_rule_keeps_stays_and_the_plan_says_why(site, graph):
    one, two = graph.image("one"), graph.image("two")
    graph.tag(IMAGE, v1=graph.index(one), v2=one, v3=two)
    adopt(site)
    site.rule("acme/app", "v1")
    address = plan(site, pattern="*")
    stays = Page(site.owner.get(address).text).section("What stays")
    assert "tag v1 is immutable in" in stays
    assert f"{IMAGE}:v1" in stays
    site.owner.post(f"{address}/confirm")
    assert list(graph.tags[IMAGE]) == ["v1"]
    assert whole(graph, graph.tags[IMAGE]["v1"])
    site.owner.post(f"{LIST}/-/delete", {"confirm": IMAGE})
    assert list(graph.tags[IMAGE]) == ["v1"]
    assert whole(graph, graph.tags[IMAGE]["v1"])


def test_a_plan_that_nobody_confirms_is_forgotten_after_a_day(site, graph):
    graph.tag(IMAGE, v1=graph.image("one"))
    adopt(site)
    plan(site, chosen=["v1"])
    with site.app.app_context():
        prune()
    assert len(site.rows(Removal)) == 1
    site.change(Removal, {"created_at": utc_now() - timedelta(days=2)})
    with site.app.app_context():
        prune()
    assert site.rows(Removal) == []


def test_what_cannot_be_read_leaves_the_manifests_alone(site, graph):
    """A kept index that the registry does not give may hold anything."""
    one = graph.image("one")
    graph.tag(IMAGE, v1=one, v2=graph.index(one), v3=graph.image("three"))
    adopt(site)

    def break_off(asked):
        if asked.method == "GET" and asked.path.endswith(graph.tags[IMAGE].get("v2", "-")):
            raise ConnectionError

    graph.before = break_off
    with site.session() as session:
        session.query(Manifest).delete()
        session.commit()
    address = plan(site, chosen=["v3"])
    assert "could be read" in site.owner.get(address).text
    site.owner.post(f"{address}/confirm")
    assert sorted(graph.tags[IMAGE]) == ["v1", "v2"]
    assert len(graph.manifests) == 3


def test_signatures_of_a_tag_that_a_rule_keeps_stay_too(site, graph):
    """Of its platforms as well; those of other tags go."""
    one, two = graph.image("one"), graph.image("two")
    graph.tag(IMAGE, v1=graph.index(one), v2=two)
    signed = {digest: digest.replace(":", "-") + ".sig" for digest in (one, two)}
    for digest, tag in signed.items():
        graph.tag(IMAGE, **{tag: graph.image(f"signature of {digest}")})
    adopt(site)
    site.rule("acme/app", "v1")
    address = plan(site, chosen=["v2", *signed.values()])
    stays = Page(site.owner.get(address).text).section("What stays")
    assert f"tag {signed[one]} belongs to v1, which is immutable in {IMAGE}" in stays
    site.owner.post(f"{address}/confirm")
    assert set(graph.tags[IMAGE]) == {"v1", signed[one]}
