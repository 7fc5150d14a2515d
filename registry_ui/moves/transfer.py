"""Copy, update, and verify one repository of a move.

Each phase processes the tags in batches and stores its progress, so that a worker that resumes the
move asks the registry only about the remaining tags.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import select

from ..batches import split_into_batches
from ..catalog.live_tags import LiveTags, digests_of, leftovers_in, read_tags
from ..copies.copier import Copier, CopyRefused, MountsRefused
from ..copies.referrers import ReferrerCopier
from ..db.session import db, end_read
from ..distribution.errors import InvalidRegistryResponse, RegistryFault, RegistryNotFound
from ..enumerations import name_some
from ..models import ContainerImage, MovedRepository, RemovalStep, TagHistoryEntry
from ..names import RepositoryName, TagName
from ..operations.errors import OperationFailed
from ..registry_connection import list_tags
from .cleanup import empty
from .lease import MoveLease
from .progress import CopiedManifests, batches, copied_as, record_tags, record_verified
from .unmoved_tags import Unmoved, forget_others, record_unmoved, unmoved_from_damage, unmoved_tags

#: Number of tags that are read per batch; the lease is renewed before each batch.
BATCH_SIZE = 200
LEFT_OUT = "left out, because they can't be read: {}"
STAYS_AT_SOURCE = "stays at the old path, because it can't be copied: {}"
NO_MANIFEST = "the registry lists it, but does not have its manifest"
#: Errors that concern a single image, so the remaining images can still be copied.
UNCOPYABLE = (CopyRefused, RegistryFault, InvalidRegistryResponse, RegistryNotFound)
#: Maximum number of tag history entries searched for earlier digests of an image.
MAX_HISTORY_ENTRIES = 1000
#: Number of earlier digests per batch; progress is stored after each batch.
HISTORY_BATCH_SIZE = 20


def copy(lease: MoveLease, row: MovedRepository) -> None:
    """Copy all tags of a repository that the new path lacks, while pushes are still allowed.

    Tags that change after they were copied are left to settle().

    Raises:
        OperationFailed: the new path is already in use, or the registry cannot mount blobs.
        RegistryError: the registry cannot be reached or cannot store anything now.
    """
    repository_copy = _RepositoryCopy(lease, row)
    for batch in batches(lease, row, repository_copy.source_tags):
        repository_copy.copy_tags(batch)
    _copy_history(lease, row, repository_copy)
    lease.record_progress(row, state="copied", last_tag="", done=len(repository_copy.source_tags))


def settle(lease: MoveLease, row: MovedRepository) -> None:
    """Bring the new path of a repository up to date with the old path, while pushes are stopped.

    Tags that changed after copy() are copied, and deleted tags are deleted from the new path.

    Raises:
        OperationFailed: someone else has pushed to the new path, or a tag could not be deleted.
    """
    repository_copy = _RepositoryCopy(lease, row)
    for batch in batches(lease, row, repository_copy.source_tags):
        digests = repository_copy.copy_tags(batch, final=True)
        # Remove tags that the registry lists without having their manifest, and tags that can no
        # longer be copied.
        repository_copy.remove([tag for tag in batch if tag not in digests])
    repository_copy.remove(
        sorted(repository_copy.target_tags.difference(repository_copy.source_tags))
    )
    forget_others(lease, row, repository_copy.source_tags)
    repository_copy.record.clear()
    lease.record_progress(row, state="settled", last_tag="", done=len(repository_copy.source_tags))


def verify(lease: MoveLease, row: MovedRepository) -> None:
    """Compare the digest of every tag at the old path with that at the new path.

    The content of a digest does not need to be compared: every manifest and blob was checked when
    it was copied, and a digest cannot refer to different content later.

    Raises:
        OperationFailed: at least one tag differs.
    """
    source_tags, target_tags = _list_tags(row.source), _list_tags(row.target)
    unmoved = unmoved_tags(row)
    for batch in batches(lease, row, sorted({*source_tags, *target_tags})):
        source, target_digests = _read_movable(lease, row, batch), _read_digests(row.target, batch)
        source_digests = {
            tag: digest for tag, digest in source.digests.items() if tag not in unmoved
        }
        differing = {tag for tag in batch if source_digests.get(tag) != target_digests.get(tag)}
        if differing:
            raise OperationFailed(f"{row.source} and {row.target} differ: {name_some(differing)}.")
        record_verified(lease, row, source_digests)
    left_out = left_out_of(lease, row.source) - unmoved.keys()
    details = [(LEFT_OUT, left_out), (STAYS_AT_SOURCE, unmoved)]
    detail = "; ".join(text.format(name_some(tags)) for text, tags in details if tags)
    lease.record_progress(
        row, state="verified", last_tag="", tag_count=len(source_tags), detail=detail
    )


def read_live_digests(lease: MoveLease, repository: str) -> dict[str, str]:
    """Return the current digest of each readable tag of a repository, including the trash."""
    return read_live(lease, repository).digests


def read_live(lease: MoveLease, repository: str) -> LiveTags:
    """Read all tags of a repository, including unreadable tags and the trash.

    Raises:
        RegistryUnavailable: the registry does not answer for a tag, so the move waits.
    """
    live = LiveTags()
    for batch in split_into_batches(_list_tags(repository), BATCH_SIZE):
        lease.renew()
        live.add(read_tags(RepositoryName(repository), batch))
    live.require_answers()
    return live


class _RepositoryCopy:
    """State for copying one moved repository from its old path to its new one.

    Raises:
        OperationFailed: the new path is in use in the registry before anything was copied.
    """

    def __init__(self, lease: MoveLease, row: MovedRepository) -> None:
        self.lease, self.row = lease, row
        #: Tags of the old and of the new path when this worker started.
        self.source_tags, self.target_tags = _list_tags(row.source), set(_list_tags(row.target))
        if not row.begun and self.target_tags:
            raise OperationFailed(
                f"{row.target} is in use in the registry: {name_some(self.target_tags)}."
            )
        lease.record_progress(row, begun=True, tag_count=len(self.source_tags))
        self.record = CopiedManifests(lease, row)
        source, target = RepositoryName(row.source), RepositoryName(row.target)
        self.copier = Copier(source, target, lease.renew, self.record)
        # No tag names are passed, because referrer tags are copied like any tag.
        self.referrer_copier = ReferrerCopier(self.copier, ())
        #: Tags that were deleted from the old path while they were being copied.
        self._deleted: set[str] = set()
        #: Digests whose referrers were copied already, because several tags can share a digest.
        self._followed_digests: set[str] = set()

    def copy_tags(self, batch: list[str], *, final: bool = False) -> dict[str, str]:
        """Copy tags with all their content and their referrers to the new path.

        A tag that cannot be copied is recorded as unmoved, and the remaining tags are still copied.

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
        source = _read_movable(self.lease, self.row, batch)
        target_digests = self._read_target(batch)
        self._require_own(target_digests, source.digests)
        # Record the tags before the push, so that a later worker recognizes them as copies of this
        # move and can delete them.
        record_tags(self.lease, self.row, source.digests)
        existing = {
            tag for tag, digest in source.digests.items() if target_digests.get(tag) == digest
        }
        remaining = {t: d for t, d in source.digests.items() if final or t not in existing}
        unmoved = self._copy_each(remaining, existing)
        if unmoved or source.damaged:
            self.copier.require_storage()
        if unmoved and final:
            remaining = {tag: digest for tag, digest in remaining.items() if tag in unmoved}
            unmoved = self._copy_each(remaining, existing)
        unmoved |= unmoved_from_damage(self.row, source.damaged)
        record_unmoved(self.lease, self.row, batch, unmoved)
        self.record.flush()
        not_copied = unmoved.keys() | self._deleted
        return {tag: digest for tag, digest in source.digests.items() if tag not in not_copied}

    def _copy_each(self, tags: Mapping[str, str], existing: Collection[str]) -> dict[str, Unmoved]:
        """Copy tags with their referrers; return those that cannot be copied.

        Args:
            tags: the tags to copy, with their digests.
            existing: tags that the new path has with the same digest; only their referrers are
                copied.
        """
        failed: dict[str, Unmoved] = {}
        for tag, digest in tags.items():
            try:
                if tag not in existing:
                    self._copy_tag(TagName(tag), digest)
                elif digest not in self._followed_digests:
                    self.referrer_copier.copy_referrers([digest])
                    self._followed_digests.add(digest)
            except UNCOPYABLE as error:
                if reason := self._explain_failure(TagName(tag), error):
                    failed[tag] = Unmoved(digest, reason)
                else:
                    self._deleted.add(tag)
        return failed

    def _explain_failure(self, tag: TagName, error: Exception) -> str:
        """Return why a tag cannot be copied; empty if it was deleted meanwhile.

        Raises:
            OperationFailed: the registry cannot mount blobs, so nothing else can be copied either.
        """
        if isinstance(error, MountsRefused):
            raise OperationFailed(f"{self.row.source}:{tag} can't be copied: {error}.") from None
        if isinstance(error, RegistryNotFound):
            current_digest = self.copier.current_digest(self.copier.source, tag)
            return "" if current_digest is None else NO_MANIFEST
        return str(error)

    def _copy_tag(self, tag: TagName, digest: str) -> None:
        if self.referrer_copier.has_api is False:
            self.copier.copy_manifest(digest, tag)
            return
        # Push the tag last, so that a tag at the new path always has all its referrers.
        copied = self.copier.copy_manifest(digest)
        self.referrer_copier.copy_referrers(copied.manifests)
        self.copier.tag(tag, copied.top)

    def copy_earlier_digest(self, digest: str) -> None:
        """Copy the manifest of a digest that a tag had earlier; skip it if it can't be copied.

        No tag needs such a digest, so an unreadable one does not stop the move.

        Raises:
            OperationFailed: the registry cannot mount blobs, so nothing else can be copied either.
        """
        if self.record.find(digest) is not None:
            return
        try:
            self.copier.copy_manifest(digest)
        except MountsRefused as error:
            raise OperationFailed(f"{self.row.source} can't be copied: {error}.") from None
        except RegistryFault:
            self.copier.require_storage()  # A full disk is not a fault of the image.
        except UNCOPYABLE:
            pass

    def remove(self, tags: Iterable[str]) -> None:
        """Delete the given tags, which no longer exist at the old path, from the new path.

        Raises:
            OperationFailed: someone else has pushed one of the tags, or not all could be deleted.
        """
        to_remove = self._read_target(tags)
        self._require_own(to_remove, {})
        if to_remove:
            steps = [
                RemovalStep("tag", repository=self.row.target, tag=tag, digest=digest)
                for tag, digest in sorted(to_remove.items())
            ]
            empty(self.lease, self.row, self.row.target, steps)

    def _read_target(self, tags: Iterable[str]) -> dict[str, str]:
        """Return current digests for the tags that the new path had when this worker started."""
        return _read_digests(self.row.target, [tag for tag in tags if tag in self.target_tags])

    def _require_own(
        self, target_digests: Mapping[str, str], source_digests: Mapping[str, str]
    ) -> None:
        own_pairs = copied_as(self.row, target_digests)
        foreign = [
            tag
            for tag, digest in target_digests.items()
            if digest != source_digests.get(tag) and (tag, digest) not in own_pairs
        ]
        if foreign:
            raise OperationFailed(
                f"Someone else has pushed to {self.row.target}: {name_some(foreign)}."
            )


