"""The migrations make what the models say, and lose nothing on the way."""

from __future__ import annotations

import json
from datetime import timedelta

import flask_migrate
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from config import ROOT
from registry_ui.db.session import db
from registry_ui.distribution.manifest import Descriptor, ManifestFacts
from registry_ui.distribution.references import IndexEntries
from registry_ui.manifests.blobs import record_contents
from registry_ui.models import (
    AccessToken,
    ContainerImage,
    CopiedTag,
    DailyCount,
    IndexChild,
    Manifest,
    ManifestContents,
    Membership,
    MovedRepository,
    Push,
    TagHistoryEntry,
    User,
    utc_now,
)

pytestmark = pytest.mark.both_databases

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
    assert old.row(AccessToken).restriction_path is None
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
    moment = site.row(TagHistoryEntry)
    found = (moment.image_id, moment.tag, moment.action, moment.digest, moment.actor)
    assert found == (5, "v1", "pushed", digest, "alice")
    assert moment.at.isoformat() == "2026-01-02T00:00:00+00:00"


EVENT = (
    "INSERT INTO registry_events"
    " (event_id, received_at, occurred_at, action, repository, tag, digest, actor, raw, status,"
    " reason, image_id) VALUES ('{0}', '{2}', '{3}', '{1}', 'acme/app', '{4}', 'sha256:aa',"
    " 'alice', '', '{5}', '', 5)"
)


EVENTS_AND_TAGS = (
    (
        "INSERT INTO places (id, kind, path, description, visibility, created_at)"
        " VALUES (3, 'project', 'acme/app', '', 'private', '2026-01-01 00:00:00')"
    ),
    (
        "INSERT INTO container_images (id, project_id, name, path, created_at, tag_count,"
        " pull_count, reconcile_wanted)"
        " VALUES (5, 3, '', 'acme/app', '2026-01-01 00:00:00', 1, 0, false)"
    ),
    (
        "INSERT INTO tags (image_id, name, digest, pushed_at, pushed_by, pull_count,"
        " seen_at) VALUES (5, 'old', 'sha256:bb', '2026-01-02 00:00:00', 'bob', 0,"
        " '2026-01-02 00:00:00'), (5, 'v1', 'sha256:aa', '2026-03-01 10:00:00', 'alice',"
        " 0, '2026-01-02 00:00:00')"
    ),
    *(
        EVENT.format(number, *values)
        for number, values in enumerate(
            [
                ("push", "2026-03-01 10:00:05", "2026-03-01 10:00:00", "v1", "applied"),
                ("push", "2026-03-01 23:00:00", "2027-03-01 10:00:00", "v2", "applied"),
                ("push", "2026-03-01 23:00:00", "2026-03-01 10:00:00", "v3", "dropped"),
                ("pull", "2026-03-01 23:00:00", "2026-03-01 10:00:00", "v1", "applied"),
                ("pull", "2026-03-02 23:00:00", "2026-03-02 10:00:00", "v1", "applied"),
                ("pull", "2026-03-02 23:00:00", "2026-03-02 10:00:00", "v1", "dropped"),
            ]
        )
    ),
)


def test_what_the_events_and_the_tags_still_tell_becomes_pushes_and_counts(site):
    with site.app.app_context():
        flask_migrate.downgrade(MIGRATIONS, revision="0002")
        connection = db.session.connection()
        for statement in EVENTS_AND_TAGS:
            connection.exec_driver_sql(statement)
        db.session.commit()
        db.session.remove()
        flask_migrate.upgrade(MIGRATIONS)
        db.session.remove()
    pushes = sorted((p.tag, f"{p.at:%Y-%m-%d %H}", p.actor) for p in site.rows(Push))
    assert pushes == [
        ("old", "2026-01-02 00", "bob"),
        ("v1", "2026-03-01 10", "alice"),
        ("v2", "2026-03-01 23", "alice"),
    ]
    counts = sorted((str(c.day), c.name, c.pushes, c.pulls) for c in site.rows(DailyCount))
    assert counts == [
        ("2026-01-02", "", 1, 0),
        ("2026-03-01", "", 2, 1),
        ("2026-03-02", "", 0, 1),
    ]


