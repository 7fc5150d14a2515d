"""Plan a copy of tags: which are new at the target, which exist there, and which a rule refuses.

"The index" is the database's copy of the registry's tags.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from sqlalchemy import select

from ..access import Permission, Role, find_old_path, repository_policy
from ..access.tag_rules import TagChange, TagRule, refusal
from ..catalog.live_tags import LiveTags, leftovers_in, read_tags
from ..catalog.pull_through import refuse_push
from ..db.session import db, end_read
from ..distribution.errors import RegistryError
from ..enumerations import name_some
from ..errors import Conflict, Invalid, NotFound, RegistryUnreachable
from ..manifests.blobs import key_of
from ..manifests.graph import ManifestGraph, graph_of
from ..manifests.reachability import closure
from ..models import ContainerImage, Project, Tag
from ..names import RepositoryName, without_trash
from ..registry_connection import list_tags, unreachable_from_message
from ..storage_usage.survey import UsageScan
from .plan import NEW, OVERWRITES, REFUSED, SAME, CopyPlan, CopyRequest, PlannedCopy
from .referrers import referring_tags

#: Maximum number of tags whose digests are read from the registry for a plan. If there are more
#: tags, their digests are taken from the index; the worker asks the registry for the digest of
#: each tag before it copies the tag.
MAX_LIVE_TAGS = 500
#: Timeout in seconds for reading the manifests from which a preview's sizes are computed.
PLAN_TIMEOUT = 10.0
TAGS_FROM_INDEX = (
    "There are many tags: what each stands for is asked of the registry when its turn comes."
)
SIZES_UNKNOWN = "Not everything could be read in time: sizes and attached tags may be more."
DAMAGED_TAGS = "Can't be read, so it is not copied: {}. Push it again, or remove it."
UNANSWERED_TAGS = (
    "The registry does not answer for these now, so they are not copied: {}. Try again later."
)
TARGET_UNANSWERED = "the registry does not answer for it at the target now: try again later"
TARGET_DAMAGED = "it can't be read at the target: push it again, or remove it first"
NO_SUCH_TAG = "The registry has no such tag."


@dataclass(frozen=True, slots=True)
class _RuleCheck:
    """The target project's protection rules, and the requester's role.

    Attributes:
        rules: the rules.
        image_name: name of the target image in its project; ``""`` for the root image.
        role: the requester's role in the project, or None.
    """

    rules: list[TagRule]
    image_name: str
    role: Role | None

    def find_refusal(self, tag: str, *, exists: bool) -> str | None:
        """Return why a rule refuses that the requester pushes a tag, or None if no rule does."""
        push = TagChange(tag, Permission.PUSH, exists=exists)
        return refusal(self.rules, self.image_name, push, self.role)


@dataclass(frozen=True, slots=True)
class _RepositoryTags:
    """The tags of the source or of the target of a copy, as they are now.

    Attributes:
        listed_names: all tags that the registry lists, without those in the trash.
        live: the listed tags that the copy is about, with their digests.
        are_from_index: whether there are so many that most digests are from the database.
    """

    listed_names: list[str]
    live: LiveTags
    are_from_index: bool


def plan_copy(request: CopyRequest, role: Role | None) -> CopyPlan:
    """Plan a copy of tags without writing anything.

    Args:
        request: the tags to copy and their destination.
        role: the requester's role in the target's project, for protection rules.

    Raises:
        Invalid: a tag would be copied to itself, or to a path from which an image was moved.
        Conflict: no tag can be read, because the tags are damaged in the registry.
        NotFound: the registry has none of the tags.
        RegistryUnreachable: the registry does not answer, or is a pull-through cache.
    """
    refuse_push()
    _require_other_target(request)
    source, target = request.source, str(request.target)
    plan = CopyPlan(request.kind, source, target, attached=request.attached)
    end_read()
    try:
        source_tags = _read_repository(RepositoryName(source), request.tags.keys())
        target_tags = _read_repository(request.target, request.tags.values())
    except RegistryError as error:
        raise unreachable_from_message(str(error)) from None
    if source_tags.are_from_index or target_tags.are_from_index:
        plan.notes.append(TAGS_FROM_INDEX)
    source_live = _exclude_removed(source, source_tags.live)
    _add_unread_notes(plan, source_live)
    plan.new_image = not target_tags.listed_names
    rules = repository_policy(db.session(), target).rules
    check = _RuleCheck(rules, request.target.below(request.target_project.path), role)
    plan.name(
        [
            _plan_tag(tag, request.tags[tag], digest, target_tags.live, check)
            for tag, digest in sorted(source_live.digests.items())
        ]
    )
    _add_sizes(plan, request, source_tags.listed_names, set(source_live.digests.values()))
    return plan


def _require_other_target(request: CopyRequest) -> None:
    """Require that the source and the target of a copy are different tags.

    Raises:
        Invalid: a tag would be copied to itself, or the target is an old path, which images or
            projects were moved away from.
    """
    target = str(request.target)
    if any(request.source == target and name == tag for name, tag in request.tags.items()):
        message = "The target is the tag itself. Choose another project, image or tag."
        raise Invalid("Nothing was planned.", {"tag": message})
    old_path = find_old_path(db.session(), target)
    if old_path is not None:
        raise Invalid("Nothing was planned.", {"image": f"{old_path.refusal}."})


def _add_unread_notes(plan: CopyPlan, live: LiveTags) -> None:
    """Add the source's tags that cannot be read to the plan's ``unread`` and ``notes``.

    Args:
        plan: the plan to extend.
        live: the result of reading the source's tags.

    Raises:
        RegistryUnreachable: no tag can be read, and the registry gave no answer about some tags.
        Conflict: no tag can be read, and some tags are damaged in the registry.
        NotFound: the registry has none of the tags.
    """
    notes = [(DAMAGED_TAGS, live.damaged), (UNANSWERED_TAGS, live.unanswered)]
    for text, tags in notes:
        if tags:
            plan.unread += [f"{plan.source}:{tag}" for tag in sorted(tags)]
            plan.notes.append(text.format(name_some(tags)))
    if live.digests:
        return
    if live.unanswered:
        raise RegistryUnreachable(UNANSWERED_TAGS.format(name_some(live.unanswered)))
    raise (
        Conflict(DAMAGED_TAGS.format(name_some(live.damaged)))
        if live.damaged
        else NotFound(NO_SUCH_TAG)
    )


def _read_repository(repository: RepositoryName, names: Iterable[str]) -> _RepositoryTags:
    """List the tags of a repository, and read the digests of those in ``names`` that exist."""
    listed_names = without_trash(list_tags(repository))
    existing_names = set(listed_names).intersection(names)
    are_from_index = len(existing_names) > MAX_LIVE_TAGS
    live = (
        _read_from_index(repository, existing_names)
        if are_from_index
        else read_tags(repository, sorted(existing_names))
    )
    return _RepositoryTags(listed_names, live, are_from_index)


def _read_from_index(repository: RepositoryName, names: Collection[str]) -> LiveTags:
    """Read the digests of tags from the database, and from the registry if it lacks them."""
    query = (
        select(Tag.name, Tag.digest)
        .join(ContainerImage, ContainerImage.id == Tag.image_id)
        .where(
            ContainerImage.path == str(repository), Tag.digest.is_not(None), Tag.damage.is_(None)
        )
    )
    rows = db.session.execute(query)
    indexed = {name: digest for name, digest in rows if digest is not None and name in names}
    live = read_tags(repository, sorted(set(names) - indexed.keys()))
    live.digests |= indexed
    return live


def _exclude_removed(source: str, live: LiveTags) -> LiveTags:
    """Return the tags of the source, except damaged ones that users have removed already.

    The registry can still list a removed tag although its manifest is gone.

    Args:
        source: the source repository.
        live: the tags that were read from the registry.
    """
    removed_names = leftovers_in(RepositoryName(source))
    end_read()
    damaged = {
        name: damage
        for name, damage in live.damaged.items()
        if damage != "missing" or name not in removed_names
    }
    return replace(live, damaged=damaged)


def _plan_tag(
    source_tag: str,
    tag: str,
    digest: str,
    target_live: LiveTags,
    check: _RuleCheck,
) -> PlannedCopy:
    if tag in target_live.damaged:
        return PlannedCopy(source_tag, tag, digest, REFUSED, "", TARGET_DAMAGED)
    if tag in target_live.unanswered:
        return PlannedCopy(source_tag, tag, digest, REFUSED, "", TARGET_UNANSWERED)
    target_digest = target_live.digests.get(tag, "")
    if target_digest == digest:
        return PlannedCopy(source_tag, tag, digest, SAME, target_digest)
    reason = check.find_refusal(tag, exists=bool(target_digest))
    if reason is not None:
        return PlannedCopy(source_tag, tag, digest, REFUSED, target_digest, reason)
    state = OVERWRITES if target_digest else NEW
    return PlannedCopy(source_tag, tag, digest, state, target_digest)


def _add_sizes(
    plan: CopyPlan, request: CopyRequest, source_tags: list[str], digests: set[str]
) -> None:
    """Add the referrer tags and the sizes to a plan, as far as they can be read in PLAN_TIMEOUT.

    Args:
        plan: the plan to extend.
        request: the tags to copy and their destination.
        source_tags: all tags of the source, including any referrer tags.
        digests: the digests to copy.
    """
    graph = graph_of(RepositoryName(plan.source), digests, PLAN_TIMEOUT)
    if graph.unread:
        count = len(graph.unread)
        plan.unread.append(f"{plan.source} ({count} manifest{'' if count == 1 else 's'})")
        plan.notes.append(SIZES_UNKNOWN)
    reachable = closure(digests, graph.children)
    if request.attached:
        plan.name_referrers(referring_tags(source_tags, reachable))
    sizes = _collect_sizes(reachable, graph)
    survey = UsageScan(db.session(), Project.id == request.target_project.id)
    plan.size = sum(sizes.values())
    plan.new_size = sum(size for blob, size in sizes.items() if key_of(blob) not in survey.sizes)


def _collect_sizes(digests: Collection[str], graph: ManifestGraph) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for digest in digests:
        sizes |= graph.blobs.get(digest, {})
    return sizes
