"""Plan a copy: which tags are new at the target, which exist, and which a rule refuses."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select

from ..access import Permission, Role, former_name, repository_policy
from ..access.tag_rules import TagRule, refusal
from ..catalog.live_tags import LiveTags, leftovers_in, read_tags
from ..catalog.pull_through import refuse_push
from ..db.session import db, end_read
from ..distribution.errors import RegistryError, RegistryNotFound
from ..enumerations import name_some
from ..errors import Conflict, Invalid, NotFound, RegistryUnreachable
from ..manifests.blobs import key_of
from ..manifests.graph import ManifestGraph, graph_of
from ..manifests.reachability import closure
from ..models import ContainerImage, Project, Tag
from ..names import RepositoryName, is_binned
from ..registry_connection import registry
from ..storage_usage.survey import UsageScan
from .plan import NEW, OVERWRITES, REFUSED, SAME, CopyPlan, CopyRequest, PlannedCopy
from .referrers import referring_tags

#: Maximum number of tags that are read from the registry for a plan. For more tags, the index is
#: used; the worker checks each with the registry before it copies it.
ASKED = 500
#: Timeout in seconds for reading manifests for a preview.
PLAN_DEADLINE = 10.0
GUESSED = "There are many tags: what each stands for is asked of the registry when its turn comes."
UNREAD = "Not everything could be read in time: sizes and attached tags may be more."
DAMAGED = "Can't be read, so it is not copied: {}. Push it again, or remove it."
UNANSWERED = (
    "The registry does not answer for these now, so they are not copied: {}. Try again later."
)
UNANSWERED_THERE = "the registry does not answer for it at the target now: try again later"
DAMAGED_THERE = "it can't be read at the target: push it again, or remove it first"
NO_TAG = "The registry has no such tag."


def plan_copy(wish: CopyRequest, role: Role | None) -> CopyPlan:
    """Plan a copy of tags without writing anything.

    Args:
        wish: the tags to copy and their destination.
        role: the requester's role in the target's project, for protection rules.

    Raises:
        Invalid: a tag would be copied to itself or to an old path.
        Conflict: none of the tags can be read, because they are damaged.
        NotFound: the registry has none of the tags.
        RegistryUnreachable: the registry cannot be reached, or does not answer for any of the tags.
    """
    refuse_push()
    source, target = wish.source, str(wish.target)
    if any(source == target and name == tag for name, tag in wish.tags.items()):
        message = "The target is the tag itself. Choose another project, image or tag."
        raise Invalid("Nothing was planned.", {"tag": message})
    former = former_name(db.session(), target)
    if former is not None:
        raise Invalid("Nothing was planned.", {"image": f"{former.refusal}."})
    plan = CopyPlan(wish.kind, source, target, attached=wish.attached)
    end_read()
    try:
        every = _tags(RepositoryName(source))
        live = _read(plan, source, wish.tags.keys() & set(every))
        live.damaged = _without_removed(source, live.damaged)
        taken = _tags(wish.target)
        there = _read(plan, target, set(wish.tags.values()) & set(taken))
    except RegistryError as error:
        raise RegistryUnreachable(
            f"The registry could not be asked: {error}.", hint="Nothing was changed. Try again."
        ) from None
    digests = live.digests
    _note_unread(plan, live)
    plan.new_image = not taken
    rules = repository_policy(db.session(), target).rules
    name = wish.target.below(wish.target_project.path)
    plan.name(
        [
            _planned(tag, wish.tags[tag], digest, there, refuse=(rules, name, role))
            for tag, digest in sorted(digests.items())
        ]
    )
    _weigh(plan, wish, every, set(digests.values()))
    return plan


def _note_unread(plan: CopyPlan, live: LiveTags) -> None:
    """Add the tags that cannot be read to the plan.

    Raises:
        RegistryUnreachable, Conflict, NotFound: no tag can be read.
    """
    notes = [(DAMAGED, live.damaged), (UNANSWERED, live.unanswered)]
    for text, tags in notes:
        if tags:
            plan.unread += [f"{plan.source}:{tag}" for tag in sorted(tags)]
            plan.notes.append(text.format(name_some(tags)))
    if live.digests:
        return
    if live.unanswered:
        raise RegistryUnreachable(UNANSWERED.format(name_some(live.unanswered)))
    raise Conflict(DAMAGED.format(name_some(live.damaged))) if live.damaged else NotFound(NO_TAG)


def _tags(repository: RepositoryName) -> list[str]:
    """Return the tags of a repository, without the trash; empty if it does not exist."""
    try:
        return [tag for tag in registry().tags(repository) if not is_binned(tag)]
    except RegistryNotFound:
        return []


def _read(plan: CopyPlan, repository: str, names: Collection[str]) -> LiveTags:
    """Read the digests of tags from the registry, or from the index if there are many."""
    if len(names) <= ASKED:
        return read_tags(RepositoryName(repository), sorted(names))
    if GUESSED not in plan.notes:
        plan.notes.append(GUESSED)
    query = (
        select(Tag.name, Tag.digest)
        .join(ContainerImage, ContainerImage.id == Tag.image_id)
        .where(ContainerImage.path == repository, Tag.digest.is_not(None), Tag.damage.is_(None))
    )
    rows = db.session.execute(query)
    known = {name: digest for name, digest in rows if digest is not None and name in names}
    live = read_tags(RepositoryName(repository), sorted(set(names) - known.keys()))
    live.digests |= known
    return live


def _without_removed(source: str, damaged: dict[str, str]) -> dict[str, str]:
    """Return damaged tags without those that were deleted and are still listed by the registry."""
    removed = leftovers_in(RepositoryName(source))
    end_read()
    return {
        name: damage
        for name, damage in damaged.items()
        if damage != "missing" or name not in removed
    }


def _planned(
    source_tag: str,
    tag: str,
    digest: str,
    there: LiveTags,
    refuse: tuple[list[TagRule], str, Role | None],
) -> PlannedCopy:
    rules, image_name, role = refuse
    if tag in there.damaged:
        return PlannedCopy(source_tag, tag, digest, REFUSED, "", DAMAGED_THERE)
    if tag in there.unanswered:
        return PlannedCopy(source_tag, tag, digest, REFUSED, "", UNANSWERED_THERE)
    now = there.digests.get(tag, "")
    if now == digest:
        return PlannedCopy(source_tag, tag, digest, SAME, now)
    why = refusal(rules, image_name, tag, role, Permission.PUSH, bool(now))
    if why is not None:
        return PlannedCopy(source_tag, tag, digest, REFUSED, now, why)
    return PlannedCopy(source_tag, tag, digest, OVERWRITES if now else NEW, now)


def _weigh(plan: CopyPlan, wish: CopyRequest, every: list[str], digests: set[str]) -> None:
    """Add the referrer tags and the sizes to a plan, as far as they can be read in time."""
    parts = graph_of(RepositoryName(plan.source), digests, PLAN_DEADLINE)
    if parts.unknown:
        count = len(parts.unknown)
        plan.unread.append(f"{plan.source} ({count} manifest{'' if count == 1 else 's'})")
        plan.notes.append(UNREAD)
    whole = closure(digests, parts.children)
    if wish.attached:
        plan.name_referrers(referring_tags(every, whole))
    sizes = _sizes(whole, parts)
    survey = UsageScan(db.session(), Project.id == wish.target_project.id)
    plan.size = sum(sizes.values())
    plan.new_size = sum(size for blob, size in sizes.items() if key_of(blob) not in survey.sizes)


def _sizes(digests: Collection[str], parts: ManifestGraph) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for digest in digests:
        sizes |= parts.blobs.get(digest, {})
    return sizes
