"""All tags of an image with their digests, for planning a removal of tags.

The digests are read from the registry or from the index (the database's copy of the registry's
tags).
"""

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

#: Maximum number of tags of an image whose digests are all read from the registry. If an image has
#: more tags, only the tags to be removed, and those with an unknown digest or damage, are read.
MAX_READ_TAGS = 500


@dataclass(slots=True)
class ImageTags:
    """The tags of one image, including those in the trash.

    Attributes:
        tags: digest by tag name, for tags that can be read.
        rows: the database rows of the tags, by tag name.
        damaged: names of tags that the registry lists but can't read.
        faulty: names of damaged tags that make Distribution 2.8 fail when it deletes any other tag.
        leftovers: names of tags that users removed but that the registry still lists. They need no
            manifest.
        unanswered: names of tags for which the registry gave no answer. A removal keeps them.
    """

    tags: dict[str, str]
    rows: dict[str, Tag]
    damaged: set[str] = field(default_factory=set)
    faulty: set[str] = field(default_factory=set)
    leftovers: set[str] = field(default_factory=set)
    unanswered: set[str] = field(default_factory=set)

    @property
    def unreadable(self) -> set[str]:
        """All tags that the registry lists but can't read: damaged ones and leftovers."""
        return self.damaged | self.leftovers

    def last_known(self, names: Iterable[str]) -> dict[str, str]:
        """Return the digests that the database has for some tags, which can be damaged, by name.

        Tags whose digest is not known are left out.
        """
        rows = {name: self.rows[name].digest for name in names if name in self.rows}
        return {name: digest for name, digest in rows.items() if digest}


def tags_of_image(image: ContainerImage, names: Collection[str]) -> ImageTags:
    """Return every tag of an image with its digest and its database row.

    The index is updated from the registry's list of tags first. The digests of the tags to be
    removed are read from the registry; if the image has at most MAX_READ_TAGS tags, those of all
    other tags, too. Otherwise, the other digests are taken from the index, if it has them.

    Args:
        image: the image.
        names: the tags to be removed.

    Raises:
        RegistryError: the registry does not answer or refuses a request.
    """
    refresh(image)
    rows = _load_rows(image.path)
    to_read = rows.keys() if len(rows) <= MAX_READ_TAGS else rows.keys() & set(names)
    to_read |= {name for name, tag in rows.items() if tag.digest is None or tag.is_damaged}
    tags = {name: tag.digest for name, tag in rows.items() if tag.digest and name not in to_read}
    # A tag in the trash needs its manifests, because it can be restored.
    tags |= trash_digests(image.path)
    live = read_tags(RepositoryName(image.path), sorted(to_read))
    return _image_tags_from_live(tags, rows, live)


def all_tags(path: str) -> ImageTags:
    """Return every tag that the registry lists for a repository, including the trash.

    All digests are read from the registry.

    Args:
        path: path of the repository.

    Raises:
        RegistryError: the registry does not answer or refuses a request.
    """
    rows = _load_rows(path)
    live = read_all_tags(RepositoryName(path))
    return _image_tags_from_live({}, rows, live)


def refresh(image: ContainerImage) -> None:
    """Update an image's tags in the database from the list of tags in the registry.

    New tags are inserted without digests, and the rows of deleted tags are deleted.

    Raises:
        RegistryError: the list can't be read from the registry.
    """
    live_list = LiveTagList(image)
    live_list.settle(tag_names(image.id))
    if live_list.problem is not None:
        raise live_list.problem


def trash_digests(path: str) -> dict[str, str]:
    """Return the digests of a repository's tags in the trash.

    The keys are the names under which the registry keeps trashed tags, not their original names.
    """
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


def _image_tags_from_live(
    other_digests: dict[str, str], rows: dict[str, Tag], live: LiveTags
) -> ImageTags:
    """Return the tags of an image, given the result of reading them from the registry.

    Args:
        other_digests: digest by tag name, for tags that were not read from the registry.
        rows: the database rows of the tags, by tag name.
        live: the tags that were read from the registry.
    """
    leftovers = {
        name
        for name, damage in live.damaged.items()
        if damage == "missing" and name in rows and rows[name].damage == "removed"
    }
    return ImageTags(
        other_digests | live.digests,
        rows,
        damaged=live.damaged.keys() - leftovers,
        faulty=live.faulty,
        leftovers=leftovers,
        unanswered=set(live.unanswered),
    )
