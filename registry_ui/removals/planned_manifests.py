"""Effects of a removal on manifests: which of them no tag needs afterward."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace

from ..access import Permission, repository_policy
from ..access.tag_rules import releases
from ..db.session import db
from ..enumerations import name_some
from ..manifests.graph import ManifestGraph
from ..manifests.reachability import Reachability, closure, reach
from ..models import ContainerImage, RemovalStep
from ..names import subject_of
from .plan import RemovalPlan

DAMAGED = (
    "Tags that can't be read: {}. Push them again or remove them; until then, all manifests of "
    "this image are kept."
)
UNANSWERED = (
    "The registry does not answer for these tags now: {}. They are kept, and so are all manifests "
    "of this image. Try again later."
)
STILL_LISTED = (
    "Until then, this registry also keeps listing the tags removed from {}, although they can no "
    "longer be pulled."
)
UNREAD = "Not every manifest of {} could be read: its tags are deleted, and its manifests are kept."


def add_manifests(
    plan: RemovalPlan,
    repository: str,
    tags: Mapping[str, str],
    removed: AbstractSet[str],
    parts: ManifestGraph,
    *,
    stay: bool,
) -> None:
    """Add to a plan the manifests that no tag needs after some tags are removed.

    A step to delete them is added only if the tags are deleted permanently. Otherwise they are
    counted, and deleted when the trash is purged.

    Args:
        tags: digest of every tag of the repository.
        removed: names of the tags to remove.
        parts: children and blobs of the manifests.
        stay: keep all manifests, because a tag that stays can't be read and may need any of them.
    """
    outcome = reach(tags, removed, parts.children, parts.named)
    plan.shared += len(outcome.shared)
    if parts.unknown:
        count = len(parts.unknown)
        plan.unread.append(f"{repository} ({count} manifest{'' if count == 1 else 's'})")
        plan.notes.append(UNREAD.format(repository))
    elif outcome.doomed and not stay:
        if not plan.bin_days:
            plan.steps.append(
                RemovalStep("manifests", repository=repository, digests=list(outcome.doomed))
            )
        plan.manifests += len(outcome.doomed)
        plan.freed = (plan.freed or 0) + _freed(tags, removed, outcome, parts)


def referrers_of(
    tags: Mapping[str, str], removed: AbstractSet[str], parts: ManifestGraph
) -> list[str]:
    """Return the tags that sign or describe removed images, including signatures of signatures."""
    found: set[str] = set()
    while True:
        doomed = set(reach(tags, removed | found, parts.children, parts.named).doomed)
        more = {name for name in tags if subject_of(name) in doomed} - removed - found
        if not more:
            return sorted(found)
        found |= more


def record_subjects(
    tags: Mapping[str, str], going: AbstractSet[str], asked: AbstractSet[str], parts: ManifestGraph
) -> dict[str, str]:
    """Return ``stays`` or ``goes`` for each signature tag to remove, depending on its subject.

    ``stays``: the signature was asked for by name, although a tag that stays needs its subject.
    ``goes``: it is removed because its subject is. The step checks that again.

    Args:
        tags: digest of every tag of the repository.
        going: names of all tags to remove.
        asked: names of the tags that the user asked to remove.
        parts: children and blobs of the manifests.
    """
    signing = {name: subject for name in going if (subject := subject_of(name))}
    if not signing:
        return {}
    safe = set(closure((d for tag, d in tags.items() if tag not in going), parts.named))
    return {
        name: "stays" if name in asked and subject in safe else "goes"
        for name, subject in signing.items()
    }


def record_missing_subjects(
    plan: RemovalPlan, chosen: Collection[tuple[ContainerImage, Collection[str]]]
) -> None:
    """Mark the steps of signatures that were chosen because their subject is missing.

    Args:
        chosen: images, each with the names of the tags to remove.
    """
    lost = {(image.path, name) for image, names in chosen for name in names if subject_of(name)}
    if lost:
        plan.steps = [
            replace(step, subject="missing") if (step.repository, step.tag) in lost else step
            for step in plan.steps
        ]


def _freed(
    tags: Mapping[str, str], removed: AbstractSet[str], outcome: Reachability, parts: ManifestGraph
) -> int:
    """Return the number of bytes that only removed manifests use, within this repository."""
    # ``parts.named`` includes the blobs of manifests, so this has every blob that stays in use.
    held = set(closure((d for tag, d in tags.items() if tag not in removed), parts.named))
    sizes: dict[str, int] = {}
    for digest in outcome.doomed:
        sizes |= parts.blobs.get(digest, {})
    return sum(size for blob, size in sizes.items() if blob not in held)


def kept_signatures(
    plan: RemovalPlan,
    image: ContainerImage,
    names: Collection[str],
    tags: dict[str, str],
    parts: ManifestGraph,
) -> set[str]:
    """Return the tags that sign or describe content of an immutable tag; the plan records why."""
    signing = {name: subject for name in names if (subject := subject_of(name))}
    if not signing:
        return set()
    found = repository_policy(db.session(), image.path)
    immutable = releases(found.rules, found.image_name, tags, Permission.DELETE)
    kept = {digest: tag for tag in immutable for digest in closure([tags[tag]], parts.named)}
    stay = {name: kept[subject] for name, subject in signing.items() if subject in kept}
    plan.refused += [
        (f"{image.path}:{name}", f"tag {name} belongs to {tag}, which is immutable in {image.path}")
        for name, tag in sorted(stay.items())
        if (f"{image.path}:{name}") not in dict(plan.refused)
    ]
    return set(stay)


def add_damaged_note(plan: RemovalPlan, path: str, damaged: set[str], faulty: set[str]) -> None:
    """Add to a plan the damaged tags of an image that stay, and a note on the consequences.

    Args:
        damaged: tags that the registry lists but can't read.
        faulty: those of them that make 2.8 keep listing deleted tags (500, not 404).
    """
    if not damaged:
        return
    plan.unread += [f"{path}:{name}" for name in sorted(damaged)]
    plan.notes.append(DAMAGED.format(name_some([f"{path}:{name}" for name in damaged])))
    if faulty and plan.method == "placeholder":
        plan.notes.append(STILL_LISTED.format(path))


def add_unanswered_note(plan: RemovalPlan, path: str, names: set[str]) -> None:
    """Add to a plan the tags that stay because requests for them time out."""
    if names:
        references = [f"{path}:{name}" for name in sorted(names)]
        plan.unread += references
        plan.notes.append(UNANSWERED.format(name_some(references)))
