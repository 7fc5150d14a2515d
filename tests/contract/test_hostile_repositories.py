"""Repositories with something odd in them, and all that is done with repositories.

The odd object is named where it can't be read, and everything beside it is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from sqlalchemy import select

from config import Config
from registry_ui.catalog import retention, starting
from registry_ui.catalog.deletion import plan_image, plan_project, plan_tag
from registry_ui.catalog.retention_rules import Rules
from registry_ui.demo.images import OCI, Manifest, encode, index
from registry_ui.extensions import db
from registry_ui.models import Namespace, Project, Removal, Tag, utc_now
from registry_ui.names import TagName, is_binned
from tests.contract.mover import Mover
from tests.contract.test_copies import Market
from tests.support import registry as registries
from tests.support.damage import damage_tag
from tests.support.html import Page
from tests.support.live import LiveSite, tiny
from tests.support.oddities import build_cache, schema1
from tests.web.support import ACTOR

pytestmark = pytest.mark.contract

#: The tag of what is odd; beside it are two ordinary ones.
ODD = "odd"
ONE, TWO = tiny("one"), tiny("two")
#: Bytes of annotations that make a manifest as large as a registry takes it.
LARGE = 4 * 1024 * 1024 - 4096


def damaged(kind: str) -> Callable[[LiveSite, str], None]:
    """Push a tag, and damage it."""

    def push(site: LiveSite, repository: str) -> None:
        site.push(repository, {ODD: tiny(f"{ODD} {site.root}")})
        damage_tag(site.registry, repository, ODD, kind)

    return push


def pushed(make: Callable[[str], Manifest]) -> Callable[[LiveSite, str], None]:
    """Push something that can be read, but is odd."""
    return lambda site, repository: site.push(repository, {ODD: make(site.root)})


def _missing_child(site: LiveSite, repository: str) -> None:
    child = tiny(f"missing {site.root}", platform="linux/arm64")
    site.push(repository, {ODD: index([tiny("amd"), child])})
    site.pusher.delete(repository, child.digest)


def _large(name: str) -> Manifest:
    plain = tiny(f"large {name}")
    body = encode({**plain.json, "annotations": {"filler": "x" * LARGE}})
    return Manifest(OCI.manifest, body, blobs=plain.blobs)


def _many_children(name: str) -> Manifest:
    return index([tiny(f"{name} {n}", platform=f"linux/arm/v{n}") for n in range(64)])


ODDITIES: dict[str, Callable[[LiveSite, str], None]] = {
    "build cache": pushed(build_cache),
    "empty link": damaged("empty link"),
    "missing link": damaged("missing link"),
    "ghost": damaged("ghost"),
    "schema 1": pushed(schema1),
    "missing child": _missing_child,
    "64 children": pushed(_many_children),
    "4 MiB": pushed(_large),
}
UNREADABLE = {"empty link", "missing link", "ghost"}
#: What 2.8 has, but takes from nobody.
NOT_PUSHABLE = {"missing child"}


@pytest.fixture(scope="module")
def live_registry(
    tmp_path_factory: pytest.TempPathFactory, base_config: Config
) -> Iterator[registries.Registry]:
    """A registry that takes all of these: 3.x refuses some."""
    home = tmp_path_factory.mktemp("registry")
    made = registries.new_registry("2.8", home, base_config, schema1=True)
    made.start()
    yield made
    made.stop()


@pytest.fixture(params=ODDITIES)
def oddity(request) -> str:
    """What is odd in the repository."""
    return request.param


@pytest.fixture
def site(mover: Mover, oddity: str) -> Mover:
    """A project with an odd image and an ordinary one, as the index learns of them by a check."""
    for name in ("web", "plain"):
        mover.push(f"{mover.shop}/{name}", {"1.0": ONE, "2.0": TWO})
    ODDITIES[oddity](mover, f"{mover.shop}/web")
    for name in ("web", "plain"):
        assert mover.reconcile(f"{mover.shop}/{name}").error is None
    return mover


def image_of(site: LiveSite, name: str = "web") -> str:
    return f"{site.shop}/{name}"


def named(site: LiveSite, oddity: str, name: str = "web") -> list[str]:
    """What a plan has to name as unread."""
    return [f"{image_of(site, name)}:{ODD}"] if oddity in UNREADABLE else []


def visible(site: LiveSite, repository: str) -> list[str]:
    """The tags that can be pulled, apart from those of the bin."""
    client = site.pusher
    tags = [tag for tag in client.tags(repository) if not is_binned(tag) and tag != ODD]
    return [tag for tag in tags if client.digest(repository, tag)]


def done(site: LiveSite, started: int) -> Removal:
    removal = site.run(started)
    assert removal is not None
    assert removal.state == "done", site.report(started)
    return removal


def test_pages_and_lists_show_the_others_and_name_what_cannot_be_read(site, oddity):
    page = site.page(f"/{site.shop}/-/images/web").text
    assert "1.0" in page
    assert "2.0" in page
    assert ODD in page
    assert ("can't be read" in page) == (oddity in UNREADABLE)
    tag = site.page(f"/{site.shop}/-/images/web/-/tags/{ODD}").text
    assert ("This tag can't be read" in tag) == (oddity in UNREADABLE)
    assert site.row(Tag, name=ODD).is_damaged == (oddity in UNREADABLE)


def test_another_tag_is_deleted(site, oddity):
    removal = done(site, site.start(plan_tag, image_of(site), TagName("1.0")))
    assert removal.preview["unread"] == named(site, oddity)
    assert visible(site, image_of(site)) == ["2.0"]
    assert ODD in site.pusher.tags(image_of(site))


def test_the_image_is_deleted(site, oddity):
    done(site, site.start(plan_image, image_of(site)))
    assert site.pusher.tags(image_of(site)) == []
    assert site.index(image_of(site)) is None


def test_the_project_is_deleted(site, oddity):
    done(site, site.start(plan_project))
    assert [site.pusher.tags(image_of(site, name)) for name in ("web", "plain")] == [[], []]
    assert site.rows(Project, path=site.shop) == []


def test_a_policy_of_the_namespace_removes_the_others_everywhere(site, oddity):
    old = utc_now() - timedelta(days=90)
    site.change(Tag, {"pushed_at": old, "age_from": old})
    with site.app.app_context():
        place = db.session.scalars(select(Namespace).where(Namespace.path == site.root)).one()
        plan = retention.plan_of(place, Rules(images="**", older_than_days=30, keep_matching="2.0"))
        started = starting.start(ACTOR, plan, place).id
    removal = done(site, started)
    assert removal.preview["unread"] == named(site, oddity)
    assert visible(site, image_of(site)) == visible(site, image_of(site, "plain")) == ["2.0"]


def test_all_tags_are_copied_but_those_that_cannot_be_read(site, oddity):
    market = Market(site)
    plan = market.plan()
    assert plan.preview["unread"] == named(site, oddity)
    copy = market.confirm(plan)
    refused = oddity in NOT_PUSHABLE
    assert copy.state == ("failed" if refused else "done")
    expected = ["1.0", "2.0"] if refused or oddity in UNREADABLE else ["1.0", "2.0", ODD]
    assert sorted(site.pusher.tags(market.target)) == expected


def test_the_project_moves_and_what_cannot_be_read_is_left_out_only_if_that_was_agreed_to(
    site, oddity
):
    move_id = site.planned(site.market)
    assert site.move(move_id).preview["unread"] == named(site, oddity)
    if oddity in UNREADABLE:
        owner = site.browser("owner")
        confirm = {"confirm": site.shop}
        refused = owner.post(f"/{site.shop}/-/moves/{move_id}/confirm", confirm)
        assert refused.status_code == 422
        assert f"{image_of(site)}:{ODD}" in Page(refused.text).text
        assert site.move(move_id).state == "planned"
    move = site.send(move_id, "confirm", confirm=site.shop, leave_out="1")
    if oddity in NOT_PUSHABLE:
        # Before anybody was kept from pushing; it is named, and nothing is half moved.
        assert move.state == "failed"
        assert move.problem.startswith(f"{image_of(site)}:{ODD} can't be copied")
        assert site.send(move_id, "cancel").state == "cancelled"
        assert sorted(site.pusher.tags(image_of(site))) == ["1.0", "2.0", ODD]
        return
    assert (move.state, move.problem) == ("grace", "")
    expected = ["1.0", "2.0"] if oddity in UNREADABLE else ["1.0", "2.0", ODD]
    assert sorted(site.pusher.tags(f"{site.market}/web")) == expected
    assert sorted(site.pusher.tags(f"{site.market}/plain")) == ["1.0", "2.0"]
    page = site.page(f"/{site.market}/-/moves/{move_id}", "owner").text
    assert ("left out, because they can't be read: odd" in page) == (oddity in UNREADABLE)
    assert site.send(move_id, "retire").state == "done"
    assert site.pusher.tags(image_of(site)) == []
