"""A move names the tags that can't be copied, keeps them at the old path, and moves the rest."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from registry_ui.db.session import db
from registry_ui.distribution.errors import InvalidRegistryResponse, RegistryFault
from registry_ui.jobs import tasks
from registry_ui.models import Move, UnmovedTag, WriteFreeze, utc_now
from registry_ui.operations import lease
from tests.contract.mover import DIGESTS, ONE, TWO, Mover
from tests.support.damage import damage_tag
from tests.support.live import tiny
from tests.support.oddities import schema1, stop_taking_schema1
from tests.support.pulls import digests

pytestmark = [
    pytest.mark.contract,
    pytest.mark.parametrize("storage", ["sqlite", "postgresql"], indirect=True),
]

OLD, LATER = schema1("old/app"), tiny("pushed in place of it")
ODD = "odd"


@pytest.fixture
def live_registry(old_registry):
    """The registry of the mover, which takes schema 1 until it is restarted without."""
    return old_registry


@pytest.fixture
def filled(mover: Mover) -> Mover:
    """A project in which one image has a tag that the registry will refuse."""
    mover.fill(names=["web"])
    mover.push_and_tell(f"{mover.shop}/web", {ODD: OLD})
    stop_taking_schema1(mover)
    return mover


def old(site):
    return f"{site.shop}/web"


def new(site):
    return f"{site.market}/web"


def moved_with_a_rest(site):
    move = site.confirmed(site.planned(site.market))
    assert move.state == "grace", move.problem
    assert "could not be copied and stay at the old path: 1" in move.problem
    assert site.live(new(site)) == site.index(new(site)) == DIGESTS
    assert digests(site, old(site))[ODD] is not None
    assert site.rows(WriteFreeze) == []
    return move.id


def refusing(site, reference, error):
    """Refuse the push of one reference, as a registry or a proxy does for good."""
    put = site.app.extensions["registry"].put_manifest

    def put_or_refuse(repository, pushed, *what):
        if str(pushed) == reference:
            raise error
        return put(repository, pushed, *what)

    return site.patched("put_manifest", put_or_refuse)


def test_schema_1_that_the_registry_refuses_stays_and_everything_else_moves(filled):
    move_id = moved_with_a_rest(filled)
    page = filled.page(f"/{filled.market}/-/moves/{move_id}", "owner")
    assert "Not copied: 1 tag" in page.text
    (row,) = page.table("Tags that could not be copied")
    assert row["Tag"] == f"{old(filled)}:{ODD}"
    assert "compatibility.schema1.enabled" in row["Reason"]
    assert "Build each again and push it to the new path" in page.text
    assert filled.grants(old(filled)) == "pull"


def test_the_api_and_the_command_line_name_an_unmoved_tag_too(filled):
    move_id = moved_with_a_rest(filled)
    auth = {"Authorization": f"Bearer {filled.access_token('owner', 'api')}"}
    address = f"/api/v4/projects/{filled.market}/-/moves/{move_id}"
    answer = filled.app.test_client().get(address, headers=auth).json
    assert answer["unmoved_count"] == 1
    (one,) = answer["unmoved"]
    assert one["reference"] == f"{old(filled)}:{ODD}"
    assert "Docker schema 1" in one["reason"]
    result = filled.app.test_cli_runner().invoke(args=["move", "show", str(move_id)])
    assert f"{old(filled)}:{ODD} stays at the old path: it is of Docker schema 1" in result.output
    assert "then retire the old path" in result.output


@pytest.mark.both_databases
def test_the_old_path_is_never_emptied_of_it_unless_a_person_says_so(filled):
    move_id = moved_with_a_rest(filled)
    assert filled.send(move_id, "retire").state == "grace"
    assert digests(filled, old(filled)) == {ODD: OLD.digest}
    assert filled.grants(old(filled)) == "pull"
    assert filled.move(move_id).grace_until is None
    assert filled.send(move_id, "retire", everything="1").state == "done"
    assert filled.pusher.tags(old(filled)) == []
    assert filled.rows(UnmovedTag) == []


@pytest.mark.both_databases
def test_a_comparison_does_not_take_it_for_a_push_behind_the_move(filled):
    move_id = moved_with_a_rest(filled)
    filled.change(Move, {"compare_at": utc_now()}, id=move_id)
    with filled.app.app_context():
        tasks.resume()
        db.session.remove()
    assert filled.move(move_id).compare_at is None
    assert filled.grants(old(filled)) == "pull"


@pytest.mark.both_databases
def test_a_tag_that_is_replaced_before_the_switch_moves_like_any_other(filled):
    move_id = filled.planned(filled.market)
    filled.begin(move_id)
    filled.killed(move_id, "work._wait", 1)
    assert [row.tag for row in filled.rows(UnmovedTag)] == [ODD]
    filled.push_and_tell(old(filled), {ODD: LATER})
    move = filled.go_on(move_id)
    assert (move.state, move.problem) == ("grace", "")
    assert filled.live(new(filled)) == {**DIGESTS, ODD: LATER.digest}
    assert filled.rows(UnmovedTag) == []


@pytest.mark.both_databases
def test_a_tag_that_is_replaced_by_one_that_is_refused_is_taken_back_from_the_new_name(mover):
    mover.fill(names=["web"])
    mover.push_and_tell(old(mover), {ODD: LATER})
    move_id = mover.planned(mover.market)
    mover.begin(move_id)
    mover.killed(move_id, "work._wait", 1)
    assert mover.live(new(mover))[ODD] == LATER.digest
    mover.push_and_tell(old(mover), {ODD: OLD})
    stop_taking_schema1(mover)
    assert mover.go_on(move_id).state == "grace"
    assert mover.live(new(mover)) == DIGESTS
    assert digests(mover, old(mover))[ODD] == OLD.digest


def test_any_tag_that_is_refused_for_good_stays(mover):
    mover.fill(names=["web"])
    answers = {"a": "400 MANIFEST_INVALID", "b": "404", "c": "413", "d": "422"}
    later = {tag: tiny(f"later {tag}") for tag in answers}
    mover.push_and_tell(old(mover), later)
    with ExitStack() as refused:
        for tag, words in answers.items():
            error = InvalidRegistryResponse(f"the registry answered {words}")
            refused.enter_context(refusing(mover, tag, error))
        move = mover.confirmed(mover.planned(mover.market))
    assert move.state == "grace", move.problem
    assert "could not be copied and stay at the old path: 4" in move.problem
    assert mover.live(new(mover)) == mover.index(new(mover)) == DIGESTS
    rows = {row.tag: row for row in mover.rows(UnmovedTag)}
    assert rows.keys() == answers.keys()
    for tag, words in answers.items():
        assert words in rows[tag].reason
        assert rows[tag].digest == later[tag].digest


@pytest.mark.both_databases
def test_a_tag_whose_digest_the_new_name_has_stays_too_if_it_was_refused(mover):
    mover.fill(names=["web"])
    error = InvalidRegistryResponse("the registry answered 400 TAG_INVALID")
    with refusing(mover, "latest", error):
        move = mover.confirmed(mover.planned(mover.market))
    assert move.state == "grace"
    assert mover.send(move.id, "retire").state == "grace"
    assert digests(mover, old(mover))["latest"] == ONE.digest
    assert "2.0" not in digests(mover, old(mover))
    assert mover.live(new(mover))["2.0"] == TWO.digest


# The database hears of each kind of damage in the same words.
@pytest.mark.parametrize(
    "kind",
    [pytest.param("empty link", marks=pytest.mark.both_databases), "missing link", "ghost"],
)
def test_a_tag_that_is_damaged_while_it_moves_stays(mover, kind):
    mover.fill(names=["web"])
    mover.push_and_tell(old(mover), {ODD: LATER})
    move_id = mover.planned(mover.market)
    damage_tag(mover.registry, old(mover), ODD, kind)
    move = mover.confirmed(move_id)
    assert move.state == "grace", move.problem
    assert mover.live(new(mover)) == mover.index(new(mover)) == DIGESTS
    (row,) = mover.rows(UnmovedTag)
    assert (row.tag, row.digest) == (ODD, LATER.digest)
    assert mover.send(move_id, "retire").state == "grace"
    assert ODD in mover.pusher.tags(old(mover))


def test_a_tag_that_lacks_a_blob_stays(mover):
    mover.fill(names=["web"])
    mover.push_and_tell(old(mover), {ODD: LATER})
    blob = f"{old(mover)}/blobs/{LATER.blobs[-1].digest}"
    mover.pusher._call("DELETE", blob, old(mover), 202)
    moved_with_a_rest(mover)
    assert "parts of it are missing" in mover.row(UnmovedTag).reason


@pytest.mark.both_databases
def test_a_registry_that_stores_nothing_is_waited_for(mover, monkeypatch):
    monkeypatch.setattr(lease, "REGISTRY_TIMEOUT", 0.0)
    mover.fill()

    def full(*_):
        raise RegistryFault("the registry answered 500 UNKNOWN")

    with mover.patched("put_manifest", full), mover.patched("put_blob", full):
        move = mover.confirmed(mover.planned(mover.market))
        assert move.state == "copying"
        assert mover.rows(UnmovedTag) == []
    assert mover.go_on(move.id).state == "grace"
    mover.assert_moved(mover.shop, mover.market)


@pytest.mark.both_databases
def test_an_earlier_build_is_not_left_behind_by_a_registry_that_stores_nothing(mover, monkeypatch):
    """No tag needs it, but it can be pulled by its digest."""
    monkeypatch.setattr(lease, "REGISTRY_TIMEOUT", 0.0)
    mover.push_and_tell(old(mover), {"main": LATER})
    mover.fill(names=["web"])
    mover.push_and_tell(old(mover), {"main": ONE})

    def full(*_):
        raise RegistryFault("the registry answered 500 UNKNOWN")

    error = RegistryFault("the registry answered 500 UNKNOWN")
    with refusing(mover, LATER.digest, error), mover.patched("put_blob", full):
        assert mover.confirmed(mover.planned(mover.market)).state == "copying"
    assert mover.go_on(mover.row(Move).id).state == "grace"
    assert mover.pusher.digest(new(mover), LATER.digest) == LATER.digest


def test_a_move_of_which_nothing_can_be_copied_stops_before_anything_is_switched(mover):
    mover.push_and_tell(old(mover), {ODD: OLD})
    stop_taking_schema1(mover)
    move = mover.confirmed(mover.planned(mover.market))
    assert move.state == "failed"
    assert f"None of the tags can be copied, for example {old(mover)}:{ODD}" in move.problem
    assert mover.send(move.id, "cancel").state == "cancelled"
    assert digests(mover, old(mover)) == mover.index(old(mover)) == {ODD: OLD.digest}
    assert mover.rows(UnmovedTag) == []
