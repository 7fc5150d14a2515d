"""Deleting an image with all its tags, or a project with all its images."""

from __future__ import annotations

import pytest

from registry_ui.demo.artifacts import attestation, chart, signature, signature_tag
from registry_ui.demo.images import DOCKER, Manifest, index
from registry_ui.models import AuditEntry, ContainerImage, Project, Removal
from registry_ui.removals.planner import plan_image, plan_project
from tests.support.html import Page
from tests.support.live import LiveSite, tiny

pytestmark = pytest.mark.contract

ONE, TWO = tiny("one"), tiny("two", family=DOCKER)
AMD, ARM = tiny("amd"), tiny("arm", platform="linux/arm64")
BOTH = index([AMD, ARM, attestation(AMD), attestation(ARM)])
CHART = chart({"apiVersion": "v2", "name": "app", "version": "1.0.0"}, {"values.yaml": "a: 1\n"})


def everything() -> dict[str, Manifest]:
    """Every kind of thing that an image can hold, under its tags."""
    return {
        "1.0": ONE,
        "latest": ONE,
        "docker": TWO,
        "both": BOTH,
        "chart": CHART,
        signature_tag(ONE): signature(ONE, "example.test/app"),
    }


def readable(site: LiveSite, repository: str, *manifests: Manifest) -> set[str]:
    """Which of these manifests, or their children, can still be pulled by digest."""
    parts = {part.digest for manifest in manifests for part in manifest.walk()}
    return {digest for digest in parts if site.pusher.digest(repository, digest)}


def confirm(site: LiveSite, address: str, text: str, username: str = "maintainer") -> Page:
    """Confirm a deletion; return the page where that leads to."""
    return Page(site.confirm(address, text, username, follow_redirects=True).text)


def test_an_image_goes_with_every_tag_and_every_manifest(shop):
    image, tags = f"{shop.shop}/app", everything()
    shop.push_and_index(image, tags)
    page = confirm(shop, f"/{shop.shop}/-/images/app/-/delete", image)
    assert page.table("What was done")[0]["Outcome"] == "deleted"
    assert shop.live(image) == {}
    assert readable(shop, image, *tags.values()) == set()
    assert shop.index(image) is None
    assert shop.row(Removal).state == "done"


def test_without_the_typed_name_nothing_is_deleted(shop):
    image = f"{shop.shop}/app"
    shop.push_and_index(image, {"1.0": ONE})
    answer = shop.confirm(f"/{shop.shop}/-/images/app/-/delete", "app")
    assert answer.status_code == 422
    assert shop.live(image) == {"1.0": ONE.digest}
    assert shop.rows(Removal) == []


def test_the_preview_of_an_image_names_its_tags_and_counts_those_beyond_fifty(shop):
    image = f"{shop.shop}/app"
    shop.push_and_index(image, {f"1.{minor}": ONE for minor in range(53)})
    answer = shop.browser("maintainer").get(f"/{shop.shop}/-/images/app/-/delete")
    goes = Page(answer.text).section("What goes")
    assert goes.count(f"{image}:1.") == 50
    assert "3 more" in goes


def test_the_same_image_under_another_name_stays(shop):
    image, same = f"{shop.shop}/app", f"{shop.shop}/copy"
    below, beside = f"{shop.shop}/app/sub", f"{shop.shop}/application"
    for repository in (image, same, below, beside, shop.shop):
        shop.push_and_index(repository, {"1.0": ONE, "both": BOTH})
    confirm(shop, f"/{shop.shop}/-/images/app/-/delete", image)
    assert shop.live(image) == {}
    for repository in (same, below, beside, shop.shop):
        left = {"1.0": ONE.digest, "both": BOTH.digest}
        assert shop.live(repository) == shop.index(repository) == left
        assert len(readable(shop, repository, BOTH)) == 5


def test_a_tag_pushed_since_the_preview_stays_with_the_children_that_it_shares(shop):
    image = f"{shop.shop}/app"
    shop.push_and_index(image, {"1.0": BOTH, "old": ONE})
    started = shop.start(plan_image, image)
    fresh = index([AMD, tiny("s390x", platform="linux/s390x")])
    shop.push(image, {"2.0": fresh})
    done = shop.run(started)
    assert done.state == "done"
    assert "2.0" in shop.report(done.id)[0]["detail"]
    assert shop.live(image) == {"2.0": fresh.digest}
    assert set(shop.index(image)) == {"2.0"}
    assert readable(shop, image, BOTH, ONE) == {AMD.digest}


