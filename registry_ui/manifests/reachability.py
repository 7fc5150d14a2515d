"""Reachability of manifests from tags: decides which ones a removal of tags deletes. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reachability:
    """The effect of a removal of tags on the manifests that are reachable from them.

    ``doomed`` are digests that only removed tags reach; an index comes before its children.
    ``shared`` are digests that kept tags reach as well.
    """

    doomed: tuple[str, ...]
    shared: tuple[str, ...]


def reach(
    tags: Mapping[str, str],
    removed: Collection[str],
    children: Mapping[str, Iterable[str]],
    named: Mapping[str, Iterable[str]],
) -> Reachability:
    """Divide the manifests that removed tags reach into deleted and kept ones.

    Args:
        tags: all tags of the repository, with the digests that they point to.
        removed: the tags to remove.
        children: manifests of each index, as parsed. They determine what can be deleted.
        named: every digest that an index or manifest can need. They determine what is kept, so
            that no client loses content if it interprets an index differently.
    """
    gone = set(removed)
    safe = set(closure((d for tag, d in tags.items() if tag not in gone), named))
    found = closure((d for tag, d in tags.items() if tag in gone), children)
    return Reachability(
        tuple(digest for digest in found if digest not in safe),
        tuple(digest for digest in found if digest in safe),
    )


def closure(tops: Iterable[str], below: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the digests reachable from the given ones, each once, in breadth-first order.

    Args:
        tops: digests to start with, which come first in the result.
        below: digests that each digest references directly.
    """
    found = list(dict.fromkeys(tops))
    seen = set(found)
    for digest in found:  # The loop appends to this list.
        for part in below.get(digest, ()):
            if part not in seen:
                seen.add(part)
                found.append(part)
    return found
