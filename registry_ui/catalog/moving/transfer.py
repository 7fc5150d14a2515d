"""One repository of a move: copied, brought up to date, compared tag by tag."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress

from sqlalchemy import select

from ...distribution.errors import RegistryNotFound
from ...extensions import db, release
from ...models import ContainerImage, MovedRepository, TagMoment
from ...names import RepositoryName, TagName
from ..connection import registry
from ..copying.content import Copier, CopyRefused
from ..copying.referrers import Following
from ..reconcile import digests_of
from .emptying import empty
from .hold import Hold, MoveFailed

#: So many tags are asked for between two signs of life.
BATCH = 200
#: After so many tags the page says how far it is.
SHOWN = 20
#: So many tags are named in a message.
NAMED = 10
#: So many earlier digests of an image are looked for.
EARLIER = 1000


def copy(hold: Hold, row: MovedRepository) -> None:
    """Copy what the new name does not have yet; nobody is stopped meanwhile.

    Raises:
        MoveFailed: the new name is in use in the registry.
        CopyRefused, RegistryError: as Copier.bring().
    """
    tags = live(hold, row.source)
    there = live(hold, row.target)
    if not row.begun and there:
        raise MoveFailed(f"{row.target} is in use in the registry: {named(there)}.")
    _note_ours(hold, row, tags)
    copier = _copier(hold, row)
    _bring(copier, tags, there, lambda number: hold.note(row, done=number))
    _bring_earlier(copier, set(tags.values()))
    hold.note(row, state="copied", done=len(tags))


def settle(hold: Hold, row: MovedRepository) -> None:
    """Copy what changed since, and take away what is gone: nobody writes any more.

    Raises:
        MoveFailed: somebody else has pushed to the new name.
    """
    tags = live(hold, row.source)
    there = live(hold, row.target)
    if not row.begun and there:
        raise MoveFailed(f"{row.target} is in use in the registry: {named(there)}.")
    gone = {tag: digest for tag, digest in there.items() if tag not in tags}
    foreign = [
        tag
        for tag, digest in there.items()
        if digest not in {tags.get(tag), *row.copied.get(tag, ())}
    ]
    if foreign:
        raise MoveFailed(f"Somebody else has pushed to {row.target}: {named(foreign)}.")
    _note_ours(hold, row, tags)
    copier = _copier(hold, row)
    _bring(copier, tags, there, lambda number: hold.note(row, done=number))
    following = Following(copier, ())
    for digest in dict.fromkeys(tags.values()):
        following.bring([digest])
    if gone:
        steps = [
            {"do": "tag", "repository": row.target, "tag": tag, "digest": digest}
            for tag, digest in sorted(gone.items())
        ]
        empty(hold, row, row.target, steps)
    hold.note(row, state="settled", done=len(tags))


def verify(hold: Hold, row: MovedRepository) -> None:
    """Compare what every tag stands for, under the old name and under the new.

    What a digest consists of was checked when it was copied, manifest by manifest and blob
    by blob, and can't be another since.

    Raises:
        MoveFailed: they differ.
    """
    tags, there = live(hold, row.source), live(hold, row.target)
    differing = {tag for tag in tags.keys() | there.keys() if tags.get(tag) != there.get(tag)}
    if differing:
        raise MoveFailed(f"{row.source} and {row.target} differ: {named(differing)}.")
    hold.note(row, state="verified", tag_count=len(tags))


def live(hold: Hold, repository: str) -> dict[str, str]:
    """Return what every tag of a repository stands for now, those of the bin too."""
    name = RepositoryName(repository)
    release()
    try:
        names = registry().tags(name)
    except RegistryNotFound:
        return {}
    found: dict[str, str] = {}
    for start in range(0, len(names), BATCH):
        hold.hold()
        found |= digests_of(name, names[start : start + BATCH])
    return found


def _note_ours(hold: Hold, row: MovedRepository, tags: Mapping[str, str]) -> None:
    """Keep what is about to be pushed: who goes on later knows it as ours, and takes it away.

    Together with all that was before: the old name may have lost some of that since, and the
    new one has it until the push.
    """
    ours = {tag: list(digests) for tag, digests in row.copied.items()}
    for tag, digest in tags.items():
        known = ours.setdefault(tag, [])
        if digest not in known:
            known.append(digest)
    hold.note(row, begun=True, tag_count=len(tags), done=0, copied=ours)


def _copier(hold: Hold, row: MovedRepository) -> Copier:
    return Copier(RepositoryName(row.source), RepositoryName(row.target), hold.hold)


def _bring(
    copier: Copier,
    tags: Mapping[str, str],
    there: Mapping[str, str],
    note: Callable[[int], None],
) -> None:
    """Make the new name have these tags, with all that they consist of and that refers to it.

    Args:
        there: what the new name has already.
        note: is told now and then how many were gone through.
    """
    # Tags that sign or describe something are tags like others here.
    following = Following(copier, ())
    for number, (tag, digest) in enumerate(tags.items()):
        if number and number % SHOWN == 0:
            note(number)
        if there.get(tag) == digest:
            continue
        try:
            brought = copier.bring(digest)
        except RegistryNotFound:
            continue  # it went a moment ago
        following.bring(brought.manifests)
        copier.tag(TagName(tag), brought.top)


def _bring_earlier(copier: Copier, present: AbstractSet[str]) -> None:
    """Copy what tags stood for before: somebody may pull it by its digest."""
    query = (
        select(TagMoment.digest)
        .join(ContainerImage, ContainerImage.id == TagMoment.image_id)
        .where(ContainerImage.path == str(copier.source), TagMoment.digest != "")
        .order_by(TagMoment.id.desc())
        .limit(EARLIER)
    )
    for digest in dict.fromkeys(db.session.scalars(query).all()):
        if digest not in present:
            release()
            with suppress(RegistryNotFound, CopyRefused):
                copier.bring(digest)


def named(tags: Iterable[str]) -> str:
    """Return the first of some tags, and how many more there are."""
    every = sorted(tags)
    more = f" and {len(every) - NAMED} more" if len(every) > NAMED else ""
    return ", ".join(every[:NAMED]) + more
