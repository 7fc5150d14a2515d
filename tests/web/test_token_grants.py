"""What the token endpoint grants: what is asked, cut down to what is allowed (PROTOCOLS 1.8)."""

from __future__ import annotations

import pytest

from registry_ui.accounts import authentication
from registry_ui.models import Membership, Project
from tests.web.support import PASSWORD, ROLES, VISIBILITIES

# For `*` in a private, an internal and a public project.
WHO_MAY = {
    "anonymous": ("", "", "pull"),
    "stranger": ("", "pull", "pull"),
    "guest": ("", "pull", "pull"),
    "reporter": ("pull", "pull", "pull"),
    "developer": ("pull,push",) * 3,
    "maintainer": ("pull,push,delete",) * 3,
    "owner": ("pull,push,delete",) * 3,
    "admin": ("pull,push,delete",) * 3,
}

# What each scope of an access token leaves of it, for a Maintainer.
SCOPES_LEAVE = {
    ("read_registry",): "pull",
    ("write_registry",): "pull,push",
    ("delete_registry",): "delete",
    ("read_registry", "delete_registry"): "pull,delete",
    ("read_registry", "write_registry", "delete_registry"): "pull,push,delete",
}


@pytest.fixture(autouse=True)
def quick_passwords(monkeypatch):
    """Nothing here is about the work of a password hash."""
    monkeypatch.setattr(
        authentication,
        "verify_password",
        lambda password_hash, password, **_: password_hash is not None and password == PASSWORD,
    )


@pytest.fixture
def acme(site):
    """The group acme with one user for each role, and a project of each visibility."""
    for visibility in VISIBILITIES:
        site.project(f"acme/{visibility}", visibility)
    site.users("stranger", *ROLES)
    for role in ROLES:
        site.member("acme", role, role)
    site.user("admin", admin=True)
    return site


def auth_of(who):
    return None if who == "anonymous" else (who, PASSWORD)


def granted(site, who, name, actions="*"):
    return site.granted(f"repository:{name}:{actions}", auth=auth_of(who)).get(name, "")


def test_the_table_of_rights_at_any_depth_below_a_project(acme):
    for below in ("", "/image", "/a/b/c/d"):
        names = [f"acme/{visibility}{below}" for visibility in VISIBILITIES]
        found = {}
        for who in WHO_MAY:
            grants = acme.granted(*(f"repository:{n}:*" for n in names), auth=auth_of(who))
            found[who] = tuple(grants.get(name, "") for name in names)
        assert found == WHO_MAY, below


def test_the_scopes_of_an_access_token_cut_its_owners_rights_down(acme):
    found = {}
    for scopes in SCOPES_LEAVE:
        auth = ("maintainer", acme.access_token("maintainer", *scopes))
        found[scopes] = acme.granted("repository:acme/private:*", auth=auth)["acme/private"]
    assert found == SCOPES_LEAVE


@pytest.mark.parametrize(
    ("who", "left"), [("guest", {}), ("developer", {"acme/private": "pull,push"})]
)
def test_the_scopes_of_an_access_token_never_add_a_right(acme, who, left):
    scopes = ("read_registry", "write_registry", "delete_registry")
    auth = (who, acme.access_token(who, *scopes))
    assert acme.granted("repository:acme/private:*", auth=auth) == left


def test_a_token_without_a_scope_that_reads_pulls_not_even_what_is_public(acme):
    auth = ("stranger", acme.access_token("stranger", "delete_registry"))
    assert acme.granted("repository:acme/public:pull", auth=auth) == {}


@pytest.mark.parametrize("scopes", [["read_registry"], ["write_registry"], ["delete_registry"]])
def test_an_administrators_token_is_cut_down_too(acme, scopes):
    auth = ("admin", acme.access_token("admin", *scopes))
    expected = SCOPES_LEAVE[tuple(scopes)]
    assert acme.granted("repository:x/y:*", auth=auth) == {"x/y": expected}


def test_only_what_is_asked_is_granted(acme):
    assert granted(acme, "owner", "acme/private", "pull") == "pull"
    assert granted(acme, "owner", "acme/private", "push,pull") == "pull,push"
    assert granted(acme, "owner", "acme/private", "delete") == "delete"
    assert granted(acme, "owner", "acme/private", "fly") == ""
    assert granted(acme, "owner", "acme/private", "pull,fly") == "pull"


def test_a_part_that_is_refused_leaves_the_rest(acme):
    assert granted(acme, "reporter", "acme/private", "pull,push,delete") == "pull"


def test_the_place_itself_is_matched_whole_segment_by_whole_segment(acme):
    acme.users("dev")
    acme.project("acme/app")
    acme.project("acme/app2/web")
    acme.member("acme/app", "dev", "developer")
    not_theirs = ["acme/app-evil", "acme/apps/x", "acme/app2/web", "acme/ap", "acme", "acme/app.x"]
    not_theirs += ["acme/app_x/y", "acme/app0", "app", "dev/acme/app", "acme/private"]
    theirs = ["acme/app", "acme/app/x", "acme/app/acme/private"]
    scopes = [f"repository:{name}:pull" for name in not_theirs + theirs]
    assert acme.granted(*scopes, auth=("dev", PASSWORD)) == dict.fromkeys(theirs, "pull")


