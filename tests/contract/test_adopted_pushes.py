"""What was known of the pushes to a repository before a project owned it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete

from registry_ui.catalog import earlier_pushes, initial_index
from registry_ui.db.session import writing
from registry_ui.jobs.pruning import prune
from registry_ui.models import (
    ContainerImage,
    DailyCount,
    Project,
    Push,
    RegistryEvent,
    Tag,
    TagHistoryEntry,
    UnassignedRepository,
)
from tests.support.live import tiny
from tests.web.support import event_of

pytestmark = pytest.mark.contract

NOW = datetime.now(UTC).replace(microsecond=0)
MONTH_AGO, WEEK_AGO, YESTERDAY = (NOW - timedelta(days=days) for days in (30, 7, 1))
ONE, TWO, THREE = tiny("one"), tiny("two"), tiny("three")


@pytest.fixture
def old(site):
    """A repository without a project. The registry told of the pushes of 1.0 and latest."""
    site.user("admin", admin=True)
    path = f"{site.root}/legacy/web"
    site.push(path, {"1.0": ONE, "latest": TWO, "untold": THREE, "moved": THREE})
    site.deliver(
        event_of("push", path, "latest", digest=ONE.digest, by="alice", at=MONTH_AGO),
        event_of("push", path, "1.0", digest=ONE.digest, by="alice", at=MONTH_AGO),
        event_of("push", path, "latest", digest=TWO.digest, by="bob", at=WEEK_AGO),
        event_of("push", path, "moved", digest=TWO.digest, by="bob", at=YESTERDAY),
        event_of("push", path, "gone", digest=TWO.digest, by="bob", at=WEEK_AGO),
        event_of("push", f"{path}-other", "1.0", digest=TWO.digest, by="eve", at=NOW),
    )
    return path


def adopt(site, path):
    """Create the project of a repository, and do what the worker does then."""
    site.project(path.rpartition("/")[0])
    with site.app.app_context():
        initial_index.index_adopted()


def state(site, path):
    """Return everything that the index knows of the pushes to an image."""
    image = site.row(ContainerImage, path=path)
    return {
        "image": (image.last_push_at, image.last_pushed_by, image.tag_count),
        "tags": {
            tag.name: (tag.pushed_at, tag.pushed_by) for tag in site.rows(Tag, image_id=image.id)
        },
        "log": [(push.tag, push.digest, push.actor, push.at) for push in site.rows(Push)],
        "days": {count.day: count.pushes for count in site.rows(DailyCount)},
        "moments": [(row.tag, row.digest, row.at) for row in site.rows(TagHistoryEntry)],
    }


def test_pushes_before_the_adoption_are_those_of_the_image(site, old):
    adopt(site, old)
    pushes = [
        ("latest", ONE.digest, "alice", MONTH_AGO),
        ("1.0", ONE.digest, "alice", MONTH_AGO),
        ("latest", TWO.digest, "bob", WEEK_AGO),
        ("gone", TWO.digest, "bob", WEEK_AGO),
        ("moved", TWO.digest, "bob", YESTERDAY),
    ]
    assert state(site, old) == {
        "image": (YESTERDAY, "bob", 4),
        "tags": {
            "1.0": (MONTH_AGO, "alice"),
            "latest": (WEEK_AGO, "bob"),
            "untold": (None, None),
            "moved": (None, None),  # it stands for something else than what was pushed last
        },
        "log": pushes,
        "days": {MONTH_AGO.date(): 2, WEEK_AGO.date(): 2, YESTERDAY.date(): 1},
        "moments": [(tag, digest, at) for tag, digest, _, at in pushes],
    }
    page = site.page(f"/{site.root}/legacy/-/images/web/-/tags/latest", "admin")
    assert "by bob" in page.text


def test_they_are_carried_over_once(site, old):
    adopt(site, old)
    known = state(site, old)
    for _ in range(2):
        site.reconcile(old)
        assert state(site, old) == known


def test_a_push_that_comes_before_the_worker_has_read_the_repository_is_kept(site, old):
    """The event of a push after the adoption is applied before the repository is read."""
    site.project(old.rpartition("/")[0])
    site.push(old, {"latest": THREE})
    site.deliver(event_of("push", old, "latest", digest=THREE.digest, by="carol", at=NOW))
    with site.app.app_context():
        initial_index.index_adopted()
    found = state(site, old)
    assert found["image"] == (NOW, "carol", 4)
    assert found["tags"]["latest"] == (NOW, "carol")
    assert found["tags"]["1.0"] == (MONTH_AGO, "alice")
    assert len(found["log"]) == 6


def test_ages_count_from_the_adoption(site, old):
    """Nobody knows what was pulled before it, so nothing is old at once."""
    adopt(site, old)
    assert all(tag.age_from >= NOW for tag in site.rows(Tag))


def test_a_last_push_whose_event_is_forgotten_is_that_of_the_image(site, old):
    with site.app.app_context(), writing() as session:
        session.execute(delete(RegistryEvent))
    adopt(site, old)
    found = state(site, old)
    assert found["image"] == (YESTERDAY, "bob", 4)
    assert (found["log"], found["days"]) == ([], {})
    assert set(found["tags"].values()) == {(None, None)}


def test_the_newest_of_very_many_are_carried_over(site, old, monkeypatch):
    monkeypatch.setattr(earlier_pushes, "MAX_EVENTS", 2)
    adopt(site, old)
    found = state(site, old)
    assert [tag for tag, *_ in found["log"]] == ["gone", "moved"]
    site.reconcile(old)
    assert state(site, old) == found


def test_a_repository_that_nobody_knows_of_has_an_unknown_last_push(site):
    site.user("admin", admin=True)
    path = f"{site.root}/legacy/web"
    site.push(path, {"1.0": ONE})
    site.reconcile(path)
    assert site.row(UnassignedRepository, path=path)
    adopt(site, path)
    project = f"/{site.root}/legacy"
    assert "Last push unknown" in site.page(f"{project}/-/images/web", "admin").text
    assert "Pushed unknown" in site.page(f"{project}/-/images/web/-/tags/1.0", "admin").text
    (row,) = site.page(f"/{site.root}", "admin").table("Projects")
    assert row["Last push"] == "unknown"


def test_a_project_that_is_empty_was_never_pushed_to(site):
    site.user("admin", admin=True)
    site.project(f"{site.root}/new")
    (row,) = site.page(f"/{site.root}", "admin").table("Projects")
    assert row["Last push"] == "never"


def test_the_statements_for_an_adoption_do_not_grow_with_the_pushes(site, old):
    counts = []
    for number, pushes in enumerate((1, 40)):
        path = f"{site.root}/many{number}/web"
        site.push(path, {"1.0": ONE})
        site.deliver(
            *(
                event_of("push", path, f"{n}", digest=ONE.digest, by="bob", at=WEEK_AGO)
                for n in range(pushes)
            )
        )
        site.project(f"{site.root}/many{number}")
        with site.statements() as statements:
            site.reconcile(path)
        counts.append(len(statements))
    assert counts[0] == counts[1]
    assert len(site.rows(Project)) == 2


def test_events_that_were_carried_over_are_forgotten_like_all_others(site, old):
    adopt(site, old)
    site.change(RegistryEvent, {"received_at": NOW - timedelta(days=100)})
    with site.app.app_context():
        prune()
    assert site.rows(RegistryEvent) == []
    assert len(site.rows(Push)) == 5
