"""A move or a copy waits for a registry that does not answer, and continues by itself."""

from __future__ import annotations

from datetime import timedelta

import pytest

from registry_ui.distribution.errors import RegistryFault, RegistryReadOnly
from registry_ui.models import Copy, Move, WriteFreeze, utc_now
from registry_ui.moves import lease as hold
from registry_ui.operations import lease
from tests.contract.mover import DIGESTS, Mover
from tests.support.market import Market
from tests.support.stall import Stall

pytestmark = [
    pytest.mark.contract,
    pytest.mark.parametrize("storage", ["sqlite"], indirect=True),
]

#: Part of the address of a call in each phase, with the method; and the state in which it happens.
PHASES = {
    "copying": ("PUT", "/market/web/manifests/"),
    "settling": ("HEAD", "/market/web/manifests/"),
    "verifying": ("HEAD", "/market/web/manifests/"),
}


@pytest.fixture(autouse=True)
def _hasty(monkeypatch):
    """Pauses of hundredths of a second."""
    for name, value in {"FIRST_PAUSE": 0.01, "MAX_PAUSE": 0.02}.items():
        monkeypatch.setattr(lease, name, value)


@pytest.fixture
def impatient(monkeypatch):
    """A worker that leaves the work for later after a moment."""
    monkeypatch.setattr(lease, "REGISTRY_TIMEOUT", 0.1)


@pytest.fixture
def filled(mover: Mover) -> Mover:
    mover.fill()
    return mover


def stall_in(site, monkeypatch, state, *, calls):
    """Let calls of a phase time out, for a number of them."""
    method, address = PHASES[state]

    def is_meant(called, url):
        moves = site.rows(Move)
        return called == method and address in url and moves[-1].state == state

    return Stall(site, monkeypatch, is_meant, calls=calls)


@pytest.mark.parametrize("state", PHASES)
def test_a_move_waits_out_a_stall_and_continues_by_itself(filled, monkeypatch, state):
    stall = stall_in(filled, monkeypatch, state, calls=7)
    move_id = filled.moved(filled.market)
    assert stall.left == 0
    assert filled.move(move_id).stalled_since is None
    filled.assert_moved(filled.shop, filled.market)


@pytest.mark.parametrize("state", PHASES)
def test_a_longer_stall_is_shown_and_the_schedule_continues(filled, impatient, monkeypatch, state):
    stall = stall_in(filled, monkeypatch, state, calls=10**6)
    move = filled.confirmed(filled.planned(filled.market))
    assert move.state == state
    assert move.lease_until is None
    assert move.problem.startswith("The registry does not answer (")
    page = filled.page(f"/{filled.shop}/-/moves/{move.id}", "owner").text
    assert "Waiting for the registry: it stopped answering" in page
    assert "This goes on when it does." in page
    stall.left = 0
    after = filled.go_on(move.id)
    assert (after.state, after.problem, after.stalled_since) == ("grace", "", None)
    filled.assert_moved(filled.shop, filled.market)


def test_a_move_whose_worker_was_killed_while_it_waited_continues(filled, impatient, monkeypatch):
    stall = stall_in(filled, monkeypatch, "copying", calls=10**6)
    move = filled.confirmed(filled.planned(filled.market))
    since = move.stalled_since
    # As a worker leaves it that was killed during a pause: its lease runs out.
    filled.change(Move, {"lease_owner": "dead", "lease_until": utc_now()}, id=move.id)
    assert filled.go_on(move.id).stalled_since == since
    stall.left = 0
    assert filled.go_on(move.id).state == "grace"
    filled.assert_moved(filled.shop, filled.market)


