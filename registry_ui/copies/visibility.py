"""Visibility of the sources of copied tags: a source reference reveals the name of a project."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..access import Principal, visible_places
from ..access.lookup import prefixes
from ..models import Project


def visible_sources(session: Session, reader: Principal, references: Iterable[str]) -> set[str]:
    """Return the references whose project the reader may see; others must not be shown."""
    above = {r: prefixes(r.rpartition(":")[0]) for r in references if r}
    if not above:
        return set()
    every = {path for paths in above.values() for path in paths}
    query = select(Project.path).where(
        Project.path.in_(every), visible_places(session, reader, Project)
    )
    seen = set(session.scalars(query))
    return {reference for reference, paths in above.items() if seen.intersection(paths)}
