"""The migration of collations keeps every row, up and down, and agrees with the models."""

from __future__ import annotations

import flask_migrate
import pytest
from sqlalchemy import String, text

from config import ROOT
from registry_ui.db.session import db
from registry_ui.models import Base, ContainerImage, Manifest, ManifestContents, RepositoryManifest
from tests.web.support import digest

pytestmark = pytest.mark.both_databases

MIGRATIONS = str(ROOT / "migrations")
COLLATIONS = text(
    "SELECT table_name || '.' || column_name, collation_name FROM information_schema.columns"
    " WHERE table_schema = 'public'"
)


def stored_collations() -> dict[str, str | None]:
    """Return the collation of every column of the database; None for the default."""
    return dict(db.session.execute(COLLATIONS).all())


def test_every_column_has_the_collation_that_its_model_declares(site):
    with site.app.app_context():
        if db.engine.dialect.name == "sqlite":
            schema = text("SELECT sql FROM sqlite_master WHERE sql LIKE '%COLLATE%'")
            assert db.session.scalars(schema).all() == []
            return
        stored = stored_collations()
        declared = {
            str(column): column.type.dialect_impl(db.engine.dialect).collation
            for table in Base.metadata.sorted_tables
            for column in table.columns
            if isinstance(column.type, String)
        }
    assert {name: stored[name] for name in declared} == declared


def test_rows_survive_the_way_down_and_up_with_their_foreign_keys(site):
    site.project("acme/app")
    site.image("acme/app", "v1")
    with site.session() as session:
        image = session.query(ContainerImage).one()
        session.add(Manifest(digest=digest("a"), media_type="", kind="image", body=b"", facts={}))
        session.flush()
        session.add(ManifestContents(digest=digest("a"), blobs=b"x", children=""))
        session.add(RepositoryManifest(digest=digest("a"), image_id=image.id))
        session.commit()
    before = site.dump()
    with site.app.app_context():
        flask_migrate.downgrade(MIGRATIONS, revision="0012")
        if db.engine.dialect.name == "postgresql":
            assert stored_collations()["manifests.digest"] is None
        db.session.remove()
        flask_migrate.upgrade(MIGRATIONS)
        db.session.remove()
    assert site.dump() == before
    with site.session() as session:
        session.delete(session.get(Manifest, digest("a")))
        session.commit()
    assert site.rows(ManifestContents) == []
