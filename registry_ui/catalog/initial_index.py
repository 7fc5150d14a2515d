"""Reconcile repositories that existed before the project that owns them was created."""

from __future__ import annotations

from sqlalchemy import select

from ..access.lookup import prefixes
from ..db.session import db
from ..models import Project, UnassignedRepository
from ..names import RepositoryName
from .reconcile import reconcile
from .reconcile_outcome import Outcome


def index_adopted() -> list[Outcome]:
    """Reconcile every repository that is recorded as unassigned although a project owns it.

    The function can be called again at any time, because a reconciled repository is no longer
    recorded as unassigned.

    Returns:
        One outcome for each of these repositories.
    """
    projects = set(db.session.scalars(select(Project.path)))
    unassigned_paths = list(db.session.scalars(select(UnassignedRepository.path)))
    adopted_paths = [name for name in unassigned_paths if not projects.isdisjoint(prefixes(name))]
    return [reconcile(RepositoryName(name)) for name in adopted_paths]
