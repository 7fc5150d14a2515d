"""Scopes as clients really send them (PROTOCOLS 1.2, 1.7): parsed or left out, never an error."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from registry_ui.names import RepositoryName
from registry_ui.token_auth.scope import ACTIONS, MAX_LENGTH, MAX_SCOPES, Scope, parse_scopes


def parsed(*values):
    """What was understood, as ``{(type, name): "actions"}``."""
    found = parse_scopes(values)
    assert len({(scope.kind, scope.name) for scope in found}) == len(found)
    return {(s.kind, s.name): ",".join(sorted(s.actions)) for s in found}


def repository(**names):
    return {("repository", name.replace("_", "/")): actions for name, actions in names.items()}


UNDERSTOOD = {
    # What clients send, by the table of PROTOCOLS 1.6.
    "repository:a/b:pull": repository(a_b="pull"),
    "repository:a/b:pull,push": repository(a_b="pull,push"),
    "repository:a/b:push,pull": repository(a_b="pull,push"),
    "repository:a/b:push,pull,delete": repository(a_b="delete,pull,push"),
    "repository:a/b:*": repository(a_b="delete,pull,push"),
    "repository:a/b:pull,*": repository(a_b="delete,pull,push"),
    "registry:catalog:*": {("registry", "catalog"): "*"},
    "repository(plugin):a/b:pull": repository(a_b="pull"),
    "registry(x):catalog:*": {("registry", "catalog"): "*"},
    # Several in one parameter, also on GET.
    "repository:a:pull repository:b:push": repository(a="pull", b="push"),
    "  repository:a:pull   repository:b:push ": repository(a="pull", b="push"),
    # The same name again.
    "repository:a:pull repository:a:push": repository(a="pull,push"),
    "repository:a:pull,pull,pull": repository(a="pull"),
    # What we do not know beside what we do.
    "repository:a:pull,fly": repository(a="pull"),
    "repository:a:pull,,": repository(a="pull"),
    "other:a:pull repository:a:pull": repository(a="pull"),
    "x repository:a:pull :: repository:b:pull": repository(a="pull", b="pull"),
}

NOT_UNDERSTOOD = [
    "",
    " ",
    "repository",
    "repository:",
    "repository:a",
    "repository::pull",
    "::",
    ":",
]
NOT_UNDERSTOOD += ["repository:a:", "repository:a:fly", "repository:a:PULL", "repository:a: pull"]
NOT_UNDERSTOOD += ["repository:A:pull", "repository:a/:pull", "repository:/a:pull"]
NOT_UNDERSTOOD += ["repository:a//b:pull", "repository:a/../b:pull", "repository:a%2fb:pull"]
NOT_UNDERSTOOD += ["repository:a\n:pull", "repository:a:pull\n", "repository:a\0:pull", "\0"]
NOT_UNDERSTOOD += ["repository:a:b:pull", "repository:a:pull:push", "repository:é:pull"]
NOT_UNDERSTOOD += ["repository:localhost:5000/a:pull", "repository:127.0.0.1:5000/a/b:pull"]
NOT_UNDERSTOOD += ["Repository:a:pull", "x!repository:a:pull", "repository!:a:pull"]
NOT_UNDERSTOOD += ["repository():a:pull", "repository(P):a:pull", "repository(plugin:a:pull"]
NOT_UNDERSTOOD += [
    "repository)a(:a:pull",
    "repository\n:a:pull",
    "(plugin):a:pull",
    "reposi:a:pull",
]
NOT_UNDERSTOOD += ["registry:catalog:pull", "registry:other:*", "registry:catalog:", "registry:*:*"]
NOT_UNDERSTOOD += ["repository:" + "a" * 256 + ":pull", "repository:a:pull\trepository:b:pull"]


@pytest.mark.parametrize("text", UNDERSTOOD)
def test_what_clients_send_is_understood(text):
    assert parsed(text) == UNDERSTOOD[text]


@pytest.mark.parametrize("text", NOT_UNDERSTOOD)
def test_a_scope_that_is_not_understood_is_left_out_without_an_error(text):
    assert parsed(text) == {}
    assert parsed(text, "repository:ok:pull") == repository(ok="pull")


def test_a_port_is_split_off_at_the_first_and_the_last_colon():
    """Such a name can't be stored by the registry, but must not be read as another one."""
    assert parsed("repository:localhost:5000/a/b:pull,push") == {}
    assert parsed("repository:5000/a/b:pull") == {("repository", "5000/a/b"): "pull"}


def test_scopes_repeated_or_joined_are_the_same():
    one, two = "repository:a:pull,push", "repository:b:pull"
    assert parsed(one, two) == parsed(f"{one} {two}") == parsed(two, one, one) != {}


