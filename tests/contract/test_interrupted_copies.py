"""Copies that are killed, refused on the way, held up by a write freeze, or canceled."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from registry_ui.copies import service as copies
from registry_ui.db.session import db, writing
from registry_ui.jobs.tasks import resume
from registry_ui.models import Copy, Membership, Push
from registry_ui.operations import write_freeze
from registry_ui.operations.write_freeze import EVERYWHERE, freeze_writes, lift_write_freeze
from tests.contract import copy_process
from tests.support.live import LiveSite, environ_of
from tests.support.market import LIVE, TAGS
from tests.support.worker_processes import run_until_killed

# The web tests ask the same of both storage pairs; one of them does for the registry's part.
pytestmark = [
    pytest.mark.contract,
    pytest.mark.parametrize("storage", ["postgresql"], indirect=True),
]


@pytest.mark.parametrize(
    ("method", "number"),
    [("mount_blob", 1), ("put_manifest", 1), ("put_manifest", 5), ("put_manifest", 6), ("head", 9)],
)
def test_killed_in_the_middle_the_next_worker_goes_on(market, method, number):
    plan = market.plan()
    market.start(plan)
    killed(market.site, plan.id, method, number)
    assert market.copy(plan.id).state == "running"
    with market.site.app.app_context():
        db.session.execute(update(Copy).values(lease_until=None))
        db.session.commit()
        resume()
    assert market.copy(plan.id).state == "done"
    assert set(market.outcomes(plan).values()) == {"copied"}
    assert market.site.live(market.target) == market.site.index(market.target) == LIVE
    # Each was told once, also the one at which the first worker died.
    assert sorted(push.tag for push in market.site.rows(Push)) == sorted(
        tag for tag in TAGS if not tag.startswith("sha256-")
    )


def killed(site: LiveSite, started: int, method: str, number: int) -> None:
    """Run a copy in a process that kills itself, -9, after some calls to the registry."""
    environ = environ_of(site.config)
    run_until_killed(copy_process.main, started, method, number, environ=environ)


def test_a_copy_stops_if_its_user_has_lost_the_permission_since_the_plan(market):
    plan = market.plan()
    with market.site.app.app_context():
        db.session.execute(update(Membership).values(role=20))
        db.session.commit()
        copies.start_planned(copies.Actor("alice"), plan.id, overwrite=False)
        copies.run(plan.id)
    assert market.copy(plan.id).state == "failed"
    assert "can no longer copy this" in market.details(plan)
    assert market.site.pusher.tags(market.target) == []


def test_who_is_no_member_of_the_source_any_more_stops_it(market):
    plan = market.plan()
    market.start(plan)
    with market.site.session() as session:
        alice = market.site.row(Membership, role=20)
        session.delete(session.get(Membership, alice.id))
        session.commit()
    with market.site.app.app_context():
        copies.run(plan.id)
    assert market.copy(plan.id).state == "failed"
    assert market.site.pusher.tags(market.target) == []


@pytest.mark.parametrize("where", ["everywhere", "target"])
def test_a_copy_waits_behind_a_freeze_and_goes_on_by_itself(market, where):
    with market.site.app.app_context(), writing() as session:
        path = EVERYWHERE if where == "everywhere" else market.stall
        freeze = freeze_writes(session, path, "collection").id
    plan = market.plan("plain")
    waiting = market.confirm(plan)
    assert waiting.state == "waiting"
    page = market.site.page(f"/{market.stall}/-/copies/{plan.id}", "alice")
    assert "Waits until the garbage collection is over" in page.text
    assert market.site.pusher.tags(market.target) == []
    with market.site.app.app_context():
        with writing() as session:
            lift_write_freeze(session, freeze)
        resume()
    assert market.copy(plan.id).state == "done"


def test_a_copy_can_be_canceled_before_it_begins_and_between_two_calls(market):
    plan = market.plan()
    assert (
        market.site.browser("alice").post(f"/{market.stall}/-/copies/{plan.id}/cancel").status_code
        == 302
    )
    assert market.copy(plan.id).state == "cancelled"
    plan = market.plan()
    client = market.site.app.extensions["registry"]
    put = client.put_manifest
    browser = market.site.browser("maintainer")
    market.site.member(market.stall, "maintainer", "developer")

    def cancel_first(*what):
        with market.site.session() as session:
            session.execute(update(Copy).where(Copy.id == plan.id).values(cancel_wanted=True))
            session.commit()
        return put(*what)

    with market.site.patched("put_manifest", cancel_first):
        done = market.confirm(plan)
    assert done.state == "cancelled"
    assert len(market.site.live(market.target)) < len(LIVE)
    assert browser.get(f"/{market.stall}/-/copies/{plan.id}").status_code == 200


def test_a_collection_waits_for_a_copy_that_is_under_way(market):
    plan = market.plan()
    market.start(plan)
    with market.site.session() as session:
        assert write_freeze.writers_until(session) is None
    client = market.site.app.extensions["registry"]
    put, seen = client.put_manifest, []

    def look(*what):
        with market.site.session() as session:
            seen.append(write_freeze.writers_until(session))
        return put(*what)

    with market.site.patched("put_manifest", look), market.site.app.app_context():
        copies.run(plan.id)
    assert seen
    assert None not in seen
