"""Repositories with something odd in them, and everything that is done with repositories.

The odd object is named if it can't be read, and everything beside it is done. What 3.x would
refuse from a client, it has in a storage that it was given by 2.8.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

import pytest
from sqlalchemy import select

from registry_ui.catalog import live_tags
from registry_ui.db.session import db
from registry_ui.demo.images import Manifest
from registry_ui.distribution import transport
from registry_ui.garbage_collection import runner
from registry_ui.garbage_collection import service as garbage_collection
from registry_ui.models import GarbageCollection, Namespace, Project, Tag, WriteFreeze, utc_now
from registry_ui.names import TagName
from registry_ui.operations import write_freeze
from registry_ui.removals import service as removals
from registry_ui.removals.planner import plan_image, plan_project, plan_tag
from registry_ui.retention import service as retention
from registry_ui.retention.rules import Rules
from tests.contract.conftest import PATIENCE
from tests.contract.mover import Mover
from tests.support import registry as registries
from tests.support.hostile_storage import MISSING, ODD, ODDITIES, ONE, ORDINARY, HostileStorage
from tests.support.html import Page, rows_of_tags
from tests.support.live import LiveSite, tiny
from tests.support.live_removals import run_removal
from tests.support.market import Market
from tests.support.pulls import assert_whole, digest_of, pullable
from tests.web.support import ACTOR

pytestmark = pytest.mark.contract

UNREADABLE = {"empty link", "missing link", "ghost", "empty manifest"}
#: What a registry has in its storage, but takes from nobody; 3.x refuses a cache as well.
NOT_PUSHABLE = {"2.8": {"missing child"}, "3": {"missing child", "build cache"}}
#: Manifests that the registry's own collector can't read, and at which it ends.
STOPS_THE_COLLECTOR = {"2.8": {"empty manifest"}, "3": {"empty manifest", "schema 1"}}
DOOMED = tiny("doomed")
#: What the list, and the page of the tag, say of what can be read.
LIST_WORDS = {"build cache": "build cache", "schema 1": "Docker schema 1, legacy"}
PAGE_WORDS = {
    **LIST_WORDS,
    "missing child": f"missing from the registry: {MISSING.digest[:19]}…",
    "64 children": "linux/arm/v63",
    "4 MiB": "CMD 4 MiB",
}


@pytest.fixture(scope="module")
def live_registry(schema1_registry: registries.Registry) -> registries.Registry:
    """The registry of the mover."""
    return schema1_registry


def oddities(*enough: str, on_both: Collection[str] = ()) -> pytest.MarkDecorator:
    """Run a test with every oddity.

    Args:
        enough: those that are enough with --lean; the others take the same way as one of them.
        on_both: those of them that run on both databases.
    """
    cases = []
    for name in ODDITIES:
        marks = [] if name in enough else [pytest.mark.thorough]
        marks += [pytest.mark.both_databases] if name in on_both else []
        cases.append(pytest.param(name, marks=marks))
    return pytest.mark.parametrize("oddity", cases)


@pytest.fixture
def site(
    mover: Mover, hostile: HostileStorage, oddity: str, monkeypatch: pytest.MonkeyPatch
) -> Mover:
    """A project with an odd image and an ordinary one, as the index learns of them by a check."""
    # What a registry fails to read is asked for again; here it never recovers.
    monkeypatch.setattr(transport, "PAUSES", (0.0,))
    monkeypatch.setattr(live_tags, "PAUSES", (0.0,))
    hostile.plant(oddity, mover.registry, f"{mover.shop}/web")
    hostile.plant(ORDINARY, mover.registry, f"{mover.shop}/plain")
    for name in ("web", "plain"):
        assert mover.reconcile(f"{mover.shop}/{name}").error is None
    return mover


@pytest.fixture
def odd(hostile: HostileStorage, site: Mover, oddity: str) -> Manifest:
    """What the odd tag stands for, or did before."""
    return hostile.manifests(oddity)[ODD]


@pytest.fixture
def unreadable(site: Mover, oddity: str) -> bool:
    """Whether this registry can't read the odd tag. 3.x does not know schema 1."""
    return oddity in UNREADABLE or (oddity == "schema 1" and site.registry.version == "3")