def test_scopes_beyond_the_maximum_number_are_left_out():
    values = [f"repository:a{n}:pull" for n in range(MAX_SCOPES * 3)]
    assert len(parse_scopes(values)) == MAX_SCOPES
    assert len(parse_scopes([" ".join(values)])) == MAX_SCOPES


def test_scopes_beyond_the_maximum_length_are_left_out():
    name = "a" * 240
    found = parse_scopes(f"repository:{name}{n:02}:pull" for n in range(MAX_SCOPES))
    assert 0 < len(found) * len(name) <= MAX_LENGTH
    assert parse_scopes(["x" * 10_000_000]) == []
    assert parse_scopes([" " * 10_000_000]) == []


word = st.text(st.sampled_from("ab0A/.-_:,()* \n\0é"), max_size=30)
like = st.builds(
    "{}:{}:{}".format,
    st.sampled_from(["repository", "registry", "repository(plugin)", "x", ""]),
    st.sampled_from(["a", "a/b", "catalog", "A", "a:1/b", ""]) | word,
    st.lists(st.sampled_from([*ACTIONS, "*", "fly", ""]) | word, max_size=4).map(",".join),
)


@given(st.lists(st.one_of(st.text(), word, like, st.lists(like).map(" ".join)), max_size=8))
@example(["repository:a:pull" * 1000])
@example(["\ud800", "repository:\udfff:pull"])
def test_parsing_never_raises_and_what_comes_out_is_in_the_grammar(values):
    found = parse_scopes(values)
    assert len(found) <= MAX_SCOPES
    for scope in found:
        assert isinstance(scope, Scope)
        if scope.kind == "registry":
            assert (scope.name, scope.actions) == ("catalog", {"*"})
            continue
        assert scope.kind == "repository"
        assert str(RepositoryName(scope.name)) == scope.name
        assert scope.actions
        assert scope.actions <= set(ACTIONS)
        assert any(scope.name in value for value in values)


@given(st.lists(like, max_size=10))
def test_each_scope_alone_means_what_it_means_among_others(values):
    alone = {}
    for value in values:
        for key, actions in parsed(value).items():
            alone.setdefault(key, set()).update(actions.split(","))
    together = {key: set(actions.split(",")) for key, actions in parsed(*values).items()}
    assert together == alone


@given(like)
def test_what_is_understood_says_the_same_when_it_is_written_again(value):
    for (kind, name), actions in parsed(value).items():
        assert re.fullmatch("[a-z]+", kind)
        assert parsed(f"{kind}:{name}:{actions}") == {(kind, name): actions}


# -- what the public suites try (PROTOCOLS 7) ------------------------------------

READ, WRITE, ALL = "pull", "pull,push", "delete,pull,push"
CATALOG = {("registry", "catalog"): "*"}

