"""Reachability of manifests from tags, which decides which manifests a removal of tags deletes.

Pure functions without I/O.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reachability:
    """The manifests that are reachable from removed tags, divided into deleted and kept ones.

    ``to_delete`` are the digests that only removed tags reach; an OCI index comes before its
    children. ``shared`` are the digests that both removed tags and kept tags reach.
    """

    to_delete: tuple[str, ...]
    shared: tuple[str, ...]


def reach(
    tags: Mapping[str, str],
    removed_tags: Collection[str],
    children: Mapping[str, Iterable[str]],
    referenced: Mapping[str, Iterable[str]],
) -> Reachability:
    """Divide the manifests that removed tags reach into deleted and kept ones.

    Args:
        tags: all tags of the repository, with the digests that they point to.
        removed_tags: the tags to remove.
        children: the manifests that each OCI index lists, by the digest of the index. Only these
            manifests, and those that tags point to, can be deleted.
        referenced: every digest that a manifest or index can need, by its digest. Everything that
            kept tags reach in this way is kept, so that no client loses content, even if the
            client interprets an index differently.
    """
    removed_set = set(removed_tags)
    needed = set(closure((d for tag, d in tags.items() if tag not in removed_set), referenced))
    reachable = closure((d for tag, d in tags.items() if tag in removed_set), children)
    return Reachability(
        tuple(digest for digest in reachable if digest not in needed),
        tuple(digest for digest in reachable if digest in needed),
    )


def closure(roots: Iterable[str], references: Mapping[str, Iterable[str]]) -> list[str]:
    """Return all digests that are reachable from some digests, each once, in breadth-first order.

    Args:
        roots: digests to start with, which come first in the result.
        references: the digests that a manifest references directly, by its digest.
    """
    digests = list(dict.fromkeys(roots))
    visited = set(digests)
    for digest in digests:  # The loop appends to this list.
        for part in references.get(digest, ()):
            if part not in visited:
                visited.add(part)
                digests.append(part)
    return digests
