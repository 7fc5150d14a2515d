"""From who asks and what stands at a path to an answer, with the rule that made it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .roles import RULE_OF, Permission, Role, Visibility

#: What each scope of an access token lets through. Push implies pull: the registry
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
    right: frozenset(scope for scope, permissions in SCOPES.items() if right in permissions)
    for right in Permission
}

#: The kinds of credential, in the words of pages and records.
PASSWORD, ACCESS_TOKEN, DEPLOY_TOKEN = "password", "access token", "deploy token"
NO_CREDENTIAL = "no credentials"


@dataclass(frozen=True, slots=True)
class PathRestriction:
    """Where a credential holds: at ``path``, and unless ``exact`` at everything below it."""

    path: str
    exact: bool = False

    def covers(self, path: str) -> bool:
        """Whether a path lies within; segments are compared whole."""
        return path == self.path or (not self.exact and path.startswith(self.path + "/"))

    def __str__(self) -> str:
        return self.path if self.exact else f"{self.path} and what is below it"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, and by what.

    A person has a ``user_id``; a deploy token has a ``home``, the place that it belongs
    to; anyone without credentials has neither. ``scopes`` is None for a person who showed
    a password, and the scopes of the token otherwise. ``reach`` is where a token holds,
    None for everywhere that its owner may go. ``credential`` says what was shown, in
    words: a kind, and the name that its owner gave it; ``token_id`` which access token.
    """

    user_id: int | None = None
    username: str = ""
    is_admin: bool = False
    scopes: frozenset[str] | None = None
    reach: PathRestriction | None = None
    home: str | None = None
    credential: str = PASSWORD
    token_id: int | None = None

    @property
    def is_anonymous(self) -> bool:
        """Whether no credentials were shown."""
        return self.user_id is None and self.home is None

    @property
    def is_person(self) -> bool:
        """Whether somebody with an account asks."""
        return self.user_id is not None

    @property
    def kind(self) -> str:
        """The kind of the credential, without its name."""
        return self.credential.partition(" “")[0]

    def lets_through(self, right: Permission) -> bool:
        """Whether the credential, not the person, covers the right."""
        return self.scopes is None or not self.scopes.isdisjoint(_SCOPES_FOR[right])


ANONYMOUS = Principal(credential=NO_CREDENTIAL)


#: What a fence stops, and what it says of its reason.
FENCED_PERMISSIONS = frozenset({Permission.PUSH, Permission.DELETE})
REASONS = {"collection": "the registry collects garbage", "move": "it is moved"}


@dataclass(frozen=True, slots=True)
class Fenced:
    """A fence: pushes and deletions at a path and below it are stopped, since when and why."""

    path: str
    reason: str
    since: datetime

    @property
    def why(self) -> str:
        """What goes on meanwhile, in words."""
        return REASONS[self.reason]

    def rule(self, repository: str) -> str:
        """Return the rule that refuses a push or a deletion in a repository."""
        stopped = f"writes to {repository} are stopped while {self.why}"
        return f"{stopped}, since {self.since:%H:%M} UTC; try again later"


@dataclass(frozen=True, slots=True)
class OldPathMatch:
    """An old name of a repository, what it is called now, and until when the old one holds.

    One that is ``stopped`` is not served any more: it was changed after the move.
    """

    name: str
    now: str
    until: datetime | None
    stopped: bool = False

    @property
    def refusal(self) -> str:
        """The rule that refuses a push or a deletion by the old name, and anything if stopped."""
        if self.stopped:
            changed = "the old name was changed after the move, and can no longer be pulled"
            return f"{self.name} has moved to {self.now}; {changed}"
        day = f"until {self.until.day} {self.until:%B %Y}" if self.until else "for now"
        return f"{self.name} has moved to {self.now}; the old name can be pulled {day}"


@dataclass(frozen=True, slots=True)
class PathAccess:
    """What the database knows of one path for one principal.

    ``place`` is the deepest namespace or project at or above the path, ``exact``
    whether that is the path itself. ``role`` is the highest of all roles at or
    above the place, ``role_at`` the path that it comes from. ``fence`` is what stops
    writes to repositories there, if anything does. ``former`` is the old name by which the
    repository was asked for; the path is the new one then.
    """

    path: str
    place: str | None = None
    place_id: int | None = None
    kind: str | None = None
    visibility: str | None = None
    role: Role | None = None
    role_at: str | None = None
    fence: Fenced | None = None
    former: OldPathMatch | None = None

    @property
    def exact(self) -> bool:
        """Whether the place stands at the path itself, not above it."""
        return self.place == self.path

    @property
    def project(self) -> str | None:
        """The project that owns the path, if one does."""
        return self.place if self.kind == "project" else None


