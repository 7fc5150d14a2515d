"""All tags of an image with their digests, for planning a removal."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from sqlalchemy import Select, select

from ..catalog.live_tags import LiveTags, read_all_tags, read_tags
from ..db.session import db, end_read
from ..models import ContainerImage, Tag, TrashedTag
from ..names import RepositoryName
from .live_list import LiveTagList
from .queries import tag_names

#: Maximum number of tags of an image that are all read from the registry. If an image has more,
#: only the tags to be removed are read.
MAX_READ_TAGS = 500


@dataclass(slots=True)
class ImageTags:
    """The tags of one image, including those in the trash.

    Attributes:
        tags: digest by name, for tags that can be read.
        rows: the rows of the index, by name.
        damaged: tags that are listed but can't be read.
        faulty: damaged tags that make 2.8 fail when it deletes any other tag.
        leftovers: tags that were removed but are still listed. They need no manifest.
        unanswered: tags for which the registry gave no answer. They are kept.
    """

    tags: dict[str, str]
    rows: dict[str, Tag]
    damaged: set[str] = field(default_factory=set)
    faulty: set[str] = field(default_factory=set)
    leftovers: set[str] = field(default_factory=set)
    unanswered: set[str] = field(default_factory=set)

    @property
    def unreadable(self) -> set[str]:
        """All tags that are listed but can't be read."""
        return self.damaged | self.leftovers

    def last_known(self, names: Iterable[str]) -> dict[str, str]:
        """Return the last digests of damaged tags that the index knows, by name."""
        rows = {name: self.rows[name].digest for name in names if name in self.rows}
        return {name: digest for name, digest in rows.items() if digest}


def tags_of_image(image: ContainerImage, names: Collection[str]) -> ImageTags:
    """Return every tag of an image with its digest and its row in the index.

    The tags to be removed are read from the registry; if the image has at most MAX_READ_TAGS tags,
    all others are read, too. Otherwise the digests of the others are taken from the index.

    Args:
        names: the tags to be removed.

    Raises:
        RegistryError: the registry does not answer.
    """
    refresh(image)
    rows = _load_rows(image.path)
    to_read = rows.keys() if len(rows) <= MAX_READ_TAGS else rows.keys() & set(names)
    to_read |= {name for name, tag in rows.items() if tag.digest is None or tag.is_damaged}
    tags = {name: tag.digest for name, tag in rows.items() if tag.digest and name not in to_read}
    # A tag in the trash needs its manifests, because it can be restored.
    tags |= trash_digests(image.path)
    live = read_tags(RepositoryName(image.path), sorted(to_read))
    image_tags = ImageTags(tags | live.digests, rows)
    _add_unreadable(image_tags, live)
    return image_tags


def all_tags(path: str) -> ImageTags:
    """Return every tag that the registry lists for a repository, with digests read from it.

    Raises:
        RegistryError: the registry does not answer.
    """
    rows = _load_rows(path)
    live = read_all_tags(RepositoryName(path))
    image_tags = ImageTags(live.digests, rows)
    _add_unreadable(image_tags, live)
    return image_tags


def refresh(image: ContainerImage) -> None:
    """Update the index from the registry's list of an image's tags.

    Raises:
        RegistryError: the list can't be read.
    """
    live_list = LiveTagList(image)
    live_list.settle(tag_names(image.id))
    if live_list.problem is not None:
        raise live_list.problem


def trash_digests(path: str) -> dict[str, str]:
    """Return the tags of a repository that are in the trash: digest by name in the registry."""
    return dict(db.session.execute(_select_trash_digests(path)).all())


def _select_trash_digests(path: str) -> Select[str, str]:
    return select(TrashedTag.trash_tag, TrashedTag.digest).where(TrashedTag.repository == path)


def _load_rows(path: str) -> dict[str, Tag]:
    query = (
        select(Tag)
        .join(ContainerImage, ContainerImage.id == Tag.image_id)
        .where(ContainerImage.path == path)
    )
    rows = {tag.name: tag for tag in db.session.scalars(query)}
    end_read()
    return rows


def _add_unreadable(image_tags: ImageTags, live: LiveTags) -> None:
    """Add the unreadable tags: damaged, left over from a removal, or unanswered."""
    image_tags.unanswered = set(live.unanswered)
    for name, damage in live.damaged.items():
        row = image_tags.rows.get(name)
        if damage == "missing" and row is not None and row.damage == "removed":
            image_tags.leftovers.add(name)
            continue
        image_tags.damaged.add(name)
        if damage == "fault":
            image_tags.faulty.add(name)
