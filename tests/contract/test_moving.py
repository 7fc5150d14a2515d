"""Projects get another path, digest by digest, on every major version; also where workers die."""

from __future__ import annotations

import itertools
import threading
from datetime import timedelta
from unittest import mock

import pytest
from sqlalchemy import update

from registry_ui.db.session import db
from registry_ui.distribution import errors
from registry_ui.models import Move, Place
from registry_ui.moves import runner as work
from registry_ui.moves import service as moves
from registry_ui.operations import write_freeze
from registry_ui.web import moves as move_pages
from tests.contract.mover import ARM, BOTH, DIGESTS, IMAGES, ONE, TWO, digests_of, repository
from tests.support.live import Pusher, RegistryError, tiny
from tests.web.support import ACTOR

# The web tests ask the same of both storage pairs; one of them does for the registry's part.
pytestmark = [
    pytest.mark.contract,
    pytest.mark.parametrize("storage", ["postgresql"], indirect=True),
]


@pytest.fixture(autouse=True)
def _filled(mover):
    mover.fill()


def test_a_renamed_project_has_every_image_with_the_same_digests(mover):
    mover.moved(mover.market)
    mover.assert_moved(mover.shop, mover.market)
    projects = [place.path for place in mover.rows(Place) if place.kind == "project"]
    assert projects == [mover.market]


def test_what_was_pushed_until_the_last_token_ended_moves_too(mover):
    """Somebody pushes while everything is copied, deletes, and makes a new image."""
    copy, wait, web = work.transfer.copy, work._wait, f"{mover.shop}/web"

    def copy_and_push(hold, row):
        copy(hold, row)
        if row.source == web:
            mover.push(web, {"1.0": TWO, "during": BOTH})
            mover.pusher.delete(web, TWO.digest)

    def push_in_the_last_moment(hold):
        mover.push(web, {"last": ARM})
        mover.push(f"{mover.shop}/fresh/image", {"first": BOTH})
        wait(hold)

    with (
        mock.patch.object(work.transfer, "copy", copy_and_push),
        mock.patch.dict(work.PHASES, {"fenced": push_in_the_last_moment}),
    ):
        mover.moved(mover.market)
    left = {"latest": ONE.digest, "both": BOTH.digest, "during": BOTH.digest, "last": ARM.digest}
    target = f"{mover.market}/web"
    assert mover.live(target) == mover.index(target) == left
    fresh = f"{mover.market}/fresh/image"
    assert mover.live(fresh) == mover.index(fresh) == {"first": BOTH.digest}
    assert mover.live(f"{mover.market}/web/api") == digests_of("web/api")


def test_while_it_waits_for_the_last_tokens_pulls_are_granted_and_pushes_are_not(mover):
    wait, seen = work._wait, []

    def look(hold):
        seen.append([mover.grants(f"{path}/web") for path in (mover.shop, mover.market)])
        wait(hold)

    with mock.patch.dict(work.PHASES, {"fenced": look}):
        mover.moved(mover.market)
    assert seen == [["pull", ""]]


def test_an_earlier_digest_of_a_tag_can_be_pulled_under_the_new_name(mover):
    web = f"{mover.shop}/web"
    mover.push_and_tell(web, {"1.0": ARM, "latest": ARM})
    mover.moved(mover.market)
    assert mover.pusher.digest(f"{mover.market}/web", ONE.digest) == ONE.digest


def test_an_earlier_digest_that_cannot_be_read_stops_no_move(mover):
    web = f"{mover.shop}/web"
    mover.push_and_tell(web, {"1.0": ARM, "latest": ARM})
    repositories = mover.registry.home / "data/docker/registry/v2/repositories"
    revision = ONE.digest.replace(":", "/")
    (repositories / web / "_manifests/revisions" / revision / "link").write_text("")
    mover.moved(mover.market)
    assert mover.pusher.digest(f"{mover.market}/web", "1.0") == ARM.digest


class Client(Pusher):
    """A client with the bearer tokens that the endpoint gives a maintainer, and no others."""

    def __init__(self, mover, secret):
        super().__init__(mover.registry.url, mover.app.extensions["signer"])
        self.mover, self.auth = mover, ("maintainer", secret)

    def token(self, _challenge, scope):
        return self.mover.ask_token(*scope.split(), auth=self.auth).json["token"]


