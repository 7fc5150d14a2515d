"""Roles, permissions, and the table of minimum roles, which docs and the help page print too."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Role(IntEnum):
    """The role of a member. Each role includes the permissions of the lower ones."""

    GUEST = 10
    REPORTER = 20
    DEVELOPER = 30
    MAINTAINER = 40
    OWNER = 50

    @property
    def label(self) -> str:
        """The name of the role as shown to users."""
        return self.name.capitalize()

    @classmethod
    def parse(cls, text: str) -> Role:
        """Return the role with this name, ignoring case; raise ValueError if there is none."""
        try:
            return cls[text.strip().upper()]
        except KeyError:
            choices = ", ".join(role.name.lower() for role in cls)
            raise ValueError(f"“{text}” is no role. Choose one of {choices}.") from None


class Visibility(StrEnum):
    """Who can see and pull a project without being a member.

    PRIVATE: members only. INTERNAL: all signed-in users. PUBLIC: everyone.
    """

    PRIVATE = "private"
    INTERNAL = "internal"
    PUBLIC = "public"


class Permission(StrEnum):
    """Something that can be done to a namespace, a project, or an image."""

    SEE = "see"
    LIST_MEMBERS = "list_members"
    PULL = "pull"
    PUSH = "push"
    CREATE = "create"
    DELETE = "delete"
    CONFIGURE = "configure"
    ADMINISTER = "administer"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Rule:
    """The minimum role for a permission, and whether a project's visibility can grant it too."""

    permission: Permission
    minimum: Role
    by_visibility: bool
    description: str


RULES: tuple[Rule, ...] = (
    Rule(Permission.SEE, Role.GUEST, True, "See the namespace or project, its images and tags"),
    Rule(Permission.LIST_MEMBERS, Role.GUEST, False, "See who the members are"),
    Rule(Permission.PULL, Role.REPORTER, True, "Pull images"),
    Rule(Permission.PUSH, Role.DEVELOPER, False, "Push images"),
    Rule(
        Permission.CREATE, Role.MAINTAINER, False, "Create namespaces and projects in a namespace"
    ),
    Rule(
        Permission.DELETE, Role.MAINTAINER, False, "Delete tags and images, rename or move images"
    ),
    Rule(Permission.CONFIGURE, Role.MAINTAINER, False, "Change description and visibility"),
    Rule(Permission.ADMINISTER, Role.OWNER, False, "Add, change and remove members"),
    Rule(Permission.REMOVE, Role.OWNER, False, "Delete, rename or move the namespace or project"),
)

RULE_OF: dict[Permission, Rule] = {rule.permission: rule for rule in RULES}

#: Permissions needed to remove a whole project or namespace, by kind of removal. All other
#: kinds need Permission.DELETE.
REMOVAL_PERMISSIONS = {"project": Permission.REMOVE, "namespace": Permission.REMOVE}
