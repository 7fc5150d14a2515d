"""Last check before a signature is removed: it is kept if a tag needs its subject again."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..access import Permission, repository_policy
from ..access.tag_rules import releases
from ..catalog.live_tags import LiveTags, unreadable_tags_that_stay
from ..db.session import db, end_read
from ..enumerations import name_some
from ..manifests.graph import graph_of
from ..manifests.reachability import closure
from ..models import Removal, RemovalStep
from ..names import RepositoryName, TagName, is_binned, subject_of
from ..operations.operation_lease import OperationLease
from ..registry_connection import registry
from ..tags.orphans import with_missing_subject
from .registry_calls import BATCH, call_registry, listed_tags, read_in_batches
from .unreferenced import LOOK_DEADLINE, LOOK_SECONDS

BACK = "the registry has its image again, or does not answer for it"
UNREAD = "what other tags need could not be read"
#: Steps that remove signatures, by tag.
Steps = Mapping[str, RemovalStep]


@dataclass(frozen=True, slots=True)
class _Look:
    """Cached result of a check: the signatures of a repository that must stay, and why."""

    kept: Mapping[str, str]
    good_until: float


def why_signature_stays(lease: OperationLease[Removal], number: int, step: RemovalStep) -> str:
    """Return why a signature must not be removed after all, or "" if it can be.

    ``step.subject`` is the assumption of the plan. ``goes``: no tag needs the subject afterward.
    ``missing``: the registry did not have the subject. ``stays``: the signature was asked for by
    name, so only an immutable tag keeps it. Empty: the step belongs to a removal of everything, and
    nothing is checked.

    Raises:
        StepFailed: the registry can't be asked.
        LeaseLost, Canceled, Deferred: as OperationLease.wait_for_registry().
    """
    if not step.subject:
        return ""
    repository, tag = RepositoryName(step.repository), TagName(step.tag)
    end_read()
    if call_registry(lease, lambda: registry().head(repository, tag)) != step.digest:
        return ""  # gone, pushed again, or begun by an earlier worker, which checked
    look = lease.looks.get(step.repository)
    if look is None or time.monotonic() > look.good_until:
        look = lease.looks[step.repository] = _look(lease, number, repository)
    return look.kept.get(step.tag, "")


def _look(lease: OperationLease[Removal], number: int, repository: RepositoryName) -> _Look:
    """Read all tags of a repository, and return which signatures must stay."""
    began = time.monotonic()
    own = [
        (place, step)
        for place, step in enumerate(lease.work.plan)
        if step.repository == str(repository)
    ]
    end_read()
    names = listed_tags(lease, repository)
    live = read_in_batches(lease, repository, names)
    for _, step in own:
        live.digests.pop(step.trash_tag, None)  # exists only because the tag is being removed
    leaving = {tag for _, step in own for tag in step.tag_names}
    steps = {step.tag: step for _, step in own if step.subject}
    ahead = {step.tag: step.digest for place, step in own if place > number and step.tag}
    # A tag that an earlier step kept stays. Which signatures stay is determined below.
    gone = ahead | {tag: step.digest for tag, step in steps.items()}
    stay = sorted(tag for tag, digest in live.digests.items() if gone.get(tag) != digest)
    kept = _needed(lease, repository, live.digests, stay, steps)
    if damaged := unreadable_tags_that_stay(repository, live, leaving):
        why = f"{name_some(damaged)} can't be read, and may need it"
        kept |= {tag: why for tag, step in steps.items() if step.subject != "stays"}
    kept |= _attached_to_releases(lease, repository, live, steps)
    took = time.monotonic() - began
    return _Look(kept, began + took + max(LOOK_SECONDS, 2 * took))


def _attached_to_releases(
    lease: OperationLease[Removal], repository: RepositoryName, live: LiveTags, steps: Steps
) -> dict[str, str]:
    """Return the signatures of content that an immutable tag needs, with the reason.

    They stay even if they were asked for by name.
    """
    found = repository_policy(db.session(), str(repository))
    immutable = releases(
        found.rules,
        found.image_name,
        [*live.digests, *live.damaged, *live.unanswered],
        Permission.DELETE,
    )
    end_read()
    readable = {tag: live.digests[tag] for tag in immutable if tag in live.digests}
    needed = _needed_by(lease, repository, readable)
    if needed is None or len(readable) < len(immutable):
        return dict.fromkeys(steps, UNREAD)
    tags = {name: needed.get(subject_of(name) or "") for name in steps}
    return {name: f"it belongs to {tag}, which is immutable" for name, tag in tags.items() if tag}


def _needed(
    lease: OperationLease[Removal],
    repository: RepositoryName,
    tags: Mapping[str, str],
    stay: Iterable[str],
    steps: Steps,
) -> dict[str, str]:
    """Return the signatures that must stay because their subject is needed, with the reasons.

    Signatures of signatures are included.
    """
    judged = {name: step for name, step in steps.items() if step.subject != "stays"}
    needed = _needed_by(lease, repository, {tag: tags[tag] for tag in stay})
    if needed is None:
        return dict.fromkeys(judged, UNREAD)
    lost = {name for name, step in judged.items() if step.subject == "missing"}
    lease.renew()
    back = lost - with_missing_subject(repository, lost)
    kept = {name: _words(needed.get(subject_of(name) or "")) for name in back}
    more = set(kept)
    while True:
        needed |= {tags[name]: name for name in more if name in tags}
        more = {n for n in judged.keys() - kept.keys() if subject_of(n) in needed}
        if not more:
            return kept
        kept |= {name: _words(needed[subject_of(name) or ""]) for name in more}


def _needed_by(
    lease: OperationLease[Removal], repository: RepositoryName, tags: Mapping[str, str]
) -> dict[str, str] | None:
    """Return the digests that tags need, each with such a tag; None if a manifest is unreadable."""
    needed: dict[str, str] = {}
    every = sorted(tags)
    for start in range(0, len(every), BATCH):
        lease.renew()
        some = every[start : start + BATCH]
        parts = graph_of(repository, {tags[tag] for tag in some}, LOOK_DEADLINE, lease.renew)
        end_read()
        for tag in some:
            below = closure([tags[tag]], parts.named)
            if parts.unknown.intersection(below):
                return None
            for digest in below:
                needed.setdefault(digest, tag)
    return needed


def _words(tag: str | None) -> str:
    if tag is None:
        return BACK
    return f"{'the bin' if is_binned(tag) else tag} needs it"
