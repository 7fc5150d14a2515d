"""The pinned requirements: from pyproject.toml alone, with hashes, and from no particular host."""

from __future__ import annotations

import re
import tomllib

import pytest

from config import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SOURCES = {
    "requirements.txt": ("registry-ui (pyproject.toml)", PROJECT["project"]["dependencies"]),
    "requirements-dev.txt": (
        "registry-ui (pyproject.toml:dev)",
        PROJECT["dependency-groups"]["dev"],
    ),
}
each_file = pytest.mark.parametrize("file", SOURCES)


def pinned(file: str) -> dict[str, str]:
    """Return the lines about each pinned package, by its name."""
    text = (ROOT / file).read_text()
    parts = re.split(r"^([a-z0-9-]+)==", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


@each_file
def test_what_pyproject_requires_is_pinned_and_nothing_else_is_pinned_for_it(file):
    origin, wanted = SOURCES[file]
    direct = {name for name, lines in pinned(file).items() if origin in lines}
    assert direct == {requirement.partition("[")[0] for requirement in wanted}, "make requirements"


@each_file
def test_every_pin_has_a_hash(file):
    assert [name for name, lines in pinned(file).items() if "--hash=sha256:" not in lines] == []


@each_file
def test_no_package_host_is_named(file):
    text = (ROOT / file).read_text()
    assert "://" not in text
    assert re.findall(r"^--\S+", text, flags=re.MULTILINE) == []


def test_both_files_agree():
    """Both are installed into one environment."""
    run, develop = (pinned(file) for file in SOURCES)

    def version(lines: str) -> str:
        return lines.split(maxsplit=1)[0]

    assert [n for n in run.keys() & develop.keys() if version(run[n]) != version(develop[n])] == []
