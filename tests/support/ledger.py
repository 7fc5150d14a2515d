"""What a registry should hold: kept by those who push to it, remove from it and rename in it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from registry_ui.demo.images import Manifest

Wanted = dict[str, set[str | None]]


@dataclass
class Renamed:
    """A project and its names, the oldest first; only by the last one can be pushed."""

    names: list[str]

    @property
    def path(self) -> str:
        """Its name now."""
        return self.names[-1]


@dataclass(frozen=True)
class Push:
    """A push by a project's name of that number; ``sure`` where the registry said 201."""

    number: int
    digest: str
    sure: bool


@dataclass
class Story:
    """What was done with one tag of an image. No digest is pushed to it twice."""

    pushes: list[Push] = field(default_factory=list)
    #: The digests of which it was removed, and the number of the name at that time.
    removed: dict[str, int] = field(default_factory=dict)

    def wanted(self, number: int) -> set[str | None]:
        """What it may stand for by the project's name of that number; None for nothing.

        A name is as it was when the next one came.
        """
        found: set[str | None] = {None}
        for push in self.pushes:
            if push.number <= number:
                gone = self.removed.get(push.digest, number + 1) <= number
                found = {None if gone else push.digest} | (set() if push.sure else found)
        return found


class Ledger:
    """The stories of all tags, by image."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._images: dict[tuple[int, str], dict[str, Story]] = {}
        self.contents: dict[str, Manifest] = {}
        #: When pushes began and were answered with 201, and what others were told.
        self.answered: list[tuple[float, float, str]] = []
        self.refusals: list[str] = []
        #: Pushes that must be refused, whether or not an answer came: repositories and tags.
        self.forbidden: list[tuple[str, str]] = []
        #: What must not have happened.
        self.wrong: list[str] = []

    def push(
        self,
        project: Renamed,
        number: int,
        image: str,
        tag: str,
        manifest: Manifest,
        *,
        began: float,
        sure: bool,
    ) -> None:
        """Note that a tag was pushed, or perhaps was."""
        with self._lock:
            self.contents[manifest.digest] = manifest
            push = Push(number, manifest.digest, sure)
            self._story(project, image, tag).pushes.append(push)
            if sure:
                self.answered.append((began, time.time(), tag))

    @property
    def pushed(self) -> int:
        """How many pushes were answered with 201."""
        return len(self.answered)

    def refuse(self, words: str) -> None:
        """Note that a push was refused, which changes nothing, and in which words."""
        with self._lock:
            self.refusals.append(words)

    def must_be_refused(self, repository: str, tag: str) -> None:
        """Note that somebody is about to push what nobody may."""
        with self._lock:
            self.forbidden.append((repository, tag))

    def remove(self, project: Renamed, image: str, tags: Iterable[tuple[str, str]]) -> None:
        """Note that tags go, unless they stand for other digests by then."""
        with self._lock:
            for tag, digest in tags:
                removed = self._story(project, image, tag).removed
                removed.setdefault(digest, len(project.names) - 1)

    def wanted(self, project: Renamed, number: int, image: str) -> Wanted:
        """What each tag may stand for by the project's name of that number."""
        with self._lock:
            stories = self._images.get((id(project), image), {})
            return {tag: story.wanted(number) for tag, story in stories.items()}

    def _story(self, project: Renamed, image: str, tag: str) -> Story:
        tags = self._images.setdefault((id(project), image), {})
        return tags.setdefault(tag, Story())
