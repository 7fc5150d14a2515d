"""The gate and a push to an old path by a token from before the move."""

from __future__ import annotations

import pytest

from tests.support.gate_requests import ask, assert_passes, assert_refused
from tests.web.support import digest

MOVED = "has moved to {}; the old path can be pulled until 24 December 2030"


@pytest.fixture
def renamed(gated_site):
    """acme/free was acme/was; in acme/app, the image new was old; each name can be pulled."""
    number = gated_site.move("acme/free", "grace", source="acme/was", target="acme/free")
    gated_site.old_path("acme/was", "acme/free", number)
    gated_site.old_path("acme/app/old", "acme/app/new", number, exact=True)
    return gated_site


@pytest.mark.parametrize("who", ["dev", "maintainer", "owner", "admin"])
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_nobody_writes_to_an_image_by_its_old_path(renamed, who, method):
    """The old path lies in a project of which they are members."""
    if who == "dev" and method == "DELETE":
        return
    words = f"acme/app/old {MOVED.format('acme/app/new')}"
    assert_refused(ask(renamed, method, "main", who, "acme/app/old"), words)
    assert_passes(ask(renamed, method, "main", who, "acme/app/new"))
    assert_passes(ask(renamed, method, "main", who, "acme/app/old/below"))


def test_not_even_an_administrator_writes_to_a_project_by_its_old_path(renamed):
    words = f"acme/was/web {MOVED.format('acme/free/web')}"
    assert_refused(ask(renamed, "PUT", "main", "admin", "acme/was/web"), words)


def test_those_who_lost_the_permission_with_the_move_learn_nothing_of_it(renamed):
    words = "you no longer have permission to push in acme/was/web"
    assert_refused(ask(renamed, "PUT", "main", "stranger", "acme/was/web"), words)


def test_a_part_of_an_image_is_no_tag(renamed):
    assert_passes(ask(renamed, "PUT", digest("a"), "dev", "acme/app/old"))