@pytest.fixture
def named(site: Mover, *, unreadable: bool) -> list[str]:
    """What a plan has to name as unread."""
    return [f"{site.shop}/web:{ODD}"] if unreadable else []


# -- looking -----------------------------------------------------------------------


# Each is read in another way.
@oddities(*ODDITIES)
def test_a_check_marks_what_cannot_be_read_and_the_command_counts_it(site, unreadable, odd):
    result = site.app.test_cli_runner().invoke(args=["reconcile", f"{site.shop}/web"])
    assert result.exit_code == 0, result.output
    damaged = ", 1 can't be read" if unreadable else ""
    assert f"{site.shop}/web: 3 tags; 0 new, 0 changed, 0 gone{damaged}" in result.output
    digests = {row.name: row.digest for row in site.rows(Tag)}
    assert digests["1.0"] == ONE.digest
    assert digests[ODD] == (None if unreadable else odd.digest)
    marked = {row.name for row in site.rows(Tag) if row.is_damaged}
    assert marked == ({ODD} if unreadable else set())


# The list has words for two of them, and for all that can't be read.
@oddities("build cache", "schema 1", "ghost")
def test_the_list_of_tags_shows_all_of_them_and_what_is_odd(site, oddity, unreadable):
    rows = rows_of_tags(site.page(f"/{site.shop}/-/images/web"))
    assert rows.keys() == {"1.0", "2.0", ODD}
    words = "Can't be read" if unreadable else LIST_WORDS.get(oddity, "")
    assert words in rows[ODD]["Tag"]
    for tag in ("1.0", "2.0"):
        assert rows[tag]["Platforms and size"].endswith(" B")
        assert "Can't be read" not in rows[tag]["Tag"]


# Each that can be read has its own words.
@oddities("missing link", *PAGE_WORDS)
def test_the_page_of_the_tag_says_what_is_odd(site, oddity, unreadable, odd):
    page = site.page(f"/{site.shop}/-/images/web/-/tags/{ODD}")
    assert ("This tag can't be read" in page.text) == unreadable
    if not unreadable:
        assert PAGE_WORDS[oddity] in page.text
        assert page.facts["Digest"].startswith(odd.digest)


# A program learns only whether a tag can be read.
@oddities("empty manifest", "missing child")
def test_programs_read_all_tags_and_which_of_them_cannot_be_read(site, unreadable):
    secret = site.access_token("maintainer", "read_registry")
    answer = site.app.test_client().get(
        f"/api/v4/projects/{site.shop}/-/images/web/-/tags",
        headers={"Authorization": f"Bearer {secret}"},
    )
    found = {tag["name"]: tag["unreadable"] for tag in answer.json["tags"]}
    assert found.keys() == {"1.0", "2.0", ODD}
    assert (found["1.0"], found["2.0"]) == (None, None)
    assert bool(found[ODD]) == unreadable


# -- removing ----------------------------------------------------------------------


# What can't be read keeps all manifests; of the others, each refers to its parts differently.
@oddities("empty link", "empty manifest", "build cache", "schema 1", "missing child", "64 children")
def test_another_tag_is_deleted(site, named, unreadable, odd):
    web = f"{site.shop}/web"
    removal = run_removal(site, site.start(plan_tag, web, TagName("1.0")))
    assert removal.preview["unread"] == named
    expected = {"2.0"} if unreadable else {"2.0", ODD}
    assert pullable(site, web).keys() == expected
    assert ODD in site.pusher.tags(web)
    if unreadable:
        # Nobody knows what the odd tag needs, so this repository keeps its manifests.
        assert digest_of(site, web, ONE.digest) == ONE.digest
        assert site.row(Tag, name=ODD).is_damaged
    else:
        assert digest_of(site, web, ONE.digest) is None
        assert_whole(site, web, odd)


