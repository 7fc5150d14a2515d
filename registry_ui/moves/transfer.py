"""One repository of a move: copied, brought up to date, compared tag by tag.

Each phase goes through the tags in batches and keeps how far it is, so that the next worker
asks the registry only about the rest.
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

#: So many tags are asked for between two signs of life.
BATCH = 200
LEFT_OUT = "left out, because they can't be read: {}"
STAYS = "stays at the old name, because it can't be copied: {}"
NO_MANIFEST = "the registry lists it, but does not have its manifest"
#: What goes wrong with one image, while others can be copied.
UNCOPYABLE = (CopyRefused, RegistryFault, InvalidRegistryResponse, RegistryNotFound)
#: So many earlier digests of an image are looked for.
EARLIER = 1000
#: Number of earlier digests that are copied before the next worker would skip them.
EARLIER_BATCH = 20


def copy(lease: MoveLease, row: MovedRepository) -> None:
    """Copy what the new name does not have yet; nobody is stopped meanwhile.

    Tags that change behind the last copied one are left to settle().

    Raises:
        OperationFailed: the new name is in use in the registry.
        CopyRefused, RegistryError: as Copier.bring().
    """
    copying = _Copying(lease, row)
    for batch in batches(lease, row, copying.names):
        copying.bring(batch)
    _bring_earlier(lease, row, copying)
    lease.record_progress(row, state="copied", last_tag="", done=len(copying.names))


def settle(lease: MoveLease, row: MovedRepository) -> None:
    """Copy what changed since, and take away what is gone: nobody writes any more.

    Raises:
        OperationFailed: somebody else has pushed to the new name.
    """
    copying = _Copying(lease, row)
    for batch in batches(lease, row, copying.names):
        digests = copying.bring(batch, final=True)
        # Tags that the registry lists, but does not have, and those that can't be copied any more.
        copying.remove([tag for tag in batch if tag not in digests])
    copying.remove(sorted(copying.listed.difference(copying.names)))
    forget_others(lease, row, copying.names)
    copying.record.clear()
    lease.record_progress(row, state="settled", last_tag="", done=len(copying.names))


def verify(lease: MoveLease, row: MovedRepository) -> None:
    """Compare what every tag stands for, under the old name and under the new.

    What a digest consists of was checked when it was copied, manifest by manifest and blob
    by blob, and can't be another since.

    Raises:
        OperationFailed: they differ.
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
    """Return what every tag of a repository stands for now, those of the bin too.

    What can't be read is left out.
    """
    return read_live(lease, repository).digests


def read_live(lease: MoveLease, repository: str) -> LiveTags:
    """Return every tag of a repository, those that can't be read too.

    Raises:
        RegistryUnavailable: the registry does not answer for a tag now, so the move waits.
    """
    names = _tags(repository)
    found = LiveTags()
    for start in range(0, len(names), BATCH):
        lease.renew()
        found.add(read_tags(RepositoryName(repository), names[start : start + BATCH]))
    found.require_answers()
    return found


