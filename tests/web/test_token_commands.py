"""The commands about tokens, keys and access: what they print, and how they exit."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from registry_ui.models import AccessToken, DeployToken, User
from registry_ui.token_auth import keyring
from registry_ui.token_auth.keyring import KeyRing
from tests.unit.hostile_registry import Answer, always, hostile_registry
from tests.web.support import Site

PING = {"Docker-Distribution-Api-Version": "registry/2.0"}


def run(site, *args):
    return site.app.test_cli_runner().invoke(args=args)


@pytest.fixture
def acme(site):
    site.users("alice")
    site.project("acme/app")
    site.project("acme/open", "public")
    site.member("acme/app", "alice", "reporter")
    return site


# -- access tokens and deploy tokens ---------------------------------------------------


def test_an_access_token_can_be_bound_to_a_path_and_an_end(acme):
    day = (datetime.now(UTC) + timedelta(days=9)).date().isoformat()
    options = ["--scopes", "read_registry,api", "--only", "acme/app", "--expires", day]
    result = run(acme, "token", "create", "alice", "--name", "ci", *options)
    assert result.exit_code == 0, result.output
    assert re.fullmatch(r"rui_[0-9A-Za-z]{46}\n", result.stdout)
    token = acme.row(AccessToken)
    assert (token.restriction_path, token.restriction_exact) == ("acme/app", False)
    assert token.expires_at.date().isoformat() == day
    run(acme, "token", "create", "alice", "--name", "ci", *options, "--exactly")
    assert acme.rows(AccessToken)[1].restriction_exact


@pytest.mark.parametrize("path", ["acme/ap", "hidden/app"])
def test_an_access_token_is_not_bound_to_a_path_that_its_owner_can_not_see(acme, path):
    acme.project("hidden/app")
    options = ["--name", "ci", "--scopes", "read_registry", "--only", path]
    result = run(acme, "token", "create", "alice", *options)
    assert result.exit_code != 0
    assert "no namespace, project, or image with this path that the user can see" in result.output
    assert acme.rows(AccessToken) == []


def test_a_deploy_token_is_printed_as_two_lines_that_work(acme):
    options = ["--name", "ci", "--scopes", "read_registry"]
    result = run(acme, "deploy-token", "create", "acme/app", *options)
    assert result.exit_code == 0, result.output
    username, secret = result.stdout.splitlines()
    assert re.fullmatch(r"deploy\+ci-[0-9a-f]{8}", username)
    assert acme.granted("repository:acme/app:pull", auth=(username, secret))
    assert acme.row(DeployToken).expires_at is None
    assert ("-/console", "deploy_token.create", "acme/app") in acme.audit()


@pytest.mark.both_databases
def test_a_deploy_token_is_revoked_by_its_user_name(acme):
    username, secret = acme.deploy_token("acme", "read_registry")
    for _ in range(2):
        result = run(acme, "deploy-token", "revoke", username)
        assert (result.exit_code, result.stdout) == (0, "")
        assert "of acme was revoked" in result.stderr
    assert acme.ask_token(auth=(username, secret)).status_code == 401
    assert acme.audit()[-1] == ("-/console", "deploy_token.revoke", "acme")


REFUSED = {
    "deploy-token create absent --name x --scopes read_registry": "nothing here",
    "deploy-token create acme/app --name x --scopes all": "at least one of",
    "deploy-token create acme/app --name x --scopes read_registry --expires soon": "2027-01-31",
    "deploy-token create acme/app --name x --scopes read_registry --expires 2020-01-01": "to come",
    "deploy-token revoke deploy+none-1": "no deploy token",
    "token create alice --name x --scopes api --only A": "lower-case",
    "token create alice --name x --scopes api --expires 31.1.2027": "2027-01-31",
    "access-check alice A": "lower-case",
}


def test_what_can_not_be_done_is_said_clearly_with_exit_status_1(acme):
    before = acme.dump()
    for command, words in REFUSED.items():
        result = run(acme, *command.split())
        assert result.exit_code == 1, command
        assert words in result.stderr, command
        assert result.stdout == "", command
    assert acme.dump() == before


MISUSED = ["token create alice --name x --scopes api --exactly", "access-check alice"]
MISUSED += ["access-check", "access-check alice acme/app --action fly", "signing-key"]
MISUSED += ["access-check alice acme/app --anonymous", "deploy-token create acme/app"]


def test_what_makes_no_sense_is_said_with_exit_status_2(acme):
    for command in MISUSED:
        result = run(acme, *command.split())
        assert result.exit_code == 2, command
        assert "Usage: " in result.stderr, command


# -- access checks ---------------------------------------------------------------------


def test_an_access_check_prints_a_line_for_each_action_with_its_rule(acme):
    result = run(acme, "access-check", "alice", "acme/app/web")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "pull    allowed  Reporter in acme/app",
        "push    refused  Reporter in acme/app; push needs Developer",
        "delete  refused  Reporter in acme/app; delete needs Maintainer",
    ]


def test_its_exit_status_is_about_the_actions_that_were_asked_for(acme):
    assert run(acme, "access-check", "alice", "acme/app", "--action", "pull").exit_code == 0
    both = ["--action", "pull", "--action", "push"]
    result = run(acme, "access-check", "alice", "acme/app", *both)
    assert result.exit_code == 1
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["pull", "push"]


@pytest.mark.parametrize("who", [["--anonymous"], [""]])
def test_it_is_asked_about_visitors_too(acme, who):
    result = run(acme, "access-check", *who, "acme/open", "--action", "pull")
    assert (result.exit_code, result.stdout) == (0, "pull    allowed  acme/open is public\n")
    assert run(acme, "access-check", *who, "acme/app", "--action", "pull").exit_code == 1


@pytest.mark.both_databases
def test_an_access_check_answers_about_deploy_tokens_and_unknown_users(acme):
    username, _ = acme.deploy_token("acme/app", "read_registry")
    result = run(acme, "access-check", username, "localhost:5050/x", "--action", "pull")
    assert result.exit_code == 1
    host = acme.app.config["SETTINGS"].registry_host
    result = run(acme, "access-check", username, f"{host}/acme/app:1.0", "--action", "pull")
    assert (result.exit_code, result.stdout) == (0, "pull    allowed  deploy token of acme/app\n")
    result = run(acme, "access-check", "nobody", "acme/app", "--action", "pull")
    assert result.exit_code == 1
    assert "there is no user “nobody”" in result.stdout


def test_an_access_check_says_that_passwords_are_not_accepted(acme):
    acme.change(User, {"tokens_only": True})
    result = run(acme, "access-check", "alice", "acme/app", "--action", "pull")
    assert result.exit_code == 0
    assert "passwords are not accepted" in result.stderr


# -- signing keys ----------------------------------------------------------------------


@pytest.fixture
def keyed(make_app, tmp_path, base_config):
    """A site with keys of its own, and a registry that the test answers for."""
    home = tmp_path / "token"
    shutil.copytree(Path(base_config.token_key_file).parent, home)
    files = {
        "token_key_file": home / base_config.token_key_file.name,
        "token_certificate_file": home / base_config.token_certificate_file.name,
    }
    with hostile_registry() as registry:
        registry.answer = lambda _asked: Answer(200, {}, PING)
        site = Site(make_app(registry_url=registry.url, registry_timeout=0.5, **files))
        yield site, registry, KeyRing(*files.values())


def parts(site):
    result = run(site, "signing-key", "status")
    assert result.exit_code == 0
    return {line.split()[0]: line.split()[1] for line in result.stdout.splitlines()}


def unstaged(ring):
    ring.next_key_file.unlink()
    ring.next_certificate_file.unlink()
    ring.write_bundle()


def test_a_key_is_staged_tried_activated_and_the_old_one_retired(keyed):
    site, registry, ring = keyed
    unstaged(ring)
    (first,) = parts(site).values()
    assert run(site, "signing-key", "stage").exit_code == 0
    second = parts(site)["next"]
    result = run(site, "signing-key", "activate")
    assert result.exit_code == 0, result.output
    assert [asked.path for asked in registry.asked] == ["/v2/"]
    assert parts(site) == {"active": second, "previous": first}
    result = run(site, "signing-key", "retire")
    assert result.exit_code == 1
    assert "in use for another" in result.stderr
    assert run(site, "signing-key", "retire", "--force").exit_code == 0
    assert parts(site) == {"active": second}
    deeds = [(actor, action) for actor, action, _ in site.audit()]
    assert deeds == [("-/console", f"signing_key.{d}") for d in ("stage", "activate", "retire")]


def test_a_key_that_the_registry_does_not_know_yet_is_not_activated(keyed):
    site, registry, _ = keyed
    before = parts(site)
    for status, words in ((401, "does not know the staged key"), (500, "it is unknown whether")):
        registry.answer = always(status)
        result = run(site, "signing-key", "activate")
        assert result.exit_code == 1
        assert words in result.stderr
        assert parts(site) == before
    assert site.audit() == []
    assert run(site, "signing-key", "activate", "--force").exit_code == 0
    assert parts(site)["active"] == before["next"]


def test_steps_out_of_their_order_are_refused(keyed):
    site, _, ring = keyed
    result = run(site, "signing-key", "stage")
    assert result.exit_code == 1
    assert "staged already" in result.stderr
    assert run(site, "signing-key", "retire", "--force").exit_code == 1
    unstaged(ring)
    result = run(site, "signing-key", "activate", "--force")
    assert result.exit_code == 1
    assert "stage one first" in result.stderr
    assert site.audit() == []


def test_the_overview_lists_the_keys_and_warns_in_time(keyed, monkeypatch):
    site, *_ = keyed
    site.user("admin", admin=True)
    page = site.browser("admin").get("/-/admin").text
    assert all(key_id in page for key_id in parts(site).values())
    assert "ends soon" not in page
    monkeypatch.setattr(keyring, "WARN_BEFORE", timedelta(days=4000))
    page = site.browser("admin").get("/-/admin").text
    assert "of the signing key ends soon" in page
    assert "flask signing-key activate" in page
    assert "ends soon" in run(site, "signing-key", "status").stdout
