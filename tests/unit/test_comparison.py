"""What two images share and what differs, by lists in hand."""

from __future__ import annotations

import time
from typing import NamedTuple

import pytest

from registry_ui.comparison.diff import of_lines, of_pairs, of_sets
from registry_ui.comparison.layers import layer_diff
from registry_ui.comparison.packages import package_diff
from registry_ui.distribution.image_config import HistoryLine, ImageConfig
from registry_ui.distribution.manifest import Descriptor, ManifestFacts


class Package(NamedTuple):
    name: str
    version: str
    type: str


def facts(*layers, config="c"):
    """A manifest of these layers: ``("a", 5)`` is one of digest a and five bytes."""
    return ManifestFacts(
        "image",
        "x",
        config=Descriptor(config, "x", 1),
        layers=tuple(Descriptor(digest, "x", size) for digest, size in layers),
    )


def steps(*lines):
    return ImageConfig(history=tuple(HistoryLine(None, line, "", empty=False) for line in lines))


def shown(runs):
    words = {"added": "+", "removed": "-", "unchanged": " "}
    return [words[run.kind] + line for run in runs if not run.folded for line in run.lines]


# -- layers ----------------------------------------------------------------------


def test_layers_are_told_apart_in_an_order_that_fits_both():
    diff = layer_diff(
        facts(("a", 10), ("b", 20), ("old", 5)), facts(("a", 10), ("new", 7), ("b", 20))
    )
    found = [(row.digest, row.sides) for row in diff.rows]
    assert found == [("a", "both"), ("new", "to"), ("b", "both"), ("old", "from")]
    assert (diff.shared, diff.added, diff.removed, diff.base) == (2, 1, 1, 1)


def test_a_pull_fetches_what_is_not_there_each_blob_once():
    old, new = facts(("a", 10)), facts(("a", 10), ("b", 20), ("b", 20), config="d")
    assert layer_diff(old, new).download_size == 20 + 1
    assert layer_diff(new, old).download_size == 1
    assert layer_diff(old, old).download_size == 0


def test_a_layer_that_only_moved_is_shared_and_stands_once():
    diff = layer_diff(facts(("a", 1), ("b", 1)), facts(("b", 1), ("a", 1)))
    assert sorted((row.digest, row.sides) for row in diff.rows) == [("a", "both"), ("b", "both")]
    assert diff.download_size == 0
    assert diff.base == 0


def test_the_step_that_made_a_layer_is_named_only_where_the_history_tells():
    old, new = facts(("a", 1)), facts(("a", 1), ("b", 1))
    diff = layer_diff(old, new, steps("FROM a"), steps("FROM a", "RUN b"))
    assert [row.made_by for row in diff.rows] == ["FROM a", "RUN b"]
    diff = layer_diff(old, new, steps("FROM a"), steps("all at once"))
    assert [row.made_by for row in diff.rows] == ["FROM a", ""]


# -- settings and history --------------------------------------------------------


def test_pairs_are_added_removed_changed_or_unchanged():
    changes = of_pairs({"A": "1", "B": "2", "C": ""}, {"A": "1", "B": "3", "D": ""})
    assert [(c.name, c.kind) for c in changes] == [
        ("A", "unchanged"),
        ("B", "changed"),
        ("C", "removed"),
        ("D", "added"),
    ]


def test_members_of_a_set_are_added_or_removed():
    changes = of_sets("Port", ["80/tcp", "1/udp"], ["80/tcp", "443/tcp"])
    assert [(c.before, c.after) for c in changes] == [
        ("1/udp", None),
        (None, "443/tcp"),
        ("80/tcp", "80/tcp"),
    ]


def test_lines_are_shown_as_diff_shows_them_and_what_is_far_from_a_change_is_folded():
    same = [f"RUN {n}" for n in range(10)]
    runs = of_lines([*same, "CMD a", "USER x"], [*same, "CMD b", "USER x"])
    assert shown(runs) == [" RUN 8", " RUN 9", "-CMD a", "+CMD b", " USER x"]
    assert [len(run.lines) for run in runs if run.folded] == [8]


def test_equal_lines_are_all_folded_and_no_lines_are_none():
    assert [run.folded for run in of_lines(["a"] * 9, ["a"] * 9)] == [True]
    assert of_lines([], []) == []
    assert shown(of_lines([], ["a"])) == ["+a"]


@pytest.mark.parametrize("lines", [("x",), ("x", "y"), ("x", "x", "y")])
def test_a_history_that_was_written_to_take_long_does_not(lines):
    started = time.thread_time()  # What others compute meanwhile does not count.
    of_lines((list(lines) * 512)[:512], (list(reversed(lines)) * 512)[:511])
    assert time.thread_time() - started < 5


# -- packages --------------------------------------------------------------------


def test_packages_are_added_removed_upgraded_and_downgraded_by_the_order_of_versions():
    before = [Package("a", "1.9", "deb"), Package("b", "2", "deb"), Package("c", "1", "npm")]
    before += [Package("same", "1", "deb"), Package("d", "1.0", "npm")]
    after = [Package("a", "1.10", "deb"), Package("b", "1", "deb"), Package("e", "1", "npm")]
    after += [Package("same", "1", "deb"), Package("d", "1.0", "npm"), Package("d", "2.0", "npm")]
    diff = package_diff(before, after)
    assert {c.name: c.kind for c in diff.changes} == {
        "a": "upgraded",
        "b": "downgraded",
        "c": "removed",
        "d": "changed",
        "e": "added",
    }
    assert diff.same == 1
    assert diff.counts == dict.fromkeys(("added", "removed", "upgraded", "downgraded"), 1) | {
        "changed": 1
    }


def test_one_name_of_two_types_is_two_packages():
    diff = package_diff([Package("a", "1", "deb")], [Package("a", "1", "npm")])
    assert [(c.type, c.kind) for c in diff.changes] == [("deb", "removed"), ("npm", "added")]


def test_packages_are_found_by_a_part_of_the_name_or_by_their_type():
    diff = package_diff([], [Package("openssl", "3", "deb"), Package("left-pad", "1", "npm")])
    assert [c.name for c in diff.matching("SSL")] == ["openssl"]
    assert [c.name for c in diff.matching("npm")] == ["left-pad"]
    assert len(diff.matching("")) == 2