def test_a_tag_that_moved_since_the_preview_stays(shop):
    image = f"{shop.shop}/app"
    shop.push_and_index(image, {"1.0": ONE, "2.0": BOTH})
    started = shop.start(plan_image, image)
    shop.push(image, {"1.0": TWO})
    done = shop.run(started)
    assert "1.0" in shop.report(done.id)[0]["detail"]
    assert shop.live(image) == {"1.0": TWO.digest}
    assert set(shop.index(image)) == {"1.0"}


def test_a_tag_pushed_since_on_a_previewed_digest_stays_readable(shop):
    image = f"{shop.shop}/app"
    shop.push_and_index(image, {"1.0": ONE})
    started = shop.start(plan_image, image)
    shop.push(image, {"keep": ONE})
    shop.run(started)
    assert shop.live(image)["keep"] == ONE.digest
    assert "keep" in shop.index(image)


def test_an_image_whose_index_lost_a_child_goes_all_the_same(shop):
    image = f"{shop.shop}/app"
    shop.push_and_index(image, {"1.0": BOTH})
    shop.pusher.delete(image, ARM.digest)
    confirm(shop, f"/{shop.shop}/-/images/app/-/delete", image)
    assert readable(shop, image, BOTH) == set()
    assert shop.row(Removal).state == "done"


def test_a_reconcile_does_not_bring_back_an_image_whose_name_the_registry_keeps(shop):
    image = f"{shop.shop}/app"
    shop.push_and_index(image, {"1.0": ONE})
    confirm(shop, f"/{shop.shop}/-/images/app/-/delete", image)
    with shop.app.app_context():
        assert image in map(str, shop.app.extensions["registry"].catalog())
    assert shop.reconcile_all()[image].tags == 0
    assert shop.index(image) is None


# -- projects --------------------------------------------------------------------


@pytest.fixture
def owned(shop):
    """A project whose owner, with the right to remove it, is there too."""
    shop.user("owner")
    shop.member(shop.shop, "owner", "owner")
    return shop


def test_a_project_goes_with_all_its_images_and_leaves_its_neighbours(owned):
    neighbour = f"{owned.root}/shop-two"
    owned.project(neighbour)
    names = [owned.shop, f"{owned.shop}/app", f"{owned.shop}/a/b/c"]
    for repository in (*names, f"{neighbour}/app"):
        owned.push_and_index(repository, {"1.0": ONE, "both": BOTH})
    page = confirm(owned, f"/{owned.shop}/-/delete", owned.shop, "owner")
    outcomes = {row["Reference"]: row["Outcome"] for row in page.table("What was done")}
    assert outcomes == dict.fromkeys(names, "deleted")
    for repository in names:
        assert owned.live(repository) == {}
    assert owned.live(f"{neighbour}/app") == {"1.0": ONE.digest, "both": BOTH.digest}
    assert [project.path for project in owned.rows(Project)] == [neighbour]
    assert owned.browser("owner").get(f"/{owned.shop}").status_code == 404


def test_an_image_pushed_during_the_removal_keeps_the_project(owned):
    image, fresh = f"{owned.shop}/app", f"{owned.shop}/fresh"
    owned.push_and_index(image, {"1.0": ONE})
    started = owned.start(plan_project)
    owned.push_and_index(fresh, {"1.0": TWO})
    done = owned.run(started)
    assert done.state == "failed"
    assert fresh in owned.report(done.id)[-1]["detail"]
    assert owned.live(image) == {}
    assert owned.live(fresh) == owned.index(fresh) == {"1.0": TWO.digest}
    assert owned.browser("owner").get(f"/{owned.shop}").status_code == 200


def test_a_maintainer_may_not_delete_the_project(owned):
    owned.push_and_index(f"{owned.shop}/app", {"1.0": ONE})
    browser = owned.browser("maintainer")
    answer = browser.post(f"/{owned.shop}/-/delete", {"confirm": owned.shop})
    assert answer.status_code == 403
    assert owned.live(f"{owned.shop}/app") == {"1.0": ONE.digest}


def test_the_audit_says_who_deleted_what_and_how_it_ended(owned):
    owned.push_and_index(f"{owned.shop}/app", {"1.0": ONE})
    confirm(owned, f"/{owned.shop}/-/delete", owned.shop, "owner")
    entries = [e for e in owned.rows(AuditEntry) if e.action.startswith("project.delete")]
    assert [(e.actor, e.action) for e in entries] == [
        ("owner", "project.delete"),
        ("owner", "project.delete.done"),
    ]


def test_a_second_removal_of_the_same_image_is_refused_while_the_first_waits(shop):
    image = f"{shop.shop}/app"
    shop.push_and_index(image, {"1.0": ONE})
    shop.start(plan_image, image)
    answer = shop.confirm(f"/{shop.shop}/-/images/app/-/delete", image)
    assert answer.status_code == 409
    assert len(shop.rows(Removal)) == 1
    assert shop.rows(ContainerImage)[0].path == image
