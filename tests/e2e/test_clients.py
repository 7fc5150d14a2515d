"""Every client through every step: issue 3, "Tests". What is refused is recorded with its rule.

One test is one step; it runs for every client that has a command for it (``cannot`` in
tests/support/clients.py says which have not, and why).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import unquote

import pytest
from sqlalchemy import update

from registry_ui.accounts import service as accounts
from registry_ui.audit import Actor
from registry_ui.db.session import writing
from registry_ui.models import AccessToken, TokenDecision, utc_now
from registry_ui.projects import service as projects
from tests.support.clients import CLIENTS, Client, refused, works
from tests.support.stack import Stack
from tests.web.support import PASSWORD

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(240),
    pytest.mark.parametrize("storage", ["sqlite"], indirect=True),
]

WRONG = "The user name, password or access token is wrong."


def every_client(step: str):
    """Run a test for every client that can do the step."""
    able = [client for client in CLIENTS if step not in client.cannot]
    return pytest.mark.parametrize("kind", able, ids=[client.name for client in able])


@dataclass
class Case:
    """One client, a private project and the name of an image in it; nobody signed in."""

    stack: Stack
    client: Client
    project: str

    @property
    def image(self) -> str:
        return f"{self.stack.config.registry_host}/{self.project}/app:1.0"

    @property
    def developer(self) -> str:
        return self.stack.developer(self.project)

    @property
    def credential(self) -> str:
        """The kind of what the client shows once somebody signed in with an access token."""
        return "access token" + (" of the docker session" if self.client.keeps_session else "")

    def sign_in(self, role: str, *scopes: str) -> str:
        """Make a member, who signs in with an access token; return the name."""
        user = f"{self.developer}-{role}"
        self.stack.fill.user(user)
        self.stack.fill.member(self.project, user, role)
        works(self.client.login(user, self.stack.fill.access_token(user, *scopes)))
        return user

    def push_one(self) -> None:
        """Make the image and push it."""
        self.client.make(self.image)
        works(self.client.push(self.image))
        self.stack.wait_for_tags(self.project, "app", {"1.0"})

    def sibling(self) -> str:
        """Make another project beside this one."""
        path = f"{self.project.rpartition('/')[0]}/other"
        self.stack.fill.project(path)
        return path

    def decision(self, action: str = "", **values: str) -> TokenDecision:
        """Wait until a decision about this client with these values is recorded."""

        def found() -> list[TokenDecision]:
            rows = self.stack.fill.rows(TokenDecision, **values)
            mine = [row for row in rows if row.client.startswith(self.client.agent)]
            return [row for row in mine if action in row.requested]

        self.stack.until(found)
        return found()[-1]


@pytest.fixture
def case(kind, shop, stack) -> Case:
    return Case(stack, kind(shop, stack.config.registry_host), stack.place())


# -- what works ------------------------------------------------------------------


@every_client("login")
@pytest.mark.parametrize("what", ["password", "access token"])
def test_a_client_signs_in_with_a_password_or_an_access_token(case, what):
    user, client = case.developer, case.client
    token = what == "access token"
    works(client.login(user, case.stack.fill.access_token(user, "api") if token else PASSWORD))
    if client.asks_at_login:
        row = case.decision(username=user, repository="")
        assert (row.credential.partition(" “")[0], row.rule) == (what, "")


@every_client("push")
def test_a_developer_pushes_and_pulls(case):
    user = case.sign_in("developer", "write_registry")
    case.push_one()
    assert case.stack.tags(case.project, "app")["1.0"]["pushed_by"] == user
    works(case.client.pull(case.image))
    for asked in ("pull,push", "pull"):
        row = case.decision(username=user, repository=f"{case.project}/app", requested=asked)
        assert (row.granted, row.rule, row.place) == (asked, "", case.project)
        assert row.credential.startswith(case.credential)


@every_client("push")
def test_push_and_pull_with_the_account_password(case):
    works(case.client.login(case.developer, PASSWORD))
    case.push_one()
    works(case.client.pull(case.image))
    row = case.decision(username=case.developer, repository=f"{case.project}/app", requested="pull")
    expected = "docker session" if case.client.keeps_session else "password"
    assert row.credential.startswith(expected)


@pytest.fixture(scope="module")
def mounted(stack):
    """Return a function that tells whether the registry mounted a blob. Its log says it."""
    file, log = (stack.config.var / name for name in ("registry/config.yml", "registry.log"))
    silent, noting = "accesslog:\n    disabled: true", "accesslog:\n    disabled: false"
    configuration = file.read_text()
    assert silent in configuration
    file.write_text(configuration.replace(silent, noting))
    stack.stop("registry")
    stack.start("registry")

    def tell(source: str, target: str) -> bool:
        lines = [unquote(line) for line in log.read_text().splitlines() if '" 201 ' in line]
        begun = f'"POST /v2/{target}/blobs/uploads/?'
        return any(begun in line and f"from={source}" in line for line in lines)

    yield tell
    file.write_text(configuration)


@every_client("mount")
def test_mount_from_another_repository(case, mounted):
    user = case.sign_in("developer", "write_registry")
    other = case.sibling()
    case.stack.fill.member(other, user, "developer")
    case.push_one()
    works(case.client.pull(case.image))
    works(case.client.mount(case.image, case.image.replace(case.project, other)))
    case.stack.until(lambda: mounted(f"{case.project}/app", f"{other}/app"))
    row = case.decision(username=user, repository=f"{other}/app", requested="pull,push")
    assert (row.granted, row.rule) == ("pull,push", "")


@every_client("delete")
def test_a_maintainer_deletes(case):
    user = case.sign_in("maintainer", "write_registry", "delete_registry")
    case.push_one()
    works(case.client.delete(case.image))
    case.stack.until(lambda: case.stack.tags(case.project, "app") == {})
    row = case.decision("delete", username=user, repository=f"{case.project}/app")
    assert (set(row.granted.split(",")), row.rule) == (set(row.requested.split(",")), "")


@every_client("login")
def test_a_deploy_token_pushes_and_pulls_in_its_project_alone(case):
    user, secret = case.stack.fill.deploy_token(case.project, "write_registry", name="pipeline")
    works(case.client.login(user, secret))
    case.push_one()
    works(case.client.pull(case.image))
    row = case.decision(username=user, repository=f"{case.project}/app", requested="pull,push")
    assert (row.credential, row.granted) == ("deploy token “pipeline”", "pull,push")
    other = case.sibling()
    beside = case.image.replace(case.project, other)
    case.client.make(beside)
    refused(case.client.push(beside))
    rule = f"the deploy token is for {case.project}, not for {other}"
    assert case.decision(username=user, rule=rule).repository == f"{other}/app"


# -- what is refused at the door -------------------------------------------------


def revoke(user: str) -> str:
    """Revoke a user's access token; return the end of the rule that says so."""
    owner = accounts.find_user(user)
    (token,) = accounts.access_tokens(owner)
    accounts.revoke_access_token(Actor("-/test"), owner, token.id)
    return "was revoked."


