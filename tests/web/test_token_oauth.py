"""POST to the token endpoint, as containerd, buildkit, helm and podman do (PROTOCOLS 1.3)."""

from __future__ import annotations

import io

import pytest

from registry_ui.accounts import docker_sessions
from registry_ui.models import DockerSession, Membership, TokenDecision
from registry_ui.token_auth import decision_log
from tests.web.support import PASSWORD, Site, basic

URLS = ("/jwt/auth", "/auth/token")
PULL = "repository:acme/app:pull"


@pytest.fixture
def acme(site):
    site.users("alice")
    site.project("acme/app")
    site.member("acme/app", "alice", "developer")
    return site


@pytest.fixture
def post(acme):
    def post(url="/jwt/auth", headers=None, **form):
        whole = {
            "grant_type": "password",
            "service": "registry",
            "client_id": "containerd-client",
            "username": "alice",
            "password": PASSWORD,
            **form,
        }
        data = {name: value for name, value in whole.items() if value is not None}
        return acme.app.test_client().post(url, data=data, headers=headers)

    return post


@pytest.mark.parametrize("url", URLS)
def test_a_password_brings_the_same_answer_as_by_get(acme, post, url):
    answer = post(url, scope=PULL)
    assert answer.status_code == 200
    assert answer.json["access_token"] == answer.json["token"]
    assert answer.json["scope"] == PULL
    assert acme.claims(answer.json["token"])["sub"] == "alice"
    assert "no-store" in answer.headers["Cache-Control"]
    assert "refresh_token" not in answer.json


def test_an_access_token_is_taken_for_the_password(acme, post):
    secret = acme.access_token("alice", "read_registry")
    answer = post(password=secret, scope="repository:acme/app:pull,push")
    assert answer.json["scope"] == PULL


@pytest.mark.parametrize(
    "scope", [f"{PULL} repository:acme/app:push", [PULL, "repository:acme/app:push"]]
)
def test_scopes_joined_by_spaces_or_sent_several_times(post, scope):
    assert post(scope=scope).json["scope"] == "repository:acme/app:pull,push"


def test_a_body_in_chunks_without_a_length_is_read(acme):
    """containers/image sends it so; what the server hands on is marked as ended."""
    form = f"grant_type=password&service=registry&client_id=x&username=alice&password={PASSWORD}"
    answer = acme.app.test_client().post(
        "/jwt/auth",
        input_stream=io.BytesIO(form.replace(" ", "+").encode()),
        content_type="application/x-www-form-urlencoded; charset=utf-8",
        environ_overrides={"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"},
    )
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        {"grant_type": None},
        {"grant_type": ""},
        {"grant_type": "client_credentials"},
        {"service": None},
        {"service": ""},
        {"service": "other"},
        {"client_id": None},
        {"access_type": "sideways"},
    ],
    ids=str,
)
def test_a_form_that_is_not_whole_is_400_in_the_registrys_form(post, change):
    answer = post(**change)
    assert answer.status_code == 400
    assert answer.json["errors"][0]["message"]
    assert "token" not in answer.json


@pytest.mark.parametrize(
    "change",
    [
        {"password": "wrong"},
        {"password": ""},
        {"username": ""},
        {"username": "", "password": ""},
        {"username": "nobody"},
        {"grant_type": "refresh_token"},
        {"grant_type": "refresh_token", "refresh_token": "ruis_" + "0" * 46},
        {"grant_type": "refresh_token", "refresh_token": PASSWORD},
    ],
    ids=str,
)
def test_wrong_credentials_are_401_and_never_nobody(post, change):
    answer = post(**change)
    assert answer.status_code == 401
    assert answer.json["errors"][0]["code"] == "UNAUTHORIZED"
    assert "token" not in answer.json


def test_a_header_beside_the_form_proves_nothing(post):
    assert post(headers=basic("alice", PASSWORD), password="wrong").status_code == 401


def test_a_form_of_any_size_is_not_read(post):
    assert post(scope="x" * 100_000).status_code == 413


def test_a_failed_post_and_the_get_after_it_are_one_attempt(acme, post):
    """containerd, helm and buildkit try a refused password again by GET (PROTOCOLS 1.6)."""
    for _ in range(9):
        assert post(password="wrong").status_code == 401
        assert acme.ask_token(auth=("alice", "wrong")).status_code == 401
    assert post().status_code == 200
    assert post(password="wrong").status_code == 401, "the tenth, and the last"
    assert acme.ask_token(auth=("alice", "wrong")).status_code == 429
    assert post(password="wrong").status_code == 429


# -- docker sessions -------------------------------------------------------------


@pytest.fixture
def login(acme):
    """Sign in as docker does; return the refresh token."""

    def login(password=PASSWORD, **params):
        more = {"account": "alice", "client_id": "docker", "offline_token": "true", **params}
        answer = acme.ask_token(auth=("alice", password), **more)
        assert answer.status_code == 200
        return answer.json.get("refresh_token")

    return login


@pytest.fixture
def refresh(post):
    def refresh(secret, **more):
        change = {"username": None, "password": None, "scope": PULL, **more}
        return post(grant_type="refresh_token", refresh_token=secret, **change)

    return refresh


