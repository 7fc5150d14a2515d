"""Check one push or deletion against the protection rules, with registry calls if necessary.

If a rule applies and the registry does not answer, the request is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select

from ..access import RULE_OF, Permission, Role
from ..access.tag_rules import RuleKind, TagChange, TagRule, is_immutable, refusal, releases
from ..catalog import tag_claims
from ..catalog.live_tags import read_tags, unreadable_tags_that_stay
from ..db.session import db, end_read
from ..distribution.errors import RegistryError
from ..enumerations import name_some
from ..errors import AppError, Denied
from ..manifests.graph import graph_of
from ..manifests.reachability import closure
from ..models import ContainerImage, Tag
from ..names import Digest, RepositoryName, TagName, subject_of
from ..registry_connection import list_tags
from ..token_auth.verifier import VerifiedToken
from .tag_states import SLOW_TAGS_TIMEOUT, RegistryNotAnswering, TagState, read_state

#: Minimum role that may remove a damaged tag although it is immutable
#: (see access.tag_rules.set_aside).
REPAIR_ROLE = RULE_OF[Permission.CONFIGURE].minimum
DAMAGED_TAG = "{} and can't be read: a {} can push it again or remove it"
UNREADABLE_TAGS = (
    "{} can't be read, so what it may need stays in {}: let a Maintainer push it again or remove it"
)
BLOB_HINT = "garbage collection deletes unused blobs"
#: Timeout in seconds for reading the manifests that protected tags need. A deletion is refused if
#: it depends on a manifest that could not be read in time.
GRAPH_TIMEOUT = 20.0


@dataclass(frozen=True, slots=True)
class Change:
    """A push or a deletion by a user who has the permission for it.

    ``rules`` are the project's rules that cover the image, ``image_name`` is the image's name
    relative to the project, ``role`` is the user's current role in the project, and ``token`` is
    the bearer token of the request.
    """

    action: Permission
    repository: RepositoryName
    image_name: str
    rules: list[TagRule]
    role: Role | None
    token: VerifiedToken

    def refusal(self, tag: str, *, exists: bool) -> str | None:
        """Return why the rules refuse the change for a tag, or None if they allow it.

        Args:
            exists: whether the tag already exists.
        """
        change = TagChange(tag, self.action, exists=exists)
        return refusal(self.rules, self.image_name, change, self.role)

    def may_change(self, state: TagState) -> bool:
        """Return whether a tag in this state may be changed although a rule makes it immutable.

        A tag that does not exist may be created. A damaged tag may be changed only by users
        with REPAIR_ROLE, who may also remove it: after a removal the name is free, so these users
        can choose the tag's content in any case.
        """
        if state is TagState.DAMAGED:
            return self.role is not None and self.role >= REPAIR_ROLE
        return state is TagState.ABSENT


def check_tag(change: Change, tag: TagName) -> None:
    """Refuse a push or deletion of a protected tag.

    For the push of a new immutable tag, a tag claim is acquired. It is a short lock on the tag, so
    that only one of several concurrent pushes creates the tag.

    Raises:
        Denied: a rule refuses the change, or a concurrent push has claimed the tag.
        RegistryNotAnswering: the registry does not answer.
    """
    repository, action, token = change.repository, change.action, change.token
    _raise_if_refused(change.refusal(str(tag), exists=False))
    end_read()
    _check_attached(change, tag)
    if not is_immutable(change.rules, change.image_name, str(tag), action):
        return
    claim_refusal = (
        tag_claims.acquire(repository, tag, token) if action is Permission.PUSH else None
    )
    try:
        _check_state(change, tag)
    except AppError:
        if claim_refusal is None and action is Permission.PUSH:
            tag_claims.release(repository, tag, token)
        raise
    _raise_if_refused(claim_refusal)


def _check_state(change: Change, tag: TagName) -> None:
    """Refuse to change an immutable tag that exists, unless it is damaged and may be repaired."""
    state = read_state(change.repository, tag)
    if change.may_change(state):
        return
    reason = change.refusal(str(tag), exists=True)
    _raise_if_refused(_add_damage(reason, state) if reason else None)


def _add_damage(reason: str, state: TagState) -> str:
    """Return a refusal's reason, which for a damaged tag also names the role that can repair it."""
    return DAMAGED_TAG.format(reason, REPAIR_ROLE.label) if state is TagState.DAMAGED else reason


def _check_attached(change: Change, tag: TagName) -> None:
    """Refuse to overwrite or delete a tag ``sha256-<hex>.sig`` that belongs to an immutable tag.

    The same applies to digest tags for attestations (``.att``) and SBOMs (``.sbom``). The first
    signature of a release can be pushed. The gate does not see the content, so it can't tell
    whether a later push adds a signature or replaces the first one. The rule has an option that
    allows both.

    Raises:
        Denied: the digest tag already exists and belongs to an immutable tag.
        RegistryNotAnswering: the registry does not answer.
    """
    subject = subject_of(str(tag))
    if subject is None or not any(rule.kind is RuleKind.IMMUTABLE for rule in change.rules):
        return
    state = read_state(change.repository, tag)
    if change.may_change(state):
        return
    tags = _fetch_tags(change.repository)
    immutable_tags = releases(change.rules, change.image_name, tags, change.action)
    needed = _find_needed(change, Digest(subject), immutable_tags)
    if subject in needed.tag_by_digest:
        reason = _describe_attached(change, str(tag), needed.tag_by_digest[subject])
        raise Denied(_add_damage(reason, state))
    needed.require_known()


