"""Effects of a planned removal on manifests: which manifests no tag needs afterward."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from ..access import Permission, repository_policy
from ..access.tag_rules import releases
from ..db.session import db
from ..enumerations import name_some
from ..manifests.graph import ManifestGraph
from ..manifests.reachability import Reachability, closure, reach
from ..models import ContainerImage, RemovalStep
from ..names import subject_of
from .plan import RemovalPlan

DAMAGED_TAGS = (
    "Tags that can't be read: {}. Push them again or remove them; until then, all manifests of "
    "this image are kept."
)
UNANSWERED_TAGS = (
    "The registry does not answer for these tags now: {}. They are kept, and so are all manifests "
    "of this image. Try again later."
)
STILL_LISTED = (
    "Until then, this registry also keeps listing the tags removed from {}, although they can no "
    "longer be pulled."
)
UNREAD_MANIFESTS = (
    "Not every manifest of {} could be read: its tags are deleted, and its manifests are kept."
)


@dataclass(frozen=True, slots=True)
class RepositoryContent:
    """Tags and manifests of a repository, from which a plan computes what a removal affects.

    Attributes:
        repository: name of the repository.
        tags: digest by name, for each tag.
        graph: children and blobs of the manifests.
    """

    repository: str
    tags: Mapping[str, str]
    graph: ManifestGraph

    def digests_without(self, names: AbstractSet[str]) -> list[str]:
        """Return the digests of all tags except those with the given names."""
        return [digest for tag, digest in self.tags.items() if tag not in names]

    def reach(self, names: AbstractSet[str]) -> Reachability:
        """Return which manifests become unreachable when the tags with these names are removed."""
        return reach(self.tags, names, self.graph.children, self.graph.referenced)


def add_manifests(
    plan: RemovalPlan, content: RepositoryContent, to_delete: AbstractSet[str], *, keep_all: bool
) -> None:
    """Add to a plan the manifests that no tag needs after some tags are removed.

    A step to delete the manifests is added only if the tags are deleted permanently. Otherwise the
    manifests are only counted; they are deleted when the trash is purged.

    Args:
        to_delete: names of the tags to remove.
        keep_all: keep all manifests, because a tag that stays can't be read and may need any of
            them.
    """
    repository, unread = content.repository, content.graph.unread
    reachability = content.reach(to_delete)
    plan.shared += len(reachability.shared)
    if unread:
        count = len(unread)
        plan.unread.append(f"{repository} ({count} manifest{'' if count == 1 else 's'})")
        plan.notes.append(UNREAD_MANIFESTS.format(repository))
    elif reachability.to_delete and not keep_all:
        if not plan.trash_days:
            plan.steps.append(
                RemovalStep(
                    "manifests", repository=repository, digests=list(reachability.to_delete)
                )
            )
        plan.manifests += len(reachability.to_delete)
        freed_bytes = _estimate_freed_bytes(content, to_delete, reachability)
        plan.freed = (plan.freed or 0) + freed_bytes


def referrers_of(content: RepositoryContent, to_delete: AbstractSet[str]) -> list[str]:
    """Return the tags that sign or describe removed images, including signatures of signatures.

    Args:
        to_delete: names of the tags to remove.
    """
    referrers: set[str] = set()
    while True:
        deleted = to_delete | referrers
        unreachable = set(content.reach(deleted).to_delete)
        new_referrers = {name for name in content.tags if subject_of(name) in unreachable} - deleted
        if not new_referrers:
            return sorted(referrers)
        referrers |= new_referrers


def record_subjects(
    content: RepositoryContent, to_delete: AbstractSet[str], requested: AbstractSet[str]
) -> dict[str, str]:
    """Return ``stays`` or ``goes`` for each signature tag to remove, depending on its subject.

    ``stays``: the user asked to remove the signature by name, although a remaining tag needs its
    subject. ``goes``: the signature is removed because its subject is; its step checks again that
    no tag needs the subject.

    Args:
        to_delete: names of all tags to remove.
        requested: names of the tags that the user asked to remove.
    """
    subjects = {name: subject for name in to_delete if (subject := subject_of(name))}
    if not subjects:
        return {}
    needed_digests = set(closure(content.digests_without(to_delete), content.graph.referenced))
    return {
        name: "stays" if name in requested and subject in needed_digests else "goes"
        for name, subject in subjects.items()
    }


def record_missing_subjects(
    plan: RemovalPlan, tags_to_delete: Collection[tuple[ContainerImage, Collection[str]]]
) -> None:
    """Mark the steps that remove signatures because the registry does not have their subject.

    Args:
        tags_to_delete: images, each with the names of the tags to remove.
    """
    signatures = {
        (image.path, name) for image, names in tags_to_delete for name in names if subject_of(name)
    }
    if signatures:
        plan.steps = [
            replace(step, subject="missing") if (step.repository, step.tag) in signatures else step
            for step in plan.steps
        ]


def _estimate_freed_bytes(
    content: RepositoryContent, to_delete: AbstractSet[str], reachability: Reachability
) -> int:
    """Return the number of bytes that only removed manifests use, within this repository."""
    graph = content.graph
    # ``graph.referenced`` includes the blobs of manifests, so ``used_digests`` has every blob that
    # stays in use.
    used_digests = set(closure(content.digests_without(to_delete), graph.referenced))
    sizes: dict[str, int] = {}
    for digest in reachability.to_delete:
        sizes |= graph.blobs.get(digest, {})
    return sum(size for blob, size in sizes.items() if blob not in used_digests)


def kept_signatures(
    plan: RemovalPlan, content: RepositoryContent, names: Collection[str]
) -> set[str]:
    """Return the given tags that sign or describe content of an immutable tag.

    They must stay; the plan records the reason.
    """
    subjects = {name: subject for name in names if (subject := subject_of(name))}
    if not subjects:
        return set()
    path, tags = content.repository, content.tags
    policy = repository_policy(db.session(), path)
    immutable_tag_by_digest = {
        digest: tag
        for tag in releases(policy.rules, policy.image_name, tags, Permission.DELETE)
        for digest in closure([tags[tag]], content.graph.referenced)
    }
    immutable_tag_by_name = {
        name: immutable_tag_by_digest[subject]
        for name, subject in subjects.items()
        if subject in immutable_tag_by_digest
    }
    plan.refused += [
        (f"{path}:{name}", f"tag {name} belongs to {tag}, which is immutable in {path}")
        for name, tag in sorted(immutable_tag_by_name.items())
        if (f"{path}:{name}") not in dict(plan.refused)
    ]
    return set(immutable_tag_by_name)


def add_damaged_note(
    plan: RemovalPlan, path: str, damaged_tags: set[str], faulty_tags: set[str]
) -> None:
    """Record in a plan which damaged tags of an image stay, and a note on the consequences.

    Args:
        damaged_tags: tags that the registry lists but can't read.
        faulty_tags: the damaged tags for which the registry returns status 500, not 404. They make
            Distribution 2.8 continue to list deleted tags.
    """
    if not damaged_tags:
        return
    plan.unread += [f"{path}:{name}" for name in sorted(damaged_tags)]
    plan.notes.append(DAMAGED_TAGS.format(name_some([f"{path}:{name}" for name in damaged_tags])))
    if faulty_tags and plan.method == "placeholder":
        plan.notes.append(STILL_LISTED.format(path))


def add_unanswered_note(plan: RemovalPlan, path: str, names: set[str]) -> None:
    """Record in a plan which tags stay because the registry does not answer for them."""
    if names:
        references = [f"{path}:{name}" for name in sorted(names)]
        plan.unread += references
        plan.notes.append(UNANSWERED_TAGS.format(name_some(references)))
