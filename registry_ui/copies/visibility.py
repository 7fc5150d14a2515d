"""Visibility of the sources of copied tags.

The reference that a tag was copied from contains the name of a project, which must be shown only to
users who can see the project.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..access import Principal, visible_places
from ..access.lookup import prefixes
from ..models import Project


def visible_sources(session: Session, principal: Principal, references: Iterable[str]) -> set[str]:
    """Return the references whose project the user can see; the others must not be shown.

    Args:
        session: the database session.
        principal: the signed-in user, or an anonymous one.
        references: references with a tag, such as ``team/app:1.0``; empty texts are ignored.
    """
    prefixes_by_reference = {r: prefixes(r.rpartition(":")[0]) for r in references if r}
    if not prefixes_by_reference:
        return set()
    all_prefixes = {path for paths in prefixes_by_reference.values() for path in paths}
    query = select(Project.path).where(
        Project.path.in_(all_prefixes), visible_places(session, principal, Project)
    )
    visible = set(session.scalars(query))
    return {
        reference
        for reference, paths in prefixes_by_reference.items()
        if visible.intersection(paths)
    }
