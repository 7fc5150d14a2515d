"""Projects, namespaces and images get another path, digest by digest, on every major version."""

from __future__ import annotations

import signal
import subprocess
import sys
from datetime import timedelta
from unittest import mock

import pytest
from sqlalchemy import update

from config import ROOT
from registry_ui.catalog import fences
from registry_ui.catalog.moving import moves, work
from registry_ui.demo.images import DOCKER, index
from registry_ui.extensions import db
from registry_ui.jobs import resume, retire_moved
from registry_ui.models import (
    AccessToken,
    BinnedTag,
    ContainerImage,
    DailyCount,
    Fence,
    FormerPath,
    MovedRepository,
    Move,
    Place,
    Push,
    Removal,
    Tag,
    UnassignedRepository,
    utc_now,
)
from tests.contract.conftest import PATIENCE
from tests.support.html import Page
from tests.support.live import LiveSite, environ_of, tiny
from tests.support.templates import COMPILED
from tests.web.support import event_of

pytestmark = pytest.mark.contract

ONE, TWO = tiny("one"), tiny("two", family=DOCKER)
AMD, ARM = tiny("amd"), tiny("arm", platform="linux/arm64")
BOTH = index([AMD, ARM])
TAGS = {"1.0": ONE, "latest": ONE, "2.0": TWO, "both": BOTH}
DIGESTS = {tag: manifest.digest for tag, manifest in TAGS.items()}
#: Seconds that a token lives here: a move waits for the last one.
LIFETIME = 1


@pytest.fixture(autouse=True)
def _short_grace(monkeypatch):
    monkeypatch.setattr(fences, "GRACE", timedelta(seconds=1))


@pytest.fixture
def shop(make_app, live_registry) -> LiveSite:
    """A site whose bearer tokens are short-lived, with a project and its owner."""
    app = make_app(
        registry_url=live_registry.url,
        registry_host=f"localhost:{live_registry.port}",
        registry_timeout=PATIENCE,
        token_lifetime=LIFETIME,
    )
    app.jinja_env.bytecode_cache = COMPILED
    site = LiveSite(app, live_registry)
    site.open_shop()
    site.user("owner")
    site.member(site.root, "owner", "owner")
    return site


@pytest.fixture
def images(shop: LiveSite) -> list[str]:
    """The names below the project, each an image with several tags."""
    names = ["", "web", "web/api"]
    for name in names:
        shop.push_and_tell(repository(shop.shop, name), TAGS)
    return names


def repository(project: str, name: str) -> str:
    return f"{project}/{name}" if name else project


def planned(shop: LiveSite, target: str, *, path: str = "", name: str | None = None) -> int:
    """Plan by the form, as a person does; return the number of the move."""
    path = path or shop.shop
    address = f"/{path}/-/move" if name is None else f"/{path}/-/images/{name}/-/move"
    answer = shop.browser("owner").post(address, {"target": target})
    assert answer.status_code == 302, Page(answer.text).text
    return int(answer.headers["Location"].rpartition("/")[2])


def confirmed(shop: LiveSite, move_id: int) -> Move:
    """Confirm by typing; the worker of the tests works at once. Return the move afterwards."""
    move = shop.row(Move, id=move_id)
    place = shop.row(Place, id=move.place_id).path
    address = f"/{place}/-/moves/{move_id}/confirm"
    answer = shop.browser("owner").post(address, {"confirm": move.source})
    assert answer.status_code == 302, Page(answer.text).text
    return shop.row(Move, id=move_id)


def moved(shop: LiveSite, target: str, **what) -> Move:
    move = confirmed(shop, planned(shop, target, **what))
    assert (move.state, move.problem) == ("grace", "")
    return move


def run(shop: LiveSite, move_id: int) -> Move:
    """Let the lease of a dead worker run out, and do what the schedule does."""
    with shop.app.app_context():
        for model in (Move, Removal):
            db.session.execute(update(model).values(lease_until=None))
        db.session.commit()
        resume()
    return shop.row(Move, id=move_id)


def whole(shop: LiveSite, path: str) -> set[str]:
    """Every digest that can be pulled there, parts of indexes too."""
    parts = {part.digest for manifest in TAGS.values() for part in manifest.walk()}
    return {digest for digest in parts if shop.pusher.digest(path, digest)}


def everything() -> set[str]:
    return {part.digest for manifest in TAGS.values() for part in manifest.walk()}


def assert_moved(shop: LiveSite, source: str, target: str, names: list[str]) -> None:
    """Registry and index have everything under the new path, and old names can be pulled."""
    for name in names:
        new, old = repository(target, name), repository(source, name)
        assert shop.live(new) == shop.index(new) == DIGESTS
        assert whole(shop, new) == everything()
        assert shop.live(old) == DIGESTS
        assert shop.index(old) is None
    assert shop.rows(Fence) == []


