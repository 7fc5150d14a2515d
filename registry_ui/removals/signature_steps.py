"""Last check before a signature is removed: it is kept if a tag needs its subject again.

A signature is stored under a tag that is derived from the digest of its subject, which is the image
that it signs. The same applies to attestations and SBOMs.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from ..access import Permission, repository_policy
from ..access.tag_rules import releases
from ..batches import split_into_batches
from ..catalog.live_tags import LiveTags, unreadable_tags_that_stay
from ..db.session import db, end_read
from ..enumerations import name_some
from ..manifests.graph import graph_of
from ..manifests.reachability import closure
from ..models import RemovalStep
from ..names import RepositoryName, TagName, is_trash_tag, subject_of
from ..registry_connection import registry
from ..tags.orphans import with_missing_subject
from .lease import RemovalLease, SignatureCheck
from .registry_calls import BATCH_SIZE, call_registry, listed_tags, read_in_batches
from .unreferenced import MANIFESTS_TIMEOUT, MIN_CHECK_LIFETIME

SUBJECT_RESTORED = "the registry has its image again, or does not answer for it"
UNREAD_TAGS = "what other tags need could not be read"
#: Steps that remove signatures, by tag.
StepsByTag = Mapping[str, RemovalStep]


def why_signature_stays(lease: RemovalLease, number: int, step: RemovalStep) -> str:
    """Return why the signature that a step would remove must stay, or "" if it can be removed.

    ``step.subject`` is what the plan assumed. ``goes``: no tag needs the subject after the removal.
    ``missing``: the registry did not have the subject. ``stays``: the user asked to remove this
    signature although a tag needs its subject, so only an immutable tag keeps it. Empty: the tag is
    not a signature, or the whole repository is removed, so nothing is checked.

    Raises:
        StepFailed: a registry call failed.
        LeaseLost: another worker holds the removal now.
        Canceled: a user canceled the removal.
        Deferred: the removal has to wait, for example until the registry answers.
    """
    if not step.subject:
        return ""
    repository, tag = RepositoryName(step.repository), TagName(step.tag)
    end_read()
    if call_registry(lease, lambda: registry().head(repository, tag)) != step.digest:
        return ""  # The tag is gone, was pushed again, or was checked by an earlier worker.
    checks = lease.cached_checks.signatures
    check = checks.get(step.repository)
    if check is None or time.monotonic() > check.valid_until:
        check = checks[step.repository] = _check_signatures(lease, number, repository)
    return check.reasons.get(step.tag, "")


def _check_signatures(
    lease: RemovalLease, number: int, repository: RepositoryName
) -> SignatureCheck:
    """Read all tags of a repository, and return which signatures must stay."""
    started_at = time.monotonic()
    own_steps = [
        (step_number, step)
        for step_number, step in enumerate(lease.work.plan)
        if step.repository == str(repository)
    ]
    end_read()
    names = listed_tags(lease, repository)
    live = read_in_batches(lease, repository, names)
    for _, step in own_steps:
        # The trash tag exists only because the tag of the step is being removed.
        live.digests.pop(step.trash_tag, None)
    to_delete = {tag for _, step in own_steps for tag in step.tag_names}
    steps = {step.tag: step for _, step in own_steps if step.subject}
    later_digests = {
        step.tag: step.digest
        for step_number, step in own_steps
        if step_number > number and step.tag
    }
    # A tag that an earlier step kept stays. The signatures that stay are determined below.
    planned_digests = later_digests | {tag: step.digest for tag, step in steps.items()}
    remaining_tags = sorted(
        tag for tag, digest in live.digests.items() if planned_digests.get(tag) != digest
    )
    reasons = _find_needed_signatures(lease, repository, live.digests, remaining_tags, steps)
    if damaged_tags := unreadable_tags_that_stay(repository, live, to_delete):
        reason = f"{name_some(damaged_tags)} can't be read, and may need it"
        reasons |= {tag: reason for tag, step in steps.items() if step.subject != "stays"}
    reasons |= _find_release_signatures(lease, repository, live, steps)
    duration = time.monotonic() - started_at
    return SignatureCheck(reasons, started_at + duration + max(MIN_CHECK_LIFETIME, 2 * duration))


def _find_release_signatures(
    lease: RemovalLease, repository: RepositoryName, live: LiveTags, steps: StepsByTag
) -> dict[str, str]:
    """Return the reason by name for each signature whose subject an immutable tag needs.

    Such a signature stays even if a user asked to remove it by name.
    """
    policy = repository_policy(db.session(), str(repository))
    immutable_tags = releases(
        policy.rules,
        policy.image_name,
        [*live.digests, *live.damaged, *live.unanswered],
        Permission.DELETE,
    )
    end_read()
    digest_by_tag = {tag: live.digests[tag] for tag in immutable_tags if tag in live.digests}
    tag_by_digest = _map_needed_digests(lease, repository, digest_by_tag)
    if tag_by_digest is None or len(digest_by_tag) < len(immutable_tags):
        return dict.fromkeys(steps, UNREAD_TAGS)
    tags = {name: tag_by_digest.get(subject_of(name) or "") for name in steps}
    return {name: f"it belongs to {tag}, which is immutable" for name, tag in tags.items() if tag}


def _find_needed_signatures(
    lease: RemovalLease,
    repository: RepositoryName,
    tags: Mapping[str, str],
    remaining_tags: Iterable[str],
    steps: StepsByTag,
) -> dict[str, str]:
    """Return the reason by name for each signature whose subject a remaining tag needs.

    Args:
        tags: digest by name, for all readable tags of the repository.
        remaining_tags: names of the tags that stay.
        steps: steps that remove signatures, by tag name.
    """
    conditional_steps = {name: step for name, step in steps.items() if step.subject != "stays"}
    tag_by_digest = _map_needed_digests(
        lease, repository, {tag: tags[tag] for tag in remaining_tags}
    )
    if tag_by_digest is None:
        return dict.fromkeys(conditional_steps, UNREAD_TAGS)
    without_subject = {
        name for name, step in conditional_steps.items() if step.subject == "missing"
    }
    lease.renew()
    restored_names = without_subject - with_missing_subject(repository, without_subject)
    reasons = {
        name: _format_reason(tag_by_digest.get(subject_of(name) or "")) for name in restored_names
    }
    new_names = set(reasons)
    while True:
        tag_by_digest |= {tags[name]: name for name in new_names if name in tags}
        new_names = {
            n for n in conditional_steps.keys() - reasons.keys() if subject_of(n) in tag_by_digest
        }
        if not new_names:
            return reasons
        reasons |= {
            name: _format_reason(tag_by_digest[subject_of(name) or ""]) for name in new_names
        }


def _map_needed_digests(
    lease: RemovalLease, repository: RepositoryName, tags: Mapping[str, str]
) -> dict[str, str] | None:
    """Return one tag by digest for all digests that tags need; None if a manifest is unreadable."""
    tag_by_digest: dict[str, str] = {}
    for batch in split_into_batches(sorted(tags), BATCH_SIZE):
        lease.renew()
        graph = graph_of(repository, {tags[tag] for tag in batch}, MANIFESTS_TIMEOUT, lease.renew)
        end_read()
        for tag in batch:
            reachable = closure([tags[tag]], graph.referenced)
            if graph.unread.intersection(reachable):
                return None
            for digest in reachable:
                tag_by_digest.setdefault(digest, tag)
    return tag_by_digest


def _format_reason(tag: str | None) -> str:
    if tag is None:
        return SUBJECT_RESTORED
    return f"{'the trash' if is_trash_tag(tag) else tag} needs it"
