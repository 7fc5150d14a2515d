"""Removals that run against a real registry, by this process or by one that is killed."""

from __future__ import annotations

from registry_ui.db.session import db
from registry_ui.models import ContainerImage, Removal
from tests.contract import removal_process

from .live import LiveSite, environ_of
from .worker_processes import run_until_killed


def run_removal(site: LiveSite, started: int) -> Removal:
    """Run a removal to its end; it must be done then."""
    removal = site.run(started)
    assert removal is not None
    assert removal.state == "done", site.report(started)
    return removal


def kill_removal(site: LiveSite, started: int, when: str) -> None:
    """Run a removal in a process that kills itself, -9, around a deletion."""
    with site.app.app_context():
        db.session.remove()
    environ = environ_of(site.config)
    run_until_killed(removal_process.main, started, when, environ=environ)


def outcomes_of(site: LiveSite, started: int) -> list[str]:
    """Return the outcomes of a removal, which must be done."""
    removal = site.removal(started)
    assert removal.state == "done", site.report(started)
    assert site.rows(ContainerImage) == [] or site.rows(ContainerImage)[0].reconcile_error is None
    return [line["outcome"] for line in site.report(started)]