def test_docker_login_gets_a_refresh_token_that_works_in_place_of_the_password(
    acme, login, refresh
):
    secret = login()
    answer = refresh(secret)
    assert answer.status_code == 200
    assert answer.json["scope"] == PULL
    assert answer.json["refresh_token"] == secret, "the same one, for as long as it lives"
    assert acme.claims(answer.json["token"])["sub"] == "alice"


def test_by_post_it_is_asked_for_with_access_type(post, refresh):
    assert refresh(post(access_type="offline").json["refresh_token"]).status_code == 200


@pytest.mark.parametrize(
    ("asked", "given"), [("1", True), ("True", True), ("false", False), ("yes", False), ("", False)]
)
def test_a_refresh_token_is_given_only_if_it_is_asked_for_as_go_writes_it(login, asked, given):
    assert (login(offline_token=asked) is not None) is given


def test_only_its_hash_is_stored(acme, login):
    secret = login()
    assert secret.startswith("ruis_")
    assert secret not in str(acme.dump())


def test_it_opens_no_page_and_is_no_password(acme, login):
    secret = login()
    assert acme.ask_token(auth=("alice", secret)).status_code == 401
    answer = acme.app.test_client().get(
        "/api/v4/projects", headers={"Authorization": f"Bearer {secret}"}
    )
    assert answer.status_code == 401


@pytest.mark.both_databases
def test_a_refresh_token_holds_for_one_service(acme, login, refresh):
    secret = login()
    acme.change(DockerSession, {"service": "another"})
    assert refresh(secret).status_code == 401


def test_rights_are_decided_anew_each_time(acme, login, refresh):
    secret = login()
    assert refresh(secret, scope="repository:acme/app:push").json["scope"] != ""
    acme.change(Membership, {"role": 10})
    assert refresh(secret, scope="repository:acme/app:push").json["scope"] == ""


ENDS = {
    "a new password": (
        "alice",
        "/-/profile/password",
        {"current_password": PASSWORD, "new_password": "quite another one"},
    ),
    "a block": ("admin", "/-/admin/users/alice", {"action": "block"}),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_refresh_token_ends_with_what_ends_its_session(acme, login, refresh, end):
    acme.user("admin", admin=True)
    secret = login()
    who, address, form = ENDS[end]
    acme.browser(who).post(address, form)
    answer = refresh(secret)
    assert answer.status_code == 401
    assert "Sign in again" in answer.json["errors"][0]["message"]
    assert acme.rows(DockerSession) == []


def test_what_its_access_token_lacks_is_said_of_the_token(acme, login, refresh):
    secret = login(acme.access_token("alice", "read_registry"))
    assert refresh(secret, scope="repository:acme/app:push").json["scope"] == ""
    with acme.app.app_context():
        decision_log.decision_log().flush()
    (row,) = acme.rows(TokenDecision, requested="push")
    assert row.rule == "the access token of the docker session has no scope for push"


def test_one_that_was_got_with_an_access_token_is_as_narrow_and_ends_with_it(acme, login, refresh):
    token = acme.access_token("alice", "read_registry", restriction="acme/app")
    secret = login(token)
    assert refresh(secret, scope="repository:acme/app:pull,push").json["scope"] == PULL
    alice = acme.browser("alice")
    alice.post("/-/profile/tokens/1/revoke")
    answer = refresh(secret)
    assert answer.status_code == 401
    assert "“ci” was revoked" in answer.json["errors"][0]["message"]


def test_a_deploy_token_gets_no_refresh_token(acme):
    auth = acme.deploy_token("acme/app", "read_registry")
    answer = acme.ask_token(auth=auth, offline_token="true")
    assert answer.status_code == 200
    assert "refresh_token" not in answer.json


def test_sessions_beyond_the_limit_of_a_user_end_the_longest_unused_first(acme, login, monkeypatch):
    monkeypatch.setattr(docker_sessions, "MAX_SESSIONS", 3)
    for _ in range(5):
        login()
    assert [row.id for row in acme.rows(DockerSession)] == [3, 4, 5]


def test_a_token_ends_no_session_of_its_owner_that_it_did_not_begin(acme, login, monkeypatch):
    """A token to read one image would sign its owner out everywhere, asked often enough."""
    monkeypatch.setattr(docker_sessions, "MAX_SESSIONS", 2)
    login()
    tokens = [acme.access_token("alice", "read_registry", name=f"ci{n}") for n in range(2)]
    for token in tokens * 3:
        answer = acme.ask_token(auth=("alice", token), offline_token="true")
        assert "refresh_token" in answer.json
    begun_by = [row.access_token_id for row in acme.rows(DockerSession)]
    assert sorted(begun_by, key=str) == [1, 1, 2, 2, None]


def test_a_setting_turns_refresh_tokens_off(make_app):
    site = Site(make_app(docker_sessions=False))
    site.users("alice")
    answer = site.ask_token(auth=("alice", PASSWORD), offline_token="true")
    assert answer.status_code == 200
    assert "refresh_token" not in answer.json
    form = {"grant_type": "refresh_token", "service": "registry", "client_id": "docker"}
    answer = site.app.test_client().post("/jwt/auth", data={**form, "refresh_token": "x"})
    assert answer.status_code == 401
    assert "switched off" in answer.json["errors"][0]["message"]
