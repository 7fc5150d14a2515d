"""Access decisions: whether a principal has a permission at a path, and by which rule.

All functions are pure: lookup.py reads the data that they need from the database.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .roles import RULE_OF, Permission, Role, Visibility

#: Permissions that each scope of an access token allows. Push implies pull, because the registry
#: asks for both on every upload (PROTOCOLS 1.1).
SCOPES: dict[str, frozenset[Permission]] = {
    "read_registry": frozenset({Permission.SEE, Permission.PULL}),
    "write_registry": frozenset({Permission.SEE, Permission.PULL, Permission.PUSH}),
    "delete_registry": frozenset({Permission.SEE, Permission.DELETE}),
    "api": frozenset(
        {
            Permission.SEE,
            Permission.LIST_MEMBERS,
            Permission.CREATE,
            Permission.CONFIGURE,
            Permission.ADMINISTER,
            Permission.REMOVE,
        }
    ),
}

_SCOPES_FOR = {
    permission: frozenset(
        scope for scope, permissions in SCOPES.items() if permission in permissions
    )
    for permission in Permission
}

#: Kinds of credentials, as shown on pages and in decision records.
PASSWORD, ACCESS_TOKEN, DEPLOY_TOKEN = "password", "access token", "deploy token"
NO_CREDENTIAL = "no credentials"


@dataclass(frozen=True, slots=True)
class PathRestriction:
    """The path a credential is restricted to; unless ``exact``, also all paths below it."""

    path: str
    exact: bool = False

    def covers(self, path: str) -> bool:
        """Return whether a path is within the restriction. Only whole path segments match."""
        return path == self.path or (not self.exact and path.startswith(self.path + "/"))

    def __str__(self) -> str:
        return self.path if self.exact else f"{self.path} and what is below it"


@dataclass(frozen=True, slots=True)
class Principal:
    """The authenticated identity of a request: a user, a deploy token, or an anonymous client.

    Attributes:
        user_id: id of the user; None for deploy tokens and anonymous clients.
        scopes: scopes of the token; None for a password and for anonymous clients.
        restriction: path restriction of the token; None if it is valid wherever its owner has
            access.
        home: path of the namespace or project that a deploy token belongs to; None for users
            and anonymous clients.
        credential: description of the credential: its kind and, for tokens, its name.
        token_id: id of the access token; None for any other credential.
    """

    user_id: int | None = None
    username: str = ""
    is_admin: bool = False
    scopes: frozenset[str] | None = None
    restriction: PathRestriction | None = None
    home: str | None = None
    credential: str = PASSWORD
    token_id: int | None = None

    @property
    def is_anonymous(self) -> bool:
        """Whether the request has no credentials."""
        return self.user_id is None and self.home is None

    @property
    def is_person(self) -> bool:
        """Whether the principal is a user, not a deploy token or an anonymous client."""
        return self.user_id is not None

    @property
    def kind(self) -> str:
        """The kind of the credential, without the name of the token."""
        return self.credential.partition(" “")[0]

    def lets_through(self, permission: Permission) -> bool:
        """Return whether the scopes of the credential allow a permission.

        Whether the user has the permission is checked by decide().
        """
        return self.scopes is None or not self.scopes.isdisjoint(_SCOPES_FOR[permission])


ANONYMOUS = Principal(credential=NO_CREDENTIAL)


#: Permissions that a write freeze (a temporary stop of pushes and deletions) suspends, and the text
#: for each reason for a write freeze.
FROZEN_PERMISSIONS = frozenset({Permission.PUSH, Permission.DELETE})
REASONS = {"collection": "the registry collects garbage", "move": "it is moved"}


@dataclass(frozen=True, slots=True)
class ActiveFreeze:
    """A write freeze: pushes and deletions at a path and below it are refused.

    Attributes:
        path: "" for the whole registry.
        reason: a key of REASONS.
        since: when the write freeze began.
    """

    path: str
    reason: str
    since: datetime

    @property
    def reason_text(self) -> str:
        """The reason for the write freeze, as text for messages."""
        return REASONS[self.reason]

    def rule(self, repository: str) -> str:
        """Return the text that refuses a push or deletion in a repository."""
        message = f"writes to {repository} are stopped while {self.reason_text}"
        return f"{message}, since {self.since:%H:%M} UTC; try again later"


@dataclass(frozen=True, slots=True)
class OldPathMatch:
    """An old path of a repository that was moved, and the path it has now.

    Attributes:
        name: the old path.
        new_path: the current path.
        until: when the old path stops working; None if no date is set.
        stopped: whether pulls from the old path are refused, because a client pushed to it or
            deleted from it after the move.
    """

    name: str
    new_path: str
    until: datetime | None
    stopped: bool = False

    @property
    def refusal(self) -> str:
        """The text that refuses a push or deletion by the old path.

        If the old path is stopped, the text refuses pulls too.
        """
        if self.stopped:
            consequence = "the old path was changed after the move, and can no longer be pulled"
            return f"{self.name} has moved to {self.new_path}; {consequence}"
        day = f"until {self.until.day} {self.until:%B %Y}" if self.until else "for now"
        return f"{self.name} has moved to {self.new_path}; the old path can be pulled {day}"


@dataclass(frozen=True, slots=True)
class PathAccess:
    """Everything in the database that decides the access of one principal to one path.

    Attributes:
        place: the deepest namespace or project at or above the path; None if there is none.
        kind: ``namespace`` or ``project``.
        role: the highest role of the principal at or above the place; None without a role.
        role_at: the path at which the principal has that role.
        freeze: the write freeze in effect at the path; None if there is none.
        old_path: the old path by which the repository was requested, ``path`` being the current
            one; None if it was requested by its current path.
    """

    path: str
    place: str | None = None
    place_id: int | None = None
    kind: str | None = None
    visibility: str | None = None
    role: Role | None = None
    role_at: str | None = None
    freeze: ActiveFreeze | None = None
    old_path: OldPathMatch | None = None

    @property
    def exact(self) -> bool:
        """Whether ``path`` itself is a namespace or project, and not only a path below one."""
        return self.place == self.path

    @property
    def project(self) -> str | None:
        """The path of the project that owns this path; None if there is none."""
        return self.place if self.kind == "project" else None


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether something is allowed, and the deciding rule as text for the requester."""

    allowed: bool
    rule: str


