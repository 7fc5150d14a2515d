"""Who may do what: the whole table, for every kind of principal."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_ui.access import (
    ANONYMOUS,
    RULES,
    SCOPES,
    PathAccess,
    Permission,
    Principal,
    Role,
    Visibility,
    decide,
    decide_repository,
    permissions,
)

# What each role may in a private project. Each may what those before it may.
ADDS = {
    "guest": {"see", "list_members"},
    "reporter": {"pull"},
    "developer": {"push"},
    "maintainer": {"create", "delete", "configure"},
    "owner": {"administer", "remove"},
}
ROLES = tuple(ADDS)
EVERYTHING = {"see", "list_members", "pull", "push", "create", "delete", "configure"}
EVERYTHING |= {"administer", "remove"}
MAY = {
    role: set().union(*(ADDS[lower] for lower in ROLES[: number + 1]))
    for number, role in enumerate(ROLES)
}
# What visibility gives to those without a role: (visitors, signed-in users).
OPENS = {
    "private": (set(), set()),
    "internal": (set(), {"see", "pull"}),
    "public": ({"see", "pull"}, {"see", "pull"}),
}

USER = Principal(1, "alice")
ADMIN = Principal(2, "admin", is_admin=True)


def project(visibility, role=None, path="acme/app/web"):
    """What the database says of a repository of acme/app."""
    found = Role[role.upper()] if role else None
    at = "acme" if role else None
    return PathAccess(path, "acme/app", 7, "project", visibility, found, at)


def namespace(role=None, path="acme"):
    return PathAccess(
        path, "acme", 3, "namespace", None, Role[role.upper()] if role else None, "acme"
    )


def test_the_roles_are_these_in_this_order():
    assert [role.name.lower() for role in sorted(Role)] == list(ROLES)
    assert [str(right) for right in Permission] == [rule.permission for rule in RULES]
    assert {str(right) for right in Permission} == EVERYTHING


@pytest.mark.parametrize("visibility", OPENS)
@pytest.mark.parametrize("role", [None, *ROLES])
def test_what_a_user_may_in_a_project_by_role_and_visibility(visibility, role):
    expected = OPENS[visibility][1] | (MAY[role] if role else set())
    assert permissions(USER, project(visibility, role)) == expected


@pytest.mark.parametrize("visibility", OPENS)
def test_what_a_visitor_may_in_a_project(visibility):
    assert permissions(ANONYMOUS, project(visibility)) == OPENS[visibility][0]


@pytest.mark.parametrize("role", [None, *ROLES])
def test_what_a_user_may_in_a_namespace(role):
    assert permissions(USER, namespace(role)) == (MAY[role] if role else set())


def test_a_visitor_may_nothing_in_a_namespace():
    assert permissions(ANONYMOUS, namespace()) == set()


@pytest.mark.parametrize(
    "standing", [project("private"), namespace(), PathAccess("nowhere/at/all")], ids=str
)
def test_administrators_may_all_everywhere(standing):
    assert permissions(ADMIN, standing) == EVERYTHING


@pytest.mark.parametrize("principal", [ANONYMOUS, USER])
def test_where_nothing_is_nobody_may_anything(principal):
    assert permissions(principal, PathAccess("nowhere")) == set()


# -- access tokens -------------------------------------------------------------

TOKEN_MAY = {
    "read_registry": {"see", "pull"},
    "write_registry": {"see", "pull", "push"},
    "delete_registry": {"see", "delete"},
}
SETS = [set(c) for n in range(4) for c in itertools.combinations(TOKEN_MAY, n)]


@pytest.mark.parametrize("scopes", SETS, ids=lambda scopes: "+".join(sorted(scopes)) or "none")
@pytest.mark.parametrize("is_admin", [False, True])
def test_a_token_lets_through_what_its_scopes_name(scopes, is_admin):
    principal = Principal(1, "alice", is_admin=is_admin, scopes=frozenset(scopes))
    expected = set().union(*(TOKEN_MAY[scope] for scope in scopes))
    assert permissions(principal, project("private", "owner")) == expected


@pytest.mark.parametrize("scopes", SETS, ids=lambda scopes: "+".join(sorted(scopes)) or "none")
@pytest.mark.parametrize("role", [None, *ROLES])
@pytest.mark.parametrize("visibility", OPENS)
def test_a_token_never_lets_its_owner_do_more(scopes, role, visibility):
    standing = project(visibility, role)
    with_token = permissions(Principal(1, "alice", scopes=frozenset(scopes)), standing)
    token = set().union(*(TOKEN_MAY[scope] for scope in scopes))
    assert with_token == permissions(USER, standing) & token


def test_an_unknown_scope_lets_nothing_through():
    principal = Principal(1, "alice", scopes=frozenset({"admin", "*", ""}))
    assert permissions(principal, project("public", "owner")) == set()


def test_no_scope_of_the_registry_lets_through_what_pages_and_the_api_do():
    through = set().union(*(rights for scope, rights in SCOPES.items() if scope != "api"))
    assert through == {Permission.SEE, Permission.PULL, Permission.PUSH, Permission.DELETE}


def test_the_scope_of_the_api_lets_nothing_through_to_the_registry():
    assert SCOPES["api"].isdisjoint({Permission.PULL, Permission.PUSH, Permission.DELETE})


# -- repositories --------------------------------------------------------------


@pytest.mark.parametrize("action", ["pull", "push", "delete"])
def test_a_repository_belongs_to_a_project_or_to_administrators(action):
    right = Permission(action)
    in_namespace = namespace("owner", path="acme/none")
    assert not decide_repository(USER, in_namespace, right).allowed
    assert not decide_repository(USER, PathAccess("nowhere"), right).allowed
    assert decide_repository(ADMIN, in_namespace, right).allowed
    assert decide_repository(ADMIN, PathAccess("nowhere"), right).allowed
    assert decide_repository(USER, project("private", "owner"), right).allowed


# -- every answer names its rule -----------------------------------------------


@pytest.mark.parametrize(
    ("principal", "standing", "right", "allowed", "words"),
    [
        (ADMIN, project("private"), Permission.PUSH, True, "administrators may all"),
        (USER, project("private", "developer"), Permission.PUSH, True, "Developer in acme"),
        (USER, project("public"), Permission.PULL, True, "acme/app is public"),
        (ANONYMOUS, project("public"), Permission.PULL, True, "acme/app is public"),
        (USER, project("internal"), Permission.PULL, True, "you are signed in"),
        (ANONYMOUS, project("internal"), Permission.PULL, False, "sign in to pull"),
        (ANONYMOUS, project("public"), Permission.PUSH, False, "you are not signed in"),
        (USER, project("private"), Permission.PULL, False, "you have no role in acme/app"),
        (USER, project("private", "guest"), Permission.PULL, False, "pull needs Reporter"),
        (USER, project("private", "reporter"), Permission.PUSH, False, "you are Reporter in acme"),
        (USER, PathAccess("no/where"), Permission.PULL, False, "nothing owns no/where"),
    ],
)
def test_every_answer_names_the_rule_that_made_it(principal, standing, right, allowed, words):
    decision = decide(principal, standing, right)
    assert decision.allowed is allowed
    assert words in decision.rule


def test_a_token_without_the_scope_is_told_so():
    principal = Principal(1, "alice", scopes=frozenset({"read_registry"}))
    decision = decide(principal, project("private", "owner"), Permission.PUSH)
    assert not decision.allowed
    assert "no scope for push" in decision.rule


# -- whatever is asked ---------------------------------------------------------

principals = st.builds(
    Principal,
    user_id=st.none() | st.integers(1, 3),
    username=st.just("x"),
    is_admin=st.just(False),
    scopes=st.none() | st.frozensets(st.sampled_from([*SCOPES, "other"])),
)
standings = st.builds(
    PathAccess,
    path=st.just("a/b/c"),
    place=st.none() | st.sampled_from(["a", "a/b"]),
    place_id=st.just(1),
    kind=st.sampled_from(["namespace", "project"]),
    visibility=st.none() | st.sampled_from([str(v) for v in Visibility]),
    role=st.none() | st.sampled_from(list(Role)),
    role_at=st.just("a"),
)


@given(principals, standings)
def test_a_higher_role_never_takes_a_right_away(principal, standing):
    lower = permissions(principal, standing)
    for role in Role:
        if standing.role is None or role > standing.role:
            higher = PathAccess(
                standing.path,
                standing.place,
                standing.place_id,
                standing.kind,
                standing.visibility,
                role,
                "a",
            )
            assert lower <= permissions(principal, higher)


@given(principals, standings, st.sampled_from(list(Permission)))
def test_an_answer_always_has_words_and_push_implies_pull(principal, standing, right):
    decision = decide(principal, standing, right)
    assert decision.rule
    found = permissions(principal, standing)
    assert (str(right) in found) is decision.allowed
    if "push" in found:
        assert "pull" in found
    if found:
        assert "see" in found


@given(standings)
def test_a_visitor_gets_at_most_seeing_and_pulling_and_only_where_it_is_public(standing):
    visitor = PathAccess(
        standing.path, standing.place, standing.place_id, standing.kind, standing.visibility
    )
    found = permissions(ANONYMOUS, visitor)
    assert found in (set(), {"see", "pull"})
    if found:
        assert standing.visibility == "public"


@pytest.mark.parametrize("text", ["guest", "Guest", " OWNER ", "developer"])
def test_a_role_is_read_in_any_letters(text):
    assert Role.parse(text).name == text.strip().upper()


@pytest.mark.parametrize("text", ["", "king", "50", "guest owner", "guest\0", "__class__"])
def test_another_word_is_no_role(text):
    with pytest.raises(ValueError, match="Choose one of"):
        Role.parse(text)
