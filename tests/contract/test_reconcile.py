"""Reconcile: the index comes to say what the registry has, and loses nothing by an error."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from unittest import mock

import pytest

from registry_ui.demo.images import Manifest, index
from registry_ui.distribution.errors import RegistryError, RegistryUnavailable
from registry_ui.jobs.reconciliation import reconcile_all
from registry_ui.models import ContainerImage, Tag, UnassignedRepository
from tests.support.html import Page
from tests.support.live import LiveSite, tiny
from tests.web.support import event_of

pytestmark = pytest.mark.contract

ONE, TWO = tiny("one"), tiny("two")
BOTH = index([ONE, tiny("arm", platform="linux/arm64")])


def told(site: LiveSite, repository: str, tag: str, manifest: Manifest) -> None:
    """Let the index know of a push as the registry would have told it, long ago."""
    long_ago = datetime.now(UTC) - timedelta(days=1)
    event = event_of("push", repository, tag, digest=manifest.digest, by="pusher", at=long_ago)
    assert site.deliver(event).status_code == 202
    site.change(Tag, {"seen_at": long_ago}, name=tag)


# -- adopting --------------------------------------------------------------------


def test_images_below_a_project_are_indexed_at_any_depth(shop):
    names = [shop.shop, f"{shop.shop}/app", f"{shop.shop}/a/b/c/d"]
    for name in names:
        shop.push(name, {"1.0": ONE, "both": BOTH})
    outcomes = shop.reconcile_all()
    found = {name: (o.owned, o.tags, o.added) for name, o in outcomes.items()}
    assert found == dict.fromkeys(names, (True, 2, 2))
    for name in names:
        assert shop.index(name) == {"1.0": ONE.digest, "both": BOTH.digest}
    assert {image.name for image in shop.rows(ContainerImage)} == {"", "app", "a/b/c/d"}


def test_what_no_project_owns_is_unassigned(shop):
    stray, near = f"{shop.root}/stray", f"{shop.root}/shop-two/app"
    shop.push(stray, {"1.0": ONE, "2.0": TWO})
    shop.push(near, {"1.0": ONE})
    shop.reconcile_all()
    counts = {
        row.path: row.tag_count
        for row in shop.rows(UnassignedRepository)
        if row.path.startswith(shop.root)
    }
    assert counts == {stray: 2, near: 1}
    assert shop.rows(ContainerImage) == []


def test_an_unassigned_repository_that_was_emptied_stays_while_the_registry_lists_it(shop):
    stray = f"{shop.root}/stray"
    shop.push(stray, {"1.0": ONE})
    shop.reconcile_all()
    shop.pusher.delete(stray, ONE.digest)
    shop.reconcile_all()
    assert shop.row(UnassignedRepository, path=stray).tag_count == 0


@pytest.mark.both_databases
def test_an_unassigned_repository_removed_from_the_registrys_disk_is_forgotten(own_site):
    stray = f"{own_site.root}/stray"
    own_site.push(stray, {"1.0": ONE})
    own_site.reconcile_all()
    below = own_site.registry.home / "data" / "docker" / "registry" / "v2" / "repositories"
    shutil.rmtree(below / stray)
    own_site.reconcile_all()
    assert own_site.rows(UnassignedRepository, path=stray) == []


def test_a_project_created_over_unassigned_repositories_adopts_them(site):
    site.user("admin", admin=True)
    site.namespace(site.root)
    shop, app = f"{site.root}/shop", f"{site.root}/shop/deep/app"
    for name in (shop, app, f"{site.root}/other"):
        site.push(name, {"1.0": ONE})
    site.reconcile_all()
    form = {"parent": site.root, "name": "shop", "visibility": "private"}
    answer = site.browser("admin").post("/-/new/project", form, follow_redirects=True)
    assert answer.request.path == f"/{shop}"
    assert site.index(shop) == site.index(app) == {"1.0": ONE.digest}
    assert site.index(f"{site.root}/other") is None
    left = [r.path for r in site.rows(UnassignedRepository) if r.path.startswith(site.root)]
    assert left == [f"{site.root}/other"]
    assert "app" in Page(site.browser("admin").get(f"/{shop}").text).text


# -- mending ---------------------------------------------------------------------


def test_missed_pushes_and_deletions_are_made_up_for(shop):
    image = f"{shop.shop}/app"
    shop.push(image, {"same": ONE, "moved": ONE, "gone": TWO})
    for tag, manifest in {"same": ONE, "moved": ONE, "gone": TWO}.items():
        told(shop, image, tag, manifest)
    shop.pusher.delete(image, TWO.digest)
    shop.push(image, {"moved": BOTH, "new": BOTH})
    outcome = shop.reconcile(image)
    assert (outcome.added, outcome.changed, outcome.removed) == (1, 1, 1)
    now = {"same": ONE.digest, "moved": BOTH.digest, "new": BOTH.digest}
    assert shop.live(image) == shop.index(image) == now
    assert shop.row(ContainerImage).tag_count == 3


def test_who_pushed_is_kept_for_what_did_not_move_and_dropped_for_what_did(shop):
    image = f"{shop.shop}/app"
    shop.push(image, {"same": ONE, "moved": ONE})
    for tag in ("same", "moved"):
        told(shop, image, tag, ONE)
    shop.push(image, {"moved": TWO})
    shop.reconcile(image)
    pushers = {tag.name: (tag.pushed_by, tag.pushed_at is None) for tag in shop.rows(Tag)}
    assert pushers == {"same": ("pusher", False), "moved": (None, True)}


def test_upper_and_lower_case_are_two_tags(shop):
    image = f"{shop.shop}/app"
    shop.push(image, {"v2": ONE, "V2": TWO})
    shop.reconcile(image)
    assert shop.index(image) == {"v2": ONE.digest, "V2": TWO.digest}


def test_a_tag_pushed_while_the_registry_is_asked_is_not_lost(shop):
    image = f"{shop.shop}/app"
    shop.push_and_index(image, {"1.0": ONE})
    client = shop.app.extensions["registry"]
    tags = client.tags

    def tags_before_the_push(repository):
        answer = tags(repository)
        shop.push(image, {"2.0": TWO})
        event = event_of("push", image, "2.0", digest=TWO.digest, by="pusher")
        assert shop.deliver(event).status_code == 202
        return answer

    with shop.patched("tags", tags_before_the_push):
        assert shop.reconcile(image).removed == 0
    assert shop.index(image) == {"1.0": ONE.digest, "2.0": TWO.digest}


def test_an_emptied_image_goes_from_the_index_and_comes_back_with_the_next_push(shop):
    image = f"{shop.shop}/app"
    shop.push_and_index(image, {"1.0": ONE})
    shop.pusher.delete(image, ONE.digest)
    assert shop.reconcile(image).removed == 1
    assert shop.index(image) is None
    shop.push_and_index(image, {"1.0": ONE})
    assert shop.index(image) == {"1.0": ONE.digest}


def test_a_repository_removed_from_the_registrys_disk_goes_from_the_index(own_site):
    gone, stays = f"{own_site.shop}/gone", f"{own_site.shop}/stays"
    for name in (gone, stays):
        own_site.push_and_index(name, {"1.0": ONE})
    below = own_site.registry.home / "data" / "docker" / "registry" / "v2" / "repositories"
    shutil.rmtree(below / gone)
    own_site.reconcile_all()
    assert own_site.index(gone) is None
    assert own_site.index(stays) == {"1.0": ONE.digest}


def test_three_hundred_tags_are_compared_one_by_one(shop):
    image = f"{shop.shop}/agent"
    one = {f"1.{minor}": ONE for minor in range(150)}
    two = {f"2.{minor}": TWO for minor in range(150)}
    shop.push(image, {**one, **two})
    assert shop.reconcile(image).added == 300
    expected = {tag: manifest.digest for tag, manifest in {**one, **two}.items()}
    assert shop.index(image) == expected
    shop.push(image, {"1.77": TWO})
    again = shop.reconcile(image)
    assert (again.added, again.changed, again.removed) == (0, 1, 0)
    assert shop.row(ContainerImage).tag_count == 300


# -- trouble ---------------------------------------------------------------------


@pytest.fixture
def full(own_site):
    """A site whose index knows two images and a stray, with a registry that can be stopped."""
    own_site.push(f"{own_site.shop}/app", {"1.0": ONE, "2.0": TWO})
    own_site.push(own_site.shop, {"both": BOTH})
    own_site.push(f"{own_site.root}/stray", {"1.0": ONE})
    own_site.reconcile_all()
    return own_site


def known(site: LiveSite) -> object:
    """Everything that pages say of the registry."""
    images = {row.path: (row.tag_count, site.index(row.path)) for row in site.rows(ContainerImage)}
    assert len(images) == 2
    return images, [(row.path, row.tag_count) for row in site.rows(UnassignedRepository)]


def test_with_the_registry_down_nothing_changes_and_it_is_said(full):
    before = known(full)
    full.registry.stop()
    assert "reached" in full.reconcile(f"{full.shop}/app").error
    with pytest.raises(RegistryError):
        full.reconcile_all()
    with full.app.app_context():
        reconcile_all()  # the worker's own: it notes the trouble and lives on
    assert known(full) == before
    (noted,) = (r.reconcile_error for r in full.rows(ContainerImage, path=f"{full.shop}/app"))
    assert "reached" in noted
    full.registry.start()
    full.reconcile_all()
    assert known(full) == before
    assert {row.reconcile_error for row in full.rows(ContainerImage)} == {None}


def test_a_registry_that_stops_half_way_through_the_digests_changes_nothing(full):
    before = known(full)
    full.push(f"{full.shop}/app", {"1.0": TWO, "3.0": TWO})

    def stop(_repository, _reference):
        full.registry.stop()
        raise RegistryUnavailable("the registry can't be reached: no connection")

    with full.patched("head", stop):
        assert full.reconcile(f"{full.shop}/app").error
    full.registry.start()
    assert known(full) == before


def test_what_the_catalog_does_not_list_stays(full):
    before = known(full)
    with full.patched("catalog", lambda: iter(())):
        full.reconcile_all()
    assert known(full) == before


def test_a_token_that_the_registry_refuses_changes_nothing(full):
    before = known(full)

    def without_rights(*_arguments):
        return full.app.extensions["signer"].sign("-/registry_ui", []).token

    wire = full.app.extensions["registry"]._transport
    with mock.patch.object(wire, "_token_source", without_rights):
        assert "401" in full.reconcile(f"{full.shop}/app").error
        with pytest.raises(RegistryError):
            full.reconcile_all()
    assert known(full) == before


def test_the_command_reconciles_all_and_fails_where_something_could_not_be_compared(full):
    runner = full.app.test_cli_runner()
    full.push(f"{full.shop}/app", {"3.0": TWO})
    done = runner.invoke(args=["reconcile"])
    assert done.exit_code == 0, done.output
    assert f"{full.shop}/app: 3 tags; 1 new, 0 changed, 0 gone" in done.output
    assert f"{full.root}/stray: 1 tag, unassigned" in done.output
    full.registry.stop()
    for args in (["reconcile"], ["reconcile", f"{full.shop}/app"]):
        assert runner.invoke(args=args).exit_code == 1
    assert "3.0" in full.index(f"{full.shop}/app")


def test_the_button_on_the_page_of_an_image_reconciles_it(shop):
    image = f"{shop.shop}/app"
    shop.push_and_index(image, {"1.0": ONE})
    shop.push(image, {"1.0": TWO, "2.0": TWO})
    browser = shop.browser("maintainer")
    answer = browser.post(f"/{shop.shop}/-/images/app/-/reconcile", follow_redirects=True)
    assert "1 new, 1 changed, 0 gone" in Page(answer.text).text
    assert shop.index(image) == {"1.0": TWO.digest, "2.0": TWO.digest}
