"""Old paths of what has moved: not served any more once somebody wrote to them."""

from __future__ import annotations

import pytest

from registry_ui.db.session import db
from registry_ui.distribution.errors import RegistryError
from registry_ui.jobs import reconciliation, tasks
from registry_ui.models import AuditEntry, Move, RegistryEvent, utc_now
from tests.contract.mover import DIGESTS
from tests.support.live import tiny
from tests.support.slow import SlowAnswers, manifests
from tests.web.support import event_of

pytestmark = [
    pytest.mark.contract,
    pytest.mark.parametrize("storage", ["sqlite"], indirect=True),
]
OTHER = tiny("pushed behind the move")


@pytest.fixture
def moved(mover):
    """A project that has moved; its old path can be pulled."""
    mover.fill()
    mover.move_id = mover.moved(mover.market)
    return mover


def run(site, job, **arguments):
    with site.app.app_context():
        job(**arguments)
        db.session.remove()


def always_down(*_):
    raise RegistryError("down")


def let_the_deadline_pass(site):
    """Do what the schedule does each minute, a minute after the move."""
    site.change(Move, {"compare_at": utc_now()}, id=site.move_id)
    run(site, tasks.resume)


def assert_stopped(site, name="web"):
    """One repository is not served by its old path; all others are, and all by the new one."""
    old = f"{site.shop}/{name}"
    assert site.grants(old) == ""
    assert site.grants(f"{site.shop}/web/api") == site.grants(site.shop) == "pull"
    assert site.grants(f"{site.market}/{name}") == "pull,push,delete"
    assert site.index(f"{site.market}/{name}") == site.live(f"{site.market}/{name}") == DIGESTS
    (entry,) = site.rows(AuditEntry, action="image.old_path.stop")
    assert entry.subject == old
    page = site.page(f"/{site.market}/-/moves/{site.move_id}", "owner").text
    assert f"{old} can no longer be pulled: after the move, someone pushed" in page
    words = f"{old} has moved to {site.market}/{name}; the old path was changed after the move"
    check = site.page(f"/-/access-check?repository={old}", "maintainer").text
    assert words in check


def test_a_minute_after_the_move_the_old_path_is_compared_again(moved):
    let_the_deadline_pass(moved)
    assert moved.move(moved.move_id).compare_at is None
    assert moved.grants(f"{moved.shop}/web") == "pull"
    assert moved.move(moved.move_id).problem == ""


@pytest.mark.parametrize("tag", ["1.0", "new"])
def test_a_push_behind_the_move_ends_the_old_path(moved, tag):
    moved.push(f"{moved.shop}/web", {tag: OTHER})
    let_the_deadline_pass(moved)
    assert_stopped(moved)
    let_the_deadline_pass(moved)
    assert_stopped(moved)


def test_the_event_of_such_a_push_changes_nothing_at_the_new_path(moved):
    moved.push(f"{moved.shop}/web", {"1.0": OTHER})
    moved.change(Move, {"compare_at": None}, id=moved.move_id)
    moved.deliver(
        event_of("push", f"{moved.shop}/web", "1.0", digest=OTHER.digest, by="maintainer")
    )
    assert moved.index(f"{moved.market}/web") == DIGESTS
    event = moved.rows(RegistryEvent)[-1]
    assert event.status == "rejected"
    assert event.reason == f"a push to the old path of {moved.market}/web"
    run(moved, tasks.resume)
    assert_stopped(moved)


def test_an_event_of_a_deletion_at_the_old_path_changes_nothing_at_the_new_one(moved):
    event = event_of("delete", f"{moved.shop}/web", "1.0", by="maintainer")
    moved.deliver(event)
    assert moved.index(f"{moved.market}/web") == DIGESTS
    assert moved.rows(RegistryEvent)[-1].status == "rejected"


def test_the_new_path_goes_its_own_way(moved):
    moved.push_and_tell(f"{moved.market}/web", {"1.0": OTHER, "3.0": OTHER})
    let_the_deadline_pass(moved)
    run(moved, reconciliation.reconcile_all)
    assert moved.grants(f"{moved.shop}/web") == "pull"


def test_without_a_gate_each_reconcile_compares(moved):
    let_the_deadline_pass(moved)
    moved.push(f"{moved.shop}/web", {"1.0": OTHER})
    run(moved, reconciliation.reconcile_all, digests=False)
    assert_stopped(moved)


def test_a_registry_that_does_not_answer_stops_nothing(moved):
    with moved.patched("tags", always_down):
        let_the_deadline_pass(moved)
    assert moved.move(moved.move_id).compare_at is not None
    assert moved.grants(f"{moved.shop}/web") == "pull"


@pytest.mark.parametrize("slow", ["web:2.0", "web/api:2.0"])
def test_a_slow_tag_hides_no_change_of_another(moved, monkeypatch, slow):
    moved.push(f"{moved.shop}/web", {"1.0": OTHER})
    with monkeypatch.context() as patch:
        SlowAnswers(moved, patch, manifests(f"{moved.shop}/{slow}"))
        let_the_deadline_pass(moved)
    assert_stopped(moved)


def test_a_slow_tag_is_compared_again(moved, monkeypatch):
    with monkeypatch.context() as patch:
        SlowAnswers(moved, patch, manifests(f"{moved.shop}/web:2.0"))
        let_the_deadline_pass(moved)
    assert moved.move(moved.move_id).compare_at is not None
    assert moved.grants(f"{moved.shop}/web") == "pull"


def test_an_image_that_leaves_afterwards_stays_stopped_by_its_old_path(moved):
    moved.push(f"{moved.shop}/web", {"1.0": OTHER})
    let_the_deadline_pass(moved)
    moved.project(f"{moved.root}/other")
    moved.moved(f"{moved.root}/other/web", path=moved.market, name="web")
    assert moved.grants(f"{moved.shop}/web", "owner") == ""
    assert moved.grants(f"{moved.market}/web", "owner") == "pull"


def test_what_was_stopped_is_retired_like_any_other(moved):
    moved.push(f"{moved.shop}/web", {"1.0": OTHER})
    let_the_deadline_pass(moved)
    moved.send(moved.move_id, "retire")
    assert moved.move(moved.move_id).state == "grace"  # what the new path lacks is shown first
    assert moved.send(moved.move_id, "retire", everything="1").state == "done"
    assert moved.pusher.tags(f"{moved.shop}/web") == []
