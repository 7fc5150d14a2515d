"""Copy, update, and verify one repository of a move.

Each phase processes the tags in batches and stores its progress, so that the next worker asks the
registry only about the remaining tags.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import select

from ..catalog.live_tags import LiveTags, digests_of, leftovers_in, read_tags
from ..copies.copier import Copier, CopyRefused, MountsRefused
from ..copies.referrers import ReferrerCopier
from ..db.session import db, end_read
from ..distribution.errors import InvalidRegistryResponse, RegistryFault, RegistryNotFound
from ..enumerations import name_some
from ..models import ContainerImage, MovedRepository, RemovalStep, TagHistoryEntry
from ..names import RepositoryName, TagName
from ..operations.errors import OperationFailed
from ..registry_connection import registry
from .cleanup import empty
from .lease import MoveLease
from .progress import CopiedManifests, batches, copied_as, record_tags, record_verified
from .unmoved_tags import Unmoved, damaged, forget_others, record_unmoved, unmoved_tags

#: Number of tags that are read per batch; the lease is renewed before each batch.
BATCH = 200
LEFT_OUT = "left out, because they can't be read: {}"
STAYS = "stays at the old name, because it can't be copied: {}"
NO_MANIFEST = "the registry lists it, but does not have its manifest"
#: Errors that concern a single image, so the other images can still be copied.
UNCOPYABLE = (CopyRefused, RegistryFault, InvalidRegistryResponse, RegistryNotFound)
#: Maximum number of tag history entries searched for earlier digests of an image.
EARLIER = 1000
#: Number of earlier digests per batch; progress is stored after each batch.
EARLIER_BATCH = 20


def copy(lease: MoveLease, row: MovedRepository) -> None:
    """Copy everything that the new path does not have yet, while pushes are still allowed.

    Tags that change after they were copied are left to settle().

    Raises:
        OperationFailed: the new path is already in use in the registry.
        CopyRefused, RegistryError: as raised by Copier.bring().
    """
    copying = _Copying(lease, row)
    for batch in batches(lease, row, copying.names):
        copying.bring(batch)
    _bring_earlier(lease, row, copying)
    lease.record_progress(row, state="copied", last_tag="", done=len(copying.names))


def settle(lease: MoveLease, row: MovedRepository) -> None:
    """Copy later changes and delete removed tags from the new path, while pushes are stopped.

    Raises:
        OperationFailed: someone else has pushed to the new path.
    """
    copying = _Copying(lease, row)
    for batch in batches(lease, row, copying.names):
        digests = copying.bring(batch, final=True)
        # Remove tags that the registry lists without having their manifest, and tags that can no
        # longer be copied.
        copying.remove([tag for tag in batch if tag not in digests])
    copying.remove(sorted(copying.listed.difference(copying.names)))
    forget_others(lease, row, copying.names)
    copying.record.clear()
    lease.record_progress(row, state="settled", last_tag="", done=len(copying.names))


def verify(lease: MoveLease, row: MovedRepository) -> None:
    """Compare the digest of every tag under the old path with that under the new path.

    The content of a digest does not need to be compared: every manifest and blob was checked when
    it was copied, and a digest cannot refer to other content later.

    Raises:
        OperationFailed: at least one tag differs.
    """
    names, listed, unmoved = _tags(row.source), _tags(row.target), unmoved_tags(row)
    for batch in batches(lease, row, sorted({*names, *listed})):
        live, there = _movable(lease, row, batch), _digests(row.target, batch)
        tags = {tag: digest for tag, digest in live.digests.items() if tag not in unmoved}
        differing = {tag for tag in batch if tags.get(tag) != there.get(tag)}
        if differing:
            raise OperationFailed(f"{row.source} and {row.target} differ: {name_some(differing)}.")
        record_verified(lease, row, tags)
    left_out = left_out_of(lease, row.source) - unmoved.keys()
    details = [(LEFT_OUT, left_out), (STAYS, unmoved)]
    detail = "; ".join(words.format(name_some(tags)) for words, tags in details if tags)
    lease.record_progress(row, state="verified", last_tag="", tag_count=len(names), detail=detail)


def live(lease: MoveLease, repository: str) -> dict[str, str]:
    """Return the current digest of each readable tag of a repository, including the trash."""
    return read_live(lease, repository).digests


def read_live(lease: MoveLease, repository: str) -> LiveTags:
    """Read all tags of a repository, including unreadable tags and the trash.

    Raises:
        RegistryUnavailable: the registry does not answer for a tag, so the move waits.
    """
    names = _tags(repository)
    found = LiveTags()
    for start in range(0, len(names), BATCH):
        lease.renew()
        found.add(read_tags(RepositoryName(repository), names[start : start + BATCH]))
    found.require_answers()
    return found


class _Copying:
    """State for copying one moved repository from its old path to its new one.

    Raises:
        OperationFailed: the new path is in use in the registry before anything was copied.
    """

    def __init__(self, lease: MoveLease, row: MovedRepository) -> None:
        self.lease, self.row = lease, row
        #: Tags of the old and of the new path when this worker started.
        self.names, self.listed = _tags(row.source), set(_tags(row.target))
        if not row.begun and self.listed:
            raise OperationFailed(
                f"{row.target} is in use in the registry: {name_some(self.listed)}."
            )
        lease.record_progress(row, begun=True, tag_count=len(self.names))
        self.record = CopiedManifests(lease, row)
        names = RepositoryName(row.source), RepositoryName(row.target)
        self.copier = Copier(*names, lease.renew, self.record)
        # No tag names are passed, because referrer tags are copied like all other tags.
        self.following = ReferrerCopier(self.copier, ())
        #: Tags that were deleted from the old path while they were being copied.
        self._gone: set[str] = set()
        #: Digests whose referrers were copied already, because several tags can share a digest.
        self._followed: set[str] = set()

    def bring(self, batch: list[str], *, final: bool = False) -> dict[str, str]:
        """Copy tags with all their content and their referrers to the new path.

        A tag that cannot be copied is recorded as unmoved, and the others are still copied.

        Args:
            batch: tags of the old path.
            final: whether pushes are stopped. If so, referrers of tags that the new path already
                has are copied too, and failed tags are tried once more.

        Returns:
            The digest of each tag that was copied or was already there.

        Raises:
            OperationFailed: someone else has pushed one of the tags to the new path, or the
                registry cannot mount blobs.
            RegistryError: the registry cannot be reached or cannot store anything now.
        """
        self.lease.renew()
        live = _movable(self.lease, self.row, batch)
        there = _digests(self.row.target, [tag for tag in batch if tag in self.listed])
        self._require_ours(there, live.digests)
        # Record the tags before the push, so that a later worker recognizes them as copies of this
        # move and can delete them.
        record_tags(self.lease, self.row, live.digests)
        here = {tag for tag, digest in live.digests.items() if there.get(tag) == digest}
        left = live.digests if final else {t: d for t, d in live.digests.items() if t not in here}
        unmoved = self._copy_tags(left, here)
        if unmoved or live.damaged:
            self.copier.require_storage()
        if unmoved and final:
            left = {tag: digest for tag, digest in left.items() if tag in unmoved}
            unmoved = self._copy_tags(left, here)
        unmoved |= damaged(self.row, live.damaged)
        record_unmoved(self.lease, self.row, batch, unmoved)
        self.record.flush()
        gone = unmoved.keys() | self._gone
        return {tag: digest for tag, digest in live.digests.items() if tag not in gone}

    def _copy_tags(self, tags: Mapping[str, str], here: Collection[str]) -> dict[str, Unmoved]:
        """Copy tags with their referrers; return those that cannot be copied.

        Args:
            tags: the tags to copy, with their digests.
            here: tags that the new path already has; only their referrers are copied.
        """
        failed: dict[str, Unmoved] = {}
        for tag, digest in tags.items():
            try:
                if tag not in here:
                    self._bring_one(TagName(tag), digest)
                elif digest not in self._followed:
                    self.following.bring([digest])
                    self._followed.add(digest)
            except UNCOPYABLE as error:
                if reason := self._reason(TagName(tag), error):
                    failed[tag] = Unmoved(digest, reason)
                else:
                    self._gone.add(tag)
        return failed

    def _reason(self, tag: TagName, error: Exception) -> str:
        """Return why a tag cannot be copied; empty if it was deleted meanwhile.

        Raises:
            OperationFailed: the registry mounts no blobs, so nothing else can be copied either.
        """
        if isinstance(error, MountsRefused):
            raise OperationFailed(f"{self.row.source}:{tag} can't be copied: {error}.") from None
        if isinstance(error, RegistryNotFound):
            there = self.copier.stands_for(self.copier.source, tag)
            return "" if there is None else NO_MANIFEST
        return str(error)

    def _bring_one(self, tag: TagName, digest: str) -> None:
        if self.following.has_api is False:
            self.copier.bring(digest, tag)
            return
        # Push the tag last, so that a tag at the new path always has all its referrers.
        brought = self.copier.bring(digest)
        self.following.bring(brought.manifests)
        self.copier.tag(tag, brought.top)

    def remove(self, tags: Iterable[str]) -> None:
        """Delete tags from the new path that the old path no longer has.

        Raises:
            OperationFailed: someone else has pushed one of them, or not all could be removed.
        """
        gone = _digests(self.row.target, [tag for tag in tags if tag in self.listed])
        self._require_ours(gone, {})
        if gone:
            steps = [
                RemovalStep("tag", repository=self.row.target, tag=tag, digest=digest)
                for tag, digest in sorted(gone.items())
            ]
            empty(self.lease, self.row, self.row.target, steps)

    def _require_ours(self, there: Mapping[str, str], tags: Mapping[str, str]) -> None:
        ours = copied_as(self.row, there)
        foreign = [
            tag
            for tag, digest in there.items()
            if digest != tags.get(tag) and (tag, digest) not in ours
        ]
        if foreign:
            raise OperationFailed(
                f"Someone else has pushed to {self.row.target}: {name_some(foreign)}."
            )


def _tags(repository: str) -> list[str]:
    """Return all tags of a repository in byte order, including the trash."""
    end_read()
    try:
        return registry().tags(RepositoryName(repository))
    except RegistryNotFound:
        return []


def left_out_of(lease: MoveLease, repository: str) -> set[str]:
    """Return the unreadable tags of a repository that the user agreed to leave out."""
    references = [r.rpartition(":") for r in lease.move.preview.get("unread", ())]
    return {tag for path, _, tag in references if path == repository}


def _movable(lease: MoveLease, row: MovedRepository, tags: Collection[str]) -> LiveTags:
    """Return the tags of the old path as the registry has them, without unreadable ones to skip.

    Skipped are unreadable tags that the user agreed to leave out, and deleted tags that the
    registry still lists.

    Raises:
        RegistryUnavailable: the registry does not answer for a tag.
    """
    end_read()
    live = read_tags(RepositoryName(row.source), tags)
    live.require_answers()  # A tag without an answer must not be mistaken for a deleted tag.
    left_out = left_out_of(lease, row.source) | leftovers_in(RepositoryName(row.source))
    end_read()
    live.damaged = {tag: how for tag, how in live.damaged.items() if tag not in left_out}
    return live


def _digests(repository: str, tags: Iterable[str]) -> dict[str, str]:
    end_read()
    return digests_of(RepositoryName(repository), tags)


def _bring_earlier(lease: MoveLease, row: MovedRepository, copying: _Copying) -> None:
    """Copy digests from the tag history, because clients can still pull them by digest."""
    query = (
        select(TagHistoryEntry.id, TagHistoryEntry.digest)
        .join(ContainerImage, ContainerImage.id == TagHistoryEntry.image_id)
        .where(ContainerImage.path == row.source, TagHistoryEntry.digest != "")
        .order_by(TagHistoryEntry.id.desc())
        .limit(EARLIER)
    )
    # Copy each digest at its newest history entry, so that older entries of the same digest need no
    # work.
    newest: dict[str, int] = {}
    for moment_id, digest in db.session.execute(query).all():
        newest.setdefault(digest, moment_id)
    oldest = row.oldest_moment_id
    left = [(n, digest) for digest, n in newest.items() if oldest is None or n < oldest]
    for start in range(0, len(left), EARLIER_BATCH):
        batch = left[start : start + EARLIER_BATCH]
        for _, digest in batch:
            if copying.record.find(digest) is None:
                # No tag needs this digest, so an unreadable one does not stop the move.
                try:
                    copying.copier.bring(digest)
                except RegistryFault:
                    copying.copier.require_storage()  # A full disk is not a fault of the image.
                except UNCOPYABLE:
                    pass
        copying.record.flush()
        lease.record_progress(row, oldest_moment_id=batch[-1][0])
