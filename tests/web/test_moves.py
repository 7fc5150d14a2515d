"""Moves that run: what a switch moves, what it waits for, and what it keeps from deletion."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import select

from registry_ui.db.session import db, writing
from registry_ui.jobs.stored_work import run_move
from registry_ui.models import (
    AuditEntry,
    ContainerImage,
    CopiedTag,
    Move,
    MovedRepository,
    Namespace,
    Place,
    WriteFreeze,
    utc_now,
)
from registry_ui.moves import runner, transfer
from registry_ui.moves.lease import claim
from registry_ui.moves.switchover import switch
from registry_ui.operations import lease as operation_lease
from registry_ui.operations.errors import Canceled, Deferred
from registry_ui.operations.write_freeze import (
    EVERYWHERE,
    freeze_writes,
    lift_write_freeze,
    writers_until,
)
from tests.support.html import Page
from tests.support.moves import plan
from tests.web.support import basic, digest


@pytest.mark.parametrize("path", ["acme/app", "acme/other"])
def test_a_rule_that_was_made_on_the_way_keeps_an_image_where_it_is(two_groups, monkeypatch, path):
    monkeypatch.setattr(runner, "_compute_quiet_at", lambda _move: utc_now())
    monkeypatch.setattr(transfer, "verify", lambda *_: None)
    two_groups.member("acme/app", "worker", "maintainer")
    plan(two_groups, "acme/app", "acme/other/web", "worker", image="web")
    two_groups.change(MovedRepository, {"state": "settled"})
    two_groups.change(Move, {"state": "verifying"})
    two_groups.rule(path, "v3", "owner")
    number = two_groups.row(Move).id
    with two_groups.session() as session:
        session.add(CopiedTag(move_id=number, number=0, tag="v3", digest=digest("c")))
        session.commit()
    with two_groups.app.app_context():
        run_move(number)
    move = two_groups.row(Move, id=number)
    assert move.state == "failed"
    assert "A rule now refuses this: tag v3 is protected in" in move.problem
    assert two_groups.rows(ContainerImage, path="acme/app/web")


# -- with nothing in the registry, it is done at once ---------------------------------


def test_an_empty_namespace_is_renamed_with_what_is_in_it(two_groups, monkeypatch):
    """Nothing is copied, and no old name is kept; the registry is asked for its catalog only."""
    monkeypatch.setattr(two_groups.app.extensions["registry"], "catalog", lambda: iter(()))
    monkeypatch.setattr(runner, "_compute_quiet_at", lambda _move: utc_now())
    two_groups.project("acme/empty/inner/app")
    number = plan(two_groups, "acme/empty", "acme/full")[0].headers["Location"]
    two_groups.browser("owner").post(f"{number}/confirm", {"confirm": "acme/empty"})
    move = two_groups.row(Move)
    assert (move.state, move.problem) == ("done", "")
    paths = {place.path for place in two_groups.rows(Place)}
    assert {"acme/full", "acme/full/inner", "acme/full/inner/app"} <= paths
    assert not [path for path in paths if path.startswith("acme/empty")]
    assert two_groups.rows(WriteFreeze) == []
    done = two_groups.row(AuditEntry, action="namespace.move")
    assert (done.subject, done.detail) == ("acme/full", {"source": "acme/empty"})
    told = Page(two_groups.browser("owner").get("/acme/full/-/activity").text).text
    assert "owner moved the namespace acme/full" in told


def test_whoever_loses_the_right_on_the_way_switches_nothing(two_groups, monkeypatch):
    monkeypatch.setattr(two_groups.app.extensions["registry"], "catalog", lambda: iter(()))
    monkeypatch.setattr(runner, "_compute_quiet_at", lambda _move: utc_now())
    two_groups.project("acme/empty/app")
    number = two_groups.move(
        "acme/empty", "waiting", parts=0, requested_by="worker", target="acme/new"
    )
    with two_groups.app.app_context():
        run_move(number)
    move = two_groups.row(Move, id=number)
    assert move.state == "failed"
    assert "worker can no longer do this: you are Developer" in move.problem
    assert two_groups.rows(Place, path="acme/new") == []


@pytest.mark.both_databases
def test_what_is_created_deep_below_at_the_moment_of_the_switch_moves_too(two_groups):
    two_groups.namespace("acme/deep/er")
    number = two_groups.move(
        "acme/deep", "verifying", parts=0, target="acme/now", requested_by="owner"
    )
    created, switching = threading.Event(), threading.Event()

    def create():
        with two_groups.app.app_context(), writing() as session:
            above = select(Place).where(Place.path == "acme/deep/er").with_for_update()
            parent = session.scalars(above).one()
            session.add(Namespace(path="acme/deep/er/new", parent_id=parent.id))
            session.flush()
            created.set()
            switching.wait(60)
            time.sleep(0.5)

    creator = threading.Thread(target=create)
    creator.start()
    assert created.wait(60)
    switching.set()
    with two_groups.app.app_context(), writing() as session:
        move = session.get(Move, number)
        switch(session, move, utc_now(), has_repositories=False)
    creator.join()
    paths = {place.path for place in two_groups.rows(Place)}
    assert "acme/now/er/new" in paths
    assert not [path for path in paths if path.startswith("acme/deep")]


def test_a_move_waits_for_a_garbage_collection_and_a_collection_for_a_move(two_groups):
    number = two_groups.move("acme/app", "waiting", target="acme/new", requested_by="owner")
    with two_groups.app.app_context():
        with writing() as session:
            freeze = freeze_writes(session, EVERYWHERE, "collection").id
        run_move(number)
        assert writers_until(db.session()) is None
        with writing() as session:
            lift_write_freeze(session, freeze)
    assert two_groups.row(Move).state == "waiting"
    later = utc_now() + timedelta(seconds=30)
    two_groups.change(Move, {"lease_until": later, "state": "copying"})
    with two_groups.session() as session:
        assert writers_until(session) == later


def test_a_move_that_often_notes_how_far_it_is_heeds_a_freeze_and_who_calls_it_off(
    two_groups, monkeypatch
):
    clock = SimpleNamespace(now=0.0)
    clock.monotonic = lambda: clock.now
    number = two_groups.move("acme/app", "copying", target="acme/new", requested_by="owner")
    row = two_groups.rows(MovedRepository, move_id=number)[0]

    def work(lease):
        for second in range(12):
            clock.now += 1
            lease.record_progress(row, done=second)
            lease.renew()

    with two_groups.app.app_context():
        held = claim(number)
        monkeypatch.setattr(operation_lease, "time", clock)
        held._renewed_at = clock.now
        with writing() as session:
            freeze = freeze_writes(session, EVERYWHERE, "collection").id
        with pytest.raises(Deferred):
            work(held)
        with writing() as session:
            lift_write_freeze(session, freeze)
            session.get_one(Move, number).cancel_wanted = True
        with pytest.raises(Canceled):
            work(held)


# -- what a move keeps from deletion ---------------------------------------------


@pytest.fixture
def bare(site):
    """A group with an empty project, and who looks after the one and the other."""
    site.users("owner", "keeper")
    site.project("acme/app")
    site.member("acme", "owner", "owner")
    site.member("acme/app", "keeper", "owner")
    return site


@pytest.mark.both_databases
@pytest.mark.parametrize("path", ["acme/app", "acme"])
def test_a_plan_to_delete_what_has_an_old_path_links_the_move_and_has_no_button(bare, path):
    number = bare.move("acme/app", "grace", source="acme/gone", target="acme/app")
    bare.old_path("acme/gone", "acme/app", number)
    answer = bare.browser("owner").get(f"/{path}/-/delete")
    page = Page(answer.text)
    assert answer.status_code == 200
    words = f"“acme/gone”, the old path of “acme/app”, can still be pulled (move {number})."
    assert words in page.text
    assert f"/acme/app/-/moves/{number}" in page.links.values()
    assert "Type" not in page.first("main").text


@pytest.mark.both_databases
def test_a_program_learns_which_move_keeps_a_project_from_its_deletion(bare):
    number = bare.move("acme/app", "grace", source="acme/gone", target="acme/app")
    bare.old_path("acme/gone", "acme/app", number)
    auth = basic("owner", bare.access_token("owner", "api", "delete_registry"))
    url, client = "/api/v4/projects/acme/app/-/removals", bare.app.test_client()
    planned = client.post(url, json={"project": True}, headers=auth).json
    answer = client.post(f"{url}/{planned['id']}/confirm", json={}, headers=auth)
    assert answer.status_code == 409
    assert f"(move {number})" in answer.json["error"]["message"]


def test_what_is_being_moved_links_the_move_and_has_no_button(bare):
    number = bare.move("acme/app", "copying", source="acme/app", target="acme/later")
    browser = bare.browser("owner")
    for address in ("/acme/app/-/delete", "/acme/-/delete"):
        page = Page(browser.get(address).text)
        assert f"by move {number}, from “acme/app” to “acme/later”" in page.text
        assert f"/acme/app/-/moves/{number}" in page.links.values()
        assert "Type" not in page.first("main").text
    answer = browser.post("/acme/app/-/move", {"target": "acme/else"})
    assert answer.status_code == 409
    assert f"/acme/app/-/moves/{number}" in Page(answer.text).links.values()


def test_a_move_of_something_above_is_not_named_to_those_who_look_after_a_part(bare):
    bare.move("acme", "copying", source="acme", target="hidden-name")
    page = bare.browser("keeper").get("/acme/app/-/delete")
    assert "This is being moved already." in Page(page.text).text
    assert "hidden-name" not in page.text
    assert "moves/" not in page.text


def test_a_personal_namespace_offers_no_deletion(two_groups):
    browser = two_groups.browser("worker")
    assert "/worker/-/delete" not in browser.get("/worker/-/settings").text
    page = Page(browser.get("/worker/-/delete").text)
    assert "A personal namespace goes with its account." in page.text
    assert "Type" not in page.first("main").text
