"""What `docker login` keeps, what ends it, and who else can use it."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass

import pytest

from registry_ui.accounts import docker_sessions
from registry_ui.accounts import service as accounts
from registry_ui.audit import Actor
from registry_ui.models import TokenDecision
from tests.support.clients import (
    Buildah,
    Client,
    Ctr,
    DockerClient,
    Oras,
    Podman,
    Skopeo,
    refused,
    works,
)
from tests.support.stack import Stack
from tests.web.support import PASSWORD

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(240),
    pytest.mark.parametrize("storage", ["sqlite"], indirect=True),
]

ACTOR = Actor("-/test")
ENDED = "This docker session has ended. Sign in again."
WRONG = "The user name, password or access token is wrong."


@dataclass
class Laptop:
    """A developer's docker, signed in, with an image that was pushed by it."""

    stack: Stack
    docker: DockerClient
    user: str
    secret: str
    image: str

    @property
    def kept(self) -> dict[str, str]:
        """What lies in config.json for the registry."""
        return json.loads(self.config)["auths"][self.docker.host]

    @property
    def config(self) -> str:
        return (self.docker.run.home / "config.json").read_text()

    def refusal(self, client: Client, rule: str, username: str = "") -> TokenDecision:
        """Wait until the refusal is recorded; a client that shows a session gives no user name."""

        def found() -> list[TokenDecision]:
            rows = self.stack.fill.rows(TokenDecision, rule=rule, username=username)
            return [row for row in rows if row.client.startswith(client.agent)]

        self.stack.until(found)
        return found()[-1]


@pytest.fixture(params=["password", "access token"])
def secret(request) -> str:
    return request.param


@pytest.fixture
def laptop(stack, shop, secret) -> Laptop:
    project = stack.place()
    user = stack.developer(project)
    docker = DockerClient(shop, stack.config.registry_host)
    shown = PASSWORD if secret == "password" else stack.fill.access_token(user, "write_registry")
    works(docker.login(user, shown))
    made = Laptop(stack, docker, user, shown, f"{docker.host}/{project}/app:1.0")
    docker.make(made.image)
    works(docker.push(made.image))
    works(docker.pull(made.image))
    return made


def test_neither_password_nor_token_lies_in_the_configuration(laptop):
    assert base64.b64decode(laptop.kept["auth"]).decode() == f"{laptop.user}:"
    assert laptop.kept["identitytoken"].startswith("ruis_")
    written = laptop.config
    for text in (laptop.secret, f"{laptop.user}:{laptop.secret}"):
        assert text not in written
        assert base64.b64encode(text.encode()).decode().rstrip("=") not in written


def end_by_owner(user):
    assert docker_sessions.revoke_all(ACTOR, user) == 1


def end_this_one(user):
    (session,) = docker_sessions.sessions_of(user)
    docker_sessions.revoke(ACTOR, user, session.id)


@pytest.mark.parametrize("end", [end_by_owner, end_this_one])
def test_a_revoked_session_pulls_and_pushes_no_more(laptop, end):
    with laptop.stack.app.app_context():
        end(accounts.find_user(laptop.user))
    assert f"unauthorized: {ENDED}" in refused(laptop.docker.pull(laptop.image))
    row = laptop.refusal(laptop.docker, ENDED)
    assert (row.credential, row.granted) == ("docker session", "")
    works(laptop.docker.login(laptop.user, laptop.secret))
    works(laptop.docker.pull(laptop.image))
    with laptop.stack.app.app_context():
        end(accounts.find_user(laptop.user))
    assert ENDED in refused(laptop.docker.push(laptop.image))


def new_password(username):
    accounts.set_password(ACTOR, username, "another horse battery")


def block(username):
    accounts.set_blocked(ACTOR, username, on=True)


@pytest.mark.parametrize("secret", ["password"], indirect=True)
@pytest.mark.parametrize("end", [new_password, block])
def test_a_new_password_and_a_block_end_the_session(laptop, end):
    with laptop.stack.app.app_context():
        end(laptop.user)
    assert ENDED in refused(laptop.docker.pull(laptop.image))


@pytest.mark.parametrize("secret", ["password"], indirect=True)
def test_who_may_use_tokens_only_pulls_no_more_by_a_session_of_the_password(laptop):
    with laptop.stack.app.app_context():
        accounts.set_tokens_only(ACTOR, laptop.user, on=True)
    complaint = refused(laptop.docker.pull(laptop.image))
    assert "Account passwords are not accepted here: use an access token." in complaint


def test_a_deploy_token_has_no_session(stack, shop):
    project = stack.place()
    docker = DockerClient(shop, stack.config.registry_host)
    user, secret = stack.fill.deploy_token(project, "write_registry")
    works(docker.login(user, secret))
    kept = json.loads((docker.run.home / "config.json").read_text())["auths"][docker.host]
    assert kept == {"auth": base64.b64encode(f"{user}:{secret}".encode()).decode()}


# -- other clients that read docker's configuration ------------------------------


def borrow(laptop: Laptop, client: Client) -> None:
    """Give a client what docker keeps, each in its way."""
    if isinstance(client, Ctr):
        client.credentials = f"--refresh={laptop.kept['identitytoken']}"
    elif isinstance(client, Oras):
        (client.run.home / ".docker").mkdir()
        (client.run.home / ".docker" / "config.json").write_text(laptop.config)
    else:
        (client.run.home / "auth.json").write_text(laptop.config)


@pytest.fixture
def borrower(kind, shop, laptop):
    client = kind(shop, laptop.docker.host)
    borrow(laptop, client)
    return client


@pytest.mark.parametrize("secret", ["password"], indirect=True)
@pytest.mark.parametrize("kind", [Skopeo, Podman, Buildah, Ctr])
def test_other_clients_use_the_session_of_docker_until_it_ends(laptop, borrower):
    works(borrower.pull(laptop.image))
    beside = laptop.image.replace("/app:", "/beside:")
    borrower.make(beside)
    works(borrower.push(beside))
    with laptop.stack.app.app_context():
        docker_sessions.revoke_all(ACTOR, accounts.find_user(laptop.user))
    assert (ENDED in refused(borrower.pull(laptop.image))) == borrower.repeats[1]
    laptop.refusal(borrower, ENDED)


@pytest.mark.parametrize("secret", ["password"], indirect=True)
@pytest.mark.parametrize("kind", [Oras])
def test_who_does_not_know_sessions_shows_an_empty_password(laptop, borrower):
    """PROTOCOLS 1.9: such a client needs an access token of its own."""
    refused(borrower.pull(laptop.image))
    laptop.refusal(borrower, WRONG, laptop.user)
