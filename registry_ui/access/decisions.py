"""From who asks and what stands at a path to an answer, with the rule that made it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from .roles import RULE_OF, Right, Role, Visibility

#: What each scope of an access token lets through. Push implies pull: the registry
#: asks for both on every upload (PROTOCOLS 1.1).
SCOPES: dict[str, frozenset[Right]] = {
    "read_registry": frozenset({Right.SEE, Right.PULL}),
    "write_registry": frozenset({Right.SEE, Right.PULL, Right.PUSH}),
    "delete_registry": frozenset({Right.SEE, Right.DELETE}),
}


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. ``user_id`` is None for anyone without credentials.

    ``scopes`` is None for a person who signed in with a password, and the scopes of
    the access token otherwise.
    """

    user_id: int | None = None
    username: str = ""
    is_admin: bool = False
    scopes: frozenset[str] | None = None

    @property
    def is_anonymous(self) -> bool:
        """Whether no credentials were shown."""
        return self.user_id is None

    def lets_through(self, right: Right) -> bool:
        """Whether the credential, not the person, covers the right."""
        return self.scopes is None or any(right in SCOPES[s] for s in self.scopes if s in SCOPES)


ANONYMOUS = Principal()


@dataclass(frozen=True, slots=True)
class Standing:
    """What the database knows of one path for one principal.

    ``place`` is the deepest namespace or project at or above the path, ``exact``
    whether that is the path itself. ``role`` is the highest of all roles at or
    above the place, ``role_at`` the path that it comes from.
    """

    path: str
    place: str | None = None
    place_id: int | None = None
    kind: str | None = None
    visibility: str | None = None
    role: Role | None = None
    role_at: str | None = None

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


def decide(  # noqa: PLR0911 - a table of answers, each with its words
    principal: Principal, standing: Standing, right: Right
) -> Decision:
    """Decide whether ``principal`` has ``right`` at the place of ``standing``.

    The order matters only for the words: what is allowed is the same in any.
    """
    if not principal.lets_through(right):
        return Decision(False, f"the access token has no scope for {right}")
    if principal.is_admin:
        return Decision(True, "administrators may all")
    if standing.place is None:
        return Decision(False, f"nothing owns {standing.path}")
    rule, place = RULE_OF[right], standing.place
    if standing.role is not None and standing.role >= rule.minimum:
        return Decision(True, f"{standing.role.label} in {standing.role_at}")
    if rule.by_visibility and standing.visibility == Visibility.PUBLIC:
        return Decision(True, f"{place} is public")
    if rule.by_visibility and standing.visibility == Visibility.INTERNAL:
        if not principal.is_anonymous:
            return Decision(True, f"{place} is internal, and you are signed in")
        return Decision(False, f"{place} is internal: sign in to {right}")
    needs = f"{right} needs {rule.minimum.label}"
    if principal.is_anonymous:
        return Decision(False, f"you are not signed in; {needs} in {place}")
    if standing.role is None:
        return Decision(False, f"you have no role in {place}; {needs}")
    return Decision(False, f"you are {standing.role.label} in {standing.role_at}; {needs}")


def decide_repository(principal: Principal, standing: Standing, right: Right) -> Decision:
    """Decide about a repository of the registry: it must belong to a project.

    An administrator may touch unassigned repositories too.
    """
    if standing.project is None and not principal.is_admin:
        return Decision(False, f"no project owns {standing.path}")
    return decide(principal, standing, right)


def rights(principal: Principal, standing: Standing) -> set[str]:
    """Return every right that the principal has there, by name."""
    return {str(right) for right in Right if decide(principal, standing, right).allowed}
