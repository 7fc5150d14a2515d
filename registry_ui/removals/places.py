"""Removal of a whole namespace or project, as it is planned for programs and on the console."""

from __future__ import annotations

from ..access import Role
from ..models import Place, Project, RemovalStep
from ..projects.service import require_not_personal
from .plan import RemovalPlan
from .planner import plan_namespace, plan_project


def plan_place(place: Place, role: Role | None) -> RemovalPlan:
    """Plan the removal of a place with everything in it; also of one that holds nothing.

    Args:
        role: of whoever asks, for protection rules.

    Raises:
        Clash: it is a personal namespace, which goes with its account.
        RegistryTrouble: the registry can't be asked.
    """
    require_not_personal(place)
    if isinstance(place, Project):
        return plan_project(place, role=role)
    plan = plan_namespace(place.path, role=role)
    plan.steps = plan.steps or [RemovalStep("namespace", repository=place.path)]
    return plan
