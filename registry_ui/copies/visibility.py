"""Visibility of the sources of copied tags: a source reference reveals the name of a project."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..access import Principal, visible_places
from ..access.lookup import prefixes
from ..models import Project


def visible_sources(session: Session, principal: Principal, references: Iterable[str]) -> set[str]:
    """Return the references whose project the reader may see; others must not be shown."""
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
