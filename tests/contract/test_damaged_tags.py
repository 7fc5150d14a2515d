"""One tag that the registry lists and can't read: it is named and kept, and the rest goes on."""

from __future__ import annotations

import threading
from functools import partial
from unittest import mock

import pytest
from sqlalchemy import select

from registry_ui.catalog import live_tags
from registry_ui.db.session import db
from registry_ui.demo.images import Manifest
from registry_ui.distribution.errors import RegistryFault, RegistryTimeout
from registry_ui.models import ContainerImage, Project, Removal, Tag
from registry_ui.names import RepositoryName, TagName, is_trash_tag
from registry_ui.removals import service as removals
from registry_ui.removals.planner import plan_image, plan_project, plan_tag, plan_tags
from tests.support.damage import KINDS, damage_tag
from tests.support.html import Page
from tests.support.live import LiveSite, tiny
from tests.web.support import ACTOR

pytestmark = pytest.mark.contract

ONE, TWO = tiny("one"), tiny("two")


# The registry answers for the latter two as for the former, with a fault or with a 404. The first
# check of a tag distinguishes all of them here; with --lean, other tests do with one of each pair.
@pytest.fixture(
    params=[
        "empty link",
        "ghost",
        pytest.param("empty manifest", marks=pytest.mark.thorough),
        pytest.param("missing link", marks=pytest.mark.thorough),
    ]
)
def kind(request):
    """How the tag is damaged."""
    return request.param


@pytest.fixture
def image(shop: LiveSite) -> str:
    """An image with three tags, which the index knows."""
    path = f"{shop.shop}/app"
    shop.push_and_index(path, tags_of(shop))
    return path


def tags_of(site: LiveSite) -> dict[str, Manifest]:
    """Tags of which one will be damaged: its manifest is its own, as blobs are shared by all."""
    return {"1.0": ONE, "2.0": TWO, "bad": tiny(f"bad {site.root}")}


def row_of(site: LiveSite, tag: str = "bad") -> Tag:
    return site.row(Tag, name=tag)


# -- the index -------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_check_marks_the_damaged_tag_and_compares_the_others(shop, image, kind):
    damage_tag(shop.registry, image, "bad", kind)
    shop.push(image, {"2.0": ONE, "3.0": TWO})
    outcome = shop.reconcile(image)
    assert (outcome.error, outcome.added, outcome.changed, outcome.damaged) == (None, 1, 1, 1)
    assert outcome.removed == 0
    assert row_of(shop).damage == KINDS[kind]
    assert row_of(shop).digest == tags_of(shop)["bad"].digest  # what it stood for before
    others = {"1.0": ONE.digest, "2.0": ONE.digest, "3.0": TWO.digest}
    assert shop.index(image) == {**others, "bad": tags_of(shop)["bad"].digest}


def test_since_when_it_is_damaged_is_kept_by_later_checks(shop, image):
    damage_tag(shop.registry, image, "bad", "empty link")
    shop.reconcile(image)
    since = row_of(shop).damaged_since
    shop.reconcile(image)
    assert row_of(shop).damaged_since == since


def test_a_tag_that_was_pushed_again_is_readable_at_the_next_check(shop, image, kind):
    damage_tag(shop.registry, image, "bad", kind)
    shop.reconcile(image)
    shop.push(image, {"bad": TWO})
    assert shop.reconcile(image).damaged == 0
    assert (row_of(shop).damage, row_of(shop).damaged_since) == (None, None)
    assert row_of(shop).digest == TWO.digest


@pytest.mark.both_databases
def test_the_event_of_a_push_makes_it_readable_at_once(shop, image):
    damage_tag(shop.registry, image, "bad", "empty link")
    shop.reconcile(image)
    shop.push_and_tell(image, {"bad": TWO})
    assert (row_of(shop).damage, row_of(shop).digest) == (None, TWO.digest)


def test_a_project_created_over_such_a_repository_shows_it(site, kind):
    path = f"{site.root}/found/app"
    site.push(path, tags_of(site))
    damage_tag(site.registry, path, "bad", kind)
    site.reconcile_all()
    site.user("owner", admin=True)
    site.namespace(site.root)
    browser = site.browser("owner")
    form = {"parent": site.root, "name": "found", "visibility": "private"}
    assert browser.post("/-/new/project", form).status_code == 302
    page = Page(browser.get(f"/{site.root}/found/-/images/app").text).text
    assert "1.0" in page
    assert "1 tag of this image can't be read" in page
    assert "Push it again, or remove it." in page


# -- pages and the API -----------------------------------------------------------


