"""What the worker forgets by night, and what it keeps."""

from __future__ import annotations

from datetime import timedelta
from unittest import mock

import pytest
from sqlalchemy import insert

from registry_ui.accounts import throttle
from registry_ui.jobs import pruning
from registry_ui.models import AuditEntry, Copy, DockerSession, TokenDecision, User, utc_now
from registry_ui.token_auth import decision_retention
from tests.web.support import Site


def fill(site, *ages, category="account"):
    """Make a decision of each age in days."""
    fields = {
        "category": category,
        "credential": "password",
        "address": "",
        "client": "",
        "repository": "a/b",
    }
    fields |= {"place": "", "requested": "pull", "granted": "", "rule": "because", "count": 1}
    now = utc_now()
    rows = [{**fields, "username": f"{age}", "at": now - timedelta(days=age)} for age in ages]
    with site.session() as session:
        session.execute(insert(TokenDecision), rows)
        session.commit()


def prune(site):
    with site.app.app_context():
        pruning.prune()
    return [row.username for row in site.rows(TokenDecision)]


def test_decisions_are_forgotten_after_so_many_days(make_app):
    site = Site(make_app(decisions_kept_days=3))
    fill(site, 5, 4, 2, 0)
    assert prune(site) == ["2", "0"]


def test_no_more_than_a_million_are_kept_and_the_newest_stay(site):
    assert decision_retention.MAX_DECISIONS["account"] == 1_000_000
    fill(site, 4, 3, 2, 1)
    with mock.patch.dict(decision_retention.MAX_DECISIONS, account=3):
        assert prune(site) == ["3", "2", "1"]
        assert prune(site) == ["3", "2", "1"]


@pytest.mark.both_databases
def test_what_strangers_made_up_pushes_out_nothing_else(site):
    fill(site, 4, 3)
    fill(site, 9, 8, category="visitor")
    fill(site, 1, 2, 1, 0, category="unowned")
    with mock.patch.dict(decision_retention.MAX_DECISIONS, account=2, visitor=1, unowned=2):
        assert prune(site) == ["4", "3", "8", "1", "0"]


def test_failed_sign_ins_leave_the_audit_log_after_a_while_and_nothing_else_does(site):
    site.users("alice")
    with site.app.app_context():
        for name in ("first", "second", "third"):
            throttle.record_failure(name, "192.0.2.1")
    before = len(site.audit())
    long_ago = utc_now() - throttle.AUDIT_LIFETIME - timedelta(days=1)
    site.change(AuditEntry, {"at": long_ago}, actor="-/test")
    site.change(AuditEntry, {"at": long_ago}, actor="first")
    with mock.patch.object(throttle, "MAX_AUDIT_ENTRIES", 1):
        prune(site)
    failed = [actor for actor, action, _ in site.audit() if action == throttle.FAILURE_ACTION]
    assert failed == ["third"]
    assert len(site.audit()) == before - 2


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