# A large one and one with many children are deleted like any other.
@oddities(*UNREADABLE, "build cache", "schema 1", "missing child")
def test_the_odd_tag_is_deleted(site, odd, oddity):
    web = f"{site.shop}/web"
    run_removal(site, site.start(plan_tag, web, TagName(ODD)))
    assert sorted(site.pusher.tags(web)) == ["1.0", "2.0"]
    assert pullable(site, web).keys() == set(site.index(web)) == {"1.0", "2.0"}
    if oddity not in UNREADABLE:
        assert digest_of(site, web, odd.digest) is None
    assert_whole(site, web, ONE)


# The tests of damaged tags delete images with each kind of damage.
@oddities("empty link", "missing child")
def test_the_image_is_deleted(site):
    web = f"{site.shop}/web"
    run_removal(site, site.start(plan_image, web))
    assert site.pusher.tags(web) == []
    assert site.index(web) is None
    assert digest_of(site, web, ONE.digest) is None
    assert pullable(site, f"{site.shop}/plain").keys() == {"1.0", "2.0"}


# A project is deleted image by image.
@oddities("missing link", "build cache")
def test_the_project_is_deleted(site):
    run_removal(site, site.start(plan_project))
    for name in ("web", "plain"):
        assert site.pusher.tags(f"{site.shop}/{name}") == []
        assert digest_of(site, f"{site.shop}/{name}", ONE.digest) is None
    assert site.rows(Project, path=site.shop) == []


# A policy leaves out what can't be read, whatever the reason.
@oddities("empty manifest", "schema 1")
def test_a_policy_of_the_namespace_removes_what_it_can_read_everywhere(
    site, named, unreadable, odd
):
    web, plain = f"{site.shop}/web", f"{site.shop}/plain"
    old = utc_now() - timedelta(days=90)
    site.change(Tag, {"pushed_at": old, "age_from": old})
    with site.app.app_context():
        place = db.session.scalars(select(Namespace).where(Namespace.path == site.root)).one()
        plan = retention.plan_of(place, Rules(images="**", older_than_days=30, keep_matching="2.0"))
        started = removals.start(ACTOR, plan, place).id
    removal = run_removal(site, started)
    assert removal.preview["unread"] == named
    assert pullable(site, web).keys() == pullable(site, plain).keys() == {"2.0"}
    assert (ODD in site.pusher.tags(web)) == unreadable


# -- copying and moving ------------------------------------------------------------


# Each that can be read is copied in another way; all others are left out alike.
@oddities("ghost", "build cache", "schema 1", "missing child", "64 children", "4 MiB")
def test_all_tags_are_copied_but_those_that_cannot_be_read(site, named, unreadable, oddity, odd):
    market = Market(site)
    plan = market.plan()
    assert plan.preview["unread"] == named
    copy = market.confirm(plan)
    refused = oddity in NOT_PUSHABLE[site.registry.version] and not unreadable
    assert copy.state == ("failed" if refused else "done")
    outcomes = {"1.0": "copied", "2.0": "copied"}
    if not unreadable:
        outcomes[ODD] = "refused" if refused else "copied"
    assert market.outcomes(copy) == outcomes
    copied = {tag for tag, outcome in outcomes.items() if outcome == "copied"}
    assert pullable(site, market.target).keys() == copied
    if ODD in copied:
        assert_whole(site, market.target, odd)
    assert ODD in site.pusher.tags(f"{site.shop}/web")