@pytest.mark.parametrize(
    ("state", "limit", "words"),
    [
        ("copying", hold.STALL_LIMIT, "did not answer for 24 hours"),
        ("settling", hold.FROZEN_STALL_LIMIT, "did not answer for 15 minutes"),
    ],
)
def test_the_wait_ends_and_people_can_push_again(
    filled, impatient, monkeypatch, state, limit, words
):
    stall = stall_in(filled, monkeypatch, state, calls=10**6)
    move = filled.confirmed(filled.planned(filled.market))
    long_ago = utc_now() - limit
    filled.change(Move, {"stalled_since": long_ago + timedelta(minutes=1)}, id=move.id)
    assert filled.go_on(move.id).state == state
    filled.change(Move, {"stalled_since": long_ago}, id=move.id)
    stopped = filled.go_on(move.id)
    assert stopped.state == "failed"
    assert words in stopped.problem
    assert filled.rows(WriteFreeze, path=filled.shop) == []
    stall.left = 0
    assert filled.send(move.id, "retry").state == "grace"
    filled.assert_moved(filled.shop, filled.market)


def test_a_move_that_waits_can_be_canceled(filled, impatient, monkeypatch):
    stall = stall_in(filled, monkeypatch, "copying", calls=10**6)
    move = filled.confirmed(filled.planned(filled.market))
    stall.left = 0
    assert filled.send(move.id, "cancel").state == "cancelled"
    filled.assert_untouched(filled.shop, filled.market)


def test_a_registry_that_is_read_only_for_a_while_is_waited_for(filled, impatient):
    def refuse(*_):
        raise RegistryReadOnly("the registry is read-only")

    with filled.patched("mount_blob", refuse):
        move = filled.confirmed(filled.planned(filled.market))
    assert move.state == "copying"
    assert "read-only" in move.problem
    assert filled.go_on(move.id).state == "grace"
    filled.assert_moved(filled.shop, filled.market)


# -- copies ------------------------------------------------------------------------


@pytest.fixture
def market(filled):
    return Market(filled)


def copies_stall(site, monkeypatch, *, calls):
    def is_meant(called, url):
        return called == "PUT" and "/manifests/" in url

    return Stall(site, monkeypatch, is_meant, calls=calls)


def test_a_copy_waits_out_a_stall(filled, market, monkeypatch):
    plan = market.plan()
    stall = copies_stall(filled, monkeypatch, calls=7)
    assert market.confirm(plan).state == "done"
    assert stall.left == 0
    assert filled.live(market.target) == DIGESTS


def test_a_copy_that_waits_says_so_and_ends_after_a_day(filled, market, impatient, monkeypatch):
    plan = market.plan()
    copies_stall(filled, monkeypatch, calls=10**6)
    copy = market.confirm(plan)
    assert copy.state == "waiting"
    assert copy.problem.startswith("The registry does not answer (")
    assert copy.stalled_since is not None
    filled.change(Copy, {"stalled_since": utc_now() - lease.STALL_LIMIT}, id=copy.id)
    filled.resume()
    after = filled.row(Copy, id=copy.id)
    assert (after.state, after.problem) == ("failed", "")
    page = filled.page(f"/{market.stall}/-/copies/{copy.id}", "alice").text
    assert "the registry did not answer for 24 hours" in page


def test_a_copy_to_a_registry_that_stores_nothing_waits(filled, market, impatient):
    def full(*_):
        raise RegistryFault("the registry answered 500 UNKNOWN")

    plan = market.plan()
    with filled.patched("put_manifest", full), filled.patched("put_blob", full):
        copy = market.confirm(plan)
    assert copy.state == "waiting"
    assert market.outcomes(copy) == {}
    filled.resume()
    assert market.copy(copy.id).state == "done"
    assert filled.live(market.target) == DIGESTS


def test_a_tag_that_cannot_be_copied_ends_a_copy_in_a_read_only_registry(filled, market):
    """The copy is reported, instead of being tried again without end."""

    def fail(*_):
        raise RegistryFault("the registry answered 500 UNKNOWN")

    def refuse(*_):
        raise RegistryReadOnly("the registry is read-only")

    plan = market.plan()
    with filled.patched("mount_blob", fail), filled.patched("put_blob", refuse):
        copy = market.confirm(plan)
    assert copy.state == "failed"
    assert set(market.outcomes(copy).values()) == {"refused"}
    assert "the registry is read-only" in market.details(copy)
