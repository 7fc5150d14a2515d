"""Garbage collection of a registry that runs: what goes, what stays, who waits, what a kill does.

No client of these tests uses a bearer token from before a write freeze, so the time in which it
could be used is cut short: one second of life, and no grace.
"""

from __future__ import annotations

import subprocess
from datetime import timedelta

import pytest

from registry_ui.garbage_collection import runner
from registry_ui.garbage_collection.process import is_gone
from registry_ui.jobs.tasks import resume
from registry_ui.models import GarbageCollection, Removal, WriteFreeze
from registry_ui.names import TagName
from registry_ui.operations import write_freeze
from registry_ui.removals.planner import plan_tag
from tests.contract.conftest import PATIENCE
from tests.support import registry as registries
from tests.support.garbage_collection import (
    BOTH,
    DOOMED,
    GOES,
    ONE,
    STAYS,
    TAGS,
    Worker,
    app_of,
    assert_whole,
    begin,
    can_be_pulled,
    cancel,
    collected,
    go_on,
    hold_back,
    on_disk,
    remove_doomed,
    resumed,
    run,
    scope_of,
    state,
)
from tests.support.live import LiveSite, Pusher
from tests.support.processes import until

pytestmark = [
    pytest.mark.contract,
    pytest.mark.parametrize("storage", ["postgresql"], indirect=True),
]


@pytest.fixture
def site(make_app, own_registry, monkeypatch, tmp_path) -> LiveSite:
    """A site whose registry runs, with an image of three tags; the collector is the real one.

    It waits for a file, where the test wants to see it run.
    """
    monkeypatch.setattr(write_freeze, "GRACE", timedelta(0))
    (tmp_path / "go").touch()
    script = tmp_path / "collector"
    wait = f'while [ ! -e {tmp_path}/go ]; do sleep 0.05; done; echo started; exec "$@"'
    script.write_text(f"#!/bin/sh\n{wait}\n")
    script.chmod(0o700)
    real = (registries.binary(own_registry.version), "garbage-collect")
    app = make_app(
        var=tmp_path,
        registry_url=own_registry.url,
        registry_host=f"localhost:{own_registry.port}",
        registry_timeout=PATIENCE,
        token_lifetime=1,
        gc_command=(str(script), *real, str(own_registry.home / "config.yml")),
    )
    made = LiveSite(app, own_registry)
    made.open_shop()
    made.push_and_tell(f"{made.shop}/app", TAGS)
    return made


# -- what goes and what stays ----------------------------------------------------


def test_a_dry_run_counts_and_measures_what_would_go_and_touches_nothing(site):
    remove_doomed(site)
    before = on_disk(site)
    row = collected(site, dry_run=True)
    assert on_disk(site) == before
    # A placeholder of 2.8 is two blobs more, of which the index knows nothing.
    placeholder = 2 if site.registry.version == "2.8" else 0
    assert (row.blobs, row.unmeasured) == (len(GOES) + placeholder, placeholder)
    assert row.freed == sum(GOES.values())
    assert row.marked >= len(STAYS)
    assert site.rows(WriteFreeze) == []
    for digest in GOES:
        assert f"blob eligible for deletion: {digest}" in row.output
    assert "marking" not in row.output


def test_what_no_tag_leads_to_goes_and_all_else_stays_whole(site):
    remove_doomed(site)
    assert on_disk(site) >= GOES.keys()
    row = collected(site)
    assert GOES.keys() & on_disk(site) == set()
    assert row.blobs >= len(GOES)
    assert row.problem == ""
    assert_whole(site, app_of(site))
    assert site.rows(WriteFreeze) == []


def test_what_was_collected_can_be_pushed_again_without_a_restart(site):
    """The configuration that we write has no cache of what blobs there are."""
    remove_doomed(site)
    collected(site)
    again = Pusher(site.registry.url, site.pusher.signer)
    again.push(app_of(site), {"doomed": DOOMED})
    assert again.digest(app_of(site), "doomed") == DOOMED.digest
    assert on_disk(site) >= GOES.keys()


def test_a_registry_with_a_cache_is_found_out_and_its_restart_asked_for(site, monkeypatch):
    config = registries.registry_config
    cache = "storage:\n  cache:\n    blobdescriptor: inmemory\n"
    monkeypatch.setattr(
        registries, "registry_config", lambda s: config(s).replace("storage:\n", cache, 1)
    )
    site.registry.stop()
    site.registry.start()
    site.push(app_of(site), {"again": DOOMED})  # it knows these blobs by now
    site.pusher.delete(app_of(site), DOOMED.digest)
    row = collected(site)
    assert row.problem == runner.RESTART
    assert GOES.keys() & on_disk(site) == set()
    again = Pusher(site.registry.url, site.pusher.signer)
    again.push(app_of(site), {"again": DOOMED})
    assert not can_be_pulled(again, app_of(site), "again"), "there is no need to ask for a restart"
    site.registry.stop()
    site.registry.start()
    fresh = Pusher(site.registry.url, site.pusher.signer)
    fresh.push(app_of(site), {"fresh": DOOMED})
    assert fresh.digest(app_of(site), "fresh") == DOOMED.digest


def test_a_second_collection_finds_nothing_more(site):
    remove_doomed(site)
    collected(site)
    row = collected(site)
    assert (row.blobs, row.freed, row.unmeasured) == (0, 0, 0)


# -- who waits -------------------------------------------------------------------


@pytest.fixture
def started(site):
    """Start a collection in a worker of its own; it is ended with the test."""
    workers = []

    def start(*, dry_run=False) -> tuple[int, Worker]:
        collection_id = begin(site, dry_run=dry_run)
        workers.append(Worker(site, collection_id))
        return collection_id, workers[-1]

    yield start
    for worker in workers:
        worker.kill()


