"""Removal step for damaged tags, which the registry lists but can't read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from ..catalog.live_tags import LiveTags, leftovers_in, read_tags
from ..db.session import db, end_read
from ..distribution.errors import DeletionByTagUnsupported, RegistryFault, RegistryNotFound
from ..enumerations import name_some
from ..models import RemovalStep
from ..names import RepositoryName, TagName
from ..operations.errors import OperationFailed, StepFailed
from ..registry_connection import registry
from .lease import RemovalLease
from .placeholders import (
    delete_placeholder,
    describe_unusable,
    mark_leftovers,
    prepare_placeholder,
    put_placeholder,
)
from .registry_calls import call_registry, listed_tags, read_in_batches


def remove_unreadable(lease: RemovalLease, number: int, step: RemovalStep) -> tuple[str, str]:
    """Remove the damaged tags of a step.

    Distribution 3.x deletes them by tag, one by one. For Distribution 2.8, all of them are pointed
    to one placeholder manifest, which is then deleted: 2.8 can't delete a single tag while the
    repository has a different tag whose link file is empty. Tags that earlier removals left listed
    for that reason are removed, too.

    Returns:
        The outcome of the step (``deleted``, ``kept``, or ``gone already``) and a detail.

    Raises:
        StepFailed: some of the tags could not be deleted.
    """
    repository = RepositoryName(step.repository)
    names = sorted(set(listed_tags(lease, repository)).intersection(step.tag_names))
    live = read_in_batches(lease, repository, names)
    placeholder = lease.placeholder_of(db.session(), number)
    end_read()
    interrupted_tags = {name for name, digest in live.digests.items() if digest == placeholder}
    damaged_tags = sorted(interrupted_tags | live.damaged.keys())
    readable_tags = sorted(live.digests.keys() - interrupted_tags)
    if not damaged_tags:
        detail = _explain_kept(readable_tags, live)
        return ("kept", detail) if detail else ("gone already", "")
    try:
        result = _delete_by_tag(lease, repository, damaged_tags)
    except DeletionByTagUnsupported:
        result = _delete_by_placeholder(lease, number, step, damaged_tags)
    details = _finish_deletion(lease, repository, result)
    if reason := _explain_kept(readable_tags + result.repushed, live):
        details.append(reason)
    if result.failures:
        failures = [f"{name} ({reason})" for name, reason in result.failures.items()]
        raise StepFailed("; ".join([f"could not be deleted: {name_some(failures)}", *details]))
    return "deleted" if result.deleted else "kept", "; ".join(details)


@dataclass(slots=True)
class _DeletionResult:
    """Result of deleting damaged tags.

    Attributes:
        deleted: names of the deleted tags.
        repushed: names of the tags that a client has pushed again meanwhile; they are kept.
        failures: reasons by name, for the tags that could not be deleted.
    """

    deleted: list[str] = field(default_factory=list)
    repushed: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)

    def attempt(self, name: str, call: Callable[[], object]) -> None:
        """Make a call that removes a tag, and record the outcome.

        Raises:
            OperationFailed: deletion is disabled, so no tag can be removed.
        """
        try:
            call()
        except OperationFailed:
            raise
        except StepFailed as failure:
            self.failures[name] = str(failure)
        else:
            self.deleted.append(name)


def _finish_deletion(
    lease: RemovalLease, repository: RepositoryName, result: _DeletionResult
) -> list[str]:
    """Mark deleted tags that the registry still lists; return details for the step's report."""
    listed = listed_tags(lease, repository)
    leftovers = sorted(set(result.deleted).intersection(listed))
    details = [f"{name_some(result.deleted)} deleted"] if result.deleted else []
    if leftovers:
        mark_leftovers(lease, repository, leftovers)
        details.append(
            f"the registry still lists {name_some(leftovers)}, beside others it can't read"
        )
    if listed.unusable:
        details.append(describe_unusable(listed.unusable))
    return details


def _delete_by_tag(
    lease: RemovalLease, repository: RepositoryName, names: list[str]
) -> _DeletionResult:
    result = _DeletionResult()
    for name in names:
        lease.renew()
        delete = partial(registry().delete_manifest, repository, TagName(name))
        result.attempt(name, partial(call_registry, lease, delete))
    return result


def _delete_by_placeholder(
    lease: RemovalLease, number: int, step: RemovalStep, names: list[str]
) -> _DeletionResult:
    """Point damaged tags to one placeholder manifest, delete it, and return the result."""
    repository = RepositoryName(step.repository)
    earlier_placeholders = {lease.placeholder_of(db.session(), number)} - {None}
    leftovers = leftovers_in(repository).difference(names)
    end_read()
    body = prepare_placeholder(lease, number, step)
    placeholder = lease.placeholder_of(db.session(), number) or ""
    end_read()
    placeholders = {*earlier_placeholders, placeholder}
    result = _DeletionResult()
    leftovers_result = _DeletionResult()  # the report omits these tags
    for name in [*names, *sorted(leftovers)]:
        lease.renew()
        tag_result = leftovers_result if name in leftovers else result
        if _is_replaceable(repository, name, placeholders):
            put = partial(put_placeholder, lease, repository, TagName(name), body)
            tag_result.attempt(name, put)
        else:
            tag_result.repushed.append(name)
    delete_placeholder(lease, repository, placeholder)
    for digest in earlier_placeholders:
        delete_placeholder(lease, repository, str(digest))
    return result


def _is_replaceable(repository: RepositoryName, name: str, placeholders: set[str | None]) -> bool:
    """Return whether a tag still can't be read, or points to a placeholder of this step.

    A single status 500 does not prove damage: a client may have pushed the tag a moment ago.
    """
    try:
        digest: str | None = registry().head(repository, TagName(name))
    except RegistryNotFound:
        return True
    except RegistryFault:
        live = read_tags(repository, [name])
        live.require_answers()
        digest = live.digests.get(name)
    return digest is None or digest in placeholders


def _explain_kept(readable_tags: list[str], live: LiveTags) -> str:
    """Return a text that says which tags were kept and why, or "" if none was."""
    reasons = (
        [f"{name_some(readable_tags)} can be read again, and was kept"] if readable_tags else []
    )
    if live.unanswered:
        reasons.append(f"{live.trouble}, so they were kept")
    return "; ".join(reasons)