class _Copying:
    """The two repositories of a row, and what is needed to copy from one to the other.

    Raises:
        OperationFailed: the new name is in use in the registry, and nothing was copied yet.
    """

    def __init__(self, lease: MoveLease, row: MovedRepository) -> None:
        self.lease, self.row = lease, row
        #: Tags that each of the two names had when this worker began.
        self.names, self.listed = _tags(row.source), set(_tags(row.target))
        if not row.begun and self.listed:
            raise OperationFailed(
                f"{row.target} is in use in the registry: {name_some(self.listed)}."
            )
        lease.record_progress(row, begun=True, tag_count=len(self.names))
        self.record = CopiedManifests(lease, row)
        names = RepositoryName(row.source), RepositoryName(row.target)
        self.copier = Copier(*names, lease.renew, self.record)
        # Tags that sign or describe something are tags like others here.
        self.following = ReferrerCopier(self.copier, ())
        #: Tags that the old name had when they were read, and not a moment later.
        self._gone: set[str] = set()
        #: Digests of which what refers to them was brought, for several tags on one.
        self._followed: set[str] = set()

    def bring(self, batch: list[str], *, final: bool = False) -> dict[str, str]:
        """Make the new name have these tags, with all that they consist of and that refers to it.

        A tag that can't be copied is noted, and the others are.

        Args:
            final: nobody writes any more. It is looked for what refers to tags that the new name
                has already, and what fails is tried once more.

        Returns:
            What each stands for, as far as the old name has it and it could be copied.

        Raises:
            OperationFailed: somebody else has pushed one of them to the new name.
            RegistryError: the registry can't be asked, or stores nothing now.
        """
        self.lease.renew()
        live = _movable(self.lease, self.row, batch)
        there = _digests(self.row.target, [tag for tag in batch if tag in self.listed])
        self._require_ours(there, live.digests)
        # Before the push: who goes on later knows the tag as ours, and takes it away.
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
        """Copy tags with what refers to them; return those that can't be copied.

        Args:
            here: those that the new name has already.
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
        """Return why a tag can't be copied; "" if it went a moment ago.

        Raises:
            OperationFailed: nothing else can be copied either.
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
        # The tag comes last: a tag that is there has everything that refers to it.
        brought = self.copier.bring(digest)
        self.following.bring(brought.manifests)
        self.copier.tag(tag, brought.top)

    def remove(self, tags: Iterable[str]) -> None:
        """Take tags away from the new name that the old one does not have any more.

        Raises:
            OperationFailed: somebody else has pushed one of them, or not all could be removed.
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
    """Return all tags of a repository, sorted by bytes; those of the bin too."""
    end_read()
    try:
        return registry().tags(RepositoryName(repository))
    except RegistryNotFound:
        return []


def left_out_of(lease: MoveLease, repository: str) -> set[str]:
    """Return the tags of a repository that can't be read, and that it was agreed to leave out."""
    references = [r.rpartition(":") for r in lease.move.preview.get("unread", ())]
    return {tag for path, _, tag in references if path == repository}


def _movable(lease: MoveLease, row: MovedRepository, tags: Collection[str]) -> LiveTags:
    """Return what tags of the old name stand for, without those that are left out."""
    end_read()
    live = read_tags(RepositoryName(row.source), tags)
    live.require_answers()  # a tag without a digest would be taken for one that is gone
    left_out = left_out_of(lease, row.source) | leftovers_in(RepositoryName(row.source))
    end_read()
    live.damaged = {tag: how for tag, how in live.damaged.items() if tag not in left_out}
    return live


def _digests(repository: str, tags: Iterable[str]) -> dict[str, str]:
    end_read()
    return digests_of(RepositoryName(repository), tags)


def _bring_earlier(lease: MoveLease, row: MovedRepository, copying: _Copying) -> None:
    """Copy what tags stood for before: somebody may pull it by its digest."""
    query = (
        select(TagHistoryEntry.id, TagHistoryEntry.digest)
        .join(ContainerImage, ContainerImage.id == TagHistoryEntry.image_id)
        .where(ContainerImage.path == row.source, TagHistoryEntry.digest != "")
        .order_by(TagHistoryEntry.id.desc())
        .limit(EARLIER)
    )
    # A digest is copied at its newest moment: that of an older one was gone through then.
    newest: dict[str, int] = {}
    for moment_id, digest in db.session.execute(query).all():
        newest.setdefault(digest, moment_id)
    oldest = row.oldest_moment_id
    left = [(n, digest) for digest, n in newest.items() if oldest is None or n < oldest]
    for start in range(0, len(left), EARLIER_BATCH):
        batch = left[start : start + EARLIER_BATCH]
        for _, digest in batch:
            if copying.record.find(digest) is None:
                # No tag needs it: one that can't be read stops nothing.
                try:
                    copying.copier.bring(digest)
                except RegistryFault:
                    copying.copier.require_storage()  # a full disk is no fault of the image
                except UNCOPYABLE:
                    pass
        copying.record.flush()
        lease.record_progress(row, oldest_moment_id=batch[-1][0])