def test_while_it_runs_images_are_pulled_and_not_pushed_and_afterwards_all_is_as_before(
    site, started
):
    remove_doomed(site)
    hold_back(site)
    _, worker = started()
    until(lambda: state(site) == "running")
    assert scope_of(site) == "pull"
    assert site.live(app_of(site)) == {"one": ONE.digest, "both": BOTH.digest}
    go_on(site)
    until(lambda: state(site) == "done")
    assert worker.ended() == 0
    assert scope_of(site) == "pull,push,delete"
    assert GOES.keys() & on_disk(site) == set()


def test_the_collector_does_not_begin_before_the_last_token_has_ended(site):
    collection_id = begin(site)
    begun = []
    with site.app.app_context():
        original = write_freeze.freeze_writes

    def record(*arguments):
        begun.append(original(*arguments))
        return begun[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write_freeze, "freeze_writes", record)
        row = run(site, collection_id)
    assert row.collector_started_at >= begun[0].quiet_at == row.quiet_at
    assert row.quiet_at - begun[0].set_at == timedelta(seconds=1)


def test_a_collection_waits_for_a_removal_under_way_and_holds_up_the_next(site, started):
    removal_id = site.start(plan_tag, app_of(site), TagName("doomed"))
    busy = {"state": "running", "lease_until": write_freeze.utc_now() + timedelta(minutes=1)}
    site.change(Removal, busy, id=removal_id)
    collection_id, worker = started()
    until(lambda: state(site) == "draining")
    until(lambda: write_freeze.utc_now() > site.row(GarbageCollection, id=collection_id).quiet_at)
    assert state(site) == "draining"
    site.change(Removal, {"lease_until": None, "lease_owner": None}, id=removal_id)
    assert site.run(removal_id) is None  # it lets a write freeze pass, and goes on later
    until(lambda: state(site) == "done")
    worker.ended()
    assert DOOMED.digest in on_disk(site)
    with site.app.app_context():
        resume()
    assert site.removal(removal_id).state == "done"


# -- kill -9 ---------------------------------------------------------------------


def test_killed_while_it_waits_another_worker_goes_on_in_the_same_freeze(site, started):
    remove_doomed(site)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "_is_quiet", dying)
        collection_id = begin(site)
        with site.app.app_context(), pytest.raises(Died):
            runner.run(collection_id)
    assert state(site) == "draining"
    freeze = site.row(WriteFreeze)
    assert scope_of(site) == "pull"
    with site.app.app_context():
        assert runner.run(collection_id) is None  # as long as it may be alive
    assert site.row(WriteFreeze).id == freeze.id
    resumed(site)
    assert state(site) == "done"
    assert site.rows(WriteFreeze) == []
    assert GOES.keys() & on_disk(site) == set()


class Died(BaseException):
    """The worker ended here: nothing of it may handle this."""


def dying(*_arguments):
    raise Died


def test_killed_while_the_collector_runs_that_ends_and_another_runs_once(site, started):
    remove_doomed(site)
    hold_back(site)
    collection_id, worker = started()
    lock = site.config.var / "collector.lock"
    until(lambda: state(site) == "running" and not is_gone(lock))
    worker.kill()
    until(lambda: is_gone(lock), what="the collector's end")
    assert (state(site), scope_of(site)) == ("running", "pull")
    go_on(site)
    resumed(site)
    row = site.row(GarbageCollection, id=collection_id)
    assert (row.state, row.problem, row.output.count("started")) == ("done", "", 1)
    assert scope_of(site) == "pull,push,delete"
    assert GOES.keys() & on_disk(site) == set()
    assert_whole(site, app_of(site))


def test_a_collector_that_outlived_its_worker_is_waited_for(site):
    lock = site.config.var / "collector.lock"
    left = subprocess.Popen(["flock", str(lock), "sleep", "2"])
    until(lambda: not is_gone(lock))
    row = collected(site, dry_run=True)
    assert left.poll() == 0
    assert row.output.count("started") == 1


# -- canceled --------------------------------------------------------------------


def test_cancelled_before_the_collector_began_the_freeze_is_lifted_at_once(site, started):
    remove_doomed(site)
    before = on_disk(site)
    site.change(
        Removal, {"state": "running", "lease_until": write_freeze.utc_now() + timedelta(hours=1)}
    )
    collection_id, worker = started()
    until(lambda: state(site) == "draining")
    cancel(site, collection_id)
    assert (state(site), site.rows(WriteFreeze), scope_of(site)) == (
        "cancelled",
        [],
        "pull,push,delete",
    )
    assert worker.ended() == 0
    assert state(site) == "cancelled"
    assert on_disk(site) == before


def test_cancelled_while_the_collector_runs_it_is_ended_and_then_the_freeze_lifted(site, started):
    remove_doomed(site)
    before = on_disk(site)
    hold_back(site)
    collection_id, worker = started()
    lock = site.config.var / "collector.lock"
    until(lambda: state(site) == "running" and not is_gone(lock))
    cancel(site, collection_id)
    until(lambda: state(site) == "cancelled")
    assert is_gone(lock)
    assert worker.ended() == 0
    assert (site.rows(WriteFreeze), scope_of(site)) == ([], "pull,push,delete")
    assert on_disk(site) >= before


def test_cancelled_with_its_worker_dead_it_ends_without_a_collector(site, started):
    hold_back(site)
    collection_id, worker = started()
    until(lambda: state(site) == "running")
    worker.kill()
    cancel(site, collection_id)
    assert site.rows(WriteFreeze) != []
    resumed(site)
    row = site.row(GarbageCollection, id=collection_id)
    assert (row.state, row.output, site.rows(WriteFreeze)) == ("cancelled", "", [])
