"""Which test files run one after the other in the same process, because they share what they start.

A product, a browser and a Docker daemon take longer to start than many a test. What runs longest
comes first, so that no process has it alone at the end.
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
_numbers = {f"test_{name}.py": number for number, names in enumerate(GROUPS) for name in names}


class Scheduling(LoadFileScheduling):  # type: ignore[misc]
    """Gives a process all tests of a group of files, or of a file that is in none."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        number = _numbers.get(Path(file).name)
        return file if number is None else f"group {number}"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    """Keep groups together, where files would be kept together."""
    return Scheduling(config, log) if config.option.dist == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    items.sort(key=_place_of)


def _place_of(item: pytest.Item) -> tuple[int, int]:
    """Return where a test comes: by its folder, then by its group."""
    number = _numbers.get(item.path.name, len(GROUPS))
    return FOLDERS.index(item.path.parent.name), number
