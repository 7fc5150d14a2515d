"""After a move: old paths, their end, what moved along; namespaces, and images between projects."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from unittest import mock

import pytest

from registry_ui.copies import service as copies
from registry_ui.jobs.tasks import retire_moved
from registry_ui.models import (
    AccessToken,
    ContainerImage,
    Copy,
    DailyCount,
    Move,
    MovedRepository,
    OldPath,
    Project,
    Push,
    TrashedTag,
    UnassignedRepository,
    utc_now,
)
from registry_ui.moves import transfer
from registry_ui.operations.errors import OperationFailed
from tests.contract.mover import ARM, DIGESTS, IMAGES, ONE, digests_of, parts_of, repository
from tests.support.html import Page
from tests.web.support import event_of

pytestmark = pytest.mark.contract


@pytest.fixture
def filled(mover):
    mover.fill()
    return mover


# -- the old path ------------------------------------------------------------------


def test_the_old_path_is_pulled_by_whom_the_new_one_is_and_pushed_by_nobody(filled):
    web = f"{filled.shop}/web"
    filled.moved(filled.market)
    filled.user("stranger")
    assert filled.grants(web, "maintainer") == "pull"
    assert filled.grants(f"{filled.market}/web", "maintainer") == "pull,push,delete"
    assert filled.grants(web, "stranger") == filled.grants(web, "") == ""
    assert filled.live(web) == DIGESTS


def test_pulls_of_the_old_path_count_for_the_image(filled):
    web = f"{filled.shop}/web"
    filled.moved(filled.market)
    filled.deliver(event_of("pull", web, "1.0", digest=ONE.digest, by="somebody"))
    image = filled.row(ContainerImage, path=f"{filled.market}/web")
    assert image.pull_count == 1
    assert filled.rows(ContainerImage, path=web) == []


def test_the_old_repositories_are_neither_unassigned_nor_new_images(filled):
    filled.moved(filled.market)
    filled.moved(f"{filled.market}/api", path=filled.market, name="web/api")
    filled.reconcile_all()
    noted = {row.path for row in filled.rows(UnassignedRepository)}
    assert not [path for path in noted if path.startswith(filled.root)]
    paths = {image.path for image in filled.rows(ContainerImage)}
    assert paths == {filled.market, f"{filled.market}/web", f"{filled.market}/api"}


def retired(mover, move_id, **data):
    return mover.send(move_id, "retire", **data)


def test_retired_the_old_images_are_gone_and_the_name_is_free(filled):
    move_id = filled.moved(filled.market)
    assert retired(filled, move_id).state == "done"
    for name in IMAGES:
        old, new = repository(filled.shop, name), repository(filled.market, name)
        assert filled.pusher.tags(old) == []
        assert filled.readable(old) == set()
        assert filled.live(new) == filled.index(new) == digests_of(name)
        assert filled.readable(new) == parts_of(name)
    assert filled.rows(OldPath) == []
    filled.project(filled.shop)
    filled.push_and_tell(filled.shop, {"new": ARM})
    assert filled.live(filled.shop) == {"new": ARM.digest}


@pytest.mark.both_databases
def test_after_its_time_the_old_path_goes_by_itself(filled):
    move_id = filled.moved(filled.market)
    with filled.app.app_context():
        retire_moved()
    assert filled.move(move_id).state == "grace"
    filled.change(Move, {"grace_until": utc_now() - timedelta(seconds=1)}, id=move_id)
    with filled.app.app_context():
        retire_moved()
    assert filled.move(move_id).state == "done"
    assert filled.pusher.tags(f"{filled.shop}/web") == []


@pytest.mark.both_databases
def test_kept_longer_the_old_path_has_another_grace_time(filled):
    move_id = filled.moved(filled.market)
    before = filled.move(move_id).grace_until
    assert filled.send(move_id, "keep", by="maintainer").grace_until == before + timedelta(days=30)
    assert filled.row(OldPath).until == before + timedelta(days=30)


@pytest.mark.both_databases
def test_what_the_new_name_has_no_more_stays_under_the_old_one_until_somebody_agrees(filled):
    move_id = filled.moved(filled.market)
    filled.pusher.delete(f"{filled.market}/web", ONE.digest)
    kept = retired(filled, move_id)
    assert (kept.state, kept.grace_until) == ("grace", None)
    left = {tag: d for tag, d in DIGESTS.items() if d == ONE.digest}
    assert filled.live(f"{filled.shop}/web") == left
    assert filled.pusher.tags(filled.shop) == []
    page = filled.page(f"/{filled.market}/-/moves/{move_id}", "owner").text
    assert "kept 1.0, latest" in page
    assert filled.grants(f"{filled.shop}/web") == "pull"
    assert retired(filled, move_id, everything="1").state == "done"
    assert filled.pusher.tags(f"{filled.shop}/web") == []


def test_killed_while_old_images_go_the_next_worker_finishes(filled):
    move_id = filled.moved(filled.market)
    filled.change(Move, {"state": "retiring"}, id=move_id)
    filled.killed(move_id, "client.delete_manifest", 4)
    assert filled.move(move_id).state == "retiring"
    assert filled.go_on(move_id).state == "done"
    for name in IMAGES:
        assert filled.pusher.tags(repository(filled.shop, name)) == []
        assert filled.readable(repository(filled.market, name)) == parts_of(name)


# -- what moves along --------------------------------------------------------------


def test_trash_tokens_and_removals_follow_a_project(filled):
    filled.access_token("owner", "read_registry", restriction=f"{filled.shop}/web")
    filled.app.config["SETTINGS"] = replace(filled.config, trash_days=7)
    filled.confirm(f"/{filled.shop}/-/images/web/api/-/delete", f"{filled.shop}/web/api")
    trashed = filled.rows(TrashedTag)
    assert len(trashed) == len(digests_of("web/api"))
    filled.moved(filled.market)
    new = f"{filled.market}/web/api"
    assert {row.repository for row in filled.rows(TrashedTag)} == {new}
    assert filled.row(AccessToken, restriction_path=f"{filled.market}/web")
    browser = filled.browser("maintainer")
    for row in trashed:
        assert browser.post(f"/{filled.market}/-/trash/{row.id}/restore").status_code == 302
    assert filled.live(new) == digests_of("web/api")
    answer = browser.get(f"/{filled.shop}/-/removals/1")
    assert answer.headers["Location"] == f"/{filled.market}/-/removals/1"


def test_activity_names_no_path_that_its_readers_may_not_know(filled):
    """Neither the old path of a project, nor where something was to go, nor what was emptied."""
    filled.namespace(f"{filled.root}/open")
    filled.change(Project, {"visibility": "public"}, path=filled.shop)
    filled.project(f"{filled.root}/other")
    filled.user("stranger")
    for target in (f"{filled.shop}/web:1.0", f"{filled.shop}:1.0"):
        name = "/images/web/-" if "/web" in target else ""
        filled.confirm(f"/{filled.shop}/-{name}/tags/1.0/-/delete", target)

    def refuse(*_):
        raise OperationFailed("not now")

    with mock.patch.object(transfer, "verify", refuse):
        target = f"{filled.root}/other/web"
        stopped = filled.confirmed(filled.planned(target, name="web"))
    assert filled.send(stopped.id, "cancel").state == "cancelled"
    move_id = filled.moved(f"{filled.root}/open/shop")
    assert retired(filled, move_id).state == "done"
    told = filled.page(f"/{filled.root}/open/shop/-/activity", "stranger").text
    assert f"{filled.root}/other" not in told
    assert filled.shop not in told
    assert f"removed {filled.root}/open/shop/web:1.0" in told
    assert f"removed {filled.root}/open/shop:1.0" in told


def test_an_image_moves_to_another_project_with_its_history(filled):
    other = f"{filled.root}/other"
    filled.project(other)
    filled.moved(f"{other}/deep/web", name="web")
    image = filled.row(ContainerImage, path=f"{other}/deep/web")
    assert image.name == "deep/web"
    assert filled.live(image.path) == filled.index(image.path) == DIGESTS
    assert filled.index(f"{filled.shop}/web/api") == digests_of("web/api")
    for model in (Push, DailyCount):
        assert {row.project_id for row in filled.rows(model, name="deep/web")} == {image.project_id}
        assert filled.rows(model, name="web") == []
    browser = filled.browser("owner")
    answer = browser.get(f"/{filled.shop}/-/images/web/-/tags/1.0?platform=x")
    assert answer.headers["Location"] == f"/{other}/-/images/deep/web/-/tags/1.0?platform=x"
    assert filled.grants(f"{filled.shop}/web", "owner") == "pull"
    assert filled.grants(f"{filled.shop}/web/api", "owner") == "pull,push,delete"
    # The maintainer of the project that it has left is nobody in the other one.
    assert filled.grants(f"{filled.shop}/web", "maintainer") == ""


def left(filled):
    """Let an image leave the shop, whose maintainer may nothing where it is now."""
    filled.project(f"{filled.root}/other")
    filled.moved(f"{filled.root}/other/web", name="web")
    return f"{filled.shop}/web"


@pytest.mark.both_databases
def test_nobody_copies_to_an_old_path_by_a_right_in_the_project_that_was_left(filled):
    old = left(filled)
    form = {"project": filled.shop, "image": "web", "chosen": "2.0", "tag": "1.0"}
    browser = filled.browser("maintainer")
    answer = browser.post(f"/{filled.shop}/-/images/web/api/-/copy", form)
    assert answer.status_code == 422
    assert f"no project owns {old}" in Page(answer.text).text
    assert f"{filled.root}/other" not in Page(answer.text).text
    filled.member(filled.root, "maintainer", "maintainer")
    answer = browser.post(f"/{filled.shop}/-/images/web/api/-/copy", form)
    assert f"{old} has moved to {filled.root}/other/web" in Page(answer.text).text
    command = ["tag", "copy", f"{filled.shop}/web/api:2.0", f"{old}:1.0", "--overwrite", "--yes"]
    done = filled.app.test_cli_runner().invoke(args=command)
    assert done.exit_code == 1
    assert "has moved to" in done.output
    assert filled.live(old) == DIGESTS


@pytest.mark.parametrize("by", ["maintainer", "-/console"])
@pytest.mark.parametrize("end", ["source", "target"])
def test_a_copy_that_waits_while_its_image_leaves_holds_by_the_rights_of_the_new_name(
    filled, end, by
):
    names = ("web/api", "web") if end == "target" else ("web", "web/api")
    form = {"project": filled.shop, "image": names[1], "chosen": "2.0", "tag": "fresh"}
    browser = filled.browser("maintainer")
    browser.post(f"/{filled.shop}/-/images/{names[0]}/-/copy", form)
    plan = filled.row(Copy)
    with filled.app.app_context():
        copies.start_planned(copies.Actor(by), plan.id, overwrite=False)
    old = left(filled)
    with filled.app.app_context():
        copies.run(plan.id)
    done = filled.row(Copy, id=plan.id)
    assert done.state == ("done" if (end, by) == ("source", "-/console") else "failed")
    assert filled.live(old) == DIGESTS
    assert filled.rows(ContainerImage, path=old) == []


def test_the_root_image_gets_a_name_below_its_project(filled):
    move_id = filled.moved(f"{filled.shop}/server", name="")
    assert filled.index(f"{filled.shop}/server") == digests_of("")
    answer = filled.browser("owner").get(f"/{filled.shop}/-/tags/1.0")
    assert answer.headers["Location"] == f"/{filled.shop}/-/images/server/-/tags/1.0"
    assert filled.grants(filled.shop) == "pull"
    assert retired(filled, move_id).state == "done"
    assert filled.pusher.tags(filled.shop) == []
    assert filled.grants(filled.shop) == "pull,push,delete"


def test_a_namespace_moves_with_everything_below_it_and_old_paths_chain(mover):
    """One project leaves the moved namespace again: by each of its names it can be pulled."""
    group, deep = f"{mover.root}/group", f"{mover.root}/group/sub/deep"
    mover.project(deep)
    mover.project(f"{group}/flat")
    for project in (deep, f"{group}/flat"):
        mover.fill(project)
    mover.moved(f"{mover.root}/team", path=group)
    mover.assert_moved(deep, f"{mover.root}/team/sub/deep")
    mover.assert_moved(f"{group}/flat", f"{mover.root}/team/flat")
    second = mover.moved(f"{mover.root}/out", path=f"{mover.root}/team/sub/deep")
    for old in (deep, f"{mover.root}/team/sub/deep"):
        assert mover.grants(f"{old}/web", "owner") == "pull"
        answer = mover.browser("owner").get(f"/{old}/-/images/web")
        assert answer.headers["Location"] == f"/{mover.root}/out/-/images/web"
    assert retired(mover, second).state == "done"
    assert mover.grants(f"{deep}/web", "owner") == "pull"
    first = mover.rows(Move)[0].id
    assert retired(mover, first).state == "done"
    for name in IMAGES:
        assert mover.pusher.tags(repository(deep, name)) == []
        assert mover.live(repository(f"{mover.root}/out", name)) == digests_of(name)
    assert mover.rows(OldPath) == []


@pytest.mark.both_databases
def test_the_pages_say_what_happens_and_what_the_old_path_is_good_for(filled):
    move_id = filled.planned(filled.market)
    plan = filled.page(f"/{filled.shop}/-/moves/{move_id}", "owner")
    assert f"docker pull localhost:{filled.registry.port}/{filled.market}" in plan.text
    assert "3 images with 8 tags" in plan.text
    assert filled.confirmed(move_id).state == "grace"
    report = filled.page(f"/{filled.market}/-/moves/{move_id}", "owner")
    assert "every tag was compared" in report.text
    assert f"Moved from {filled.shop}" in filled.page(f"/{filled.market}", "owner").text
    filled.user("guest")
    filled.member(filled.market, "guest", "guest")
    assert "Moved from" not in filled.page(f"/{filled.market}", "guest").text
    check = f"/-/access-check?repository={filled.shop}/web"
    text = Page(filled.browser("maintainer").get(check).text).text
    assert f"{filled.shop}/web has moved to {filled.market}/web" in text
    assert f"{filled.shop}/web is now {filled.market}/web" in text


@pytest.mark.both_databases
def test_the_command_moves_shows_and_retires(filled):
    runner = filled.app.test_cli_runner()
    planned = runner.invoke(args=["project", "move", filled.shop, filled.market, "--dry-run"])
    assert f"{filled.shop}/web {filled.market}/web" in planned.output
    assert filled.rows(Move) == []
    done = runner.invoke(args=["project", "move", filled.shop, filled.market, "--yes"])
    assert done.exit_code == 0, done.output
    assert "The old path can be pulled until" in done.output
    number = str(filled.row(Move).id)
    assert runner.invoke(args=["move", "retire", number]).exit_code == 0
    assert {row.state for row in filled.rows(MovedRepository)} == {"retired"}
    assert runner.invoke(args=["move", "retire", number]).exit_code == 1
