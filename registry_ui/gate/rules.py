"""What the rules say of one push or deletion, asked of the registry where that matters.

Where a rule applies and something can't be known, nothing passes.
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

#: The role that may remove a damaged tag although it is immutable (access.protection.set_aside).
REPAIRER = RULE_OF[Permission.CONFIGURE].minimum
DAMAGED = "{} and can't be read: a {} can push it again or remove it"
UNREADABLE = (
    "{} can't be read, so what it may need stays in {}: let a Maintainer push it again or remove it"
)
BLOBS = "garbage collection deletes unused blobs"
#: Seconds in which what protected tags need is read; what is not by then, nobody deletes.
PARTS_DEADLINE = 20.0


@dataclass(frozen=True, slots=True)
class Change:
    """A push or a deletion by somebody who has the permission for it.

    ``rules`` are those of the project that cover the image, which they call ``image_name``.
    """

    action: Permission
    repository: RepositoryName
    image_name: str
    rules: list[TagRule]
    role: Role | None
    who: VerifiedToken

    def refusal(self, tag: str, *, exists: bool) -> str | None:
        """Return why the rules refuse it for a tag; None if they do not."""
        return refusal(self.rules, self.image_name, tag, self.role, self.action, exists=exists)

    def may_change(self, state: TagState) -> bool:
        """Whether a tag in this state may be changed although a rule makes it immutable.

        A damaged one may, by the role that may remove it, after which anyone could push the
        name: nothing shows what a push will put there.
        """
        if state is TagState.DAMAGED:
            return self.role is not None and self.role >= REPAIRER
        return state is TagState.ABSENT


def check_tag(change: Change, tag: TagName) -> None:
    """Refuse to push or delete a tag that a rule keeps; claim an immutable one that is new.

    Raises:
        Denied, RegistrySilent: it may not, or that can't be known.
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
    """Return why a tag is kept, and who can help if it is damaged."""
    return DAMAGED.format(words, REPAIRER.label) if state is TagState.DAMAGED else words


def _check_attached(change: Change, tag: TagName) -> None:
    """Refuse to overwrite or delete what is attached to a release that a rule keeps.

    The first signature of a release can be pushed. The gate sees no content, so it can't tell
    a second one that was added from one that replaces the first: a rule says which it is.
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
    """Refuse to delete a blob that a tag may need.

    The registry unlinks a layer whether or not a manifest names it, and the images that do
    can no longer be pulled. Unused blobs are for garbage collection, so nothing is lost if the
    answer is about the repository and not about the blob.

    Raises:
        Denied, RegistrySilent: the repository has tags, or that can't be known.
    """
    end_read()
    if _tags(change.repository):
        raise Denied(f"{change.repository} has tags that may need this blob: {BLOBS}")


def check_digest(change: Change, digest: Digest) -> None:
    """Refuse to delete a manifest with which a tag would go, or break, that must stay.

    The registry deletes every tag that points to the digest, and leaves indexes that name
    it, at whatever depth.

    Raises:
        Denied, RegistrySilent: it may not, or that can't be known.
    """
    end_read()
    names = _tags(change.repository)
    refused = {tag: words for tag in names if (words := change.refusal(tag, exists=True))}
    immutable = set(releases(change.rules, change.image_name, names, Permission.DELETE))
    # Immutable tags first: of a manifest that two tags need, the stricter one is named.
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
    """The manifests that some tags need, and of each the first tag that does."""

    by: dict[str, str]
    is_known: bool

    def require_known(self) -> None:
        """Raise RegistrySilent if something that they need could not be read."""
        if not self.is_known:
            raise RegistryNotAnswering


def _needed_by(change: Change, digest: Digest, names: Iterable[str]) -> _Needed:
    """Return what tags need; ``digest`` is what the change is about."""
    stands = _standing_for(change, digest, names)
    parts = graph_of(change.repository, set(stands.values()), PARTS_DEADLINE)
    by: dict[str, str] = {}
    for tag in names:
        for part in closure([stands[tag]] if tag in stands else [], parts.named):
            by.setdefault(part, tag)
    return _Needed(by, parts.unknown.isdisjoint(by))


def _standing_for(change: Change, digest: Digest, names: Iterable[str]) -> dict[str, str]:
    """Return what tags stand for now; those that went meanwhile are left out.

    What the index has is asked again, unless it is something else of an immutable tag: such
    a tag does not move. A protected one does, and its event may come late or never.
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