def test_every_push_that_was_granted_arrives_and_every_pull_of_the_old_path_works(
    mover, monkeypatch
):
    """Somebody pushes all the time, somebody else pulls all the time, until after the switch."""
    # The registry takes a token for a minute longer than it lives: each is used at once here.
    monkeypatch.setattr(write_freeze, "GRACE", timedelta(seconds=5))
    # Some fifty checks during this wait are as good as three hundred.
    monkeypatch.setattr(work, "POLL_INTERVAL", 0.1)
    web, over = f"{mover.shop}/web", threading.Event()
    pushed, refused, pulled = {}, [], []
    secret = mover.access_token("maintainer", "write_registry")

    def push():
        for number in itertools.count():
            if over.is_set():
                return
            manifest = tiny(f"number {number}")
            try:
                Client(mover, secret).push(web, {f"n{number}": manifest})
            except RegistryError:
                refused.append(number)
            else:
                pushed[f"n{number}"] = manifest.digest

    def pull():
        while not over.is_set():
            pulled.append(Client(mover, secret).digest(web, "1.0"))

    threads = [threading.Thread(target=work) for work in (push, pull)]
    for thread in threads:
        thread.start()
    try:
        mover.moved(mover.market)
    finally:
        over.set()
        for thread in threads:
            thread.join(60)
    found = mover.live(f"{mover.market}/web")
    assert pushed
    assert refused
    assert found == mover.index(f"{mover.market}/web") == DIGESTS | pushed
    assert set(pulled) == {ONE.digest}


#: Where the worker dies: at which call, for which time, and in which state the move is then.
DEATHS = [
    ("client.mount_blob", 3, "copying"),
    # The tests of resumed moves kill at this call, too.
    pytest.param("client.put_manifest", 4, "copying", marks=pytest.mark.thorough),
    ("work._wait", 1, "fenced"),
    ("transfer.settle", 2, "settling"),
    ("transfer.verify", 2, "verifying"),
    ("work.switch", 1, "verifying"),
    ("work.reconcile", 1, "grace"),
]


@pytest.mark.parametrize(("where", "number", "state"), DEATHS)
def test_killed_in_any_phase_the_next_worker_finishes(mover, where, number, state):
    move_id = mover.planned(mover.market)
    mover.begin(move_id)
    mover.killed(move_id, where, number)
    assert mover.move(move_id).state == state
    for name in IMAGES:
        assert mover.live(repository(mover.shop, name)) == digests_of(name)
    assert mover.go_on(move_id).state == "grace"
    if state == "grace":
        mover.reconcile_all()
    mover.assert_moved(mover.shop, mover.market)


def test_killed_before_a_tag_that_moved_is_copied_anew_the_next_worker_knows_the_copy(mover):
    """What the new path has then is what was copied first: ours, and not somebody else's."""
    move_id = mover.planned(mover.market)
    mover.begin(move_id)
    mover.killed(move_id, "work._wait", 1)
    for name in IMAGES:
        mover.push(repository(mover.shop, name), {"1.0": ARM})
    with mover.app.app_context():
        db.session.execute(update(Move).values(lease_until=None))
        db.session.commit()
    mover.killed(move_id, "client.put_manifest", 1)
    assert mover.move(move_id).state == "settling"
    assert (mover.go_on(move_id).state, mover.move(move_id).problem) == ("grace", "")
    for name in IMAGES:
        digests = {**digests_of(name), "1.0": ARM.digest}
        assert mover.live(repository(mover.market, name)) == digests


# -- called off -----------------------------------------------------------------------


def when_it_reaches(mover, state, deed):
    """Do something at the beginning of a phase, while the worker is at it."""
    phase = work.PHASES[state]

    def then(hold):
        deed()
        phase(hold)

    return mock.patch.dict(work.PHASES, {state: then})


