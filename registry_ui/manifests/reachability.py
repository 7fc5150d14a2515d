"""What tags lead to: which manifests go with some tags, and which must stay. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reachability:
    """What the removal of some tags does to manifests.

    ``doomed``: no kept tag leads to them; an index comes before its children.
    ``shared``: removed tags lead to them, and kept ones too.
    """

    doomed: tuple[str, ...]
    shared: tuple[str, ...]


def reach(
    tags: Mapping[str, str],
    removed: Collection[str],
    children: Mapping[str, Iterable[str]],
    named: Mapping[str, Iterable[str]],
) -> Reachability:
    """Part the manifests that removed tags lead to.

    Args:
        tags: every tag of the repository, and the digest that it stands for.
        removed: the tags that go.
        children: what an index holds, as we read it.
        named: whatever an index may hold, however it is read: for keeping.
    """
    gone = set(removed)
    safe = set(closure((d for tag, d in tags.items() if tag not in gone), named))
    found = closure((d for tag, d in tags.items() if tag in gone), children)
    return Reachability(
        tuple(digest for digest in found if digest not in safe),
        tuple(digest for digest in found if digest in safe),
    )


def closure(tops: Iterable[str], below: Mapping[str, Iterable[str]]) -> list[str]:
    """Return these digests and everything below them, at any depth, each once, tops first."""
    found = list(dict.fromkeys(tops))
    seen = set(found)
    for digest in found:  # grows while it is walked
        for part in below.get(digest, ()):
            if part not in seen:
                seen.add(part)
                found.append(part)
    return found
