"""Tables, columns and audit entries that are renamed keep their rows, constraints and ties."""

from __future__ import annotations

import flask_migrate
import pytest
from sqlalchemy import inspect, select

from config import ROOT
from registry_ui.audit import WORKER, record
from registry_ui.db.session import db, writing
from registry_ui.models import GarbageCollection, Move, OldPath, WriteFreeze
from registry_ui.models.base import Base
from registry_ui.operations.write_freeze import EVERYWHERE, freeze_writes

pytestmark = pytest.mark.both_databases

MIGRATIONS = str(ROOT / "migrations")
BEFORE = "0033"
#: Each renamed column that the rows below fill: before, after, and a value that it has.
RENAMED = [
    ("collections.fence_id", "collections.write_freeze_id", 2),
    ("fences.path", "write_freezes.path", EVERYWHERE),
    ("fences.reason", "write_freezes.reason", "collection"),
    ("former_paths.now", "old_paths.new_path", "acme/app"),
    ("former_paths.path", "old_paths.path", "acme/was"),
]
#: Actions of the audit log: before, after.
ACTIONS = {
    "fence.raise": "write_freeze.begin",
    "fence.lift": "write_freeze.lift",
    "image.old_name.stop": "image.old_path.stop",
}


@pytest.fixture
def filled(site):
    """A site whose rows have values in everything that is renamed."""
    site.project("acme/app")
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
        found = db.session.connection().exec_driver_sql(f"SELECT {name} FROM {table}").scalars()
        return list(found)


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
    before, names = filled.dump(), constraint_names(filled)
    downgrade(filled)
    for column, _, value in RENAMED:
        assert value in values(filled, column), column
    assert set(ACTIONS) <= set(values(filled, "audit_entries.action"))
    assert not set(ACTIONS.values()) & set(values(filled, "audit_entries.action"))
    upgrade(filled)
    for _, column, value in RENAMED:
        assert value in values(filled, column), column
    assert filled.dump() == before
    assert constraint_names(filled) == names


def test_names_of_constraints_follow_the_renamed_tables_and_columns(site):
    names = constraint_names(site)
    for before, after, _ in RENAMED:
        table = Base.metadata.tables[after.partition(".")[0]]
        keys = (*table.constraints, *table.indexes)
        assert set(names[table.name]) == {str(key.name) for key in keys}
        assert before.partition(".")[0] not in names.keys() - {table.name}


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
