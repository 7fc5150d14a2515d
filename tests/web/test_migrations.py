"""The migrations make what the models say, and lose nothing on the way."""

from __future__ import annotations

import flask_migrate
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from config import ROOT
from registry_ui.extensions import db
from registry_ui.models import AccessToken, Membership, TagMoment, User

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


#: Of these, one says what a tag stood for.
OLD_EVENTS = [
    ("push", "v1", "applied"),
    ("push", "", "applied"),
    ("push", "v2", "rejected"),
    ("pull", "v1", "applied"),
]


def test_pushes_that_events_still_tell_are_the_beginning_of_the_history(site):
    digest = "sha256:" + "a" * 64
    with site.app.app_context():
        flask_migrate.downgrade(MIGRATIONS, revision="0002")
        connection = db.session.connection()
        place = "(id, kind, path, description, visibility, created_at)"
        connection.exec_driver_sql(
            f"INSERT INTO places {place}"
            " VALUES (3, 'project', 'app', '', 'private', '2026-01-01 00:00:00')"
        )
        image = "(id, project_id, name, path, created_at, tag_count, pull_count, reconcile_wanted)"
        connection.exec_driver_sql(
            f"INSERT INTO container_images {image}"
            " VALUES (5, 3, '', 'app', '2026-01-01 00:00:00', 1, 0, false)"
        )
        event = "(event_id, received_at, action, repository, tag, digest, actor, raw, status,"
        for number, (action, tag, status) in enumerate(OLD_EVENTS):
            connection.exec_driver_sql(
                f"INSERT INTO registry_events {event} reason, image_id) VALUES"
                f" ('e{number}', '2026-01-02 00:00:00', '{action}', 'app', '{tag}', '{digest}',"
                f" 'alice', '', '{status}', '', 5)"
            )
        db.session.commit()
        db.session.remove()
        flask_migrate.upgrade(MIGRATIONS)
        db.session.remove()
    moment = site.row(TagMoment)
    found = (moment.image_id, moment.tag, moment.action, moment.digest, moment.actor)
    assert found == (5, "v1", "pushed", digest, "alice")
    assert moment.at.isoformat() == "2026-01-02T00:00:00+00:00"
