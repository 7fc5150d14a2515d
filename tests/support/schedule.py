"""Order and grouping of test files: files that share a product run in the same process.

A product, a browser, and a Docker daemon take longer to start than most tests run. The longest
groups come first, so that they do not run alone at the end.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler.loadfile import LoadFileScheduling

FOLDERS = ("e2e", "contract", "web", "unit")
#: Files of end-to-end tests that share a product, without those that have one of their own.
GROUPS = (
    ("every_page",),
    ("clients", "skopeo", "docker", "docker_sessions"),
    ("browser", "weight", "compare_and_search", "appearance", "tree_and_tags"),
    ("make_run",),
    ("twenty_kills",),
    ("events",),
    ("pulls", "copy_pages", "removal_pages", "patterns_in_forms"),
)
#: Number of the group of each file, by folder and name of the file.
NUMBERS = {
    ("e2e", f"test_{name}.py"): number for number, names in enumerate(GROUPS) for name in names
}


class Scheduling(LoadFileScheduling):  # type: ignore[misc]
    """Assign all tests of a group of files, or of a file that is in no group, to one process."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        number = NUMBERS.get(_key_of(Path(file)))
        return file if number is None else f"group {number}"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    """Keep groups together if files are kept together."""
    return Scheduling(config, log) if config.option.dist == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the tests: the longest groups first."""
    items.sort(key=_place_of)


def _place_of(item: pytest.Item) -> tuple[int, int]:
    """Return the sort key of a test: its folder, then its group."""
    number = NUMBERS.get(_key_of(item.path), len(GROUPS))
    return FOLDERS.index(item.path.parent.name), number


def _key_of(file: Path) -> tuple[str, str]:
    return file.parent.name, file.name
