"""The tables of unmoved tags and waiting pulls come and go; everything beside them stays."""

from __future__ import annotations

import flask_migrate
import pytest

from config import ROOT
from registry_ui.db.session import db
from registry_ui.models import (
    ContainerImage,
    Copy,
    Move,
    MovedRepository,
    Removal,
    UnmovedTag,
    WaitingPull,
)
from registry_ui.models.base import utc_now
from tests.web.support import digest

pytestmark = pytest.mark.both_databases

MIGRATIONS = str(ROOT / "migrations")


@pytest.fixture
def move_id(site):
    """A move, a removal and a copy that are under way, beside an image."""
    site.project("acme/app")
    site.image("acme/app", "v1")
    made = site.move("acme/app", "copying", target="acme/new")
    work = {"kind": "tag", "target": "acme/app:v1", "requested_by": "alice", "plan": []}
    with site.session() as session:
        repository = {"source": "acme/app", "target": "acme/new"}
        session.add(MovedRepository(move_id=made, number=1, **repository))
        session.add(Removal(project_path="acme/app", state="running", **work))
        there = {"source": "acme/app", "source_project": "acme/app", "project_path": "acme/b"}
        session.add(Copy(state="running", **there, **work))
        session.commit()
    return made


def stall(site, move_id):
    """Fill what the migrations add."""
    with site.session() as session:
        for kind in (Move, Removal, Copy):
            for row in session.query(kind):
                row.stalled_since = utc_now()
        there = {"move_id": move_id, "number": 1}
        session.add(UnmovedTag(**there, tag="v1", digest=digest("a"), reason="It is damaged."))
        image = session.query(ContainerImage).one()
        session.add(WaitingPull(image_id=image.id, digest=digest("b"), at=utc_now()))
        session.commit()


def test_stalled_work_and_what_waits_go_down_and_up_and_nothing_else_changes(site, move_id):
    before = site.dump()
    stall(site, move_id)
    with site.app.app_context():
        flask_migrate.downgrade(MIGRATIONS, revision="0029")
        db.session.remove()
        flask_migrate.upgrade(MIGRATIONS)
        db.session.remove()
    assert site.dump() == before


def test_unmoved_tags_and_waiting_pulls_go_with_their_move_and_image(site, move_id):
    with site.app.app_context():
        flask_migrate.downgrade(MIGRATIONS, revision="0029")
        db.session.remove()
        flask_migrate.upgrade(MIGRATIONS)
        db.session.remove()
    stall(site, move_id)
    with site.session() as session:
        session.delete(session.get(Move, move_id))
        session.delete(session.query(ContainerImage).one())
        session.commit()
    assert site.rows(UnmovedTag) == []
    assert site.rows(WaitingPull) == []
