"""All tags of an image when their removal is planned: what each stands for, and what is known."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from sqlalchemy import Select, select

from ..catalog.live_tags import LiveTags, read_all_tags, read_tags
from ..db.session import db, end_read
from ..models import BinnedTag, ContainerImage, Tag
from ..names import RepositoryName
from .live_list import LiveTagList
from .queries import tag_names

#: Of an image with more tags, only those that go are asked what they stand for.
ASKED = 500


@dataclass(slots=True)
class ImageTags:
    """The tags of one image, those of the bin too.

    ``tags`` are those that can be read, with their digests; ``rows`` those of the index.
    ``damaged`` are listed and can't be read, ``faulty`` those of them at which 2.8 stumbles.
    ``leftovers`` were removed, and are still listed: nothing needs what they stood for.
    ``unanswered`` are those for which the registry does not answer now: they stay.
    """

    tags: dict[str, str]
    rows: dict[str, Tag]
    damaged: set[str] = field(default_factory=set)
    faulty: set[str] = field(default_factory=set)
    leftovers: set[str] = field(default_factory=set)
    unanswered: set[str] = field(default_factory=set)

    @property
    def unreadable(self) -> set[str]:
        """Whatever is listed and can't be read."""
        return self.damaged | self.leftovers

    def last_known(self, names: Iterable[str]) -> dict[str, str]:
        """Return what damaged tags stood for before, as far as the index knows."""
        rows = {name: self.rows[name].digest for name in names if name in self.rows}
        return {name: digest for name, digest in rows.items() if digest}


def tags_of_image(image: ContainerImage, names: Collection[str]) -> ImageTags:
    """Return what every tag of an image stands for, and the rows of the index.

    Those that go are asked of the registry; so are all others, if they are not too many.

    Args:
        names: those that go.

    Raises:
        RegistryError: it can't be asked.
    """
    refresh(image)
    rows = _rows(image.path)
    asked = rows.keys() if len(rows) <= ASKED else rows.keys() & set(names)
    asked |= {name for name, tag in rows.items() if tag.digest is None or tag.is_damaged}
    tags = {name: tag.digest for name, tag in rows.items() if tag.digest and name not in asked}
    # What the bin holds keeps its manifests alive.
    tags |= binned_digests(image.path)
    live = read_tags(RepositoryName(image.path), sorted(asked))
    found = ImageTags(tags | live.digests, rows)
    _part(found, live)
    return found


def all_tags(path: str) -> ImageTags:
    """Return every tag that the registry lists of a repository, each asked for.

    Raises:
        RegistryError: it can't be asked.
    """
    rows = _rows(path)
    live = read_all_tags(RepositoryName(path))
    found = ImageTags(live.digests, rows)
    _part(found, live)
    return found


def refresh(image: ContainerImage) -> None:
    """Compare an image's tags with the registry's list; raise RegistryError if there is none."""
    comparison = LiveTagList(image)
    comparison.settle(tag_names(image.id))
    if comparison.problem is not None:
        raise comparison.problem


def binned_digests(path: str) -> dict[str, str]:
    """Return the tags of the bin in a repository, and what they stand for."""
    return dict(db.session.execute(_binned(path)).all())


def _binned(path: str) -> Select[str, str]:
    return select(BinnedTag.bin_tag, BinnedTag.digest).where(BinnedTag.repository == path)


def _rows(path: str) -> dict[str, Tag]:
    query = (
        select(Tag)
        .join(ContainerImage, ContainerImage.id == Tag.image_id)
        .where(ContainerImage.path == path)
    )
    rows = {tag.name: tag for tag in db.session.scalars(query)}
    end_read()
    return rows


def _part(found: ImageTags, live: LiveTags) -> None:
    """Part the damaged tags from those that are left over from a removal."""
    found.unanswered = set(live.unanswered)
    for name, damage in live.damaged.items():
        row = found.rows.get(name)
        if damage == "missing" and row is not None and row.damage == "removed":
            found.leftovers.add(name)
            continue
        found.damaged.add(name)
        if damage == "fault":
            found.faulty.add(name)