def _describe_attached(change: Change, tag: str, immutable_tag: str) -> str:
    return f"tag {tag} belongs to {immutable_tag}, which is immutable in {change.repository}"


def check_blob(change: Change) -> None:
    """Refuse to delete a blob from a repository that has tags, because a tag may need it.

    The registry unlinks a layer even if manifests refer to it; their images can no longer be
    pulled. Garbage collection deletes unused blobs, so this check prevents nothing useful although
    it considers the repository instead of the blob.

    Raises:
        Denied: the repository has tags.
        RegistryNotAnswering: the registry does not answer.
    """
    end_read()
    if _fetch_tags(change.repository):
        raise Denied(f"{change.repository} has tags that may need this blob: {BLOB_HINT}")


def check_digest(change: Change, digest: Digest) -> None:
    """Refuse to delete a manifest that a protected tag or its signatures or attachments need.

    The registry deletes every tag that points to the digest, and does not check whether an OCI
    index refers to the digest, directly or through other indexes.

    Raises:
        Denied: a protected tag needs the manifest.
        RegistryNotAnswering: the registry does not answer.
    """
    end_read()
    tags = _fetch_tags(change.repository)
    reason_by_tag = {tag: reason for tag in tags if (reason := change.refusal(tag, exists=True))}
    immutable = set(releases(change.rules, change.image_name, tags, Permission.DELETE))
    # Immutable tags come first, so that the message names the stricter of two tags.
    needed = _find_needed(
        change, digest, sorted(reason_by_tag, key=lambda tag: tag not in immutable)
    )
    if str(digest) in needed.tag_by_digest:
        _raise_if_refused(reason_by_tag[needed.tag_by_digest[str(digest)]])
    needed.require_known()
    attached = {
        tag: needed.tag_by_digest[subject]
        for tag in tags
        if (subject := subject_of(tag)) and needed.tag_by_digest.get(subject) in immutable
    }
    attached_needs = _find_needed(change, digest, attached)
    if str(digest) in attached_needs.tag_by_digest:
        tag = attached_needs.tag_by_digest[str(digest)]
        raise Denied(_describe_attached(change, tag, attached[tag]))
    attached_needs.require_known()
    end_read()


@dataclass(frozen=True, slots=True)
class _NeededManifests:
    """The manifests that a set of tags needs.

    ``tag_by_digest`` maps the digest of each manifest to the first tag that needs it.
    ``is_known`` is False if one of the manifests could not be read, so that the mapping may be
    incomplete.
    """

    tag_by_digest: dict[str, str]
    is_known: bool

    def require_known(self) -> None:
        """Raise RegistryNotAnswering if one of the manifests could not be read."""
        if not self.is_known:
            raise RegistryNotAnswering


def _find_needed(change: Change, digest: Digest, names: Iterable[str]) -> _NeededManifests:
    """Return the manifests that the tags with these names need.

    Args:
        digest: the manifest that would be deleted, or the subject of the changed digest tag.
    """
    digests = _fetch_live_digests(change, digest, names)
    graph = graph_of(change.repository, set(digests.values()), GRAPH_TIMEOUT)
    tag_by_digest: dict[str, str] = {}
    for tag in names:
        for needed_digest in closure([digests[tag]] if tag in digests else [], graph.referenced):
            tag_by_digest.setdefault(needed_digest, tag)
    return _NeededManifests(tag_by_digest, graph.unread.isdisjoint(tag_by_digest))


def _fetch_live_digests(change: Change, digest: Digest, names: Iterable[str]) -> dict[str, str]:
    """Return the current digests of tags. Tags that no longer exist are left out.

    The registry is asked for each tag, because the event about a change may be late or lost. Only
    for an immutable tag, which does not change, the digest in the database is used, unless it is
    ``digest``.

    Raises:
        Denied: a tag can't be read but must be kept, so any manifest may be needed by it.
        RegistryNotAnswering: the registry does not answer.
    """
    repository = change.repository
    indexed = _fetch_indexed_digests(repository)
    end_read()
    trusted = {
        name: indexed_digest
        for name in names
        if (indexed_digest := indexed.get(name, str(digest))) != str(digest)
        and is_immutable(change.rules, change.image_name, name, Permission.PUSH)
    }
    try:
        to_read = [name for name in names if name not in trusted]
        live = read_tags(repository, to_read, slow_timeout=SLOW_TAGS_TIMEOUT)
        live.require_answers()
    except RegistryError:
        raise RegistryNotAnswering from None
    if damaged := unreadable_tags_that_stay(repository, live):
        raise Denied(UNREADABLE_TAGS.format(name_some(damaged), repository))
    return trusted | live.digests


def _fetch_tags(repository: RepositoryName) -> list[str]:
    try:
        return list_tags(repository)
    except RegistryError:
        raise RegistryNotAnswering from None


def _fetch_indexed_digests(repository: RepositoryName) -> dict[str, str]:
    query = (
        select(Tag.name, Tag.digest)
        .join(ContainerImage, ContainerImage.id == Tag.image_id)
        .where(ContainerImage.path == str(repository), Tag.digest.is_not(None))
    )
    return {name: digest for name, digest in db.session.execute(query) if digest is not None}


def _raise_if_refused(reason: str | None) -> None:
    if reason is not None:
        end_read()
        raise Denied(reason)
