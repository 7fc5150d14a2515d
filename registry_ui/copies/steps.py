"""Steps of a copy: each tag is checked again at the source and target just before it is copied."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..access import Permission, repository_policy
from ..access.tag_rules import is_immutable, refusal
from ..audit import Actor
from ..catalog import tag_claims
from ..db.session import db, end_read
from ..distribution.client import FetchedManifest
from ..distribution.errors import (
    RegistryError,
    RegistryFault,
    RegistryNotFound,
    RegistryUnavailable,
)
from ..models import ContainerImage, Copy, CopyStep, Tag
from ..names import RepositoryName, TagName
from ..operations.errors import OperationFailed
from ..operations.operation_lease import OperationLease
from ..registry_connection import registry
from .authorization import acting_role, denial_reason
from .copier import Copier, CopyRefused, CopyResult, TagKept
from .index_update import record_copied_tag
from .referrers import CopiedReferrers, ReferrerCopier

COPIED, THERE, KEPT, REFUSED = "copied", "there already", "kept", "refused"
#: Outcomes of steps that succeeded.
GOOD = (COPIED, THERE)
GONE = "the source has no such tag any more"
MOVED = "it points to another image since the plan"
TAKEN = "the tag at the target was pushed since the plan"
CLAIMED = "somebody else is pushing the tag at the target at this moment"
EXISTS = "the target has another image under this tag, and overwriting was not ticked"


class Steps:
    """Executor of the steps of one copy, for the worker that holds its lease."""

    def __init__(self, lease: OperationLease[Copy]) -> None:
        self._lease, copy = lease, lease.work
        self._source, self._target = RepositoryName(copy.source), RepositoryName(copy.target)
        self._overwrite = copy.preview["overwrite"]
        self._attached = copy.preview["attached"]
        self._actor = Actor(copy.requested_by)
        self._claimant = tag_claims.ourselves(f"copy {copy.id}")
        self._copier = Copier(self._source, self._target, lease.renew)
        self._following: ReferrerCopier | None = None

    def take(self, _number: int, step: CopyStep) -> tuple[str, str]:
        """Copy one tag.

        Args:
            _number: the number of the step, which is not used.
            step: the tag to copy.

        Returns:
            The outcome and a detail for the report.

        Raises:
            OperationFailed: the requester is no longer allowed to make this copy.
            RegistryUnavailable: the registry does not answer.
        """
        why = denial_reason(db.session(), self._actor.name, *map(str, (self._source, self._target)))
        if why is not None:
            raise OperationFailed(f"{self._actor.name} can no longer copy this: {why}")
        end_read()
        try:
            return self._copy(step)
        except CopyRefused as refused:
            return REFUSED, str(refused)
        except TagKept as kept:
            return KEPT, str(kept)
        except RegistryNotFound:
            return KEPT, GONE
        except RegistryFault as error:
            return REFUSED, self._reason(error)
        except RegistryUnavailable:
            raise  # The caller waits for the registry and retries the step.
        except RegistryError as error:
            return REFUSED, str(error)

    def _reason(self, error: RegistryFault) -> str:
        """Return why a tag cannot be copied after the registry failed on it.

        Raises:
            RegistryUnavailable: the registry cannot store anything now, so the tag is not at fault.
        """
        try:
            self._copier.require_storage()
        except RegistryUnavailable:
            raise
        except RegistryError as problem:  # For example, the registry is read-only.
            return str(problem)
        return f"{error}, again and again, while it answers otherwise"

    def _copy(self, step: CopyStep) -> tuple[str, str]:
        name, digest = TagName(step.tag), step.digest
        there = self._copier.stands_for(self._target, name)
        if (kept := self._against(step, there)) is not None:
            return KEPT, kept
        brought = self._copier.bring(digest)
        written = self._point(name, brought.top, there)
        followers = self._follow(brought)
        # An earlier worker may have pushed the tag and died before it was recorded in the index.
        if written or (step.there != digest and not self._is_indexed(name, digest)):
            self._lease.write(lambda session: self._note(session, step, followers))
            return COPIED, _words(brought, followers)
        self._lease.write(lambda session: self._note_followers(session, followers))
        return THERE, _words(brought, followers)

    def _point(self, name: TagName, manifest: FetchedManifest, there: str | None) -> bool:
        """Point a tag of the target to a manifest; return False if it already did.

        A new immutable tag is claimed first, like the gate does, so that only one of two concurrent
        first pushes succeeds. If the result of the push is unknown, the claim expires by itself.

        Args:
            name: the tag of the target.
            manifest: the manifest to push.
            there: the digest that the tag had when it was checked, or None.

        Raises:
            TagKept: a protection rule refuses the change, or someone else has pushed the tag since
                it was checked or is pushing it now.
        """
        if there == manifest.digest:
            claimed = False
        else:
            if (why := self._refusal(str(name), exists=there is not None)) is not None:
                raise TagKept(why)
            claimed = there is None and self._is_immutable(str(name))
        if claimed and tag_claims.acquire(self._target, name, self._claimant) is not None:
            raise TagKept(CLAIMED)
        # Check again: a client may have pushed this tag while its content was copied.
        free = self._copier.stands_for(self._target, name) == there
        written = free and self._copier.tag(name, manifest)
        if claimed:
            tag_claims.release(self._target, name, self._claimant)
        if not free:
            raise TagKept(TAKEN)
        return written

    def _against(self, step: CopyStep, there: str | None) -> str | None:
        """Return why a tag must not be copied as source and target are now, or None."""
        now = self._copier.stands_for(self._source, TagName(step.source_tag))
        if now is None:
            return GONE
        if now != step.digest:
            return MOVED
        if there == now:
            return None
        if there is not None and there != step.there:
            return TAKEN
        if there is not None and not self._overwrite:
            return EXISTS
        return self._refusal(step.tag, there is not None)

    def _refusal(self, tag: str, exists: bool) -> str | None:  # noqa: FBT001 - as refusal()
        session = db.session()
        found = repository_policy(session, str(self._target))
        if not found.rules:
            end_read()
            return None
        role = acting_role(session, self._actor.name, str(self._target))
        end_read()
        return refusal(found.rules, found.image_name, tag, role, Permission.PUSH, exists)

    def _is_immutable(self, tag: str) -> bool:
        found = repository_policy(db.session(), str(self._target))
        end_read()
        return is_immutable(found.rules, found.image_name, tag, Permission.PUSH)

    def _follow(self, brought: CopyResult) -> CopiedReferrers:
        if not self._attached:
            return CopiedReferrers()
        if self._following is None:
            tags = registry().tags(self._source)
            self._following = ReferrerCopier(self._copier, tags, self._point)
        return self._following.bring(brought.manifests)

    def _is_indexed(self, name: TagName, digest: str) -> bool:
        query = (
            select(Tag.id)
            .join(ContainerImage, ContainerImage.id == Tag.image_id)
            .where(
                ContainerImage.path == str(self._target),
                Tag.name == str(name),
                Tag.digest == digest,
            )
        )
        found = db.session.scalar(query) is not None
        end_read()
        return found

    def _note(self, session: Session, step: CopyStep, followers: CopiedReferrers) -> None:
        source = f"{self._source}:{step.source_tag}"
        what = (str(self._target), step.tag, step.digest, source)
        record_copied_tag(session, self._actor, *what)
        self._note_followers(session, followers)

    def _note_followers(self, session: Session, followers: CopiedReferrers) -> None:
        for tag in followers.written:
            what = (str(self._target), tag, followers.tags[tag], f"{self._source}:{tag}")
            record_copied_tag(session, self._actor, *what)


def _words(brought: CopyResult, followers: CopiedReferrers) -> str:
    """Return the detail of a copied tag for the report, such as skipped referrers."""
    said = []
    if followers.tags:
        count = len(followers.tags)
        said.append(f"with {count} attached {'tag' if count == 1 else 'tags'}")
    if followers.kept:
        said.append(f"the target keeps its own {', '.join(followers.kept[:5])}")
    said += [f"not copied along is {words}" for words in followers.refused[:5]]
    missing = len({*brought.missing, *followers.missing})
    if missing:
        said.append(f"missing at the source, and so here: {missing} parts")
    return "; ".join(said)
