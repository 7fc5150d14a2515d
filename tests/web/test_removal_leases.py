"""A removal is in one worker's hands, in one thread of it, however long it takes."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from registry_ui.jobs.stored_work import run_removal
from registry_ui.manifests import graph as parts
from registry_ui.manifests import store
from registry_ui.models import ContainerImage, Project, Removal
from registry_ui.operations import lease
from registry_ui.removals import runner
from registry_ui.removals.planner import plan_image
from registry_ui.removals.service import start
from tests.web.graph import OCI_INDEX
from tests.web.support import ACTOR

pytestmark = pytest.mark.both_databases

PATH = "acme/app"
PAST = datetime.now(UTC) - timedelta(hours=1)
FUTURE = datetime.now(UTC) + timedelta(hours=1)


def missing(count):
    """Pointers to manifests that the registry does not have."""
    return [{"mediaType": OCI_INDEX, "digest": f"sha256:{n:064x}", "size": 1} for n in range(count)]


@pytest.fixture
def site(served, graph, monkeypatch):
    served.project(PATH)
    monkeypatch.setattr(lease, "RENEW_INTERVAL", 0.0)
    return served


def removal_of(site, graph, path, digest):
    """Push an image and start its removal; nobody carries it out yet."""
    graph.tag(path, v1=digest)
    site.app.test_cli_runner().invoke(args=["reconcile", path])
    with site.session() as session:
        image = session.query(ContainerImage).filter_by(path=path).one()
        return start(ACTOR, plan_image(image), session.query(Project).one()).id


def parts_asked(registry):
    return [asked.path for asked in registry.asked if "/manifests/sha256:0000" in asked.path]


def run(site, removal_id):
    with site.app.app_context():
        return runner.run(removal_id)


def test_an_index_of_too_many_parts_goes_and_they_are_not_asked_for(
    site, graph, registry, monkeypatch
):
    monkeypatch.setattr(parts, "MAX_FETCHED", 20)
    trap = graph.store(OCI_INDEX, {"manifests": missing(100)})
    removal_id = removal_of(site, graph, PATH, trap)
    registry.asked.clear()
    run(site, removal_id)
    assert site.row(Removal).state == "done"
    assert graph.tags[PATH] == {}
    assert parts_asked(registry) == []


def test_the_lease_is_renewed_while_parts_are_asked_for(site, graph, monkeypatch):
    monkeypatch.setattr(store, "BATCH_SIZE", 1)
    trap = graph.store(OCI_INDEX, {"manifests": missing(10)})
    removal_id = removal_of(site, graph, PATH, trap)
    held = []

    def look(asked):
        if "/manifests/sha256:0000" in asked.path:
            held.append(site.row(Removal).lease_until > datetime.now(UTC))
            site.change(Removal, {"lease_until": PAST})

    graph.before = look
    run(site, removal_id)
    assert held == [True] * 10
    assert site.row(Removal).state == "done"


def test_a_worker_whose_lease_is_anothers_stops_and_writes_nothing(
    site, graph, registry, monkeypatch
):
    monkeypatch.setattr(store, "BATCH_SIZE", 1)
    trap = graph.store(OCI_INDEX, {"manifests": missing(10)})
    removal_id = removal_of(site, graph, PATH, trap)
    registry.asked.clear()

    def take_over(asked):
        if "/manifests/sha256:0000" in asked.path:
            site.change(Removal, {"lease_owner": "another", "lease_until": FUTURE})

    graph.before = take_over
    assert run(site, removal_id) is None
    removal = site.row(Removal)
    assert (removal.state, site.report(), removal.lease_until) == ("running", [], FUTURE)
    assert removal.finished_at is None
    assert len(parts_asked(registry)) == 1
    assert graph.tags[PATH] == {"v1": trap}


def test_a_worker_that_was_overtaken_at_the_last_step_does_not_say_that_it_is_done(site, graph):
    removal_id = removal_of(site, graph, PATH, graph.image("one"))

    def take_over(asked):
        if asked.method == "DELETE":
            site.change(Removal, {"lease_owner": "another", "lease_until": FUTURE})

    graph.before = take_over
    assert run(site, removal_id) is None
    assert site.row(Removal).state == "running"
    assert not [entry for entry in site.audit() if entry[1] == "image.delete.done"]


def test_a_slow_removal_does_not_hold_back_the_next(site, graph, monkeypatch):
    monkeypatch.setattr(site.app, "testing", False)
    # The first removal waits for an answer as long as the test looks.
    monkeypatch.setattr(site.app.extensions["registry"]._transport, "_timeout", 30.0)
    ids = [removal_of(site, graph, f"{PATH}/{name}", graph.image(name)) for name in ("a", "b")]
    inside, go_on = threading.Event(), threading.Event()

    def block(asked):
        if asked.path == f"/v2/{PATH}/a/manifests/v1":
            inside.set()
            assert go_on.wait(60)

    graph.before = block
    with site.app.app_context():
        for removal_id in ids:
            run_removal(removal_id)  # comes back at once
    assert inside.wait(60)
    until(lambda: [row.state for row in site.rows(Removal)] == ["running", "done"])
    go_on.set()
    until(lambda: [row.state for row in site.rows(Removal)] == ["done", "done"])
    until(lambda: all(thread.name != "background" for thread in threading.enumerate()))


def until(holds):
    """Wait until something holds."""
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)
