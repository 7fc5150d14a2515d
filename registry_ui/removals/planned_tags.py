"""The tags that a plan removes, page by page. The stored preview has only the first page."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select

from ..db.session import db
from ..models import ContainerImage, Removal, RemovalStep, Tag
from ..pagination import Page
from ..tags.image_tags import ImageTags
from ..tags.version_sort import version_key
from .plan import PREVIEW_LIMIT, PlannedTag, RemovalPlan


def planned_references(plan: RemovalPlan) -> list[str]:
    """Return the references of all tags that a plan removes, in the order of the preview."""
    return _references_from_steps(plan.steps)


def show_page(removal: Removal, plan: RemovalPlan, number: int) -> Page | None:
    """Replace the tags of a stored plan with those of a page; return the page.

    Return None if there is only one page. Removals of whole images, namespaces, and projects have
    only one: they remove all tags, so the first few are enough.

    Args:
        plan: plan from the preview of ``removal``, with the first page; changed in place.
        number: page number, starting at 1.

    Raises:
        NoSuchPage: the list has fewer pages.
    """
    if not plan.removes_more or removal.kind not in {"tags", "retention"}:
        return None
    page = Page.of(number, plan.tag_count, PREVIEW_LIMIT)
    if page.number > 1:
        plan.removes = _load_planned_tags(page.cut(_references_from_steps(removal.plan)))
        plan.removes_more = page.total - len(plan.removes)
    return page


def planned_tags_from_names(
    repository: str, names: Iterable[str], image_tags: ImageTags
) -> list[PlannedTag]:
    """Return tags of a repository in version order, with their last push and pull."""
    return [
        _planned_tag_from_row(f"{repository}:{name}", image_tags.rows.get(name))
        for name in sorted(names, key=version_key)
    ]


def _planned_tag_from_row(reference: str, row: Tag | None) -> PlannedTag:
    if row is None:
        return PlannedTag(reference)
    return PlannedTag(reference, row.pushed_at, row.pushed_by, row.last_pulled_at)


def _references_from_steps(steps: Iterable[RemovalStep]) -> list[str]:
    tags: dict[str, set[str]] = {}
    for step in steps:
        if step.kind in {"tag", "unreadable"}:
            tags.setdefault(step.repository, set()).update(step.tag_names)
    return [
        f"{repository}:{name}"
        for repository, names in tags.items()
        for name in sorted(names, key=version_key)
    ]


def _load_planned_tags(references: Iterable[str]) -> list[PlannedTag]:
    """Return the tags with their last push and pull (one query).

    The data is from the index, which is the database's copy of the registry's tags.
    """
    repository_tags = [reference.rpartition(":") for reference in references]
    query = (
        select(ContainerImage.path, Tag)
        .join(Tag, Tag.image_id == ContainerImage.id)
        .where(
            ContainerImage.path.in_({repository for repository, _, _ in repository_tags}),
            Tag.name.in_({name for _, _, name in repository_tags}),
        )
    )
    rows = {(path, row.name): row for path, row in db.session.execute(query)}
    return [
        _planned_tag_from_row(f"{repository}:{name}", rows.get((repository, name)))
        for repository, _, name in repository_tags
    ]
