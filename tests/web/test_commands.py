"""The commands: what they print, what they say when it can't be done, and how they exit."""

from __future__ import annotations

import re

import pytest

from registry_ui.audit import CONSOLE, REGISTRY, WORKER
from registry_ui.models import AccessToken, Membership, Namespace, Project, RegistryToken, Tag, User
from tests.unit.hostile_registry import Answer, always, hostile_registry
from tests.web.support import PASSWORD, Site, digest, event_of

COMMANDS = [
    ["user", "create"],
    ["user", "password"],
    ["namespace", "create"],
    ["project", "create"],
    ["member", "add"],
    ["token", "create"],
    ["deploy-token", "create"],
    ["deploy-token", "revoke"],
    ["signing-key", "status"],
    ["signing-key", "stage"],
    ["signing-key", "activate"],
    ["signing-key", "retire"],
    ["access-check"],
    ["tag", "delete"],
    ["registry-token", "show"],
    ["registry-token", "reset"],
    ["reconcile"],
]


@pytest.fixture
def acme(site):
    site.users("alice")
    site.project("acme/app")
    return site


def run(site, *args, stdin=None):
    return site.app.test_cli_runner().invoke(args=args, input=stdin)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_each_command_explains_itself(shared_site, command):
    result = run(shared_site, *command, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: ")
    assert len(result.stdout.splitlines()) > 4


@pytest.mark.parametrize("group", sorted({command[0] for command in COMMANDS if len(command) > 1}))
def test_each_group_lists_its_commands(shared_site, group):
    result = run(shared_site, group, "--help")
    assert result.exit_code == 0
    names = [command[1] for command in COMMANDS if command[0] == group]
    assert all(name in result.stdout for name in names)


# -- users ---------------------------------------------------------------------


def test_a_user_is_created_and_a_password_made_up_and_printed_alone(site):
    result = run(site, "user", "create", "carol")
    assert result.exit_code == 0
    password = result.stdout.strip()
    assert re.fullmatch(r"\S{20,}", password)
    assert site.browser().sign_in("carol", password).status_code == 302
    assert not site.row(User).is_admin
    assert site.row(Namespace).path == "carol"
    assert site.audit()[0] == ("-/console", "user.create", "carol")


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_a_users_password_can_be_given_and_then_nothing_is_printed(site, end):
    result = run(
        site, "user", "create", "carol", "--admin", "--password-stdin", stdin="long enough" + end
    )
    assert (result.exit_code, result.stdout) == (0, "")
    assert site.browser().sign_in("carol", "long enough").status_code == 302
    assert site.row(User).is_admin


def test_a_new_password_ends_the_users_sessions(acme):
    browser = acme.browser("alice")
    result = run(acme, "user", "password", "alice", "--password-stdin", stdin="another one\n")
    assert result.exit_code == 0
    assert not browser.is_signed_in()
    assert acme.browser().sign_in("alice", "another one").status_code == 302
    result = run(acme, "user", "password", "alice")
    assert acme.browser().sign_in("alice", result.stdout.strip()).status_code == 302


# -- places and members --------------------------------------------------------


@pytest.mark.parametrize("visibility", [None, "private", "internal", "public"])
def test_namespaces_and_projects_are_created(site, visibility):
    assert run(site, "namespace", "create", "acme").exit_code == 0
    assert run(site, "namespace", "create", "acme/sub").exit_code == 0
    options = ["--visibility", visibility] if visibility else []
    assert run(site, "project", "create", "acme/sub/app", *options).exit_code == 0
    assert site.row(Project).visibility == (visibility or "private")
    assert ("-/console", "project.create", "acme/sub/app") in site.audit()


@pytest.mark.both_databases
def test_a_new_project_adopts_what_was_unassigned_below_it(make_app):
    with hostile_registry() as registry:
        registry.answer = lambda asked: (
            Answer(200, {"tags": ["v1"]})
            if asked.path.endswith("/tags/list")
            else Answer(200, b"", {"Docker-Content-Digest": digest("b")})
        )
        site = Site(make_app(registry_url=registry.url))
        site.deliver(event_of("push", "acme/app/web", "v1"))
        assert run(site, "namespace", "create", "acme").exit_code == 0
        assert run(site, "project", "create", "acme/app").exit_code == 0
    assert [(tag.name, tag.digest) for tag in site.rows(Tag)] == [("v1", digest("b"))]


@pytest.mark.parametrize("role", ["guest", "Reporter", "DEVELOPER", "maintainer", "owner"])
def test_a_member_is_added_with_a_role_in_any_letters(acme, role):
    assert run(acme, "member", "add", "acme/app", "alice", role).exit_code == 0
    assert acme.row(Membership).role in {10, 20, 30, 40, 50}
    assert acme.audit()[-1] == ("-/console", "member.add", "acme/app")


# -- tokens --------------------------------------------------------------------


@pytest.mark.parametrize("scopes", ["read_registry", "read_registry, delete_registry,"])
def test_an_access_token_is_printed_alone_and_works(acme, scopes):
    result = run(acme, "token", "create", "alice", "--name", "ci", "--scopes", scopes)
    assert result.exit_code == 0
    assert re.fullmatch(r"rui_[0-9A-Za-z]{46}\n", result.stdout)
    assert acme.ask_token(auth=("alice", result.stdout.strip())).status_code == 200
    token = acme.row(AccessToken)
    assert token.name == "ci"
    assert set(token.scope_names) == {s.strip() for s in scopes.split(",")} - {""}


def test_the_registry_token_is_printed_alone_and_that_is_noted(site):
    result = run(site, "registry-token", "show")
    assert result.exit_code == 0
    assert result.stdout == site.registry_token() + "\n"
    assert ("-/console", "registry_token.reveal", "registry token") in site.audit()


def test_the_registry_token_is_reset_and_the_new_one_printed_alone(site):
    old = site.registry_token()
    site.deliver(event_of("push", "a/b", "v1"), token=old)
    result = run(site, "registry-token", "reset")
    assert result.exit_code == 0
    new = result.stdout.strip()
    assert new == site.registry_token() != old
    assert new not in result.stderr
    assert "notifications:" in result.stderr
    assert [row.state for row in site.rows(RegistryToken)] == ["previous", "current"]


# -- what can't be done --------------------------------------------------------

REFUSED = {
    "user create alice": "taken",
    "user create Alice": "lower-case",
    "user create a/b": "“a-b” can be used.",
    "user create api": "reserved",
    "user password nobody": "no user",
    "namespace create acme": "taken",
    "namespace create absent/x": "no namespace",
    "namespace create acme/app/x": "is a project",
    "namespace create Acme": "lower-case",
    "namespace create v2": "reserved",
    "user create library": "reserved",
    "user create jane/doe": "'_', '__' or '-' between them. “jane-doe” can be used.",
    "user create Jane.Doe": "“jane.doe” can be used",
    "project create v2": "reserved",
    "project create acme/app": "taken",
    "project create absent/app": "no namespace",
    "member add absent alice guest": "nothing here",
    "member add acme nobody guest": "no user",
    "token create nobody --name x --scopes read_registry": "no user",
    "token create alice --name x --scopes all": "at least one of",
    "token create alice --name x --scopes ,": "at least one of",
    "tag delete acme/app/none:v1 --yes": "no image",
    "tag delete ACME:v1 --yes": "lower-case",
    "reconcile ACME": "lower-case",
    "reconcile": "can't be reached",
    "reconcile acme/app": "can't be reached",
}


@pytest.mark.both_databases
def test_what_can_not_be_done_is_said_clearly_with_exit_status_1(acme):
    before = acme.dump()
    for command, words in REFUSED.items():
        result = run(acme, *command.split())
        assert result.exit_code == 1, command
        assert words in result.stderr, command
        assert "Traceback" not in result.output, command
        assert "Error" in result.stderr, command
        assert acme.dump() == before, command


def test_a_password_that_is_too_short_is_refused(acme):
    for command in ("create carol", "password alice"):
        result = run(acme, "user", *command.split(), "--password-stdin", stdin="short\n")
        assert result.exit_code == 1
        assert "8" in result.stderr
        assert "short" not in result.stderr
    assert acme.browser().sign_in("alice", PASSWORD).status_code == 302


MISUSED = [
    "user create",
    "member add acme alice",
    "member add acme alice king",
    "token create alice",
]
MISUSED += [
    "project create acme/x --visibility secret",
    "tag delete acme/app --yes",
    "user delete x",
]
MISUSED += ["tag delete acme/app:v1@sha256:" + "0" * 64 + " --yes", "namespace", "reconcile a b"]


@pytest.mark.parametrize("command", MISUSED)
def test_what_makes_no_sense_is_said_with_exit_status_2(shared_site, command):
    result = run(shared_site, *command.split())
    assert result.exit_code == 2
    assert "Usage: " in result.stderr


# -- with a registry -----------------------------------------------------------


@pytest.fixture
def tagged(make_app):
    """A site with acme/app:v1 and v2 on one digest, and a registry that the test answers for."""
    with hostile_registry() as registry:
        site = Site(make_app(registry_url=registry.url, registry_timeout=0.5))
        site.project("acme/app")
        site.image("acme/app", "v1", "v2")
        yield site, registry


def test_a_tag_is_not_deleted_where_nobody_says_yes(tagged):
    site, registry = tagged
    body = b'{"schemaVersion": 2, "layers": []}'
    manifest = {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}

    def answer(asked):
        if asked.method == "DELETE" and "/manifests/_registry_ui_" not in asked.path:
            raise AssertionError("deleted")
        if asked.method == "DELETE":
            return Answer(404, {"errors": [{"code": "MANIFEST_UNKNOWN"}]})
        if asked.path.endswith("/tags/list"):
            return Answer(200, {"name": "acme/app", "tags": ["v1", "v2"]})
        return Answer(200, body, {**manifest, "Docker-Content-Digest": digest_of(body)})

    registry.answer = answer
    for words in ("n\n", "\n", ""):
        result = run(site, "tag", "delete", "acme/app:v1", stdin=words)
        assert result.exit_code == 1
        assert "deletes  acme/app:v1" in result.stderr
    assert len(site.rows(Tag)) == 2


def digest_of(body):
    from hashlib import sha256  # noqa: PLC0415 - for this one alone

    return "sha256:" + sha256(body).hexdigest()


def test_a_tag_is_not_deleted_where_the_registry_breaks(tagged):
    site, registry = tagged
    registry.answer = always(500)
    result = run(site, "tag", "delete", "acme/app:v1", "--yes")
    assert result.exit_code == 1
    assert "could not be asked" in result.stderr
    assert len(site.rows(Tag)) == 2


def test_a_comparison_prints_what_it_found_for_each_repository(tagged):
    site, registry = tagged

    def answer(asked):
        if asked.path.startswith("/v2/_catalog"):
            return Answer(200, {"repositories": ["acme/app", "free/one", "bad/one"]})
        if "bad" in asked.path:
            return Answer(500)
        if asked.path.endswith("/tags/list"):
            return Answer(200, {"tags": ["v1", "v3"]})
        return Answer(200, b"", {"Docker-Content-Digest": digest("a")})

    registry.answer = answer
    result = run(site, "reconcile", "acme/app")
    assert result.exit_code == 0
    assert result.stdout == "acme/app: 2 tags; 1 new, 0 changed, 1 gone\n"
    result = run(site, "reconcile")
    assert result.exit_code == 1, "not everything could be compared"
    assert "free/one: 2 tags, unassigned" in result.stdout
    assert "bad/one" in result.stderr
    assert [tag.name for tag in site.rows(Tag)] == ["v1", "v3"]


@pytest.mark.parametrize("actor", [CONSOLE, WORKER, REGISTRY], ids=lambda actor: actor.name)
def test_no_user_can_be_called_as_the_system_is_in_the_audit(site, actor):
    done = site.app.test_cli_runner().invoke(args=["user", "create", "--", actor.name])
    assert done.exit_code == 1
    assert site.rows(User) == []