def test_a_renamed_project_has_every_image_with_the_same_digests(shop, images):
    target = f"{shop.root}/market"
    moved(shop, target)
    assert_moved(shop, shop.shop, target, images)
    assert [place.path for place in shop.rows(Place) if place.kind == "project"] == [target]


def test_the_old_name_is_pulled_by_whom_the_new_one_is_and_pushed_by_nobody(shop, images):
    moved(shop, f"{shop.root}/market")
    old = f"repository:{shop.shop}/web:pull,push"
    token = shop.access_token("maintainer", "write_registry")
    auth = ("maintainer", token)
    assert shop.granted(old, auth=auth) == {f"{shop.shop}/web": "pull"}
    new = f"repository:{shop.root}/market/web:pull,push"
    assert shop.granted(new, auth=auth) == {f"{shop.root}/market/web": "pull,push"}
    shop.user("stranger")
    stranger = ("stranger", shop.access_token("stranger", "write_registry"))
    assert shop.granted(old, auth=stranger) == {}
    answer = shop.ask_token(old, auth=auth)
    pulled = shop.pusher.digests(f"{shop.shop}/web")
    assert answer.status_code == 200
    assert pulled == DIGESTS


def test_what_was_pushed_until_the_last_token_ended_moves_too(shop, images):
    """Somebody pushes while everything is copied, deletes, and makes a new image."""
    target, copy, wait = f"{shop.root}/market", work.transfer.copy, work._wait
    source = shop.shop

    def copy_and_push(hold, row):
        copy(hold, row)
        if row.source == f"{source}/web":
            shop.push(f"{source}/web", {"1.0": TWO, "during": BOTH})
            shop.pusher.delete(f"{source}/web", TWO.digest)

    def push_in_the_last_moment(hold):
        shop.push(f"{source}/web", {"last": ARM})
        shop.push(f"{source}/fresh/image", {"first": BOTH})
        wait(hold)

    with (
        mock.patch.object(work.transfer, "copy", copy_and_push),
        mock.patch.dict(work.PHASES, {"fenced": push_in_the_last_moment}),
    ):
        moved(shop, target)
    left = {"latest": ONE.digest, "both": BOTH.digest, "during": BOTH.digest, "last": ARM.digest}
    assert shop.live(f"{target}/web") == shop.index(f"{target}/web") == left
    fresh = {"first": BOTH.digest}
    assert shop.live(f"{target}/fresh/image") == shop.index(f"{target}/fresh/image") == fresh
    assert shop.live(f"{target}/web/api") == DIGESTS


def test_while_it_waits_for_the_last_tokens_pulls_are_granted_and_pushes_are_not(shop, images):
    wait, seen = work._wait, []
    auth = ("maintainer", shop.access_token("maintainer", "write_registry"))
    scope = f"repository:{shop.shop}/web:pull,push"

    def look(hold):
        seen.append(shop.granted(scope, auth=auth))
        wait(hold)

    with mock.patch.dict(work.PHASES, {"fenced": look}):
        moved(shop, f"{shop.root}/market")
    assert seen == [{f"{shop.shop}/web": "pull"}]


#: Where the worker dies: a call, which time, and in which state the move is then.
DEATHS = [
    ("client.mount_blob", 3, "copying"),
    ("client.put_manifest", 4, "copying"),
    ("work._wait", 1, "fenced"),
    ("transfer.settle", 2, "settling"),
    ("transfer.verify", 2, "verifying"),
    ("work.switch", 1, "verifying"),
    ("work.reconcile", 1, "grace"),
]


@pytest.mark.parametrize(("where", "number", "state"), DEATHS)
def test_killed_in_any_phase_the_next_worker_finishes(shop, images, where, number, state):
    target = f"{shop.root}/market"
    move_id = planned(shop, target)
    begin(shop, move_id)
    killed(shop, move_id, where, number)
    assert shop.row(Move, id=move_id).state == state
    for name in images:
        assert shop.live(repository(shop.shop, name)) == DIGESTS
    assert run(shop, move_id).state == "grace"
    assert_moved(shop, shop.shop, target, images)


def begin(shop: LiveSite, move_id: int) -> None:
    """Confirm without a worker."""
    with mock.patch("registry_ui.projects.move_routes.enqueue"):
        assert confirmed(shop, move_id).state == "waiting"


def killed(shop: LiveSite, move_id: int, where: str, number: int) -> None:
    """Carry a move out in a process that kills itself, -9."""
    with shop.app.app_context():
        db.session.remove()
    command = [sys.executable, "-m", "tests.contract.move_process", str(move_id), where]
    done = subprocess.run(
        [*command, str(number), str(LIFETIME)],
        cwd=ROOT,
        env={**environ_of(shop.config), "REGISTRY_UI_TOKEN_LIFETIME": "300"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
