"""Queries that keep connections of their own: they outlive a lost one, and leave none open."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import bindparam, select, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from registry_ui.db.prepared import CompiledQuery, _pools
from registry_ui.db.session import db
from registry_ui.models import User

pytestmark = pytest.mark.both_databases

BY_NAME = CompiledQuery(
    select(User.id, User.username, User.is_admin).where(
        User.username == bindparam("username", type_=User.username.type)
    )
)


@pytest.fixture
def alice(site):
    site.users("alice")
    with site.app.app_context():
        yield site


def idle() -> int:
    return len(_pools[db.engine]._idle)


def test_a_row_comes_back_as_the_orm_would_have_it(alice):
    row = BY_NAME.first(db.engine, username="alice")
    assert (row.username, row.is_admin) == ("alice", False)
    assert row.is_admin is False, "SQLite has no booleans of its own"
    assert BY_NAME.first(db.engine, username="nobody") is None


def test_one_after_another_share_a_connection(alice):
    for _ in range(3):
        BY_NAME.first(db.engine, username="alice")
    assert idle() == 1


def test_what_was_committed_meanwhile_is_seen(alice):
    assert BY_NAME.first(db.engine, username="bob") is None
    alice.users("bob")
    assert BY_NAME.first(db.engine, username="bob") is not None


def test_queries_at_the_same_time_have_connections_of_their_own(alice):
    found, together = [], threading.Barrier(4)
    engine = db.engine

    def ask():
        together.wait(60)
        found.append(BY_NAME.first(engine, username="alice").username)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == ["alice"] * 4
    assert 1 <= idle() <= 4


def test_disposing_of_the_engine_closes_them(alice):
    BY_NAME.first(db.engine, username="alice")
    db.engine.dispose()
    assert idle() == 0
    assert BY_NAME.first(db.engine, username="alice") is not None


def test_a_query_that_fails_costs_its_connection_and_no_more(alice):
    BY_NAME.first(db.engine, username="alice")
    broken = CompiledQuery(select(User.id).where(text("no_such_column = 1")))
    with pytest.raises((OperationalError, ProgrammingError)):
        broken.first(db.engine)
    assert BY_NAME.first(db.engine, username="alice") is not None


def test_connections_that_were_lost_are_made_anew(alice):
    """As when the server starts anew between two requests."""
    if db.engine.dialect.name == "sqlite":
        BY_NAME.first(db.engine, username="alice")
        _pools[db.engine]._idle[0].close()
    else:
        BY_NAME.first(db.engine, username="alice")
        db.session.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
        db.session.commit()
    assert BY_NAME.first(db.engine, username="alice").username == "alice"