def _list_tags(repository: str) -> list[str]:
    end_read()
    return list_tags(RepositoryName(repository))


def left_out_of(lease: MoveLease, repository: str) -> set[str]:
    """Return the unreadable tags of a repository that the user agreed to leave out."""
    references = [r.rpartition(":") for r in lease.move.preview.get("unread", ())]
    return {tag for path, _, tag in references if path == repository}


def _read_movable(lease: MoveLease, row: MovedRepository, tags: Collection[str]) -> LiveTags:
    """Read tags of the old path from the registry, without the unreadable tags that a move skips.

    A move skips unreadable tags that the user agreed to leave out, and deleted tags that the
    registry still lists.

    Raises:
        RegistryUnavailable: the registry does not answer for a tag.
    """
    end_read()
    live = read_tags(RepositoryName(row.source), tags)
    live.require_answers()  # A tag without an answer must not be mistaken for a deleted tag.
    left_out = left_out_of(lease, row.source) | leftovers_in(RepositoryName(row.source))
    end_read()
    live.damaged = {tag: damage for tag, damage in live.damaged.items() if tag not in left_out}
    return live


def _read_digests(repository: str, tags: Iterable[str]) -> dict[str, str]:
    end_read()
    return digests_of(RepositoryName(repository), tags)


def _copy_history(lease: MoveLease, row: MovedRepository, repository_copy: _RepositoryCopy) -> None:
    """Copy the manifests that tags pointed to earlier, because clients can pull them by digest."""
    query = (
        select(TagHistoryEntry.id, TagHistoryEntry.digest)
        .join(ContainerImage, ContainerImage.id == TagHistoryEntry.image_id)
        .where(ContainerImage.path == row.source, TagHistoryEntry.digest != "")
        .order_by(TagHistoryEntry.id.desc())
        .limit(MAX_HISTORY_ENTRIES)
    )
    # Copy each digest at its newest history entry, so that older entries of the same digest need no
    # work.
    newest: dict[str, int] = {}
    for entry_id, digest in db.session.execute(query).all():
        newest.setdefault(digest, entry_id)
    oldest = row.oldest_moment_id
    remaining = [(id_, digest) for digest, id_ in newest.items() if oldest is None or id_ < oldest]
    for batch in split_into_batches(remaining, HISTORY_BATCH_SIZE):
        for _, digest in batch:
            repository_copy.copy_earlier_digest(digest)
        repository_copy.record.flush()
        lease.record_progress(row, oldest_moment_id=batch[-1][0])
