"""What the worker forgets by night, and what it keeps."""

from __future__ import annotations

from datetime import timedelta
from unittest import mock

from sqlalchemy import insert

from registry_ui import jobs
from registry_ui.models import Copy, DockerSession, TokenDecision, User, utc_now
from tests.web.support import Site


def fill(site, *ages):
    """Make a decision of each age in days."""
    fields = {"credential": "password", "address": "", "client": "", "repository": "a/b"}
    fields |= {"place": "", "asked": "pull", "granted": "", "rule": "because", "count": 1}
    now = utc_now()
    rows = [{**fields, "username": f"{age}", "at": now - timedelta(days=age)} for age in ages]
    with site.session() as session:
        session.execute(insert(TokenDecision), rows)
        session.commit()


def prune(site):
    with site.app.app_context():
        jobs.prune()
    return [row.username for row in site.rows(TokenDecision)]


def test_decisions_are_forgotten_after_so_many_days(make_app):
    site = Site(make_app(decisions_kept_days=3))
    fill(site, 5, 4, 2, 0)
    assert prune(site) == ["2", "0"]


def test_no_more_than_a_million_are_kept_and_the_newest_stay(site):
    assert jobs.DECISIONS_KEPT == 1_000_000
    fill(site, 4, 3, 2, 1)
    with mock.patch.object(jobs, "DECISIONS_KEPT", 3):
        assert prune(site) == ["3", "2", "1"]
        assert prune(site) == ["3", "2", "1"]


def test_docker_sessions_that_nobody_uses_end(site):
    site.users("alice")
    user = site.row(User)
    with site.session() as session:
        for days in (400, 10):
            at = utc_now() - timedelta(days=days)
            names = {"service": "registry", "client": f"{days}", "address": ""}
            session.add(
                DockerSession(
                    user_id=user.id, secret_hash=f"{days}", created_at=at, last_used_at=at, **names
                )
            )
        session.commit()
    prune(site)
    assert [row.client for row in site.rows(DockerSession)] == ["10"]


def test_a_plan_to_copy_that_nobody_confirms_is_forgotten_after_a_day(site):
    site.project("acme/app")
    old, young, done = (site.copying("acme/app", "acme/app") for _ in range(3))
    long_ago = {"created_at": utc_now() - timedelta(days=2)}
    site.change(Copy, {"state": "planned", **long_ago}, id=old)
    site.change(Copy, {"state": "planned"}, id=young)
    site.change(Copy, long_ago, id=done)
    prune(site)
    assert [row.id for row in site.rows(Copy)] == [young, done]