def role_for_rules(principal: Principal, access: PathAccess) -> Role | None:
    """Return the role for checking protection rules: Owner for administrators, None without one."""
    return Role.OWNER if principal.is_admin else access.role


def decide(principal: Principal, access: PathAccess, permission: Permission) -> Decision:
    """Decide whether a principal has a permission at the namespace or project in ``access``.

    Restrictions of the credential are checked first: they apply to administrators too.
    """
    if (shortcoming := _find_shortcoming(principal, access, permission)) is not None:
        return Decision(False, shortcoming)
    if principal.is_admin:
        return Decision(True, "administrators may all")
    if access.place is None:
        return Decision(False, f"nothing owns {access.path}")
    rule = RULE_OF[permission]
    if access.role is not None and access.role >= rule.minimum:
        source = "deploy token of" if principal.home else f"{access.role.label} in"
        return Decision(True, f"{source} {access.role_at}")
    decision = _decide_by_visibility(principal, access, permission) if rule.by_visibility else None
    return decision or Decision(
        False, _describe_missing_role(principal, access, rule.minimum, permission)
    )


def _find_shortcoming(
    principal: Principal, access: PathAccess, permission: Permission
) -> str | None:
    """Return why the credential itself does not allow the permission, or None if it does."""
    if not principal.lets_through(permission):
        return f"the {principal.kind} has no scope for {permission}"
    if principal.restriction is not None and not principal.restriction.covers(access.path):
        return f"the {principal.kind} is only for {principal.restriction}"
    return None


def _decide_by_visibility(
    principal: Principal, access: PathAccess, permission: Permission
) -> Decision | None:
    """Return the decision made by the visibility of a project, or None if it decides nothing.

    It is called only for principals whose role is not sufficient.
    """
    if access.visibility == Visibility.PUBLIC:
        return Decision(True, f"{access.place} is public")
    if access.visibility != Visibility.INTERNAL:
        return None
    if principal.is_person:
        return Decision(True, f"{access.place} is internal, and you are signed in")
    if principal.home is not None:
        return None
    return Decision(False, f"{access.place} is internal: sign in to {permission}")


def _describe_missing_role(
    principal: Principal, access: PathAccess, minimum: Role, permission: Permission
) -> str:
    place, requirement = access.place, f"{permission} needs {minimum.label}"
    if principal.is_anonymous:
        return f"you are not signed in; {requirement} in {place}"
    if principal.home is not None and access.role is None:
        return f"the deploy token is for {principal.home}, not for {place}"
    if access.role is None:
        return f"you have no role in {place}; {requirement}"
    return f"you are {access.role.label} in {access.role_at}; {requirement}"


def decide_repository(principal: Principal, access: PathAccess, permission: Permission) -> Decision:
    """Decide whether a principal has a permission in a repository of the registry.

    The repository must belong to a project, except for administrators. A write freeze is
    checked last, so that only a principal with write access learns about it. An old path
    gives the same read access as the current path, but never write access.
    """
    old_path = access.old_path
    if access.project is None and (old_path is not None or not principal.is_admin):
        return Decision(False, unowned(old_path.name if old_path else access.path))
    decision = decide(principal, access, permission)
    if old_path is not None:
        if decision.allowed and (old_path.stopped or permission in FROZEN_PERMISSIONS):
            return Decision(False, old_path.refusal)
        return Decision(
            decision.allowed, f"{decision.rule}; {old_path.name} is now {old_path.new_path}"
        )
    if decision.allowed and permission in FROZEN_PERMISSIONS and access.freeze is not None:
        return Decision(False, access.freeze.rule(access.path))
    return decision


def unowned(path: str) -> str:
    """Return the rule for a repository that belongs to no project.

    The same rule is used for hidden repositories, which must look like nonexistent ones.
    """
    return f"no project owns {path}"


def permissions(principal: Principal, access: PathAccess) -> frozenset[Permission]:
    """Return a principal's permissions at the namespace or project in ``access``."""
    return frozenset(
        permission for permission in Permission if decide(principal, access, permission).allowed
    )