# A move copies as a copy does: one is left out, one is copied, and one is refused.
@oddities("empty link", "build cache", "missing child", on_both=("empty link", "missing child"))
def test_the_project_moves_and_what_cannot_be_read_is_left_out_only_if_that_was_agreed_to(
    site, named, unreadable, oddity, odd
):
    web, market = f"{site.shop}/web", f"{site.market}/web"
    move_id = site.planned(site.market)
    assert site.move(move_id).preview["unread"] == named
    if unreadable:
        confirm = {"confirm": site.shop}
        refused = site.browser("owner").post(f"/{site.shop}/-/moves/{move_id}/confirm", confirm)
        assert refused.status_code == 422
        assert f"{web}:{ODD}" in Page(refused.text).text
        assert site.move(move_id).state == "planned"
    move = site.send(move_id, "confirm", confirm=site.shop, leave_out="1")
    assert move.state == "grace"
    refused = oddity in NOT_PUSHABLE[site.registry.version] and not unreadable
    assert ("could not be copied" in move.problem) == refused
    moved = {"1.0", "2.0"} if unreadable or refused else {"1.0", "2.0", ODD}
    assert pullable(site, market).keys() == moved
    if ODD in moved:
        assert_whole(site, market, odd)
    assert pullable(site, f"{site.market}/plain").keys() == {"1.0", "2.0"}
    page = site.page(f"/{site.market}/-/moves/{move_id}", "owner").text
    assert (f"left out, because they can't be read: {ODD}" in page) == unreadable
    assert (f"because it can't be copied: {ODD}" in page) == refused
    after = site.send(move_id, "retire")
    # What could not be copied stays at the old path, until a person has it deleted.
    assert after.state == ("grace" if refused else "done")
    assert site.pusher.tags(web) == ([ODD] if refused else [])


# -- garbage collection --------------------------------------------------------------


@pytest.fixture
def collected(make_app, own_registry, hostile, oddity, monkeypatch, tmp_path) -> LiveSite:
    """A site whose registry can be collected, and has an odd image and one that is not needed."""
    monkeypatch.setattr(write_freeze, "GRACE", timedelta(0))
    monkeypatch.setattr(transport, "PAUSES", (0.0,))
    monkeypatch.setattr(live_tags, "PAUSES", (0.0,))
    command = (registries.binary(own_registry.version), "garbage-collect")
    app = make_app(
        var=tmp_path,
        registry_url=own_registry.url,
        registry_timeout=PATIENCE,
        token_lifetime=1,
        gc_command=(*command, str(own_registry.home / "config.yml")),
    )
    made = LiveSite(app, own_registry)
    made.open_shop()
    hostile.plant(oddity, own_registry, f"{made.shop}/web")
    made.push(f"{made.shop}/plain", {"doomed": DOOMED, "1.0": ONE})
    made.pusher.delete(f"{made.shop}/plain", DOOMED.digest)
    made.reconcile(f"{made.shop}/web")
    return made


def collect(site: LiveSite) -> GarbageCollection:
    with site.app.app_context():
        started = garbage_collection.begin(ACTOR, dry_run=False).id
        runner.run(started)
    return site.row(GarbageCollection, id=started)


# The collector reads an index with many children, or a large manifest, like any other.
@oddities("empty link", "ghost", "empty manifest", "build cache", "schema 1", "missing child")
def test_garbage_is_collected_around_it(collected, oddity, hostile):
    row = collect(collected)
    assert collected.rows(WriteFreeze) == []
    blobs = collected.registry.home / "data/docker/registry/v2/blobs"
    left = {f"sha256:{data.parent.name}" for data in blobs.glob("sha256/*/*/data")}
    if oddity in STOPS_THE_COLLECTOR[collected.registry.version]:
        assert row.state == "failed"
        assert f"{collected.shop}/web@{hostile.manifests(oddity)[ODD].digest}" in row.problem
        assert DOOMED.digest in left
    else:
        assert (row.state, row.problem) == ("done", "")
        assert left.isdisjoint({DOOMED.digest, *(blob.digest for blob in DOOMED.blobs)})
    for name in ("web", "plain"):
        assert_whole(collected, f"{collected.shop}/{name}", ONE)
    if oddity not in {"ghost", *STOPS_THE_COLLECTOR[collected.registry.version]}:
        assert_whole(collected, f"{collected.shop}/web", hostile.manifests(oddity)[ODD])
