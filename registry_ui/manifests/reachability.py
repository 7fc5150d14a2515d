"""Reachability of manifests from tags: decides which ones a removal of tags deletes. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reachability:
    """The effect of a removal of tags on the manifests that are reachable from them.

    ``to_delete`` are digests that only removed tags reach; an index comes before its children.
    ``shared`` are digests that kept tags reach as well.
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
        children: manifests of each index, as parsed. They determine what can be deleted.
        referenced: every digest that an index or manifest can need. They determine what is kept, so
            that no client loses content if it interprets an index differently.
    """
    removed_set = set(removed_tags)
    needed = set(closure((d for tag, d in tags.items() if tag not in removed_set), referenced))
    reachable = closure((d for tag, d in tags.items() if tag in removed_set), children)
    return Reachability(
        tuple(digest for digest in reachable if digest not in needed),
        tuple(digest for digest in reachable if digest in needed),
    )


def closure(roots: Iterable[str], references: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the digests reachable from the given ones, each once, in breadth-first order.

    Args:
        roots: digests to start with, which come first in the result.
        references: digests that each digest references directly.
    """
    digests = list(dict.fromkeys(roots))
    seen = set(digests)
    for digest in digests:  # The loop appends to this list.
        for part in references.get(digest, ()):
            if part not in seen:
                seen.add(part)
                digests.append(part)
    return digests
