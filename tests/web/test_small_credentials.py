"""Bound access tokens, deploy tokens, passwords refused and passwords remembered (issue 3)."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from unittest import mock

import pytest
from sqlalchemy import delete

from registry_ui.accounts import authentication
from registry_ui.accounts.hashing import verify_password
from registry_ui.errors import Invalid
from registry_ui.models import AccessToken, AuditEntry, DeployToken, Place, User
from tests.web.support import PASSWORD, Site, basic

DEPTHS = (
    "acme/app",
    "acme/app/web",
    "acme/app/web/api",
    "acme/app-evil",
    "acme/other",
    "acme/open",
)


@pytest.fixture
def acme(site):
    site.users("alice")
    for path, visibility in (
        ("acme/app", "private"),
        ("acme/app-evil", "private"),
        ("acme/other", "private"),
        ("acme/open", "public"),
        ("acme/inner", "internal"),
    ):
        site.project(path, visibility)
    site.member("acme", "alice", "owner")
    return site


def pulls(site, auth, paths=DEPTHS):
    """Which of these may be pulled."""
    return sorted(site.granted(*(f"repository:{path}:pull" for path in paths), auth=auth))


def refusal(site, auth):
    answer = site.ask_token(auth=auth)
    assert answer.status_code == 401
    return answer.json["errors"][0]["message"]


# -- access tokens with a restriction --------------------------------------------


@pytest.mark.parametrize(
    ("restriction", "exact", "reached"),
    [
        ("acme/app", False, ["acme/app", "acme/app/web", "acme/app/web/api"]),
        ("acme/app", True, ["acme/app"]),
        ("acme/app/web", False, ["acme/app/web", "acme/app/web/api"]),
        ("acme/app/web", True, ["acme/app/web"]),
        ("acme", False, list(DEPTHS)),
        ("acme", True, []),
        ("elsewhere", False, []),
    ],
)
def test_a_bound_token_reaches_a_path_and_whole_segments_below_it(
    acme, restriction, exact, reached
):
    secret = acme.access_token("alice", "read_registry")
    acme.change(AccessToken, {"restriction_path": restriction, "restriction_exact": exact})
    assert pulls(acme, ("alice", secret)) == sorted(reached)


def test_an_administrators_bound_token_is_bound_too(acme):
    acme.user("admin", admin=True)
    auth = ("admin", acme.access_token("admin", "read_registry", restriction="acme/app"))
    assert pulls(acme, auth) == ["acme/app", "acme/app/web", "acme/app/web/api"]
    assert acme.granted("registry:catalog:*", auth=auth) == {}


def test_a_bound_token_sees_in_the_api_what_it_is_bound_to(acme):
    auth = ("alice", acme.access_token("alice", "api", restriction="acme/app"))
    client = acme.app.test_client()

    def status(path):
        return client.get(f"/api/v4/projects/{path}", headers=basic(*auth)).status_code

    assert (status("acme/app"), status("acme/other"), status("acme/open")) == (200, 404, 404)
    listed = client.get("/api/v4/projects", headers=basic(*auth)).json["projects"]
    assert [row["path"] for row in listed] == ["acme/app"]


@pytest.mark.parametrize("exact", [False, True])
def test_a_token_for_one_image_finds_it_and_opens_nothing_of_its_project(acme, exact):
    acme.image("acme/app/web", "v1")
    acme.image("acme/app/other", "v1")
    scopes = ("read_registry", "write_registry", "delete_registry", "api")
    restriction = {"restriction": "acme/app/web", "restriction_exact": exact}
    auth = basic("alice", acme.access_token("alice", *scopes, **restriction))
    client = acme.app.test_client()
    listed = client.get("/api/v4/registry/catalog", headers=auth).json["repositories"]
    assert listed == ["acme/app/web"]
    found = client.get("/api/v4/registry/search?q=web", headers=auth).json
    assert [hit["repository"] for hit in found["images"]] == ["acme/app/web"]
    for path in ("", "/-/images", "/-/images/web/-/tags", "/-/images/other/-/tags"):
        answer = client.get(f"/api/v4/projects/acme/app{path}", headers=auth)
        assert answer.status_code == 404
    body = {"image": "web", "tags": ["v1"]}
    url = "/api/v4/projects/acme/app/-/removals"
    assert client.post(url, headers=auth, json=body).status_code == 404


def test_a_bound_token_opens_no_copy_whose_ends_it_does_not_reach(acme):
    """Also not one of its owner: it is somebody else's hand that holds the token."""
    acme.project("acme/stall")
    copied = acme.copying("acme/app", "acme/stall", by="alice")
    gone = acme.copying("acme/app", None, by="alice", path="acme/gone")
    addresses = [f"acme/stall/-/copies/{copied}", f"acme/gone/-/copies/{gone}"]
    found = {}
    for restriction, exact in [("acme", False), ("acme/stall", False), ("acme/stall", True)]:
        name = f"{restriction} {exact}"
        bound = {"restriction": restriction, "restriction_exact": exact, "name": name}
        auth = basic("alice", acme.access_token("alice", "write_registry", **bound))
        browser = acme.browser()
        found[name] = [
            browser.get(f"/api/v4/projects/{address}", headers=auth).status_code
            for address in addresses
        ]
    assert found == {
        "acme False": [200, 200],
        "acme/stall False": [404, 404],
        "acme/stall True": [404, 404],
    }


