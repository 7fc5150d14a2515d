"""Pages of the tags that a stored plan removes. The stored preview names only the first page."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select

from ..db.session import db
from ..models import ContainerImage, Removal, RemovalStep, Tag
from ..pagination import Page
from ..tags.version_sort import version_key
from .plan import NAMED, PlannedTag, RemovalPlan


def planned_references(plan: RemovalPlan) -> list[str]:
    """Return the references of all tags that a plan removes, in the order of the preview."""
    return _references(plan.steps)


def show_page(removal: Removal, plan: RemovalPlan, number: int) -> Page | None:
    """Put the tags of one page into a stored plan; return the page, or None if there is only one.

    Removals of whole images and places have no pages: they remove all tags, so the first are
    enough.

    Args:
        plan: plan of the preview of ``removal``. It names the first page and is changed in place.
        number: page number, starting at 1.

    Raises:
        NoSuchPage: the list has fewer pages.
    """
    if not plan.removes_more or removal.kind not in {"tags", "retention"}:
        return None
    page = Page.of(number, plan.tag_count, NAMED)
    if page.number > 1:
        plan.removes = _planned(page.cut(_references(removal.plan)))
        plan.removes_more = page.total - len(plan.removes)
    return page


def _references(steps: Iterable[RemovalStep]) -> list[str]:
    tags: dict[str, set[str]] = {}
    for step in steps:
        if step.kind in {"tag", "unreadable"}:
            tags.setdefault(step.repository, set()).update(step.tag_names)
    return [
        f"{repository}:{name}"
        for repository, names in tags.items()
        for name in sorted(names, key=version_key)
    ]


def _planned(references: Iterable[str]) -> list[PlannedTag]:
    """Return the tags with their last push and pull from the index (one query)."""
    split = [reference.rpartition(":") for reference in references]
    query = (
        select(ContainerImage.path, Tag)
        .join(Tag, Tag.image_id == ContainerImage.id)
        .where(
            ContainerImage.path.in_({repository for repository, _, _ in split}),
            Tag.name.in_({name for _, _, name in split}),
        )
    )
    rows = {(path, row.name): row for path, row in db.session.execute(query)}
    planned = []
    for repository, _, name in split:
        row, reference = rows.get((repository, name)), f"{repository}:{name}"
        planned.append(
            PlannedTag(reference, row.pushed_at, row.pushed_by, row.last_pulled_at)
            if row
            else PlannedTag(reference)
        )
    return planned