def test_the_list_and_the_page_of_the_tag_say_that_it_cannot_be_read(shop, image, kind):
    damage_tag(shop.registry, image, "bad", kind)
    shop.reconcile(image)
    browser = shop.browser("maintainer")
    rows = Page(browser.get(f"/{shop.shop}/-/images/app/-/rows").text).text
    assert rows.count("Can't be read") == 1
    page = browser.get(f"/{shop.shop}/-/images/app/-/tags/bad")
    assert page.status_code == 200
    assert "This tag can't be read" in Page(page.text).text
    assert "What follows is what it stood for before." in Page(page.text).text


def test_the_page_of_a_damaged_tag_that_no_check_has_seen_marks_it(shop, image, kind):
    """It once took the row out of the index, because the registry said 404 for it."""
    damage_tag(shop.registry, image, "bad", kind)
    page = shop.browser("maintainer").get(f"/{shop.shop}/-/images/app/-/tags/bad")
    assert "This tag can't be read" in Page(page.text).text
    assert row_of(shop).damage == KINDS[kind]


def test_a_page_forgets_no_tag_while_the_list_that_says_whether_it_is_gone_fails(
    shop, image, kind, monkeypatch
):
    """It once took the row and the history of a damaged tag: the registry said 404 for it."""
    damage_tag(shop.registry, image, "bad", kind)
    failing = mock.Mock(side_effect=RegistryTimeout("no answer in time"))
    monkeypatch.setattr(shop.app.extensions["registry"], "tags", failing)
    page = shop.browser("maintainer").get(f"/{shop.shop}/-/images/app/-/tags/bad")
    assert page.status_code == 200
    assert "no answer in time" in Page(page.text).text
    assert failing.called
    assert row_of(shop).digest == tags_of(shop)["bad"].digest
    monkeypatch.undo()
    assert shop.browser("maintainer").get(page.request.path).status_code == 200
    assert row_of(shop).damage == KINDS[kind]


def test_programs_read_which_tag_is_damaged_why_and_since_when(shop, image):
    damage_tag(shop.registry, image, "bad", "missing link")
    shop.reconcile(image)
    secret = shop.access_token("maintainer", "read_registry")
    answer = shop.app.test_client().get(
        f"/api/v4/projects/{shop.shop}/-/images/app/-/tags",
        headers={"Authorization": f"Bearer {secret}"},
    )
    found = {tag["name"]: tag["unreadable"] for tag in answer.json["tags"]}
    assert found["1.0"] is found["2.0"] is None
    assert "404" in found["bad"]["reason"]
    assert found["bad"]["since"]


# -- removals --------------------------------------------------------------------


def delete(site: LiveSite, image: str, *tags: str) -> Removal:
    """Plan and carry out the removal of tags of an image by hand; return what became of it."""
    with site.app.app_context():
        row = db.session.scalars(select(ContainerImage).where(ContainerImage.path == image)).one()
        plan = plan_tags("tags", image, [(row, tags)])
        project = db.session.scalars(select(Project).where(Project.path == site.shop)).one()
        started = removals.start(ACTOR, plan, project).id
    return site.run(started)


def unread(removal: Removal) -> list[str]:
    return removal.preview["unread"]


def test_another_tag_goes_and_the_manifests_stay(shop, image, kind):
    """2.8 lists a removed tag on beside an empty link, but it can no longer be pulled."""
    damage_tag(shop.registry, image, "bad", kind)
    done = delete(shop, image, "1.0")
    assert done.state == "done"
    assert unread(done) == [f"{image}:bad"]
    assert shop.pusher.digest(image, "1.0") is None
    assert shop.pusher.digest(image, ONE.digest) == ONE.digest
    assert shop.pusher.digest(image, "2.0") == TWO.digest
    assert row_of(shop).damage == KINDS[kind]
    left = row_of(shop, "1.0") if "1.0" in shop.pusher.tags(image) else None
    assert (left is not None) == (kind == "empty link" and shop.registry.version == "2.8")
    if left is not None:
        assert (left.damage, left.digest) == ("removed", None)
        assert "the registry lists it until bad" in shop.report(done.id)[0]["detail"]


def test_the_damaged_tag_itself_can_be_removed_by_its_page(shop, image, kind):
    damage_tag(shop.registry, image, "bad", kind)
    browser = shop.browser("maintainer")
    address = f"/{shop.shop}/-/images/app/-/tags/bad/-/delete"
    preview = Page(browser.get(address).text)
    assert "trash" not in preview.text.split("What goes")[1].split("What stays")[0]
    assert browser.post(address, preview.hidden).status_code == 302
    assert shop.removal(1).state == "done"
    assert sorted(shop.pusher.tags(image)) == ["1.0", "2.0"]
    assert shop.index(image) == {"1.0": ONE.digest, "2.0": TWO.digest}