@pytest.mark.parametrize("restriction", ["Acme", "acme//app", "../acme", "a" * 300, "acme\0"])
def test_a_token_bound_to_what_is_no_path_is_not_made(acme, restriction):
    with pytest.raises(Invalid) as caught:
        acme.access_token("alice", "read_registry", restriction=restriction)
    assert "restriction" in caught.value.errors
    assert acme.rows(AccessToken) == []


def test_a_token_for_the_api_neither_pulls_nor_pushes(acme):
    auth = ("alice", acme.access_token("alice", "api"))
    assert pulls(acme, auth) == []
    assert acme.app.test_client().get("/api/v4/projects", headers=basic(*auth)).status_code == 200


def test_the_holder_of_a_token_that_is_over_is_told_so_and_nobody_else(acme):
    secret = acme.access_token("alice", "read_registry", name="laptop")
    past = datetime(2026, 1, 31, 12, tzinfo=UTC)
    acme.change(AccessToken, {"expires_at": past})
    assert refusal(acme, ("alice", secret)) == "The access token “laptop” expired on 2026-01-31."
    acme.change(AccessToken, {"revoked_at": past})
    assert refusal(acme, ("alice", secret)) == "The access token “laptop” was revoked."
    wrong = "The user name, password or access token is wrong."
    assert refusal(acme, ("bob", secret)) == wrong
    assert refusal(acme, ("alice", secret[:-1] + ("a" if secret[-1] != "a" else "b"))) == wrong


# -- deploy tokens ---------------------------------------------------------------


def test_a_deploy_token_may_in_its_project_what_its_scopes_say(acme):
    auth = acme.deploy_token("acme/app", "write_registry")
    scopes = [f"repository:{path}:*" for path in (*DEPTHS, "acme/inner")]
    assert acme.granted(*scopes, auth=auth) == {
        "acme/app": "pull,push",
        "acme/app/web": "pull,push",
        "acme/app/web/api": "pull,push",
        "acme/open": "pull",
    }


def test_a_deploy_token_has_the_permissions_of_its_scopes_and_no_others(acme):
    scope = "repository:acme/app:*"
    reads = acme.deploy_token("acme/app", "read_registry")
    deletes = acme.deploy_token("acme/app", "read_registry", "delete_registry")
    assert acme.granted(scope, auth=reads) == {"acme/app": "pull"}
    assert acme.granted(scope, auth=deletes) == {"acme/app": "pull,delete"}


def test_one_of_a_namespace_holds_for_every_project_in_it(acme):
    auth = acme.deploy_token("acme", "read_registry")
    assert pulls(acme, auth) == sorted(DEPTHS)


def test_its_user_name_needs_no_quotes_and_can_be_nobodys_own(acme):
    username, secret = acme.deploy_token("acme/app", "read_registry", name="CI of $(web) & “api”")
    assert username.startswith("deploy+ci-of-web-api-")
    assert set(username) <= set("abcdefghijklmnopqrstuvwxyz0123456789+-")
    assert secret.startswith("ruid_")
    with pytest.raises(Invalid):
        acme.user(username)
    assert acme.claims(acme.ask_token(auth=(username, secret)).json["token"])["sub"] == username


def test_it_goes_with_its_own_user_name_only(acme):
    username, secret = acme.deploy_token("acme/app", "read_registry")
    other, _ = acme.deploy_token("acme/app", "read_registry")
    for name in ("", "alice", other, username.upper()):
        assert acme.ask_token(auth=(name, secret)).status_code == 401
    assert acme.ask_token(auth=(username, PASSWORD)).status_code == 401