@pytest.mark.parametrize("state", ["copying", "fenced", "settling", "verifying"])
def test_called_off_in_any_phase_the_copies_go_and_people_push_at_once(mover, state):
    move_id = mover.planned(mover.market)

    def cancel():
        with mover.app.app_context():
            moves.cancel(ACTOR, move_id)
        assert "push" in mover.grants(f"{mover.shop}/web")

    with when_it_reaches(mover, state, cancel):
        move = mover.confirmed(move_id)
    assert move.state == "cancelled"
    mover.assert_untouched(mover.shop, mover.market)
    assert mover.rows(Place, path=mover.market) == []


def test_killed_while_the_copies_go_the_next_worker_takes_the_rest_away(mover):
    move_id = mover.planned(mover.market)
    mover.begin(move_id)
    mover.killed(move_id, "work._wait", 1)
    mover.change(Move, {"lease_until": None}, id=move_id)
    with mock.patch.object(move_pages, "enqueue"):
        assert mover.send(move_id, "cancel").state == "undoing"
    mover.killed(move_id, "client.delete_manifest", 3)
    assert mover.go_on(move_id).state == "cancelled"
    mover.assert_untouched(mover.shop, mover.market)


def test_the_registry_stops_on_the_way_and_people_push_until_it_goes_on(mover):
    def unavailable():
        raise errors.RegistryError("the registry could not be reached")

    move_id = mover.planned(mover.market)
    with mover.patched("catalog", unavailable):
        move = mover.confirmed(move_id)
    assert move.state == "failed"
    assert "could not be reached" in move.problem
    assert "push" in mover.grants(f"{mover.shop}/web")
    assert mover.grants(f"{mover.market}/web", by="owner") == ""
    mover.push(f"{mover.shop}/web", {"between": ARM})
    assert mover.send(move_id, "retry").state == "grace"
    assert mover.live(f"{mover.market}/web") == {**DIGESTS, "between": ARM.digest}


def stopped_behind_the_copy(mover):
    """Let the registry stop once the tags of an image are copied; then a tag goes from it."""

    def unavailable(*_):
        raise errors.RegistryError("the registry could not be reached")

    move_id = mover.planned(mover.market)
    with mock.patch.object(work.transfer, "_copy_history", unavailable):
        assert mover.confirmed(move_id).state == "failed"
    digests = digests_of("")
    assert mover.live(mover.market) == digests
    mover.pusher.delete(mover.shop, TWO.digest)
    return move_id, {tag: digest for tag, digest in digests.items() if digest != TWO.digest}


def test_a_tag_that_goes_between_two_attempts_is_not_taken_for_somebody_else_s(mover):
    move_id, left = stopped_behind_the_copy(mover)
    assert (mover.send(move_id, "retry").state, mover.move(move_id).problem) == ("grace", "")
    assert mover.live(mover.market) == mover.index(mover.market) == left


def test_a_tag_that_goes_before_a_move_is_called_off_goes_from_the_new_name_too(mover):
    move_id, left = stopped_behind_the_copy(mover)
    assert mover.send(move_id, "cancel").state == "cancelled"
    assert mover.live(mover.shop) == left
    assert mover.pusher.tags(mover.market) == []


def test_a_mistake_of_ours_keeps_nobody_from_pushing(mover):
    move_id = mover.planned(mover.market)
    with mock.patch.object(work.transfer, "settle", side_effect=KeyError("x")):
        move = mover.confirmed(move_id)
    assert (move.state, move.problem) == ("failed", "Something broke on our side.")
    assert "push" in mover.grants(f"{mover.shop}/web")
    assert mover.send(move_id, "retry").state == "grace"
    mover.assert_moved(mover.shop, mover.market)


def test_what_somebody_else_pushed_to_the_new_name_is_never_overwritten(mover):
    """By a bearer token from before the name was taken."""
    move_id = mover.planned(mover.market)
    foreign = {"1.0": ARM, "mine": ARM}
    mover.push(f"{mover.market}/web", foreign)
    move = mover.confirmed(move_id)
    assert move.state == "failed"
    assert "in use in the registry" in move.problem
    mover.send(move_id, "cancel")
    assert mover.live(f"{mover.market}/web") == {tag: m.digest for tag, m in foreign.items()}
    assert mover.live(f"{mover.shop}/web") == DIGESTS
