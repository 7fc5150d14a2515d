"""Steps of a copy: one for each tag.

A step checks the tag again at the source and at the target just before it copies the tag.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..access import Permission, repository_policy
from ..access.tag_rules import TagChange, is_immutable, refusal
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
from .index_update import TagCopy, record_copied_tag
from .referrers import CopiedReferrers, ReferrerCopier

COPIED, UNCHANGED, KEPT, REFUSED = "copied", "there already", "kept", "refused"
#: Outcomes of successful steps: the target has the tag as planned.
SUCCESSFUL_OUTCOMES = (COPIED, UNCHANGED)
SOURCE_TAG_MISSING = "the source no longer has this tag"
SOURCE_TAG_CHANGED = "it points to another image since the plan"
TARGET_TAG_CHANGED = "the tag at the target was pushed since the plan"
TARGET_TAG_CLAIMED = "somebody else is pushing the tag at the target at this moment"
TARGET_TAG_EXISTS = "the target has another image under this tag, and overwriting was not ticked"


class StepRunner:
    """Executor of the steps of one copy, for the worker that holds the copy's lease.

    Args:
        lease: the lease, which also gives access to the copy's row.
    """

    def __init__(self, lease: OperationLease[Copy]) -> None:
        self._lease, copy = lease, lease.work
        self._source, self._target = RepositoryName(copy.source), RepositoryName(copy.target)
        self._overwrite = copy.preview["overwrite"]
        self._attached = copy.preview["attached"]
        self._actor = Actor(copy.requested_by)
        self._claimant = tag_claims.own_identity(f"copy {copy.id}")
        self._copier = Copier(self._source, self._target, lease.renew)
        self._referrer_copier: ReferrerCopier | None = None

    def run(self, step: CopyStep) -> tuple[str, str]:
        """Carry out one step: copy a tag, unless its source or target has changed since the plan.

        Args:
            step: the tag to copy.

        Returns:
            The outcome (COPIED, UNCHANGED, KEPT, or REFUSED) and a detail for the report.

        Raises:
            OperationFailed: the requester is no longer allowed to make this copy.
            RegistryUnavailable: the registry does not answer, so the step must be repeated.
        """
        reason = denial_reason(db.session(), self._actor.name, str(self._source), str(self._target))
        if reason is not None:
            raise OperationFailed(f"{self._actor.name} can no longer copy this: {reason}")
        end_read()
        try:
            return self._copy(step)
        except CopyRefused as error:
            return REFUSED, str(error)
        except TagKept as error:
            return KEPT, str(error)
        except RegistryNotFound:
            return KEPT, SOURCE_TAG_MISSING
        except RegistryFault as error:
            return REFUSED, self._explain_fault(error)
        except RegistryUnavailable:
            raise  # The caller waits until the registry answers, and retries the step.
        except RegistryError as error:
            return REFUSED, str(error)

    def _explain_fault(self, error: RegistryFault) -> str:
        """Return why a tag cannot be copied, for which the registry answered 500 repeatedly.

        Args:
            error: the registry's last answer about the tag.

        Raises:
            RegistryUnavailable: the registry cannot store anything now, so the error is not caused
                by the tag.
        """
        try:
            self._copier.require_storage()
        except RegistryUnavailable:
            raise
        except RegistryError as storage_error:  # For example, the registry is read-only.
            return str(storage_error)
        return f"{error}, again and again, while it answers otherwise"

    def _copy(self, step: CopyStep) -> tuple[str, str]:
        name, digest = TagName(step.tag), step.digest
        target_digest = self._copier.current_digest(self._target, name)
        if (obstacle := self._find_obstacle(step, target_digest)) is not None:
            return KEPT, obstacle
        copied = self._copier.copy_manifest(digest)
        is_new = self._point(name, copied.top, target_digest)
        referrers = self._copy_referrers(copied)
        # An earlier worker may have pushed the tag and died before it updated the database.
        if is_new or (step.target_digest != digest and not self._is_indexed(name, digest)):
            self._lease.write(lambda session: self._record_copy(session, step, referrers))
            return COPIED, _describe(copied, referrers)
        self._lease.write(lambda session: self._record_referrers(session, referrers))
        return UNCHANGED, _describe(copied, referrers)

    def _point(self, name: TagName, manifest: FetchedManifest, target_digest: str | None) -> bool:
        """Point a tag of the target to a manifest that was copied.

        A new tag that a rule makes immutable is locked by a tag claim first, as for a push by a
        client, so that only one of two concurrent first pushes succeeds. If the result of the push
        is unknown, the claim expires by itself.

        Args:
            name: the tag of the target.
            manifest: the manifest to push.
            target_digest: the digest that the tag had when it was checked, or None.

        Returns:
            Whether the tag was changed; False if it already pointed to the manifest.

        Raises:
            TagKept: a protection rule refuses the change, or a client has pushed the tag since it
                was checked or is pushing it now.
        """
        if target_digest == manifest.digest:
            has_claim = False
        else:
            reason = self._find_refusal(str(name), exists=target_digest is not None)
            if reason is not None:
                raise TagKept(reason)
            has_claim = target_digest is None and self._is_immutable(str(name))
        if has_claim and tag_claims.acquire(self._target, name, self._claimant) is not None:
            raise TagKept(TARGET_TAG_CLAIMED)
        # Check again: a client may have pushed the tag while the manifest's content was copied.
        is_unchanged = self._copier.current_digest(self._target, name) == target_digest
        is_new = is_unchanged and self._copier.tag(name, manifest)
        if has_claim:
            tag_claims.release(self._target, name, self._claimant)
        if not is_unchanged:
            raise TagKept(TARGET_TAG_CHANGED)
        return is_new

    def _find_obstacle(self, step: CopyStep, target_digest: str | None) -> str | None:
        """Return why a tag must not be copied now, or None.

        Args:
            step: the tag to copy.
            target_digest: current digest of the tag at the target, or None.
        """
        source_digest = self._copier.current_digest(self._source, TagName(step.source_tag))
        if source_digest is None:
            return SOURCE_TAG_MISSING
        if source_digest != step.digest:
            return SOURCE_TAG_CHANGED
        if target_digest == source_digest:
            return None
        if target_digest is not None and target_digest != step.target_digest:
            return TARGET_TAG_CHANGED
        if target_digest is not None and not self._overwrite:
            return TARGET_TAG_EXISTS
        return self._find_refusal(step.tag, exists=target_digest is not None)

    def _find_refusal(self, tag: str, *, exists: bool) -> str | None:
        session = db.session()
        policy = repository_policy(session, str(self._target))
        if not policy.rules:
            end_read()
            return None
        role = acting_role(session, self._actor.name, str(self._target))
        end_read()
        push = TagChange(tag, Permission.PUSH, exists=exists)
        return refusal(policy.rules, policy.image_name, push, role)

    def _is_immutable(self, tag: str) -> bool:
        policy = repository_policy(db.session(), str(self._target))
        end_read()
        return is_immutable(policy.rules, policy.image_name, tag, Permission.PUSH)

    def _copy_referrers(self, copied: CopyResult) -> CopiedReferrers:
        if not self._attached:
            return CopiedReferrers()
        if self._referrer_copier is None:
            tags = registry().tags(self._source)
            self._referrer_copier = ReferrerCopier(self._copier, tags, self._point)
        return self._referrer_copier.copy_referrers(copied.manifests)

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
        is_indexed = db.session.scalar(query) is not None
        end_read()
        return is_indexed

    def _record_copy(self, session: Session, step: CopyStep, referrers: CopiedReferrers) -> None:
        source = f"{self._source}:{step.source_tag}"
        copy = TagCopy(str(self._target), step.tag, step.digest, source)
        record_copied_tag(session, self._actor, copy)
        self._record_referrers(session, referrers)

    def _record_referrers(self, session: Session, referrers: CopiedReferrers) -> None:
        for tag in referrers.written:
            source = f"{self._source}:{tag}"
            copy = TagCopy(str(self._target), tag, referrers.tags[tag], source)
            record_copied_tag(session, self._actor, copy)


def _describe(copied: CopyResult, referrers: CopiedReferrers) -> str:
    """Return the detail for a copied tag in the report: copied, kept, and missing referrers."""
    parts = []
    if referrers.tags:
        count = len(referrers.tags)
        parts.append(f"with {count} attached {'tag' if count == 1 else 'tags'}")
    if referrers.kept:
        parts.append(f"the target keeps its own {', '.join(referrers.kept[:5])}")
    parts += [f"not copied along is {reason}" for reason in referrers.refused[:5]]
    missing_count = len({*copied.missing, *referrers.missing})
    if missing_count:
        parts.append(f"missing at the source, and so here: {missing_count} parts")
    return "; ".join(parts)