def test_it_ends_by_its_date_by_revoking_and_with_its_project(acme):
    auth = acme.deploy_token("acme/app", "read_registry")
    acme.change(DeployToken, {"expires_at": datetime.now(UTC) - timedelta(seconds=1)})
    assert "expired on" in refusal(acme, auth)
    acme.change(DeployToken, {"expires_at": None, "revoked_at": datetime.now(UTC)})
    assert "was revoked" in refusal(acme, auth)
    acme.change(DeployToken, {"revoked_at": None})
    assert acme.ask_token(auth=auth).status_code == 200
    with acme.session() as session:
        session.execute(delete(Place).where(Place.path == "acme/app"))
        session.commit()
    assert acme.ask_token(auth=auth).status_code == 401


def test_only_its_hash_is_stored_and_its_making_is_in_the_audit(acme):
    _, secret = acme.deploy_token("acme/app", "read_registry")
    assert secret not in str(acme.dump())
    assert ("-/test", "deploy_token.create", "acme/app") in acme.audit()


# -- passwords -------------------------------------------------------------------


def test_passwords_can_be_refused_to_everyone(make_app):
    site = Site(make_app(tokens_only=True))
    site.users("alice")
    assert "use an access token" in refusal(site, ("alice", PASSWORD))
    assert "is wrong" in refusal(site, ("alice", "another")), "who guesses learns nothing"
    secret = site.access_token("alice", "read_registry")
    assert site.ask_token(auth=("alice", secret)).status_code == 200
    assert site.browser().sign_in("alice").status_code == 302, "the pages take it all the same"


def test_passwords_can_be_refused_to_one_user(acme):
    acme.users("bob")
    acme.change(User, {"tokens_only": True}, username="bob")
    assert "use an access token" in refusal(acme, ("bob", PASSWORD))
    assert acme.ask_token(auth=("alice", PASSWORD)).status_code == 200


def test_the_api_takes_no_account_password_either_where_those_are_for_pages_alone(make_app):
    site = Site(make_app(tokens_only=True))
    site.users("alice")
    secret = site.access_token("alice", "read_registry")
    for password, status in ((PASSWORD, 401), (secret, 200)):
        headers = basic("alice", password)
        answer = site.app.test_client().get("/api/v4/projects", headers=headers)
        assert answer.status_code == status


def test_a_docker_session_that_a_password_began_ends_with_passwords(acme):
    secret = acme.ask_token(auth=("alice", PASSWORD), offline_token="true").json["refresh_token"]
    acme.change(User, {"tokens_only": True}, username="alice")
    form = {"grant_type": "refresh_token", "service": "registry", "client_id": "docker"}
    answer = acme.app.test_client().post("/jwt/auth", data={**form, "refresh_token": secret})
    assert answer.status_code == 401
    assert "use an access token" in answer.json["errors"][0]["message"]


def test_a_password_that_was_right_costs_no_second_hash(acme):
    assert acme.ask_token(auth=("alice", PASSWORD)).status_code == 200
    with mock.patch.object(authentication, "verify_password") as work:
        assert acme.ask_token(auth=("alice", PASSWORD)).status_code == 200
    assert not work.called
    assert acme.ask_token(auth=("alice", PASSWORD + "x")).status_code == 401


def test_a_remembered_password_is_forgotten_when_it_changes_wherever_that_was(acme):
    assert acme.ask_token(auth=("alice", PASSWORD)).status_code == 200
    # Another process changes it: this one's memory was told nothing.
    acme.change(User, {"password_hash": "$argon2id$another"}, username="alice")
    assert acme.ask_token(auth=("alice", PASSWORD)).status_code == 401


def test_a_remembered_password_does_not_let_a_blocked_user_in(acme):
    assert acme.ask_token(auth=("alice", PASSWORD)).status_code == 200
    acme.change(User, {"is_blocked": True}, username="alice")
    assert acme.ask_token(auth=("alice", PASSWORD)).status_code == 401


def test_an_access_token_costs_no_write_but_the_coarse_last_use(acme):
    auth = ("alice", acme.access_token("alice", "read_registry"))
    acme.ask_token(auth=auth)
    with acme.statements() as statements:
        assert acme.ask_token("repository:acme/app:pull", auth=auth).status_code == 200
    assert [sql.split()[0] for sql in statements] == ["SELECT"]
    assert acme.rows(AuditEntry, action="user.sign_in_failed") == []


@pytest.mark.both_databases
def test_many_who_show_the_same_right_password_at_once_wait_for_one_hash(acme):
    """A pipeline begins with several docker commands at a time, and a cold process."""
    worked, answers = [], []

    def slow(password_hash, password, **more):
        worked.append(password)
        return verify_password(password_hash, password, **more)

    def ask():
        answers.append(acme.ask_token(auth=("alice", PASSWORD)).status_code)

    with mock.patch.object(authentication, "verify_password", slow):
        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert answers == [200] * 8
    assert worked == [PASSWORD]
