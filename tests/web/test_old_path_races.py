"""A comparison of an old path, and a person who retires it at the same moment."""

from __future__ import annotations

import pytest

from registry_ui.models import AuditEntry, Move, MovedRepository, OldPath
from registry_ui.moves import old_path_check
from registry_ui.moves import service as moves
from tests.web.support import ACTOR

pytestmark = pytest.mark.both_databases


@pytest.fixture
def moved(site):
    """acme/app was acme/old, whose image was changed after the move."""
    site.project("acme/app")
    site.number = site.move("acme/app", "grace", source="acme/old", target="acme/app")
    site.old_path("acme/old", "acme/app", site.number)
    site.change(MovedRepository, {"state": "verified"})
    return site


def compare(site, monkeypatch, meanwhile):
    """Compare; something happens between the look at the registry and what follows from it."""

    def changed_tags(_row):
        with site.app.app_context():
            meanwhile()
        return ["1.0"]

    monkeypatch.setattr(old_path_check, "_find_changed_tags", changed_tags)
    with site.app.app_context():
        old_path_check.compare_all()


def is_stopped(site):
    return bool(site.row(OldPath).stopped)


def test_a_changed_old_path_is_stopped_while_it_can_be_pulled(moved, monkeypatch):
    compare(moved, monkeypatch, lambda: None)
    assert is_stopped(moved)
    assert "can no longer be pulled" in moved.row(Move).problem


@pytest.mark.parametrize("state", ["retiring", "done"])
def test_an_old_path_that_goes_meanwhile_is_not_said_to_be_stopped(moved, monkeypatch, state):
    def retire():
        moves.retire_now(ACTOR, moved.number)
        if state == "done":
            moved.change(Move, {"state": "done"})

    compare(moved, monkeypatch, retire)
    assert not is_stopped(moved)
    assert moved.row(Move).problem == ""
    assert moved.rows(AuditEntry, action="image.old_path.stop") == []


def test_what_is_kept_after_all_is_stopped_by_the_next_comparison(moved, monkeypatch):
    compare(moved, monkeypatch, lambda: moves.retire_now(ACTOR, moved.number))
    moved.change(Move, {"state": "grace"})
    moved.change(MovedRepository, {"state": "kept"})
    compare(moved, monkeypatch, lambda: None)
    assert is_stopped(moved)