@dataclass(frozen=True, slots=True)
class Decision:
    """An answer and the rule that made it, in words for the person who asked."""

    allowed: bool
    rule: str


def role_for_rules(principal: Principal, standing: PathAccess) -> Role | None:
    """Return the role as protection rules count it: an administrator is an Owner everywhere."""
    return Role.OWNER if principal.is_admin else standing.role


def decide(principal: Principal, standing: PathAccess, right: Permission) -> Decision:
    """Decide whether ``principal`` has ``right`` at the place of ``path_access``.

    The order matters only for the words: what is allowed is the same in any.
    """
    if (short := _shortcoming(principal, standing, right)) is not None:
        return Decision(False, short)
    if principal.is_admin:
        return Decision(True, "administrators may all")
    if standing.place is None:
        return Decision(False, f"nothing owns {standing.path}")
    rule = RULE_OF[right]
    if standing.role is not None and standing.role >= rule.minimum:
        who = "deploy token of" if principal.home else f"{standing.role.label} in"
        return Decision(True, f"{who} {standing.role_at}")
    opened = _by_visibility(principal, standing, right) if rule.by_visibility else None
    return opened or Decision(False, _missing_role(principal, standing, rule.minimum, right))


def _shortcoming(principal: Principal, standing: PathAccess, right: Permission) -> str | None:
    """Return why the credential does not do, whoever shows it; None where it does."""
    if not principal.lets_through(right):
        return f"the {principal.kind} has no scope for {right}"
    if principal.reach is not None and not principal.reach.covers(standing.path):
        return f"the {principal.kind} is only for {principal.reach}"
    return None


def _by_visibility(
    principal: Principal, standing: PathAccess, right: Permission
) -> Decision | None:
    """Return what the visibility of a project says to those without a role in it."""
    if standing.visibility == Visibility.PUBLIC:
        return Decision(True, f"{standing.place} is public")
    if standing.visibility != Visibility.INTERNAL:
        return None
    if principal.is_person:
        return Decision(True, f"{standing.place} is internal, and you are signed in")
    if principal.home is not None:
        return None
    return Decision(False, f"{standing.place} is internal: sign in to {right}")


def _missing_role(
    principal: Principal, standing: PathAccess, minimum: Role, right: Permission
) -> str:
    place, needs = standing.place, f"{right} needs {minimum.label}"
    if principal.is_anonymous:
        return f"you are not signed in; {needs} in {place}"
    if principal.home is not None and standing.role is None:
        return f"the deploy token is for {principal.home}, not for {place}"
    if standing.role is None:
        return f"you have no role in {place}; {needs}"
    return f"you are {standing.role.label} in {standing.role_at}; {needs}"


def decide_repository(principal: Principal, standing: PathAccess, right: Permission) -> Decision:
    """Decide about a repository of the registry: it must belong to a project.

    An administrator may touch unassigned repositories too. A fence comes last: whoever may
    not write anyway learns nothing of it. By an old name, what may be pulled is the same as
    by the new one, and nothing is written.
    """
    former = standing.former
    if standing.project is None and (former is not None or not principal.is_admin):
        return Decision(False, unowned(former.name if former else standing.path))
    decision = decide(principal, standing, right)
    if former is not None:
        if decision.allowed and (former.stopped or right in FENCED_PERMISSIONS):
            return Decision(False, former.refusal)
        return Decision(decision.allowed, f"{decision.rule}; {former.name} is now {former.now}")
    if decision.allowed and right in FENCED_PERMISSIONS and standing.fence is not None:
        return Decision(False, standing.fence.rule(standing.path))
    return decision


def unowned(path: str) -> str:
    """Return the rule about a repository of no project: also for what must look like one."""
    return f"no project owns {path}"


def permissions(principal: Principal, standing: PathAccess) -> set[str]:
    """Return every right that the principal has there, by name."""
    return {str(right) for right in Permission if decide(principal, standing, right).allowed}
