"""Removal step for damaged tags, which the registry lists but can't read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from ..catalog.live_tags import LiveTags, leftovers_in, read_tags
from ..db.session import db, end_read
from ..distribution.errors import DeletionByTagUnsupported, RegistryFault, RegistryNotFound
from ..enumerations import name_some
from ..models import Removal, RemovalStep
from ..names import RepositoryName, TagName
from ..operations.errors import OperationFailed, StepFailed
from ..operations.operation_lease import OperationLease
from ..registry_connection import registry
from .placeholders import (
    delete_placeholder,
    mark_leftovers,
    prepare_placeholder,
    put_placeholder,
    say_unusable,
)
from .registry_calls import call_registry, listed_tags, read_in_batches


def remove_unreadable(
    lease: OperationLease[Removal], number: int, step: RemovalStep
) -> tuple[str, str]:
    """Remove damaged tags: by tag on 3.x, all together with one placeholder on 2.8.

    On 2.8 they are removed together, because it can't delete a tag while the repository has another
    tag whose link is empty. Tags that earlier removals left listed for that reason are removed,
    too.

    Returns:
        The outcome of the step (``deleted``, ``kept``, or ``gone already``) and a detail.

    Raises:
        StepFailed: some of the tags could not be deleted.
    """
    repository = RepositoryName(step.repository)
    names = sorted(set(listed_tags(lease, repository)).intersection(step.tag_names))
    live = read_in_batches(lease, repository, names)
    ours = lease.placeholder_of(db.session(), number)
    end_read()
    begun = {name for name, digest in live.digests.items() if digest == ours}
    going = sorted(begun | live.damaged.keys())
    readable = sorted(live.digests.keys() - begun)
    if not going:
        kept = _why_kept(readable, live)
        return ("kept", kept) if kept else ("gone already", "")
    try:
        done = _by_tag(lease, repository, going)
    except DeletionByTagUnsupported:
        done = _by_placeholder(lease, number, step, going)
    listed = listed_tags(lease, repository)
    left = sorted(set(done.gone).intersection(listed))
    detail = [f"{name_some(done.gone)} deleted"] if done.gone else []
    if left:
        mark_leftovers(lease, repository, left)
        detail.append(f"the registry still lists {name_some(left)}, beside others it can't read")
    if listed.unusable:
        detail.append(say_unusable(listed.unusable))
    if kept := _why_kept(readable + done.pushed, live):
        detail.append(kept)
    if done.failed:
        each = [f"{name} ({why})" for name, why in done.failed.items()]
        raise StepFailed("; ".join([f"could not be deleted: {name_some(each)}", *detail]))
    return "deleted" if done.gone else "kept", "; ".join(detail)


@dataclass(slots=True)
class _Done:
    """Result for damaged tags: deleted, pushed again in the meantime, or failed with a reason."""

    gone: list[str] = field(default_factory=list)
    pushed: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def attempt(self, name: str, call: Callable[[], object]) -> None:
        """Make a call that removes a tag, and record the outcome.

        Raises:
            OperationFailed: the other tags can't be removed either.
        """
        try:
            call()
        except OperationFailed:
            raise
        except StepFailed as failure:
            self.failed[name] = str(failure)
        else:
            self.gone.append(name)


def _by_tag(lease: OperationLease[Removal], repository: RepositoryName, names: list[str]) -> _Done:
    done = _Done()
    for name in names:
        lease.renew()
        delete = partial(registry().delete_manifest, repository, TagName(name))
        done.attempt(name, partial(call_registry, lease, delete))
    return done


def _by_placeholder(
    lease: OperationLease[Removal], number: int, step: RemovalStep, names: list[str]
) -> _Done:
    """Point damaged tags to one placeholder, and delete that."""
    repository = RepositoryName(step.repository)
    before = {lease.placeholder_of(db.session(), number)}
    left_over = leftovers_in(repository)
    end_read()
    body = prepare_placeholder(lease, number, step)
    ours = (before | {lease.placeholder_of(db.session(), number)}) - {None}
    end_read()
    done, along = _Done(), _Done()  # ``along``: leftovers, which the report omits
    not_asked = left_over.difference(names)
    for name in [*names, *sorted(not_asked)]:
        lease.renew()
        noted = along if name in not_asked else done
        if _is_free(repository, name, ours):
            noted.attempt(name, partial(put_placeholder, lease, repository, TagName(name), body))
        else:
            noted.pushed.append(name)
    delete_placeholder(lease, repository, lease.placeholder_of(db.session(), number) or "")
    for digest in before - {None}:
        delete_placeholder(lease, repository, str(digest))
    return done


def _is_free(repository: RepositoryName, name: str, ours: set[str | None]) -> bool:
    """Return whether a tag still can't be read, or points to one of our placeholders.

    A single 500 proves nothing: a client may have pushed the tag a moment ago.
    """
    try:
        digest: str | None = registry().head(repository, TagName(name))
    except RegistryNotFound:
        return True
    except RegistryFault:
        live = read_tags(repository, [name])
        live.require_answers()
        digest = live.digests.get(name)
    return digest is None or digest in ours


def _why_kept(readable: list[str], live: LiveTags) -> str:
    """Return which tags were kept and why, or "" if none was."""
    kept = [f"{name_some(readable)} can be read again, and was kept"] if readable else []
    if live.unanswered:
        kept.append(f"{live.trouble}, so they were kept")
    return "; ".join(kept)