def test_stored_facts_become_contents_as_the_application_makes_them(site):
    layer = "application/vnd.oci.image.layer.v1.tar"
    facts = {
        f"sha256:{n:064x}": ManifestFacts(
            "image",
            "",
            config=Descriptor("sha512:" + f"{n:0128x}", "config", 3),
            layers=(
                Descriptor(f"sha256:{n + 1:064x}", layer, 2**53),
                Descriptor(f"sha256:{n + 1:064x}", layer, 2**53),
                Descriptor("sha256:" + "e" * 64, "application/x.foreign.tar", 5),
            ),
            children=(Descriptor("sha256:" + "c" * 64, "", 1),) * 2,
        )
        for n in range(1203)
    }
    with site.session() as session:
        for digest, found in facts.items():
            values = {"media_type": "", "kind": "image", "body": b"", "facts": found.to_json()}
            session.add(Manifest(digest=digest, **values))
            session.flush()
            children = tuple({child.digest for child in found.children})
            record_contents(session, {digest: found}, {digest: IndexEntries(children, children)})
        session.commit()
    before = {c.digest: (c.blobs, c.children) for c in site.rows(ManifestContents)}
    listed = {(row.child, row.parent) for row in site.rows(IndexChild)}
    with site.app.app_context():
        flask_migrate.downgrade(MIGRATIONS, revision="0006")
        flask_migrate.upgrade(MIGRATIONS)
        db.session.remove()
    after = {c.digest: (c.blobs, c.children) for c in site.rows(ManifestContents)}
    assert {(row.child, row.parent) for row in site.rows(IndexChild)} == listed
    assert len(after) == len(listed) == 1203
    assert after == before


def test_what_a_move_has_copied_is_known_after_the_upgrade_and_after_the_way_back(site):
    """A move that is under way while the application is upgraded goes on."""
    site.project("acme/app")
    move_id = site.move("acme/app", "copying", target="acme/new")
    copied = {"1.0": ["sha256:aa", "sha256:bb"], "2.0": ["sha256:aa"]}
    select = "SELECT copied FROM moved_repositories WHERE number = 7"
    with site.app.app_context():
        flask_migrate.downgrade(MIGRATIONS, revision="0014")
        connection = db.session.connection()
        columns = "move_id, number, source, target, state, begun, tag_count, done, copied, detail"
        connection.exec_driver_sql(
            f"INSERT INTO moved_repositories ({columns}) VALUES ({move_id}, 7, 'acme/app/web',"
            f" 'acme/new/web', 'planned', true, 2, 0, '{json.dumps(copied)}', '')"
        )
        db.session.commit()
        db.session.remove()
        flask_migrate.upgrade(MIGRATIONS)
        db.session.remove()
    rows = sorted((row.tag, row.digest) for row in site.rows(CopiedTag, number=7))
    assert rows == [("1.0", "sha256:aa"), ("1.0", "sha256:bb"), ("2.0", "sha256:aa")]
    assert site.row(MovedRepository, number=7).last_tag == ""
    with site.app.app_context():
        flask_migrate.downgrade(MIGRATIONS, revision="0014")
        stored = db.session.connection().exec_driver_sql(select).scalar()
        db.session.remove()
        flask_migrate.upgrade(MIGRATIONS)
        db.session.remove()
    assert (json.loads(stored) if isinstance(stored, str) else stored) == copied


def test_a_wanted_reconcile_is_still_wanted_after_the_upgrade_and_the_way_back(site):
    with site.app.app_context():
        flask_migrate.downgrade(MIGRATIONS, revision="0033")
        connection = db.session.connection()
        connection.exec_driver_sql(
            "INSERT INTO places (id, kind, path, description, visibility, created_at)"
            " VALUES (3, 'project', 'app', '', 'private', '2026-01-01 00:00:00')"
        )
        for number, wanted in ((5, "true"), (6, "false")):
            connection.exec_driver_sql(
                "INSERT INTO container_images (id, project_id, name, path, created_at, tag_count,"
                f" pull_count, reconcile_wanted) VALUES ({number}, 3, '{wanted}', 'app/{wanted}',"
                f" '2026-01-01 00:00:00', 0, 0, {wanted})"
            )
        db.session.commit()
        db.session.remove()
        flask_migrate.upgrade(MIGRATIONS)
        db.session.remove()
    images = {image.id: image.reconcile_requested_at for image in site.rows(ContainerImage)}
    assert abs(utc_now() - images[5]) < timedelta(minutes=5)
    assert images[6] is None
    with site.app.app_context():
        flask_migrate.downgrade(MIGRATIONS, revision="0033")
        query = "SELECT id FROM container_images WHERE reconcile_wanted"
        assert db.session.connection().exec_driver_sql(query).scalars().all() == [5]
        db.session.remove()
        flask_migrate.upgrade(MIGRATIONS)