#: By suite: the ``scope`` parameters of one request, and what is understood. The cases are those
#: of the suites, the values ours.
SUITES = {
    # scope.md: its grammar. Hosts with a port are in it, and in no registry on a file system.
    "distribution": [
        (["repository:lab/rust/nightly/x86:pull"], repository(lab_rust_nightly_x86=READ)),
        (["repository:0/1:pull"], repository(**{"0_1": READ})),
        (["repository:a-b/c--d/e---f:pull"], {("repository", "a-b/c--d/e---f"): READ}),
        (["repository:a_b/c__d/e.f:pull"], {("repository", "a_b/c__d/e.f"): READ}),
        (["repository:my.lab.example/rust:push"], {("repository", "my.lab.example/rust"): "push"}),
        (["repository(image2):lab/rust:pull"], repository(lab_rust=READ)),
        (["repository:lab:pull repository(plugin):lab:push"], repository(lab=WRITE)),
        (["repository:lab/rust:delete"], repository(lab_rust="delete")),
        (["repository:pull:pull"], repository(pull=READ)),
        (["repository:repository:push"], repository(repository="push")),
        (["repository:catalog:*"], repository(catalog=ALL)),
        (["repository:a___b:pull", "repository:a..b:pull", "repository:a_-b:pull"], {}),
        (["repository:_a:pull", "repository:a_:pull", "repository:a/-b:pull"], {}),
        (["repository:my.lab.example:8443/rust:pull"], {}),
        (["repository:MY.lab.example/rust:pull"], {}),
        (["repository:[::1]:5000/lab:pull"], {}),
        (["repository:lab:pull, push"], repository(lab=READ)),
        (["repository:lab:pull;push", "repository:lab:Pull,PUSH"], {}),
        (["repository(a)(b):lab:pull", "re-pository:lab:pull", "repository :lab:pull"], {}),
    ],
    # scope_test: what its contexts gather for one request; repeated scopes are left to us.
    "containerd": [
        ([], {}),
        (["repository:lab/rust:pull,push"], repository(lab_rust=WRITE)),
        (["repository:lab/rust:pull"] * 2, repository(lab_rust=READ)),
        (["repository:lab/rust:pull", "repository:lab/rust:pull,push"], repository(lab_rust=WRITE)),
        (["repository:lab/rust:pull,push", "repository:lab/rust:pull"], repository(lab_rust=WRITE)),
        (["repository:lab/rust:pull", "whatever:lab/rust:pull"], repository(lab_rust=READ)),
        (["repository:lab/rust:ignored"], {}),
    ],
    # TestParseScopes: apart, and combined by spaces.
    "buildkit": [
        ([""], {}),
        (
            ["repository:lab/base:pull", "repository:lab/rust:pull,push"],
            repository(lab_base=READ, lab_rust=WRITE),
        ),
        (
            ["repository:lab/base:pull repository:lab/rust:pull,push"],
            repository(lab_base=READ, lab_rust=WRITE),
        ),
        (
            ["repository:lab/base:pull repository:lab/rust:pull", "repository:lab/rust:push"],
            repository(lab_base=READ, lab_rust=WRITE),
        ),
    ],
    # CleanScopes and cleanActions: sorted, merged, the asterisk swallows the rest.
    "oras-go": [
        (["repository:lab:push,pull,delete"], repository(lab=ALL)),
        (["repository:lab:push,pull,pull,push,pull"], repository(lab=WRITE)),
        (["repository:lab:*"], repository(lab=ALL)),
        (["repository:lab:*,push"], repository(lab=ALL)),
        (["repository:lab:push,*,pull"], repository(lab=ALL)),
        (["repository:lab:push,pull,*"], repository(lab=ALL)),
        (["repository:lab:,"], {}),
        (["repository:lab:,", "repository:rust:,,"], {}),
        (["repository:lab:,pull,,push,"], repository(lab=WRITE)),
        (["repository:rust:push", "repository:lab:pull"], repository(rust="push", lab=READ)),
        (
            [
                "repository:rust:pull",
                "repository:lab:push",
                "registry:catalog:pull",
                "repository:rust:delete,push",
                "repository:lab:push",
                "registry:catalog:*",
            ],
            {**repository(rust=ALL, lab="push"), **CATALOG},
        ),
        (["strange"], {}),
        (
            ["repository:lab:pull", "strange", "half:scope", "none:here:", "repository:lab:push"],
            repository(lab=WRITE),
        ),
    ],
    # Its challenges hold scopes joined by a space; they are passed on as they came.
    "go-containerregistry": [
        (["repository:lab/rust:push,pull"], repository(lab_rust=WRITE)),
        (["repository:lab/rust:push,pull,delete"], repository(lab_rust=ALL)),
        (["registry:catalog:*"], CATALOG),
        (
            ["repository:lab/rust:pull", "repository:lab/rust:push,pull repository:lab/base:pull"],
            repository(lab_rust=WRITE, lab_base=READ),
        ),
        (
            ["repository:lab/rust:pull", "registry:catalog:*"],
            {**repository(lab_rust=READ), **CATALOG},
        ),
    ],
    # It asks for more with each refusal, and repeats what it had.
    "regclient": [
        (["repository:lab:pull"], repository(lab=READ)),
        (["repository:lab:pull", "repository:lab:pull,push"], repository(lab=WRITE)),
        (
            ["repository:lab:pull", "repository:lab:pull,push", "repository:lab:pull,push,delete"],
            repository(lab=ALL),
        ),
        (
            ["repository:lab:pull,push,delete", "repository:rust:pull"],
            repository(lab=ALL, rust=READ),
        ),
    ],
    # Three parts or four; types that an expression without anchors lets through; names that
    # mean something to a glob or an expression stand for themselves, or for nothing.
    "docker_auth": [
        (["repository:lab/rust:pull"], repository(lab_rust=READ)),
        (["repository:localhost:5000/lab/rust:pull"], {}),
        (["repository:localhost:5000:lab/rust:pull"], {}),
        (["!repository:lab:pull", "repository!:lab:pull", "a repository(:lab:pull"], {}),
        (["repository:lab/*:pull", "repository:*:pull", "repository:**:*"], {}),
        (["repository:lab/rus?:pull", "repository:lab/[a-z]:pull", "repository:/lab.*/:pull"], {}),
        (["repository:${account}/lab:pull", "repository:lab/${labels:team}:pull"], {}),
    ],
}


@pytest.mark.parametrize(
    ("values", "understood"),
    [
        pytest.param(*case, id=f"{suite}-{number}")
        for suite, cases in SUITES.items()
        for number, case in enumerate(cases, 1)
    ],
)
def test_the_cases_of_the_public_suites(values, understood):
    assert parsed(*values) == understood
    assert parsed(*reversed(values)) == understood
    assert parsed(" ".join(values)) == understood
