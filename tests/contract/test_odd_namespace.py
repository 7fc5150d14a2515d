"""A namespace with a damaged tag, a build cache, and an image of schema 1, from start to end."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from registry_ui.catalog import live_tags
from registry_ui.db.session import db
from registry_ui.distribution import transport
from registry_ui.models import Namespace, Place, Tag, utc_now
from registry_ui.removals import service as removals
from registry_ui.retention import service as retention
from registry_ui.retention.rules import Rules
from tests.contract.mover import Mover
from tests.support import registry as registries
from tests.support.hostile_storage import ODD, ORDINARY, HostileStorage
from tests.support.live_removals import run_removal
from tests.support.market import Market
from tests.support.pulls import assert_whole, pullable
from tests.web.support import ACTOR

pytestmark = pytest.mark.contract

#: What each image has beside its two ordinary tags.
IMAGES = {
    "damaged": "empty link",
    "cache": "build cache",
    "legacy": "schema 1",
    "plain": ORDINARY,
}


@pytest.fixture(scope="module")
def live_registry(schema1_registry: registries.Registry) -> registries.Registry:
    """The registry of the mover."""
    return schema1_registry


@pytest.fixture
def site(mover: Mover, hostile: HostileStorage, monkeypatch: pytest.MonkeyPatch) -> Mover:
    """A namespace ``team`` with one project of these images, as a check found them."""
    monkeypatch.setattr(transport, "PAUSES", (0.0,))
    monkeypatch.setattr(live_tags, "PAUSES", (0.0,))
    mover.shop = f"{mover.root}/team/shop"
    mover.project(mover.shop)
    for image, what in IMAGES.items():
        hostile.plant(what, mover.registry, f"{mover.shop}/{image}")
        assert mover.reconcile(f"{mover.shop}/{image}").error is None
    return mover


def readable(site: Mover, *ordinary: str) -> dict[str, set[str]]:
    """Return the tags that have to be readable of each image, if these ordinary ones are left."""
    odd = {"cache", "legacy"} if site.registry.version == "2.8" else {"cache"}
    return {image: {*ordinary, *({ODD} if image in odd else ())} for image in IMAGES}


def taken(site: Mover) -> dict[str, set[str]]:
    """Return what another name has of that: 3.x takes no index that lists layers."""
    whole = readable(site, "2.0")
    return whole if site.registry.version == "2.8" else {**whole, "cache": {"2.0"}}


def found(site: Mover, project: str) -> dict[str, set[str]]:
    """Return the tags that can be pulled of each image of a project."""
    return {image: set(pullable(site, f"{project}/{image}")) for image in IMAGES}


def unread(site: Mover) -> list[str]:
    """Return the tags that every plan has to name as unread, in the order of their names."""
    images = ["damaged"] if site.registry.version == "2.8" else ["damaged", "legacy"]
    return [f"{site.shop}/{image}:{ODD}" for image in images]


def clean(site: Mover) -> None:
    """Let a policy of the namespace remove all old tags but two."""
    old = utc_now() - timedelta(days=90)
    site.change(Tag, {"pushed_at": old, "age_from": old})
    with site.app.app_context():
        team = db.session.scalars(select(Namespace).where(Namespace.path == f"{site.root}/team"))
        place = team.one()
        rules = Rules(images="**", older_than_days=30, keep_matching=f"2.0,{ODD}")
        started = removals.start(ACTOR, retention.plan_of(place, rules), place).id
    assert sorted(run_removal(site, started).preview["unread"]) == unread(site)


def copy_all(site: Mover, market: Market) -> None:
    """Copy all tags of each image to another project."""
    for image in IMAGES:
        plan = market.plan(source=image, image=image)
        named = [one for one in unread(site) if f"/{image}:" in one]
        assert plan.preview["unread"] == named
        copy = market.confirm(plan)
        whole = taken(site)[image] == readable(site, "2.0")[image]
        assert copy.state == ("done" if whole else "failed"), copy.report


def move_namespace(site: Mover, target: str) -> int:
    """Move the namespace, and agree to what is left out."""
    move_id = site.planned(target, path=f"{site.root}/team")
    assert sorted(site.move(move_id).preview["unread"]) == unread(site)
    move = site.send(move_id, "confirm", confirm=f"{site.root}/team", leave_out="1")
    assert move.state == "grace"
    assert bool(move.problem) == (taken(site) != readable(site, "2.0")), move.problem
    page = site.page(f"/{target}/-/moves/{move_id}", "owner").text
    assert f"left out, because they can't be read: {ODD}" in page
    return move_id


def delete_namespace(site: Mover, path: str) -> None:
    result = site.app.test_cli_runner().invoke(args=["namespace", "delete", path, "--yes"])
    assert result.exit_code == 0, result.output
    assert site.rows(Place, path=path) == []


@pytest.mark.both_databases
def test_a_namespace_with_odd_images_is_cleaned_copied_moved_and_deleted(site, hostile):
    stock = {image: hostile.manifests(what) for image, what in IMAGES.items()}
    market = Market(site)

    clean(site)
    assert found(site, site.shop) == readable(site, "2.0")

    copy_all(site, market)
    assert found(site, market.stall) == taken(site)
    assert found(site, site.shop) == readable(site, "2.0")

    old, new = site.shop, f"{site.root}/crew/shop"
    move_id = move_namespace(site, f"{site.root}/crew")
    assert found(site, new) == taken(site)
    for project in (market.stall, new):
        for image, tags in found(site, project).items():
            for tag in tags:
                assert_whole(site, f"{project}/{image}", stock[image][tag])

    retired = site.send(move_id, "retire")
    if taken(site) != readable(site, "2.0"):
        assert retired.state == "grace"
        assert found(site, old)["cache"] == {ODD}, "what could not be moved is kept"
        retired = site.send(move_id, "retire", everything="1")
    assert retired.state == "done", retired.problem
    delete_namespace(site, f"{site.root}/crew")
    delete_namespace(site, f"{site.root}/deep")
    for project in (old, new, market.stall):
        for image in IMAGES:
            assert site.pusher.tags(f"{project}/{image}") == []
    assert site.rows(Tag) == []
