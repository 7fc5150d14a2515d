"""Scopes as clients really send them (PROTOCOLS 1.2 and 1.7)."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_ui.access import AccessLookup, lookup
from registry_ui.access.lookup import prefixes
from registry_ui.names import RepositoryName
from registry_ui.token_auth import scope as scopes_module
from registry_ui.token_auth.scope import ACTIONS, MAX_PREFIXES, MAX_SCOPES, Scope, parse_scopes

ALL = frozenset(ACTIONS)


def repository(name, *actions):
    return Scope("repository", name, frozenset(actions))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["repository:a/b:pull"], [repository("a/b", "pull")]),
        (["repository:a/b:push,pull"], [repository("a/b", "pull", "push")]),
        (
            ["repository:a/b:pull,push", "repository:c:pull"],
            [repository("a/b", "pull", "push"), repository("c", "pull")],
        ),
        (
            ["repository:a:pull repository:b:push"],
            [repository("a", "pull"), repository("b", "push")],
        ),
        (["repository:a:pull", "repository:a:push"], [repository("a", "pull", "push")]),
        (["repository:a:pull", "repository:a:pull"], [repository("a", "pull")]),
        (["repository:a:*"], [repository("a", *ACTIONS)]),
        (["repository:a:pull,*"], [repository("a", *ACTIONS)]),
        (["repository(plugin):a/b:pull"], [repository("a/b", "pull")]),
        (["repository:a:pull,fly"], [repository("a", "pull")]),
        (["registry:catalog:*"], [Scope("registry", "catalog", frozenset("*"))]),
        (["  repository:a:pull   "], [repository("a", "pull")]),
    ],
)
def test_scopes_are_read_as_clients_mean_them(values, expected):
    assert parse_scopes(values) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "repository",
        "repository:a",
        "repository::pull",
        "repository:a:",
        "repository:a:fly",
        "repository:A:pull",
        "repository:a/../b:pull",
        "repository:a%2fb:pull",
        "repository:a\n:pull",
        "repository:a\x00:pull",
        "repository:a/b:pull,push:x",
        "repository:localhost:5000/a:pull",
        f"repository:{'x' * 256}:pull",
        "x!repository:a:pull",
        "Repository:a:pull",
        "repository(plugin:a:pull",
        "registry:catalog:pull",
        "registry:other:*",
        "artifact:a:pull",
    ],
)
def test_what_is_no_scope_of_ours_is_left_out_without_an_error(value):
    assert parse_scopes([value]) == []


def test_one_bad_scope_does_not_spoil_the_others():
    assert parse_scopes(["nonsense repository:a:pull"]) == [repository("a", "pull")]


def test_scopes_beyond_the_maximum_number_are_left_out():
    values = [f"repository:r{number}:pull" for number in range(MAX_SCOPES + 20)]
    assert len(parse_scopes(values)) == MAX_SCOPES
    assert len(parse_scopes([" ".join(values)])) == MAX_SCOPES


def test_a_scope_beyond_the_limit_of_length_is_left_out():
    long = [f"repository:{'x' * 240}{number}:pull" for number in range(MAX_SCOPES)]
    assert 20 < len(parse_scopes(long)) < 40


pieces = st.sampled_from(
    ["repository", ":", "/", "a", "A", "*", ",", "pull", "push", " ", "(", ")"]
)


@given(st.lists(st.text(max_size=60) | st.lists(pieces, max_size=20).map("".join), max_size=5))
def test_whatever_comes_the_result_is_within_the_grammar(values):
    for scope in parse_scopes(values):
        if scope.kind == "registry":
            assert (scope.name, scope.actions) == ("catalog", {"*"})
        else:
            assert RepositoryName(scope.name)
            assert scope.actions <= ALL
            assert scope.actions


def deep(number, depth=120):
    """A name of that depth, the first part of which no other has."""
    return f"r{number}/" + "/".join("a" * (depth - 1))


def test_so_many_paths_to_look_up_and_no_more():
    scopes = parse_scopes([f"repository:{deep(number)}:pull" for number in range(MAX_SCOPES)])
    above = {path for scope in scopes for path in prefixes(scope.name)}
    assert 0 < len(above) <= MAX_PREFIXES
    assert parse_scopes([f"repository:{'/'.join('a' * 128)}:pull"])


def test_the_requests_of_real_clients_stay_within_the_limits():
    """Fifty images of one project, and a push that mounts from a few others."""
    many = [f"repository:acme/group/project/image/part/name{n}:pull" for n in range(MAX_SCOPES)]
    assert len(parse_scopes(many)) == MAX_SCOPES


def test_after_a_name_that_is_too_deep_others_are_still_read():
    values = [f"repository:{deep(n)}:pull" for n in range(4)] + ["repository:acme/app:pull"]
    assert parse_scopes(values)[-1] == repository("acme/app", "pull")


def test_what_strangers_make_up_is_not_remembered():
    scopes_module._parse_cached.cache_clear()
    lookup._compute_parameters_cached.cache_clear()
    for number in range(50):
        name = deep(number)
        found = parse_scopes([f"repository:{name}:pull,{'x' * 400}", f"repository:{name}:pull"])
        AccessLookup(one.name for one in found)
    assert lookup._compute_parameters_cached.cache_info().currsize == 0
    longest = max(len(f"repository:{deep(n)}:pull") for n in range(50))
    assert scopes_module._parse_cached.cache_info().currsize <= 50
    assert longest <= scopes_module.MAX_CACHED_LENGTH
    AccessLookup(["acme/group/project/app"])
    assert lookup._compute_parameters_cached.cache_info().currsize == 1


def test_what_is_remembered_takes_little_memory():
    lookup._compute_parameters_cached.cache_clear()
    tracemalloc.start()
    try:
        for number in range(lookup.MAX_CACHED_PARAMETERS):
            for depth in (2, 20, 60, 127):
                AccessLookup([deep(number, depth)])
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        lookup._compute_parameters_cached.cache_clear()
    assert size < 4 * 1024 * 1024
