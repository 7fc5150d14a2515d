"""Tags of an old path that can't be read: the old path can be retired all the same."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from registry_ui.db.session import db
from registry_ui.models import ContainerImage, MovedRepository, Project
from registry_ui.removals import service as removals
from registry_ui.removals.planner import plan_tags
from tests.contract.mover import ONE, TWO, Mover
from tests.support.damage import damage_tag
from tests.support.live import tiny
from tests.web.support import ACTOR

pytestmark = [
    pytest.mark.contract,
    pytest.mark.parametrize("storage", ["sqlite"], indirect=True),
]


@pytest.fixture(params=["empty link", "missing link"])
def kind(request):
    """How a tag is damaged."""
    return request.param


@pytest.fixture
def web(mover: Mover) -> str:
    """An image with three tags."""
    path = f"{mover.shop}/web"
    mover.push_and_index(path, {"1.0": ONE, "2.0": TWO, "bad": tiny(f"bad {mover.root}")})
    return path


def delete(site: Mover, image: str, tag: str) -> None:
    with site.app.app_context():
        row = db.session.scalars(select(ContainerImage).where(ContainerImage.path == image)).one()
        project = db.session.scalars(select(Project).where(Project.path == site.shop)).one()
        plan = plan_tags("tags", image, [(row, [tag])])
        started = removals.start(ACTOR, plan, project).id
    assert site.run(started).state == "done"


def moved(site: Mover) -> int:
    """Move the project and leave out what can't be read; return the number of the move."""
    move_id = site.planned(site.market)
    move = site.send(move_id, "confirm", confirm=site.shop, leave_out="1")
    assert (move.state, move.problem) == ("grace", "")
    return move_id


def test_what_was_left_out_and_what_stays_listed_go_with_the_old_path(mover, web, kind):
    """On 2.8, a tag that is removed beside an empty link stays listed and answers 404."""
    damage_tag(mover.registry, web, "bad", kind)
    mover.reconcile(web)
    delete(mover, web, "1.0")
    move_id = moved(mover)
    mover.reconcile(f"{mover.market}/web")
    assert mover.send(move_id, "retire").state == "done"
    assert mover.pusher.tags(web) == []
    assert mover.index(f"{mover.market}/web") == {"2.0": TWO.digest}


def test_a_tag_that_was_damaged_after_the_move_goes_with_the_old_path(mover, web):
    move_id = moved(mover)
    damage_tag(mover.registry, web, "bad", "ghost")
    assert mover.send(move_id, "retire").state == "done"
    assert mover.pusher.tags(web) == []


def test_what_only_the_old_path_has_and_is_unreadable_stays_until_it_is_agreed(mover, web):
    """It is named, and what the new path has goes."""
    move_id = moved(mover)
    mover.pusher.delete(f"{mover.market}/web", mover.pusher.digest(f"{mover.market}/web", "bad"))
    damage_tag(mover.registry, web, "bad", "empty link")
    move = mover.send(move_id, "retire")
    assert (move.state, bool(move.problem)) == ("grace", True)
    assert mover.row(MovedRepository, source=web).detail == "bad"
    assert mover.pusher.digest(web, "1.0") is mover.pusher.digest(web, "2.0") is None
    assert mover.send(move_id, "retire", everything="1").state == "done"
    assert mover.pusher.tags(web) == []
