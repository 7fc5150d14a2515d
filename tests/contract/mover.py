"""A site on which things are moved: planned and confirmed as by people, killed like workers."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from unittest import mock

from sqlalchemy import update

from registry_ui.db.session import db
from registry_ui.demo.images import DOCKER, Manifest, index
from registry_ui.jobs.tasks import resume
from registry_ui.models import Move, Place, Removal, WriteFreeze
from registry_ui.moves import progress
from registry_ui.web import moves as move_pages
from tests.contract import move_process
from tests.support.html import Page
from tests.support.live import LiveSite, environ_of, tiny
from tests.support.worker_processes import run_until_killed

ONE, TWO = tiny("one"), tiny("two", family=DOCKER)
AMD, ARM = tiny("amd"), tiny("arm", platform="linux/arm64")
BOTH = index([AMD, ARM])
TAGS = {"1.0": ONE, "latest": ONE, "2.0": TWO, "both": BOTH}
DIGESTS = {tag: manifest.digest for tag, manifest in TAGS.items()}
#: Every digest of these, parts of indexes too.
EVERYTHING = {part.digest for manifest in TAGS.values() for part in manifest.walk()}
#: Seconds that a token lives here: a move waits for the last one.
LIFETIME = 1
#: How long a move waits after that. It is negative because each test uses its tokens at once, and
#: every check of a move that waits takes several statements.
GRACE = timedelta(seconds=-0.8)
#: The images of a project: one with every kind of tag, and one on each side of it.
FEW = {"1.0": ONE, "2.0": TWO}
IMAGES = {"": FEW, "web": TAGS, "web/api": FEW}


def digests_of(name: str) -> dict[str, str]:
    """The tags of an image, by name, with their digests."""
    return {tag: manifest.digest for tag, manifest in IMAGES[name].items()}


def parts_of(name: str) -> set[str]:
    """Every digest that can be pulled from an image."""
    return {part.digest for manifest in IMAGES[name].values() for part in manifest.walk()}


def repository(project: str, name: str) -> str:
    """The repository of an image of a project."""
    return f"{project}/{name}" if name else project


class Mover(LiveSite):
    """A project with some images, its maintainer, and the owner of all that is above it."""

    def open(self) -> None:
        """Make the project, and the people."""
        self.open_shop()
        self.user("owner")
        self.member(self.root, "owner", "owner")

    def fill(self, project: str = "", *, names: Iterable[str] = IMAGES) -> None:
        """Push the images; the index hears of them as the registry tells it."""
        for name in names:
            self.push_and_tell(repository(project or self.shop, name), IMAGES[name])

    @property
    def market(self) -> str:
        """Where the project goes to."""
        return f"{self.root}/market"

    def planned(self, target: str, *, path: str = "", name: str | None = None) -> int:
        """Plan by the form; return the number of the move."""
        path = path or self.shop
        address = f"/{path}/-/move"
        if name is not None:
            address = f"/{path}/-/images/{name}/-/move" if name else f"/{path}/-/images/-/move"
        answer = self.browser("owner").post(address, {"target": target})
        assert answer.status_code == 302, Page(answer.text).text
        return int(answer.headers["Location"].rpartition("/")[2])

    def move(self, move_id: int) -> Move:
        """The row of a move."""
        found: Move = self.row(Move, id=move_id)
        return found

    def send(self, move_id: int, deed: str, by: str = "owner", **data: Any) -> Move:
        """Press a button of a move's page; the worker of the tests works at once."""
        place = self.row(Place, id=self.move(move_id).place_id).path
        answer = self.browser(by).post(f"/{place}/-/moves/{move_id}/{deed}", data)
        assert answer.status_code == 302, Page(answer.text).text
        return self.move(move_id)

    def confirmed(self, move_id: int) -> Move:
        """Type the path, as the page asks."""
        return self.send(move_id, "confirm", confirm=self.move(move_id).source)

    def moved(self, target: str, **what: Any) -> int:
        """Move something until its old path can be pulled; return the number of the move."""
        move = self.confirmed(self.planned(target, **what))
        assert move.state == "grace", move.problem
        assert move.problem == ""
        return move.id

    def begin(self, move_id: int) -> None:
        """Confirm, while no worker is there."""
        with mock.patch.object(move_pages, "enqueue"):
            assert self.confirmed(move_id).state == "waiting"

    def go_on(self, move_id: int) -> Move:
        """Let the lease of a dead worker run out, and do what the schedule does."""
        with self.app.app_context():
            for model in (Move, Removal):
                db.session.execute(update(model).values(lease_until=None))
            db.session.commit()
            resume()
        return self.move(move_id)

    def killed(self, move_id: int, where: str, number: int) -> None:
        """Carry a move out in a process that kills itself, -9, at a call of that name."""
        with self.app.app_context():
            db.session.remove()
        wait = (LIFETIME, GRACE)
        arguments = (move_id, where, number, wait, progress.BATCH_SIZE)
        run_until_killed(move_process.main, *arguments, environ=environ_of(self.config))

    def readable(self, path: str) -> set[str]:
        """Those of all digests that can be pulled from a repository."""
        return {digest for digest in EVERYTHING if self.pusher.digest(path, digest)}

    def readable_of(self, path: str, manifests: Iterable[Manifest]) -> bool:
        """Whether all of these manifests can be pulled from a repository by digest."""
        return all(self.pusher.digest(path, one.digest) == one.digest for one in manifests)

    def assert_moved(self, source: str, target: str) -> None:
        """Registry and index have it all under the new path, and old paths can be pulled."""
        for name in IMAGES:
            new, old = repository(target, name), repository(source, name)
            assert self.live(new) == self.index(new) == digests_of(name)
            assert self.readable(new) == parts_of(name)
            assert self.live(old) == digests_of(name)
            assert self.index(old) is None
        assert self.rows(WriteFreeze) == []

    def assert_untouched(self, source: str, target: str) -> None:
        """Everything is where it was, nothing where it was to go, and nobody is stopped."""
        for name in IMAGES:
            new, old = repository(target, name), repository(source, name)
            assert self.live(old) == self.index(old) == digests_of(name)
            assert self.readable(old) == parts_of(name)
            assert self.pusher.tags(new) == []
            assert self.index(new) is None
        assert self.rows(WriteFreeze) == []

    def grants(self, name: str, by: str = "maintainer") -> str:
        """What is granted of pull, push and delete for a repository."""
        scopes = ("write_registry", "delete_registry")
        auth = (by, self.access_token(by, *scopes)) if by else None
        return self.granted(f"repository:{name}:pull,push,delete", auth=auth).get(name, "")
