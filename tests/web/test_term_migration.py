"""Tables, columns and audit entries that are renamed keep their rows, constraints and ties."""

from __future__ import annotations

import flask_migrate
import pytest
from sqlalchemy import JSON, inspect, select, sql

from config import ROOT
from registry_ui.audit import WORKER, record
from registry_ui.db.session import db, writing
from registry_ui.models import (
    GarbageCollection,
    Move,
    OldPath,
    Project,
    ProtectionViolation,
    RetentionPolicy,
    TokenDecision,
    WriteFreeze,
)
from registry_ui.models.base import Base
from registry_ui.operations.write_freeze import EVERYWHERE, freeze_writes

pytestmark = pytest.mark.both_databases

MIGRATIONS = str(ROOT / "migrations")
BEFORE = "0034"
#: Each renamed column that the rows below fill: before, after, and a value that it has.
RENAMED = [
    ("collections.fence_id", "collections.write_freeze_id", 2),
    ("fences.path", "write_freezes.path", EVERYWHERE),
    ("fences.reason", "write_freezes.reason", "collection"),
    ("access_tokens.reach_path", "access_tokens.restriction_path", "acme/app"),
    ("access_tokens.reach_exact", "access_tokens.restriction_exact", True),
    ("former_paths.now", "old_paths.new_path", "acme/app"),
    ("former_paths.path", "old_paths.path", "acme/was"),
    ("protection_violations.what", "protection_violations.change", "pushed"),
    ("retention_policies.seen", "retention_policies.dry_run_fingerprint", "sha256:aa"),
    ("token_decisions.asked", "token_decisions.requested", "pull,push"),
]
#: Actions of the audit log: before, after.
ACTIONS = {
    "fence.raise": "write_freeze.begin",
    "fence.lift": "write_freeze.lift",
    "image.old_name.stop": "image.old_path.stop",
}
#: Details of the audit log, as they are read from the rows below: before, after.
DETAILS = [
    (
        {"name": "ci", "scopes": ["api"], "reach": "acme/app"},
        {"name": "ci", "scopes": ["api"], "restriction": "acme/app"},
    ),
    ({"what": "pushed"}, {"change": "pushed"}),
]

POLICY = {"keep_last": 3, "dry_run_fingerprint": "sha256:aa"}
VIOLATION = {"repository": "acme/app", "tag": "v1", "change": "pushed"}
DECISION = {
    **dict.fromkeys(("username", "credential", "address", "client", "place", "rule"), ""),
    "repository": "acme/app",
    "requested": "pull,push",
    "granted": "pull",
}


@pytest.fixture
def filled(site):
    """A site whose rows have values in everything that is renamed."""
    site.project("acme/app")
    site.user("alice", admin=True)
    site.access_token("alice", "api", restriction="acme/app", restriction_exact=True)
    site.old_path("acme/was", "acme/app", site.move("acme/app", "grace", source="acme/was"))
    with site.app.app_context(), writing() as session:
        freeze_writes(session, "acme/first", "move")
        freeze = freeze_writes(session, EVERYWHERE, "collection")
        session.add(
            GarbageCollection(
                dry_run=False, state="draining", slot=1, requested_by="admin", write_freeze_id=2
            )
        )
        assert freeze.id == 2
        place_id = session.scalars(select(Project.id)).one()
        session.add(RetentionPolicy(place_id=place_id, created_by="x", **POLICY))
        session.add(TokenDecision(**DECISION))
        session.add(ProtectionViolation(place_id=place_id, actor="x", **VIOLATION))
        record(session, WORKER, "tag.protection_violated", "acme/app:v1", change="pushed")
        for action in ACTIONS.values():
            record(session, WORKER, action, "registry")
    return site


def downgrade(site):
    with site.app.app_context():
        db.session.remove()
        flask_migrate.downgrade(MIGRATIONS, revision=BEFORE)
        db.session.remove()


def upgrade(site):
    with site.app.app_context():
        flask_migrate.upgrade(MIGRATIONS)
        db.session.remove()


def values(site, column):
    """All values of a column, given as ``table.column``, whatever the models say."""
    table, _, name = column.partition(".")
    with site.app.app_context():
        kind = JSON() if name == "detail" else None
        query = select(sql.column(name, kind)).select_from(sql.table(table))
        return list(db.session.connection().execute(query).scalars())


def constraint_names(site):
    """The names of all constraints and indexes of the database, by table."""
    with site.app.app_context():
        inspector = inspect(db.engine)
        return {
            table: sorted(
                str(found["name"])
                for found in [
                    inspector.get_pk_constraint(table),
                    *inspector.get_foreign_keys(table),
                    *inspector.get_unique_constraints(table),
                    *inspector.get_check_constraints(table),
                    *inspector.get_indexes(table),
                ]
            )
            for table in inspector.get_table_names()
        }


def test_every_row_goes_down_and_up_and_is_read_under_both_names(filled):
    dump, names = filled.dump(), constraint_names(filled)
    for _, after in DETAILS:
        assert after in values(filled, "audit_entries.detail")
    downgrade(filled)
    for column, _, value in RENAMED:
        assert value in values(filled, column), column
    assert set(ACTIONS) <= set(values(filled, "audit_entries.action"))
    assert not set(ACTIONS.values()) & set(values(filled, "audit_entries.action"))
    for before, after in DETAILS:
        assert before in values(filled, "audit_entries.detail")
        assert after not in values(filled, "audit_entries.detail")
    upgrade(filled)
    for _, column, value in RENAMED:
        assert value in values(filled, column), column
    assert filled.dump() == dump
    assert constraint_names(filled) == names


@pytest.mark.parametrize(
    "name", ["collections", "old_paths", "protection_violations", "write_freezes"]
)
def test_names_of_constraints_and_indexes_follow_the_renamed_tables_and_columns(site, name):
    table = Base.metadata.tables[name]
    keys = (*table.constraints, *table.indexes)
    assert set(constraint_names(site)[name]) == {str(key.name) for key in keys}


def test_the_ties_between_rows_are_kept_and_new_rows_get_new_ids(filled):
    downgrade(filled)
    upgrade(filled)
    with filled.app.app_context(), writing() as session:
        assert freeze_writes(session, "acme/new", "move").id == 3
    with filled.app.app_context(), writing() as session:
        session.delete(session.scalars(select(WriteFreeze).filter_by(path=EVERYWHERE)).one())
        session.delete(session.scalars(select(Move)).one())
    assert filled.row(GarbageCollection).write_freeze_id is None
    assert filled.rows(OldPath) == []
