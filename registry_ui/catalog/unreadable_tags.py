"""Removing tags that the registry lists and can't read, as a step of a removal."""

from __future__ import annotations

from typing import Any

from ..distribution.errors import DeletionByTagUnsupported, RegistryFault, RegistryNotFound
from ..extensions import db, release
from ..models import Removal
from ..names import RepositoryName, TagName
from .connection import registry
from .enumerations import name_some
from .lease import Lease
from .live_tags import leftovers_in, read_tags
from .placeholders import (
    delete_placeholder,
    mark_leftovers,
    prepare_placeholder,
    put_placeholder,
)
from .removal_calls import call_registry, read_in_batches


def remove_unreadable(lease: Lease[Removal], number: int, step: dict[str, Any]) -> tuple[str, str]:
    """Remove tags that can't be read: by tag on 3.x, all by one placeholder on 2.8.

    On 2.8 they go together: it lets go of no tag beside one whose link is empty. What earlier
    removals left listed because of that, goes too.
    """
    repository = RepositoryName(step["repository"])
    listed = set(call_registry(lease, lambda: registry().tags(repository)) or [])
    names = sorted(listed.intersection(step["tags"]))
    live = read_in_batches(lease, repository, names)
    ours = lease.prepared(db.session(), number)
    release()
    begun = {name for name, digest in live.digests.items() if digest == ours}
    going = sorted(begun | live.damaged.keys())
    readable = sorted(live.digests.keys() - begun)
    if not going:
        return ("kept", _can_be_read(readable)) if readable else ("gone already", "")
    try:
        for name in going:
            lease.hold()
            call_registry(lease, lambda n=name: registry().delete_manifest(repository, TagName(n)))
        left: list[str] = []
    except DeletionByTagUnsupported:
        going, pushed = _by_placeholder(lease, number, step, going)
        readable += pushed
        listed = set(call_registry(lease, lambda: registry().tags(repository)) or [])
        left = [name for name in going if name in listed]
    detail = [f"{name_some(going)}"]
    if left:
        mark_leftovers(lease, repository, left)
        detail.append(f"the registry still lists {name_some(left)}, beside others it can't read")
    if readable:
        detail.append(_can_be_read(readable))
    return "deleted" if going else "kept", "; ".join(detail)


def _by_placeholder(
    lease: Lease[Removal], number: int, step: dict[str, Any], names: list[str]
) -> tuple[list[str], list[str]]:
    """Point the tags to one placeholder and delete it; return what went, and what was pushed."""
    repository = RepositoryName(step["repository"])
    before = {lease.prepared(db.session(), number)}
    left_over = leftovers_in(repository)
    release()
    body = prepare_placeholder(lease, number, step)
    ours = before | {lease.prepared(db.session(), number)} - {None}
    release()
    going, pushed = [], []
    for name in [*names, *sorted(left_over.difference(names))]:
        lease.hold()
        if not _is_free(repository, name, ours):
            pushed.append(name)
            continue
        put_placeholder(lease, repository, TagName(name), body)
        going.append(name)
    delete_placeholder(lease, repository, lease.prepared(db.session(), number) or "")
    for digest in before - {None}:
        delete_placeholder(lease, repository, str(digest))
    return [name for name in going if name in names], [n for n in pushed if n in names]


def _is_free(repository: RepositoryName, name: str, ours: set[str | None]) -> bool:
    """Whether a tag still can't be read, or stands for a placeholder of ours.

    A single 500 says nothing: somebody may have pushed the tag a moment ago.
    """
    try:
        digest: str | None = registry().head(repository, TagName(name))
    except RegistryNotFound:
        return True
    except RegistryFault:
        digest = read_tags(repository, [name]).digests.get(name)
    return digest is None or digest in ours


def _can_be_read(names: list[str]) -> str:
    return f"{name_some(names)} can be read again, and was kept"
