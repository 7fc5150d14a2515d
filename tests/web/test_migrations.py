"""The migrations make what the models say, and lose nothing on the way."""

from __future__ import annotations

import flask_migrate
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from config import ROOT
from registry_ui.extensions import db
from registry_ui.models import AccessToken, Membership, User

MIGRATIONS = str(ROOT / "migrations")


@pytest.fixture
def old(site):
    """A database of the first version with something in it."""
    with site.app.app_context():
        flask_migrate.downgrade(MIGRATIONS, revision="0001")
        connection = db.session.connection()
        for statement in (
            (
                "INSERT INTO users (id, username, password_hash, is_admin, is_blocked, created_at)"
                " VALUES (7, 'alice', 'x', false, false, '2026-01-01 00:00:00')"
            ),
            (
                "INSERT INTO places (id, kind, path, description, created_at)"
                " VALUES (3, 'namespace', 'acme', '', '2026-01-01 00:00:00')"
            ),
            (
                "INSERT INTO memberships (user_id, place_id, role, created_at)"
                " VALUES (7, 3, 30, '2026-01-01 00:00:00')"
            ),
            (
                "INSERT INTO access_tokens (user_id, name, secret_hash, scopes, created_at)"
                " VALUES (7, 'ci', 'y', 'read_registry', '2026-01-01 00:00:00')"
            ),
        ):
            connection.exec_driver_sql(statement)
        db.session.commit()
        db.session.remove()
    return site


def test_the_tables_are_what_the_models_say(site):
    with site.app.app_context(), db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, db.metadata) == []


def test_what_was_there_is_there_after_the_upgrade_and_after_the_way_back(old):
    with old.app.app_context():
        flask_migrate.upgrade(MIGRATIONS)
        db.session.remove()
    (user,) = old.rows(User)
    assert (user.username, user.tokens_only) == ("alice", False)
    assert old.row(AccessToken).reach_path is None
    assert old.row(Membership).role == 30
    with old.app.app_context():
        flask_migrate.downgrade(MIGRATIONS, revision="0001")
        connection = db.session.connection()
        count = "SELECT count(*) FROM memberships"
        assert connection.exec_driver_sql(count).scalar() == 1
        db.session.remove()
        flask_migrate.upgrade(MIGRATIONS)