def expire(user: str) -> str:
    """Make a user's access token one of yesterday; return the end of the rule that says so."""
    yesterday = utc_now() - timedelta(days=1)
    (token,) = accounts.access_tokens(accounts.find_user(user))
    with writing() as session:
        which = update(AccessToken).where(AccessToken.id == token.id)
        session.execute(which.values(expires_at=yesterday))
    return f"expired on {yesterday.date().isoformat()}."


@every_client("login")
def test_a_wrong_password_is_refused(case):
    done = case.client.login(case.developer, "not the password")
    complaint = refused(done if case.client.asks_at_login else case.client.pull(case.image))
    assert (WRONG in complaint) == case.client.repeats[0]
    row = case.decision(username=case.developer, rule=WRONG)
    assert (row.credential, row.repository, row.granted) == ("sign-in", "", "")


@every_client("login")
@pytest.mark.parametrize("end", [revoke, expire])
def test_access_token_that_has_ended(case, end):
    user, client = case.developer, case.client
    name = f"laptop of {user}"  # so that the rule tells whose it is
    secret = case.stack.fill.access_token(user, "write_registry", name=name)
    works(client.login(user, secret))
    case.push_one()
    with case.stack.app.app_context():
        rule = f"The access token “{name}” {end(user)}"
    assert (rule in refused(client.pull(case.image))) == client.repeats[1]
    assert case.decision(rule=rule, username=user).granted == ""
    if client.asks_at_login:
        assert (rule in refused(client.login(user, secret))) == client.repeats[0]
        case.decision(rule=rule, username=user, credential="sign-in")


# -- what is refused inside ------------------------------------------------------


@every_client("push")
@pytest.mark.parametrize(
    ("role", "scope", "rule"),
    [
        ("reporter", "write_registry", "you are Reporter in {project}; push needs Developer"),
        ("developer", "read_registry", "the {credential} has no scope for push"),
    ],
    ids=["reporter", "read-only token"],
)
def test_push_without_the_right(case, role, scope, rule):
    user = case.sign_in(role, scope)
    case.client.make(case.image)
    refused(case.client.push(case.image))
    rule = rule.format(project=case.project, credential=case.credential)
    row = case.decision(username=user, rule=rule)
    assert (row.repository, row.place) == (f"{case.project}/app", case.project)
    assert (row.requested, row.granted) == ("pull,push", "pull")


@every_client("mount")
def test_mount_from_where_one_may_not_pull_any_more(case, mounted):
    user = case.sign_in("developer", "write_registry")
    other = case.sibling()
    case.stack.fill.member(other, user, "developer")
    case.push_one()
    works(case.client.pull(case.image))
    with case.stack.app.app_context():
        projects.change_member(Actor("-/test"), case.project, user, None)
    done = case.client.mount(case.image, case.image.replace(case.project, other))
    assert (done.returncode == 0) == case.client.uploads_instead
    assert not mounted(f"{case.project}/app", f"{other}/app")
    rule = f"you have no role in {case.project}; pull needs Reporter"
    row = case.decision(username=user, rule=rule)
    assert (row.repository, row.granted) == (f"{case.project}/app", "")


@every_client("pull")
def test_pull_by_nobody(case):
    refused(case.client.pull(case.image))
    rule = f"you are not signed in; pull needs Reporter in {case.project}"
    row = case.decision(username="", repository=f"{case.project}/app", rule=rule)
    assert (row.credential, row.granted) == ("no credentials", "")


@every_client("delete")
def test_delete_by_a_developer(case):
    user = case.sign_in("developer", "write_registry", "delete_registry")
    case.push_one()
    refused(case.client.delete(case.image))
    rule = f"you are Developer in {case.project}; delete needs Maintainer"
    assert "delete" in case.decision(username=user, rule=rule).requested
    assert set(case.stack.tags(case.project, "app")) == {"1.0"}