def test_what_was_left_listed_goes_with_the_tag_that_could_not_be_read(shop, image):
    damage_tag(shop.registry, image, "bad", "empty link")
    delete(shop, image, "1.0")
    assert delete(shop, image, "bad").state == "done"
    assert shop.pusher.tags(image) == ["2.0"]
    assert shop.index(image) == {"2.0": TWO.digest}


def test_several_damaged_tags_go_together_and_with_them_any_other(shop, image, kind):
    shop.push(image, {"worse": tiny(f"worse {shop.root}")})
    for tag in ("bad", "worse"):
        damage_tag(shop.registry, image, tag, kind)
    assert delete(shop, image, "1.0", "bad", "worse").state == "done"
    assert shop.pusher.tags(image) == ["2.0"]


def test_a_tag_that_was_pushed_again_since_the_plan_is_kept(shop, image, kind):
    damage_tag(shop.registry, image, "bad", kind)
    started = shop.start(plan_tag, image, TagName("bad"))
    shop.push(image, {"bad": TWO})
    shop.run(started)
    assert "can be read again, and was kept" in shop.report(started)[0]["detail"]
    assert shop.pusher.digest(image, "bad") == TWO.digest


@pytest.mark.parametrize("trash_days", [0, 7], ids=["for good", "by the trash"])
def test_the_image_goes_with_its_damaged_tag(shop, image, kind, trash_days):
    damage_tag(shop.registry, image, "bad", kind)
    started = shop.start(partial(plan_image, trash_days=trash_days), image)
    assert shop.run(started).state == "done"
    left = [tag for tag in shop.pusher.tags(image) if not is_trash_tag(tag)]
    assert left == []
    # Its history stays for as long as the trash has a tag of it.
    assert shop.index(image) == ({} if trash_days else None)


def test_a_project_goes_with_its_damaged_tag(shop, image, kind):
    damage_tag(shop.registry, image, "bad", kind)
    assert shop.run(shop.start(plan_project)).state == "done"
    assert shop.pusher.tags(image) == []
    assert shop.rows(Project, path=shop.shop) == []


def test_removing_many_tags_beside_a_damaged_one_asks_for_each_tag_a_few_times(shop, image):
    """It once asked for all tags again after each of them."""
    names = [f"3.{n}" for n in range(24)]
    shop.push_and_index(image, dict.fromkeys(names, ONE))
    damage_tag(shop.registry, image, "bad", "empty link")
    client = shop.app.extensions["registry"]
    heads = []

    def head(*arguments):
        heads.append(arguments)
        return type(client).head(client, *arguments)

    with shop.patched("head", head):
        assert delete(shop, image, *names).state == "done"
    left = 3 + len(names)
    assert len(heads) <= 10 * left, "with n tags, asking for all after each is n * n"


def test_one_failure_of_the_registry_does_not_let_a_push_be_overwritten(shop, image):
    """2.8 points the tag to a placeholder: somebody pushed it again, and one look got a 500."""
    damage_tag(shop.registry, image, "bad", "empty link")
    started = shop.start(plan_tag, image, TagName("bad"))
    client = shop.app.extensions["registry"]
    pushed: list[int] = []

    def put_blob(*arguments):
        shop.push(image, {"bad": TWO})
        pushed.append(0)
        return type(client).put_blob(client, *arguments)

    def head(repository, reference):
        if pushed == [0]:
            pushed.append(1)
            raise RegistryFault("the registry answered 500 UNKNOWN")
        return type(client).head(client, repository, reference)

    with shop.patched("put_blob", put_blob), shop.patched("head", head):
        shop.run(started)
    expected = TWO.digest if shop.registry.version == "2.8" else None
    assert shop.pusher.digest(image, "bad") == expected


def test_reading_tags_has_a_deadline_for_all_of_them_together(shop, image, monkeypatch):
    answer = threading.Event()
    monkeypatch.setattr(live_tags, "TIMEOUT", 0.2)
    monkeypatch.setattr(live_tags, "TIMEOUT_PER_TAG", 0.0)

    def head(*_arguments):
        answer.wait(20)
        return ONE.digest

    with shop.patched("head", head), shop.app.app_context():
        try:
            found = live_tags.read_tags(RepositoryName(image), ["1.0", "2.0"])
        finally:
            answer.set()
    assert found.unanswered == dict.fromkeys(["1.0", "2.0"], "the registry is too slow")
    assert (found.digests, found.damaged) == ({}, {})
