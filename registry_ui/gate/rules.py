"""Check one push or deletion against the protection rules, with registry calls if necessary.

If a rule applies and the registry does not answer, the request is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select

from ..access import RULE_OF, Permission, Role
from ..access.tag_rules import RuleKind, TagRule, is_immutable, refusal, releases
from ..catalog import tag_claims
from ..catalog.live_tags import read_tags, unreadable_tags_that_stay
from ..db.session import db, end_read
from ..distribution.errors import RegistryError, RegistryNotFound
from ..enumerations import name_some
from ..errors import AppError, Denied
from ..manifests.graph import graph_of
from ..manifests.reachability import closure
from ..models import ContainerImage, Tag
from ..names import Digest, RepositoryName, TagName, subject_of
from ..registry_connection import registry
from ..token_auth.verifier import VerifiedToken
from .tag_states import SLOW_TAGS_TIMEOUT, RegistryNotAnswering, TagState, read_state

#: Minimum role that may remove a damaged tag although it is immutable
#: (see access.tag_rules.set_aside).
REPAIRER = RULE_OF[Permission.CONFIGURE].minimum
DAMAGED = "{} and can't be read: a {} can push it again or remove it"
UNREADABLE = (
    "{} can't be read, so what it may need stays in {}: let a Maintainer push it again or remove it"
)
BLOBS = "garbage collection deletes unused blobs"
#: Timeout in seconds for reading the manifests that protected tags need. A deletion that depends
#: on a manifest that was not read by then is refused.
PARTS_DEADLINE = 20.0


@dataclass(frozen=True, slots=True)
class Change:
    """A push or a deletion by a user who has the permission for it.

    ``rules`` are the project's rules that cover the image; ``image_name`` is the image's name
    relative to the project, and ``role`` the user's current role in it.
    """

    action: Permission
    repository: RepositoryName
    image_name: str
    rules: list[TagRule]
    role: Role | None
    who: VerifiedToken

    def refusal(self, tag: str, *, exists: bool) -> str | None:
        """Return why the rules refuse this change of a tag, or None if they allow it."""
        return refusal(self.rules, self.image_name, tag, self.role, self.action, exists=exists)

    def may_change(self, state: TagState) -> bool:
        """Return whether a tag in this state may be changed although a rule makes it immutable.

        A tag that does not exist may be created. A damaged tag may be changed only by the role
        that may remove it: after a removal the name is free, so this role can already choose
        the tag's content.
        """
        if state is TagState.DAMAGED:
            return self.role is not None and self.role >= REPAIRER
        return state is TagState.ABSENT


def check_tag(change: Change, tag: TagName) -> None:
    """Refuse a push or deletion of a protected tag; claim a new immutable tag for the push.

    Raises:
        Denied: a rule refuses the change, or another push has claimed the tag.
        RegistryNotAnswering: the registry does not answer.
    """
    repository, action, who = change.repository, change.action, change.who
    _refuse(change.refusal(str(tag), exists=False))
    end_read()
    _check_attached(change, tag)
    if not is_immutable(change.rules, change.image_name, str(tag), action):
        return
    busy = tag_claims.acquire(repository, tag, who) if action is Permission.PUSH else None
    try:
        _check_state(change, tag)
    except AppError:
        if busy is None and action is Permission.PUSH:
            tag_claims.release(repository, tag, who)
        raise
    _refuse(busy)


def _check_state(change: Change, tag: TagName) -> None:
    """Refuse to change an immutable tag that exists, unless it is damaged and may be repaired."""
    state = read_state(change.repository, tag)
    if change.may_change(state):
        return
    words = change.refusal(str(tag), exists=True)
    _refuse(_with_damage(words, state) if words else None)


def _with_damage(words: str, state: TagState) -> str:
    """Return the reason for a refusal; for a damaged tag, also which role can repair it."""
    return DAMAGED.format(words, REPAIRER.label) if state is TagState.DAMAGED else words


def _check_attached(change: Change, tag: TagName) -> None:
    """Refuse to overwrite or delete a digest tag that belongs to an immutable tag.

    The first signature of a release can be pushed. The gate does not see the content, so it can't
    tell whether a later push adds a signature or replaces the first one. The rule has an option
    that allows both.

    Raises:
        Denied: the tag that is attached to an immutable tag exists already.
        RegistryNotAnswering: the registry does not answer.
    """
    subject = subject_of(str(tag))
    if subject is None or not any(rule.kind is RuleKind.IMMUTABLE for rule in change.rules):
        return
    state = read_state(change.repository, tag)
    if change.may_change(state):
        return
    rules = change.rules, change.image_name
    kept = releases(*rules, _tags(change.repository), change.action)
    needed = _needed_by(change, Digest(subject), kept)
    if subject in needed.by:
        words = _attached_words(change, str(tag), needed.by[subject])
        raise Denied(_with_damage(words, state))
    needed.require_known()


def _attached_words(change: Change, tag: str, kept: str) -> str:
    return f"tag {tag} belongs to {kept}, which is immutable in {change.repository}"


def check_blob(change: Change) -> None:
    """Refuse to delete a blob from a repository that has tags, because a tag may need it.

    The registry unlinks a layer even if manifests refer to it; their images can no longer be
    pulled. Garbage collection deletes unused blobs, so checking the repository instead of the
    blob prevents nothing useful.

    Raises:
        Denied: the repository has tags.
        RegistryNotAnswering: the registry does not answer.
    """
    end_read()
    if _tags(change.repository):
        raise Denied(f"{change.repository} has tags that may need this blob: {BLOBS}")


def check_digest(change: Change, digest: Digest) -> None:
    """Refuse to delete a manifest that a protected tag, or an attachment of one, needs.

    The registry deletes every tag that points to the digest, and does not check whether an index
    refers to it, directly or through other indexes.

    Raises:
        Denied: a protected tag needs the manifest.
        RegistryNotAnswering: the registry does not answer.
    """
    end_read()
    names = _tags(change.repository)
    refused = {tag: words for tag in names if (words := change.refusal(tag, exists=True))}
    immutable = set(releases(change.rules, change.image_name, names, Permission.DELETE))
    # Immutable tags come first, so that the message names the stricter of two tags.
    needed = _needed_by(change, digest, sorted(refused, key=lambda tag: tag not in immutable))
    if str(digest) in needed.by:
        _refuse(refused[needed.by[str(digest)]])
    needed.require_known()
    attached = {
        tag: needed.by[subject]
        for tag in names
        if (subject := subject_of(tag)) and needed.by.get(subject) in immutable
    }
    theirs = _needed_by(change, digest, attached)
    if str(digest) in theirs.by:
        tag = theirs.by[str(digest)]
        raise Denied(_attached_words(change, tag, attached[tag]))
    theirs.require_known()
    end_read()


@dataclass(frozen=True, slots=True)
class _Needed:
    """The manifests that some tags need.

    ``by`` maps the digest of each manifest to the first tag that needs it. ``is_known`` is False
    if one of the manifests could not be read, so that others may be missing here.
    """

    by: dict[str, str]
    is_known: bool

    def require_known(self) -> None:
        """Raise RegistryNotAnswering if one of the manifests could not be read."""
        if not self.is_known:
            raise RegistryNotAnswering


def _needed_by(change: Change, digest: Digest, names: Iterable[str]) -> _Needed:
    """Return the manifests that the tags in ``names`` need.

    Args:
        digest: the manifest that the change is about.
    """
    stands = _standing_for(change, digest, names)
    parts = graph_of(change.repository, set(stands.values()), PARTS_DEADLINE)
    by: dict[str, str] = {}
    for tag in names:
        for part in closure([stands[tag]] if tag in stands else [], parts.named):
            by.setdefault(part, tag)
    return _Needed(by, parts.unknown.isdisjoint(by))


def _standing_for(change: Change, digest: Digest, names: Iterable[str]) -> dict[str, str]:
    """Return the current digests of tags. Tags that no longer exist are left out.

    The registry is asked for each tag, because the event of a change may be late or lost. The
    index is trusted only for an immutable tag with another digest than ``digest``, because such a
    tag does not change.

    Raises:
        Denied: a tag that is kept can't be read, so it may need any manifest.
        RegistryNotAnswering: the registry does not answer.
    """
    repository = change.repository
    indexed = _indexed_digests(repository)
    end_read()
    known = {
        name: there
        for name in names
        if (there := indexed.get(name, str(digest))) != str(digest)
        and is_immutable(change.rules, change.image_name, name, Permission.PUSH)
    }
    try:
        asked = [name for name in names if name not in known]
        live = read_tags(repository, asked, slow_timeout=SLOW_TAGS_TIMEOUT)
        live.require_answers()
    except RegistryError:
        raise RegistryNotAnswering from None
    if damaged := unreadable_tags_that_stay(repository, live):
        raise Denied(UNREADABLE.format(name_some(damaged), repository))
    return known | live.digests


def _tags(repository: RepositoryName) -> list[str]:
    try:
        return registry().tags(repository)
    except RegistryNotFound:
        return []
    except RegistryError:
        raise RegistryNotAnswering from None


def _indexed_digests(repository: RepositoryName) -> dict[str, str]:
    query = (
        select(Tag.name, Tag.digest)
        .join(ContainerImage, ContainerImage.id == Tag.image_id)
        .where(ContainerImage.path == str(repository), Tag.digest.is_not(None))
    )
    return {name: digest for name, digest in db.session.execute(query) if digest is not None}


def _refuse(words: str | None) -> None:
    if words is not None:
        end_read()
        raise Denied(words)
