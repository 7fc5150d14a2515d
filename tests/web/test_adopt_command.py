"""The command that adopts repositories: its table, its errors, its exit status."""

from __future__ import annotations

import pytest

from registry_ui.models import Project
from tests.support.unassigned import leave, owners, paths


def run(site, *args, **more):
    return site.app.test_cli_runner().invoke(args=["project", "adopt", *args], **more)


def test_the_command_says_what_it_does_and_does_it(populated_site):
    leave(populated_site, "team/app", "team/app/web", "nginx")
    asked = run(populated_site, "--parts", "2", input="n\n")
    assert asked.exit_code == 1
    assert paths(populated_site, Project) == {"acme/app"}
    done = run(populated_site, "--owner", "alice", "--yes")
    assert done.exit_code == 0, done.output
    assert "alice becomes Owner of: nginx team" in done.stderr
    assert "Adopted 3 repositories in 2 projects." in done.stderr
    assert paths(populated_site, Project) == {"acme/app", "nginx", "team/app"}
    assert owners(populated_site) == {"nginx": "alice", "team": "alice"}


def test_a_dry_run_prints_the_table_and_writes_nothing(populated_site):
    leave(populated_site, "team/app", "team/app/web", "nginx", "acme/app/late")
    before = populated_site.dump()
    shown = run(populated_site, "--dry-run")
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.splitlines() == [
        "PROJECT   STATE   REPOSITORIES  NAMES",
        "acme/app  exists  1             acme/app/late",
        "nginx     new     1             nginx",
        "team/app  new     2             team/app team/app/web",
    ]
    assert "New namespaces: team" in shown.stderr
    assert "Without an Owner (see --owner): nginx team" in shown.stderr
    assert "Would adopt 4 repositories in 3 projects." in shown.stderr
    assert populated_site.dump() == before


@pytest.mark.parametrize("option", ["--dry-run", "--yes"])
def test_what_cant_be_adopted_is_named_and_changes_the_exit_status(populated_site, option):
    leave(populated_site, "team/app", "api", "acme")
    done = run(populated_site, option)
    assert done.exit_code == 3
    assert "api: “api” is reserved" in done.stderr
    assert "acme: “acme” is a namespace" in done.stderr
    assert "2 repositories stay unassigned" in done.stderr
    assert paths(populated_site, Project) - {"acme/app"} == (
        {"team/app"} if option == "--yes" else set()
    )


@pytest.mark.both_databases
@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--parts", "two"], 2, "“two” is not a whole number from 1 to 10, or 0 for the whole"),
        (["--parts", "11"], 2, "“11” is not a whole number from 1 to 10"),
        (["--parts", "-1"], 2, "“-1” is not a whole number from 1 to 10"),
        (["--parts", "1.5"], 2, "“1.5” is not a whole number"),
        (["--parts", ""], 2, "“” is not a whole number"),
        (["te*m"], 2, "lower-case letters"),
        (["Team"], 2, "lower-case letters"),
        (["--visibility", "secret"], 2, "is not one of"),
        (["absent"], 1, "there is no unassigned repository at or below “absent”"),
        (["api"], 1, "Nothing can be adopted."),
        (["--owner", "nobody"], 1, "The user “nobody” does not exist"),
    ],
)
def test_a_rule_that_is_unknown_or_impossible_writes_nothing(
    populated_site, arguments, status, words
):
    leave(populated_site, "team/app", "api")
    before = populated_site.dump()
    for option in ("--yes", "--dry-run"):
        done = run(populated_site, *arguments, option)
        assert done.exit_code == status, done.output
        assert words in done.stderr
        assert "Traceback" not in done.output
    assert populated_site.dump() == before