def test_roles_are_inherited_downward_and_the_highest_wins(acme):
    acme.users("mixed")
    acme.project("acme/low/app")
    acme.project("acme/high/app")
    acme.project("other/app")
    acme.member("acme", "mixed", "reporter")
    acme.member("acme/low", "mixed", "guest")
    acme.member("acme/high/app", "mixed", "maintainer")
    names = ["acme/low/app", "acme/high/app", "acme/private", "other/app"]
    found = acme.granted(*(f"repository:{n}:*" for n in names), auth=("mixed", PASSWORD))
    assert found == {
        "acme/low/app": "pull",
        "acme/high/app": "pull,push,delete",
        "acme/private": "pull",
    }


def test_a_personal_namespace_is_its_users_own(acme):
    acme.project("stranger/tool")
    assert granted(acme, "stranger", "stranger/tool/x") == "pull,push,delete"
    assert granted(acme, "owner", "stranger/tool/x") == ""


def test_what_no_project_owns_is_for_administrators_only(acme):
    for name in ("acme", "acme/none", "acme/none/x", "owner", "owner/none", "nowhere/at/all"):
        assert granted(acme, "owner", name) == "", name
        assert granted(acme, "admin", name) == "pull,push,delete", name


def test_the_source_of_a_mount_needs_pull_like_any_other_pull(acme):
    acme.project("secret/base")
    acme.users("builder")
    acme.member("acme", "builder", "developer")
    asked = ["repository:acme/private/app:pull,push", "repository:secret/base:pull"]
    assert acme.granted(*asked, auth=("builder", PASSWORD)) == {"acme/private/app": "pull,push"}
    acme.member("secret", "builder", "reporter")
    assert acme.granted(*asked, auth=("builder", PASSWORD)) == {
        "acme/private/app": "pull,push",
        "secret/base": "pull",
    }


def test_the_catalog_is_for_administrators(acme):
    scope = "registry:catalog:*"
    assert acme.granted(scope, auth=auth_of("admin")) == {"catalog": "*"}
    assert acme.granted(scope, auth=auth_of("owner")) == {}
    assert acme.granted(scope) == {}
    reading = ("admin", acme.access_token("admin", "read_registry"))
    deleting = ("admin", acme.access_token("admin", "delete_registry"))
    assert acme.granted(scope, auth=reading) == {"catalog": "*"}
    assert acme.granted(scope, auth=deleting) == {}


def test_the_deprecated_class_is_dropped_from_the_type(acme):
    answer = acme.ask_token("repository(plugin):acme/public:pull")
    (entry,) = acme.claims(answer.json["token"])["access"]
    assert entry == {"type": "repository", "name": "acme/public", "actions": ["pull"]}


@pytest.mark.parametrize(
    "params",
    [
        ["repository:acme/public:pull", "repository:acme/public/x:pull"],
        ["repository:acme/public:pull repository:acme/public/x:pull"],
        ["repository:acme/public:pull", "repository:acme/public/x:pull"] * 3,
        ["", " ", "repository:acme/public:pull  repository:acme/public/x:pull,pull"],
        ["nonsense", "repository:acme/public:pull", "a:b:c", "repository:acme/public/x:pull"],
    ],
)
def test_scopes_repeated_or_joined_by_spaces_mean_the_same(acme, params):
    assert acme.granted(*params) == {"acme/public": "pull", "acme/public/x": "pull"}


@pytest.mark.parametrize(
    "scope",
    [
        "repository:acme/../public:pull",
        "repository:acme/public/:pull",
        "repository:/acme/public:pull",
        "repository:ACME/public:pull",
        "repository:acme/public\n:pull",
        "repository:acme/public\0:pull",
        "repository:acme%2Fpublic:pull",
        "repository:acme/public:PULL",
        "x!repository:acme/public:pull",
        "Repository:acme/public:pull",
        "repository:acme/public:x:pull",
        "repository:localhost:5050/acme/public:pull",
        "repository:acme/publïc:pull",
        "repository:" + "a/" * 200 + "a:pull",
        "registry:catalog:pull",
        "registry:other:*",
        "repository::pull",
        "repository:acme/public:",
        ":" * 1000,
    ],
)
def test_a_scope_that_breaks_the_grammar_is_left_out_and_is_no_error(acme, scope):
    assert acme.granted(scope, auth=auth_of("admin")) == {}


def test_the_number_of_scopes_is_capped_and_that_is_no_error(acme):
    scopes = [f"repository:acme/public/i{n}:pull" for n in range(500)]
    assert len(acme.granted(*scopes)) == 50
    assert len(acme.granted(" ".join(scopes))) == 50


def test_rights_that_were_taken_away_are_gone_from_the_next_token_on(acme):
    assert granted(acme, "developer", "acme/private") == "pull,push"
    acme.change(Membership, {"role": 10})
    assert granted(acme, "developer", "acme/private") == ""
    assert granted(acme, "stranger", "acme/internal") == "pull"
    acme.change(Project, {"visibility": "private"})
    assert granted(acme, "stranger", "acme/internal") == ""
    assert granted(acme, "anonymous", "acme/public") == ""
