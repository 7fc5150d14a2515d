"""What one part of the product finds out, or breaks at, while another has changed it already."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from sqlalchemy import delete, update

from registry_ui.catalog.live_tags import LiveTags
from registry_ui.catalog.tag_list_update import TagListing, apply_tag_list
from registry_ui.db.session import end_read, writing
from registry_ui.errors import Conflict
from registry_ui.events import apply
from registry_ui.jobs import tasks
from registry_ui.jobs.stored_work import run_move
from registry_ui.models import (
    ContainerImage,
    Move,
    MovedRepository,
    Place,
    Project,
    RegistryEvent,
    Removal,
    RetentionPolicy,
    Tag,
    TrashedTag,
    utc_now,
)
from registry_ui.moves import runner
from registry_ui.removals.plan import RemovalPlan
from registry_ui.retention import service as retention
from registry_ui.retention.rules import Rules
from registry_ui.trash import service as trash
from tests.support.database_locks import wait_until_locked
from tests.support.moves import fill_acme, plan
from tests.web.support import digest, event_of

IMAGE = "acme/app/web"


def listed(site, at, **tags):
    """Apply an answer of the registry that was asked for at some time."""
    with site.session(), writing() as session:
        image = session.scalars(ContainerImage.select_locked(ContainerImage.path == IMAGE)).one()
        apply_tag_list(session, image, TagListing(tags, LiveTags(digests=tags), at, request=None))


@pytest.fixture
def image(site):
    """A site with an image that has one tag."""
    site.project("acme/app")
    site.image(IMAGE, "1.0")
    return site


def test_an_empty_list_that_was_asked_for_before_a_tag_was_seen_deletes_no_image(image):
    now = utc_now()
    image.change(Tag, {"seen_at": now})
    image.change(ContainerImage, {"last_push_at": now - timedelta(hours=1)})
    listed(image, now - timedelta(seconds=5))
    assert [tag.name for tag in image.rows(Tag)] == ["1.0"]
    listed(image, now + timedelta(seconds=5))
    assert image.rows(ContainerImage) == []


@pytest.mark.both_databases
def test_a_push_to_an_image_that_is_being_deleted_is_applied(served):
    served.project("acme/app")
    served.image(IMAGE, "1.0")
    event = event_of("push", IMAGE, "2.0", digest=digest("b"))
    push = threading.Thread(target=lambda: served.deliver(event))
    with served.session(), writing() as session:
        session.scalars(ContainerImage.select_locked(ContainerImage.path == IMAGE)).one()
        push.start()
        wait_until_locked(push)
        session.execute(delete(Tag))
        session.execute(delete(ContainerImage))
    push.join(60)
    assert [row.status for row in served.rows(RegistryEvent)] == ["applied"]
    assert [tag.name for tag in served.rows(Tag)] == ["2.0"]


@pytest.mark.both_databases
def test_a_push_to_an_image_that_moves_at_that_moment_is_applied_anew(served, monkeypatch):
    served.project("acme/app")
    served.image(IMAGE, "1.0")
    find, moved = apply.owning_project, []

    def found_before_the_switch(session, repository):
        project = find(session, repository)
        if not moved:
            moved.append(repository)
            session.execute(update(ContainerImage).values(path="acme/shop/web"))
        return project

    monkeypatch.setattr(apply, "owning_project", found_before_the_switch)
    served.deliver(event_of("push", IMAGE, "2.0", digest=digest("b")))
    assert [row.status for row in served.rows(RegistryEvent)] == ["applied"]
    assert {tag.name for tag in served.rows(Tag)} == {"1.0", "2.0"}


# -- moves -------------------------------------------------------------------------------


@pytest.fixture
def verified(site, monkeypatch):
    """A move of acme/app whose content is all at the new path, before the switch."""
    monkeypatch.setattr(runner, "_compute_quiet_at", lambda _move: utc_now())
    acme = fill_acme(site)
    plan(acme, "acme/app", "acme/shop", "owner")
    acme.change(MovedRepository, {"state": "verified"})
    acme.change(Move, {"state": "verifying"})
    return acme


def carried_out(site):
    number = site.row(Move).id
    with site.app.app_context():
        run_move(number)
    return site.row(Move)


def broken(*_):
    raise RuntimeError("a bug")


def test_a_move_that_breaks_after_its_switch_has_not_failed(verified, monkeypatch):
    monkeypatch.setattr(runner, "reconcile", broken)
    move = carried_out(verified)
    assert (move.state, move.problem) == ("grace", "")
    assert move.switched_at is not None


@pytest.mark.parametrize("button", ["cancel", "retry"])
def test_a_move_that_has_switched_is_neither_canceled_nor_repeated(verified, monkeypatch, button):
    monkeypatch.setattr(runner, "_reconcile_or_log", broken)
    assert carried_out(verified).state == "grace"
    verified.change(Move, {"state": "failed"})  # as an earlier version left it
    number = verified.row(Move).id
    answer = verified.browser("owner").post(f"/acme/shop/-/moves/{number}/{button}")
    assert answer.status_code == 409
    assert verified.row(Move).state == "failed"
    assert verified.rows(Removal) == []


def test_a_move_that_breaks_because_its_worker_ends_waits_for_the_next(verified, monkeypatch):
    dead = threading.Thread()
    monkeypatch.setattr(threading, "main_thread", lambda: dead)
    monkeypatch.setattr(runner, "switch", broken)
    move = carried_out(verified)
    assert (move.state, move.problem, move.lease_owner) == ("verifying", "", None)


# -- what is done every night --------------------------------------------------------------


@pytest.fixture
def policies(site):
    """Policies of two projects, which are on, and whose time has come."""
    site.project("acme/app")
    site.project("acme/other")
    for place in site.rows(Project):
        with site.session() as session:
            row = RetentionPolicy(place_id=place.id, older_than_days=1, created_by="x")
            session.add(row)
            session.flush()
            row.dry_run_fingerprint, row.is_enabled = Rules.of(row).fingerprint, True
            session.commit()
    return [row.id for row in site.rows(RetentionPolicy)]


def test_a_policy_that_is_switched_off_while_it_plans_deletes_nothing(site, policies, monkeypatch):
    def planned(place, _rules):
        site.change(RetentionPolicy, {"is_enabled": False}, place_id=place.id)
        return RemovalPlan("retention", place.path, [])

    monkeypatch.setattr(retention, "plan_of", planned)
    with site.app.app_context():
        tasks.run_retention()
    assert site.rows(Removal) == []


@pytest.mark.both_databases
def test_a_policy_that_stays_on_while_it_plans_is_carried_out(site, policies, monkeypatch):
    monkeypatch.setattr(
        retention, "plan_of", lambda place, _rules: RemovalPlan("retention", place.path, [])
    )
    with site.app.app_context():
        assert len(retention.run_due()) == len(policies)


def test_a_policy_at_which_the_run_breaks_holds_back_no_other(site, policies, monkeypatch):
    planned = []

    def plan_of(place, _rules):
        planned.append(place.path)
        if place.path == "acme/app":
            broken()
        return RemovalPlan("retention", place.path, [])

    monkeypatch.setattr(retention, "plan_of", plan_of)
    with site.app.app_context():
        assert len(retention.run_due()) == 1
    assert planned == ["acme/app", "acme/other"]


def test_a_project_that_goes_while_the_trash_is_emptied_holds_back_no_other(site, monkeypatch):
    for path in ("acme/app", "acme/gone", "acme/other"):
        site.project(path)
        with site.session() as session:
            row = session.query(Project).filter_by(path=path).one()
            values = {"repository": path, "tag": "1.0", "trash_tag": "_bin.1", "removed_by": "x"}
            now = {"removed_at": utc_now(), "purge_at": utc_now(), "digest": digest("a")}
            session.add(TrashedTag(project_id=row.id, **values, **now))
            session.commit()
    emptied = []

    def plan_purge(path, _tags):
        emptied.append(path)
        end_read()  # as before every call of the registry
        with site.session() as session:
            session.execute(delete(TrashedTag).where(TrashedTag.repository == "acme/gone"))
            session.execute(delete(Place).where(Place.path == "acme/gone"))
            session.commit()
        raise Conflict("not now")

    monkeypatch.setattr(trash, "plan_purge", plan_purge)
    with site.app.app_context():
        trash.purge_due()
    assert emptied == ["acme/app", "acme/other"]
