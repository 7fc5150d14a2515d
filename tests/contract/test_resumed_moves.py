"""A killed move continues where it was: what is done is not asked for again."""

from __future__ import annotations

from contextlib import contextmanager
from unittest import mock

import pytest
from sqlalchemy import update

from registry_ui.db.session import db
from registry_ui.demo.images import index
from registry_ui.models import CopiedManifest, CopiedTag, Move, MovedRepository
from registry_ui.moves import progress, runner
from registry_ui.operations.errors import Deferred
from tests.contract.mover import ONE
from tests.support.live import tiny

# The web tests ask the same of both storage pairs; one of them does for the registry's part.
pytestmark = [
    pytest.mark.contract,
    pytest.mark.parametrize("storage", ["sqlite"], indirect=True),
]

#: Fewer than in production, so that a few tags are several batches.
BATCH_SIZE = 6
MANY = {f"n{number:02}": tiny(f"number {number}") for number in range(3 * BATCH_SIZE)}
#: Tags that a worker had finished when it was killed in the middle of the last batch.
FINISHED = list(MANY)[: 2 * BATCH_SIZE]
#: Calls that a worker makes for a repository however many tags it has: two lists of tags, and
#: one that finds out whether the registry has the referrers API.
ALWAYS = 3
#: The phase that follows each.
NEXT = {"copying": "fenced", "settling": "verifying"}


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch):
    monkeypatch.setattr(progress, "BATCH_SIZE", BATCH_SIZE)
    monkeypatch.setattr(progress, "RECORD_BATCH_SIZE", BATCH_SIZE)
    monkeypatch.setattr(runner.transfer, "HISTORY_BATCH_SIZE", BATCH_SIZE)


@pytest.fixture
def many(mover):
    """A project with an image of many tags."""
    mover.push_and_tell(f"{mover.shop}/web", MANY)
    return mover


@contextmanager
def calls_of(mover):
    """Note every call to the registry: method and address."""
    wire, noted = mover.app.extensions["registry"]._transport, []
    send = wire.send

    def note(method, target, *arguments, **more):
        noted.append(f"{method} {target}")
        return send(method, target, *arguments, **more)

    with mock.patch.object(wire, "send", note):
        yield noted


def calls_of_phase(mover, move_id, state):
    """Let the next worker carry out the rest of a phase; return its calls."""

    def stop(_hold):
        raise Deferred

    following = {NEXT[state]: stop} if state in NEXT else {}
    with (
        mock.patch.dict(runner.PHASES, following),
        mock.patch.object(runner, "reconcile"),
        calls_of(mover) as noted,
    ):
        mover.go_on(move_id)
    return noted


def release_lease(mover):
    """Let the lease of a dead worker run out."""
    with mover.app.app_context():
        db.session.execute(update(Move).values(lease_until=None))
        db.session.commit()


