"""`make release` in a real repository: what it commits and tags, and when it refuses."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from config import ROOT
from tests.support.processes import required

IDENTITY = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_AUTHOR_NAME": "Ann",
    "GIT_AUTHOR_EMAIL": "ann@example.org",
    "GIT_COMMITTER_NAME": "Ann",
    "GIT_COMMITTER_EMAIL": "ann@example.org",
}
PROJECT = '[project]\nname = "shop"\nversion = "0.0.0"\n\n[tool.x]\ntarget-version = "py311"\n'
FIRST_NOTES = "### Added\n\nPages:\n\n- **A page**\n\n### Fixed\n\n- A fault\n"
UNRELEASED = "0.1.0 \N{EN DASH} unreleased"
FIRST = f"# Changelog\n\n## {UNRELEASED}\n\n{FIRST_NOTES}"
NEXT = "# Changelog\n\n## Unreleased\n\n### Added\n\n### Changed\n\n### Fixed\n"
MAKEFILE = "check test-all:\n\t@echo $@ >>ran\n\t@! test -e broken-$@\n"


class Repository:
    """A repository with a remote, and the files that a release needs."""

    def __init__(self, home: Path) -> None:
        self.home = home / "work"
        self.home.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("init", "--quiet", "--bare", str(home / "remote"))
        self.git("remote", "add", "origin", str(home / "remote"))
        self.commit(
            {
                "pyproject.toml": PROJECT,
                "CHANGELOG.md": FIRST,
                "Makefile": MAKEFILE,
                ".gitignore": "ran\nbroken-*\n",
            }
        )

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            [required("git"), *arguments],
            cwd=self.home,
            env=os.environ | IDENTITY,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout

    def commit(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            (self.home / name).write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "A change")

    def release(self, version: str, tested: str = "yes") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(ROOT / "deploy/release.py"), version, tested],
            cwd=self.home,
            env=os.environ | IDENTITY,
            check=False,
            capture_output=True,
            text=True,
        )

    def released(self, version: str, tested: str = "yes") -> str:
        done = self.release(version, tested)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def refusal(self, version: str, tested: str = "yes") -> str:
        """Return the one line of a release that is refused and that changes nothing."""
        before = self.state()
        done = self.release(version, tested)
        assert done.returncode == 1
        assert self.state() == before
        (line,) = done.stderr.splitlines()
        return line.removeprefix("make release: ")

    def state(self) -> tuple[str, ...]:
        return (
            self.git("rev-parse", "HEAD"),
            self.git("tag", "--list"),
            self.git("status", "--porcelain"),
            self.git("diff"),
        )

    def file(self, name: str, commit: str = "HEAD") -> str:
        return self.git("show", f"{commit}:{name}")

    @property
    def ran(self) -> list[str]:
        file = self.home / "ran"
        return file.read_text().split() if file.exists() else []


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path)


def dated(version: str) -> str:
    return f"{version} \N{EN DASH} {datetime.now(UTC).date()}"


def test_the_tagged_commit_has_the_version_and_the_date(repository):
    repository.released("0.1.0")
    changelog = repository.file("CHANGELOG.md", "v0.1.0")
    assert changelog == f"# Changelog\n\n## {dated('0.1.0')}\n\n{FIRST_NOTES}"
    assert repository.file("pyproject.toml", "v0.1.0") == PROJECT.replace("0.0.0", "0.1.0")


def test_the_tag_is_annotated_with_that_part_of_the_changelog(repository):
    repository.released("0.1.0")
    assert repository.git("cat-file", "-t", "v0.1.0") == "tag\n"
    message = repository.git("tag", "--list", "--format=%(contents)", "v0.1.0")
    assert message == f"{dated('0.1.0')}\n\n{FIRST_NOTES}\n"


def test_the_commit_after_it_begins_the_next_part(repository):
    repository.released("0.1.0")
    assert repository.git("rev-list", "--count", "v0.1.0..main") == "1\n"
    part = f"## {dated('0.1.0')}\n\n{FIRST_NOTES}"
    assert repository.file("CHANGELOG.md") == f"{NEXT}\n{part}"
    assert repository.git("status", "--porcelain") == ""


def test_the_next_release_takes_the_unreleased_part_without_its_empty_sections(repository):
    repository.released("0.1.0")
    before = repository.file("CHANGELOG.md", "v0.1.0").removeprefix("# Changelog\n\n")
    repository.commit({"CHANGELOG.md": f"{NEXT}\n- A second fault\n\n{before}"})
    repository.released("0.2.0")
    part = f"## {dated('0.2.0')}\n\n### Fixed\n\n- A second fault\n"
    assert repository.file("CHANGELOG.md", "v0.2.0") == f"# Changelog\n\n{part}\n{before}"


def test_nothing_is_pushed_and_the_next_step_is_printed(repository):
    start = repository.git("rev-parse", "--short=12", "HEAD").strip()
    printed = repository.released("0.1.0")
    assert repository.git("ls-remote", "origin") == ""
    assert "git push --atomic origin main v0.1.0\n" in printed
    assert f"git tag --delete v0.1.0 && git reset --hard {start}\n" in printed


def test_the_printed_undo_and_publication_work(repository):
    before = repository.state()
    undo = repository.released("0.1.0").splitlines()[-1].partition(": ")[2]
    subprocess.run(undo, shell=True, cwd=repository.home, check=True, capture_output=True)
    assert repository.state() == before
    publish = repository.released("0.1.0").splitlines()[0].partition(": ")[2]
    subprocess.run(publish, shell=True, cwd=repository.home, check=True, capture_output=True)
    assert "refs/tags/v0.1.0" in repository.git("ls-remote", "origin")


def test_every_check_and_test_runs_first(repository):
    repository.released("0.1.0", tested="")
    assert repository.ran == ["check", "test-all"]


def test_nothing_runs_if_it_was_tested(repository):
    repository.released("0.1.0", tested="yes")
    assert repository.ran == []


@pytest.mark.parametrize("target", ["check", "test-all"])
def test_a_test_that_fails_prevents_the_release(repository, target):
    (repository.home / f"broken-{target}").touch()
    before = repository.state()
    done = repository.release("0.1.0", tested="")
    assert done.returncode == 1
    assert "make release: a check or a test failed: see the lines above\n" in done.stderr
    assert repository.state() == before


@pytest.mark.parametrize("version", ["", "1", "0.1", "v0.1.0", "0.1.0rc1", "01.2.3", "0.1.0 "])
def test_a_version_has_three_numbers(repository, version):
    assert repository.refusal(version).endswith("is not a version: make release V=0.1.0")


@pytest.mark.parametrize("version", ["0.10.0", "0.9.1"])
def test_a_version_is_greater_than_the_last_tag_by_its_numbers(repository, version):
    for tag in ("v0.9.0", "v0.10.0", "v0.2.0", "vendor"):
        repository.git("tag", tag)
    message = f"{version} is not greater than 0.10.0, the last version"
    assert repository.refusal(version) == message


def test_a_change_that_is_not_committed_prevents_the_release(repository):
    (repository.home / "Makefile").write_text("")
    assert "not committed" in repository.refusal("0.1.0")


def test_a_file_that_git_does_not_know_prevents_the_release(repository):
    (repository.home / "new").touch()
    assert "not committed" in repository.refusal("0.1.0")


def test_a_release_is_made_from_main(repository):
    repository.git("switch", "--quiet", "--create", "fix")
    assert repository.refusal("0.1.0") == "a release is made from main: git switch main"


@pytest.mark.parametrize(
    "heading", ["0.2.0 \N{EN DASH} unreleased", "0.1.0 \N{EN DASH} 2026-01-01", "0.1.0"]
)
def test_the_changelog_must_begin_with_what_is_released(repository, heading):
    repository.commit({"CHANGELOG.md": FIRST.replace(UNRELEASED, heading)})
    message = f"CHANGELOG.md must begin with '## Unreleased' or '## {UNRELEASED}'"
    assert repository.refusal("0.1.0") == message


def test_the_changelog_must_say_something(repository):
    repository.commit({"CHANGELOG.md": NEXT})
    assert repository.refusal("0.1.0") == "CHANGELOG.md says nothing about 0.1.0"


def test_the_version_must_be_in_one_place(repository):
    repository.commit({"pyproject.toml": PROJECT.replace('version = "0.0.0"\n', "")})
    assert repository.refusal("0.1.0") == "pyproject.toml must have one line 'version = ...'"


@pytest.mark.parametrize("commit", ["release: v0.1.0", "changelog:"])
def test_a_hook_that_refuses_a_commit_leaves_all_as_it_was(repository, commit):
    hook = repository.home / ".git" / "hooks" / "commit-msg"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f'#!/bin/sh\n! grep --quiet "^{commit}" "$1" || {{ echo No >&2; exit 1; }}\n')
    hook.chmod(0o755)
    assert repository.refusal("0.1.0") == "git commit failed: No"


@pytest.mark.parametrize("tested", ["", "yes"])
def test_make_passes_the_version_on(tested):
    command = ["make", "--dry-run", "release", "V=0.1.0", f"TESTED={tested}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert f'deploy/release.py "0.1.0" "{tested}"' in done.stdout
