"""Who may do what. Deny by default; every answer names its rule."""

from .decisions import (
    ANONYMOUS,
    SCOPES,
    Decision,
    Principal,
    Standing,
    decide,
    decide_repository,
    rights,
)
from .lookup import at_or_below, below, can_see_namespace, standing, standings, visible_places
from .roles import RULE_OF, RULES, Right, Role, Rule, Visibility

__all__ = [
    "ANONYMOUS",
    "RULES",
    "RULE_OF",
    "SCOPES",
    "Decision",
    "Principal",
    "Right",
    "Role",
    "Rule",
    "Standing",
    "Visibility",
    "at_or_below",
    "below",
    "can_see_namespace",
    "decide",
    "decide_repository",
    "rights",
    "standing",
    "standings",
    "visible_places",
]