def killed_in(mover, state):
    """Plan a move and kill it two batches and a half behind the beginning of a phase."""
    move_id = mover.planned(mover.market)
    mover.begin(move_id)
    if state == "copying":
        # Each tag has another manifest, which is read once.
        mover.killed(move_id, "client.manifest", len(FINISHED) + BATCH_SIZE // 2)
    else:
        mover.killed(move_id, "work._wait", 1)
        release_lease(mover)
        # Both phases ask for every tag once under the old and once under the new path.
        earlier = 2 * len(MANY) if state == "verifying" else 0
        mover.killed(move_id, "client.head", earlier + 2 * len(FINISHED) + BATCH_SIZE // 2)
    assert mover.move(move_id).state == state
    return move_id


def assert_complete(mover, move_id, tags, name="web"):
    assert mover.go_on(move_id).state == "grace"
    wanted = {tag: manifest.digest for tag, manifest in tags.items()}
    repository = f"{mover.market}/{name}"
    mover.reconcile(repository)
    assert mover.live(repository) == mover.index(repository) == wanted


@pytest.mark.parametrize("state", ["copying", "settling", "verifying"])
def test_killed_amid_the_tags_of_a_repository_the_next_worker_asks_for_the_rest_alone(many, state):
    move_id = killed_in(many, state)
    noted = calls_of_phase(many, move_id, state)
    done = {f"manifests/{name}" for tag in FINISHED for name in (tag, MANY[tag].digest)}
    again = [call for call in noted if call.partition("/web/")[2] in done]
    assert again == []
    left = len(MANY) - len(FINISHED)
    if state != "copying":
        heads = [call for call in noted if call.startswith("HEAD")]
        assert len(heads) == 2 * left
    assert_complete(many, move_id, MANY)


def test_the_calls_of_a_resumed_move_are_in_proportion_to_what_is_left(many):
    move_id = killed_in(many, "copying")
    resumed = len(calls_of_phase(many, move_id, "copying"))
    assert many.send(move_id, "cancel").state == "cancelled"
    again = many.planned(f"{many.root}/again")
    many.begin(again)
    whole = len(calls_of_phase(many, again, "copying"))
    left = len(MANY) - len(FINISHED)
    figures = f"{whole} calls for {len(MANY)} tags, {resumed} for the last {left}"
    assert resumed <= ALWAYS + whole * left / len(MANY), figures


def test_killed_amid_the_parts_of_an_index_the_next_worker_copies_the_rest_alone(mover):
    parts = [tiny(f"part {number}") for number in range(2 * BATCH_SIZE + 5)]
    tags = {"all": index(parts)}
    mover.push_and_tell(f"{mover.shop}/web", tags)
    move_id = mover.planned(mover.market)
    mover.begin(move_id)
    mover.killed(move_id, "client.put_manifest", 2 * BATCH_SIZE + 1)
    noted = calls_of_phase(mover, move_id, "copying")
    asked = {call.rpartition("/")[2] for call in noted if "/manifests/" in call}
    assert asked.isdisjoint(part.digest for part in parts[: 2 * BATCH_SIZE])
    assert asked.issuperset(part.digest for part in parts[2 * BATCH_SIZE :])
    assert_complete(mover, move_id, tags)
    assert mover.readable_of(f"{mover.market}/web", parts)


def test_killed_amid_earlier_digests_the_next_worker_copies_the_rest_alone(mover):
    web = f"{mover.shop}/web"
    earlier = [tiny(f"earlier {number}") for number in range(BATCH_SIZE + BATCH_SIZE // 2)]
    for manifest in [*earlier, ONE]:
        mover.push_and_tell(web, {"moving": manifest})
    move_id = mover.planned(mover.market)
    mover.begin(move_id)
    # The tag itself takes two; its earlier digests follow, the newest first.
    mover.killed(move_id, "client.put_manifest", 2 + BATCH_SIZE + 2)
    noted = calls_of_phase(mover, move_id, "copying")
    asked = {call.rpartition("/")[2] for call in noted if "/manifests/" in call}
    assert asked.isdisjoint(manifest.digest for manifest in earlier[-(BATCH_SIZE - 1) :])
    assert_complete(mover, move_id, {"moving": ONE})
    assert mover.readable_of(f"{mover.market}/web", earlier)


def test_a_retried_move_looks_at_every_tag_again(many):
    """People went on writing while it had stopped."""
    move_id = killed_in(many, "settling")
    release_lease(many)
    with mock.patch.object(runner.transfer, "settle", side_effect=KeyError("x")):
        assert many.go_on(move_id).state == "failed"
    changed = {**MANY, FINISHED[0]: ONE}
    many.push(f"{many.shop}/web", {FINISHED[0]: ONE})
    assert many.send(move_id, "retry").state == "grace"
    assert_complete(many, move_id, changed)


def test_a_tag_that_someone_else_pushed_meanwhile_is_not_overwritten(many):
    """By a bearer token from before the new path was taken."""
    move_id = killed_in(many, "copying")
    last = list(MANY)[-1]
    many.push(f"{many.market}/web", {last: ONE})
    move = many.go_on(move_id)
    assert (move.state, move.problem) == (
        "failed",
        f"Someone else has pushed to {many.market}/web: {last}.",
    )
    assert many.pusher.digest(f"{many.market}/web", last) == ONE.digest


def test_what_a_move_has_copied_is_forgotten_at_its_end(many):
    move_id = killed_in(many, "copying")
    assert many.rows(CopiedTag)
    assert many.rows(CopiedManifest)
    assert_complete(many, move_id, MANY)
    assert many.rows(CopiedManifest) == []
    assert many.row(MovedRepository).last_tag == ""
    many.send(move_id, "retire")
    assert many.move(move_id).state == "done"
    assert many.rows(CopiedTag) == []
