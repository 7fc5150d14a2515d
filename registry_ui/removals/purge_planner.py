"""Plans to delete tags in the trash permanently."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from ..enumerations import name_some
from ..manifests.graph import graph_of
from ..models import RemovalStep, TrashedTag
from ..names import RepositoryName, is_trash_tag
from ..tags.image_tags import ImageTags, trash_digests
from .deletion_method import deletion_method
from .plan import PlannedTag, RemovalPlan
from .planned_manifests import (
    RepositoryContent,
    add_damaged_note,
    add_manifests,
    add_unanswered_note,
)
from .planner import MANIFESTS_TIMEOUT
from .unread_images import UnreadImages

PURGE_WAITS = (
    "Nothing in {} is purged: {} can't be read. Until it is pushed again or removed, this "
    "registry can't delete any tag there."
)


def plan_purge(target: str, entries: Iterable[TrashedTag]) -> RemovalPlan:
    """Plan to delete tags in the trash permanently, with the manifests that only they need.

    Args:
        target: path of the project that the trash belongs to.
        entries: trash entries to purge.

    Raises:
        RegistryUnreachable: the registry can't be asked.
    """
    plan = RemovalPlan("bin", target, [], method="none")
    by_repository: dict[str, list[TrashedTag]] = defaultdict(list)
    for entry in entries:
        by_repository[entry.repository].append(entry)
    unread_images = UnreadImages(plan)
    for path, rows in sorted(by_repository.items()):
        plan.method = deletion_method(RepositoryName(path))
        image_tags = unread_images.read_tags(path)
        if image_tags is None:
            continue
        _add_purge(
            plan,
            path,
            [row for row in rows if row.trash_tag not in image_tags.unanswered],
            image_tags,
        )
    return plan


def _add_purge(plan: RemovalPlan, path: str, rows: list[TrashedTag], image_tags: ImageTags) -> None:
    """Add to a plan the steps that purge the trash entries of one repository.

    On Distribution 2.8, nothing is added except a note if a damaged tag prevents all deletions.
    """
    to_delete = {row.trash_tag for row in rows}
    damaged_tags, faulty_tags = image_tags.damaged - to_delete, image_tags.faulty - to_delete
    if faulty_tags and plan.method == "placeholder":
        plan.unread += [f"{path}:{name}" for name in sorted(faulty_tags)]
        plan.notes.append(PURGE_WAITS.format(path, name_some(faulty_tags)))
        return
    tags = trash_digests(path) | image_tags.tags
    plan.steps += [
        RemovalStep("purge", repository=path, tag=row.trash_tag, digest=row.digest) for row in rows
    ]
    graph = graph_of(RepositoryName(path), set(tags.values()), MANIFESTS_TIMEOUT)
    add_damaged_note(plan, path, {name for name in damaged_tags if not is_trash_tag(name)}, set())
    add_unanswered_note(
        plan, path, {name for name in image_tags.unanswered if not is_trash_tag(name)}
    )
    content = RepositoryContent(path, tags, graph)
    add_manifests(plan, content, to_delete, keep_all=bool(damaged_tags or image_tags.unanswered))
    plan.name([PlannedTag(f"{path}:{row.tag}", row.pushed_at, row.pushed_by) for row in rows])
