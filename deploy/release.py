"""Commit and tag a version:  make release V=0.1.0.

The commit sets the version in pyproject.toml, and gives the first part of CHANGELOG.md the version
and the date. That part of the changelog is the message of the tag. A second commit adds an empty
part for the next version. Nothing is pushed. If a step fails, the checkout is restored.
"""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

CHANGELOG, PROJECT = Path("CHANGELOG.md"), Path("pyproject.toml")
NEXT_PART = "## Unreleased\n\n### Added\n\n### Changed\n\n### Fixed\n\n"
VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
VERSION_LINE = re.compile(r'^version = ".*"$', re.MULTILINE)
FIRST_PART = re.compile(r"^## (.+)\n((?:(?!## ).*\n)*)", re.MULTILINE)
EMPTY_SECTION = re.compile(r"^### .*\n+(?=### |\Z)", re.MULTILINE)


class ReleaseError(RuntimeError):
    """The version can't be released. The message is one line that gives the reason."""


class Release(NamedTuple):
    """The contents of the files to commit, and the message of the tag, for one release.

    Attributes:
        project: pyproject.toml with the version.
        changelog: CHANGELOG.md with the version and the date.
        notes: the message of the tag.
        next_changelog: CHANGELOG.md with an empty part for the next version.
    """

    project: str
    changelog: str
    notes: str
    next_changelog: str


def git(*arguments: str) -> str:
    """Run a git command, and return its output; raise ReleaseError if it fails."""
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ReleaseError(f"git {arguments[0]} failed: {' '.join(done.stderr.split())}")
    return done.stdout.strip()


def numbers(version: str) -> tuple[int, ...]:
    """Return the numbers of a version such as 0.1.0, as a sort key."""
    return tuple(map(int, version.split(".")))


def require_passing_tests() -> None:
    """Run every check and test, and show their output; raise ReleaseError if one fails."""
    if subprocess.run(["make", "check", "test-all"], check=False).returncode:
        raise ReleaseError("a check or a test failed: see the lines above")


def require_ready_checkout(version: str) -> None:
    """Raise ReleaseError unless the version is greater than the last, on an unmodified ``main``."""
    if not VERSION.fullmatch(version):
        raise ReleaseError(f"'{version}' is not a version: make release V=0.1.0")
    if git("branch", "--show-current") != "main":
        raise ReleaseError("a release is made from main: git switch main")
    if git("status", "--porcelain"):
        raise ReleaseError("there are changes that are not committed: see git status")
    last = max(re.findall(r"^v(\d+\.\d+\.\d+)$", git("tag"), re.MULTILINE), key=numbers, default="")
    if last and numbers(version) <= numbers(last):
        raise ReleaseError(f"{version} is not greater than {last}, the last version")


def plan(version: str) -> Release:
    """Check the checkout, and return the file contents of the release; nothing is written.

    Raises:
        ReleaseError: the version can't be released.
    """
    require_ready_checkout(version)
    text, unreleased = CHANGELOG.read_text(), f"{version} \N{EN DASH} unreleased"
    part = FIRST_PART.search(text)
    if not part or part[1] not in {"Unreleased", unreleased}:
        raise ReleaseError(f"{CHANGELOG} must begin with '## Unreleased' or '## {unreleased}'")
    if not (body := EMPTY_SECTION.sub("", part[2]).strip()):
        raise ReleaseError(f"{CHANGELOG} says nothing about {version}")
    project, count = VERSION_LINE.subn(f'version = "{version}"', PROJECT.read_text())
    if count != 1:
        raise ReleaseError(f"{PROJECT} must have one line 'version = ...'")
    notes = f"{version} \N{EN DASH} {datetime.now(UTC).date()}\n\n{body}\n"
    before, released = text[: part.start()], f"## {notes}\n{text[part.end() :]}".rstrip() + "\n"
    return Release(project, before + released, notes, before + NEXT_PART + released)


def carry_out(release: Release, tag: str) -> None:
    """Write the files, and make both commits and the tag; if a step fails, undo all of them."""
    start = git("rev-parse", "HEAD")
    try:
        PROJECT.write_text(release.project)
        CHANGELOG.write_text(release.changelog)
        git("commit", "--all", "--message", f"release: {tag}")
        # The default cleanup would drop the headings, because it treats lines with # as comments.
        git("tag", "--annotate", "--cleanup=whitespace", "--message", release.notes, tag)
        CHANGELOG.write_text(release.next_changelog)
        git("commit", "--all", "--message", "changelog: begin the part of the next version")
    except BaseException:
        if git("tag", "--list", tag):  # The tag was created above: it did not exist before.
            git("tag", "--delete", tag)
        git("reset", "--hard", start)
        raise
    print(f"{tag} is set, and not pushed. To publish it: git push --atomic origin main {tag}")
    print(f"To undo it: git tag --delete {tag} && git reset --hard {start[:12]}")


def main(version: str = "", tested: str = "") -> None:
    """Release ``version``. Run every check and test first, unless ``tested`` is ``"yes"``."""
    try:
        release = plan(version)
        if tested != "yes":
            require_passing_tests()
            release = plan(version)  # The checkout can have changed during the tests.
        carry_out(release, f"v{version}")
    except (ReleaseError, OSError) as error:
        sys.exit(f"make release: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
