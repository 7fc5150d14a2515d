"""Plans to remove a whole namespace or project, for the API and the command line."""

from __future__ import annotations

from ..access import Role
from ..models import Place, Project, RemovalStep
from ..projects.service import require_not_personal
from .plan import RemovalPlan
from .planner import plan_namespace, plan_project


def plan_place(place: Place, role: Role | None) -> RemovalPlan:
    """Plan the removal of a namespace or project with everything in it, even if it is empty.

    Args:
        role: role of the user who asks, for the protection rules.

    Raises:
        Conflict: the place is a personal namespace, which is deleted with its account.
        RegistryUnreachable: the registry can't be asked.
    """
    require_not_personal(place)
    if isinstance(place, Project):
        return plan_project(place, role=role)
    plan = plan_namespace(place.path, role=role)
    plan.steps = plan.steps or [RemovalStep("namespace", repository=place.path)]
    return plan
