"""Multi-level names as folders, and tags that speak of other tags folded away."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_ui.catalog.tree import SORTS, ImageRow, build_tree, tree_view
from registry_ui.names import subject_of
from registry_ui.tags.rows import group_attached_tags

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def row(name, tags=1, pushed=None):
    return ImageRow(name, f"acme/app/{name}".rstrip("/"), tags, pushed, None, 0)


def drawn(folder, depth=0):
    """A tree as text: ``*`` marks an image."""
    mark = "*" if folder.image else ""
    lines = [f"{'  ' * depth}{folder.segment}{mark}"]
    for inner in folder.folders:
        lines += drawn(inner, depth + 1)
    return lines


def test_names_become_folders_and_a_folder_may_be_an_image_too():
    tree = build_tree(map(row, ["web/api", "web", "tools/a/b/c", "", "db"]))
    assert drawn(tree) == [
        "*",
        "  db*",
        "  tools",
        "    a",
        "      b",
        "        c*",
        "  web*",
        "    api*",
    ]


def test_each_level_is_sorted_by_its_segments_and_not_by_the_whole_text():
    tree = build_tree(map(row, ["a-b", "a/c", "a", "a.b", "a0", "B"]))
    assert [folder.segment for folder in tree.folders] == ["B", "a", "a-b", "a.b", "a0"]


def test_an_empty_project_is_an_empty_tree():
    tree = build_tree([])
    assert (tree.image, tree.folders, tree.image_count, tree.tag_count) == (None, [], 0, 0)
    assert tree.last_push_at is None


def test_counts_and_the_last_push_hold_for_everything_below():
    images = [row("", 1, NOW), row("a", 2), row("a/b", 4, NOW + timedelta(days=1)), row("c/d", 8)]
    tree = build_tree(images)
    a, c = tree.find("a"), tree.find("c")
    assert (tree.image_count, tree.tag_count) == (4, 15)
    assert tree.last_push_at == NOW + timedelta(days=1)
    assert (a.image_count, a.tag_count, a.last_push_at) == (2, 6, NOW + timedelta(days=1))
    assert (c.image_count, c.tag_count, c.last_push_at) == (1, 8, None)
    assert c.image is None


@pytest.mark.parametrize(("name", "found"), [("", ""), ("a", "a"), ("a/b", "b"), ("a/b/c", "c")])
def test_a_folder_is_found_by_its_whole_name(name, found):
    assert build_tree([row("a/b/c")]).find(name).segment == found


@pytest.mark.parametrize("name", ["b", "a/c", "a/b/c/d", "ab", "a/bc", "c"])
def test_what_is_not_there_is_not_found(name):
    assert build_tree([row("a/b/c")]).find(name) is None


# -- sorted and filtered -----------------------------------------------------------

DAY = timedelta(days=1)
SIZED = [
    ImageRow("big", "acme/app/big", 1, NOW, None, 5, 900),
    ImageRow("many/one", "acme/app/many/one", 1, NOW + DAY, None, 1, 500),
    ImageRow("many/two", "acme/app/many/two", 1, None, None, 2, 600),
    ImageRow("unknown", "acme/app/unknown", 1, None, None, 9, None),
    ImageRow("", "acme/app", 1, None, None, 0, None),
]


@pytest.mark.parametrize(
    ("sort", "order", "expected"),
    [
        ("name", "asc", "big many unknown"),
        ("name", "desc", "unknown many big"),
        ("size", "asc", "big many unknown"),
        ("size", "desc", "many big unknown"),
        ("pulls", "asc", "many big unknown"),
        ("pulls", "desc", "unknown big many"),
        ("pushed", "asc", "big many unknown"),
        ("pushed", "desc", "many big unknown"),
    ],
)
def test_folders_are_sorted_by_all_that_is_below_and_the_unknown_comes_last(sort, order, expected):
    view = tree_view(SIZED, "", "", sort, order)
    assert [folder.segment for folder in view.folder.folders] == expected.split()


def test_every_level_is_sorted():
    (many,) = tree_view(SIZED, "", "many", "size", "desc").folder.folders
    assert [folder.segment for folder in many.folders] == ["two", "one"]
    assert (many.size, many.pull_count) == (1100, 3)


def test_a_filter_keeps_what_matches_and_the_folders_that_lead_there():
    view = tree_view(SIZED, "", "*/t*", "name", "asc")
    assert drawn(view.folder) == ["", "  many", "    two*"]
    assert (view.folder.image_count, view.total) == (1, 5)


def test_the_root_image_goes_by_the_name_of_its_project():
    assert tree_view(SIZED, "", "app", "name", "asc").folder.image is SIZED[-1]


def test_a_folder_is_filtered_below_its_name_and_may_be_left_empty():
    below = SIZED[1:3]
    view = tree_view(below, "many", "one", "name", "asc")
    assert [folder.segment for folder in view.folder.folders] == ["one"]
    empty = tree_view(below, "many", "nothing", "name", "asc")
    assert (empty.folder.name, empty.folder.image_count, empty.total) == ("many", 0, 2)


@pytest.mark.parametrize("sort", SORTS)
def test_an_empty_tree_can_be_sorted(sort):
    assert tree_view([], "", "", sort, "desc").folder.folders == []


segments = st.text("ab", min_size=1, max_size=2)
image_names = st.lists(segments, max_size=4).map("/".join)


@given(st.lists(image_names, unique=True, max_size=10), st.randoms())
def test_every_image_is_in_the_tree_once_at_its_name(names, random):
    tree = build_tree(map(row, names))
    assert tree.image_count == len(names)
    for name in names:
        folder = tree.find(name)
        assert folder.name == name
        assert folder.image.name == name
    shuffled = random.sample(names, len(names))
    assert drawn(build_tree(map(row, shuffled))) == drawn(tree)


# -- tags that speak of others -----------------------------------------------------

A, B = "a" * 64, "b" * 64


@pytest.mark.parametrize(
    ("tag", "subject"),
    [
        (f"sha256-{A}.sig", f"sha256:{A}"),
        (f"sha256-{A}.att", f"sha256:{A}"),
        (f"sha256-{A}.sbom", f"sha256:{A}"),
        (f"sha256-{A}", f"sha256:{A}"),
        (f"sha512-{A}{A}", f"sha512:{A}{A}"),
        (f"sha256-{A}.other", None),
        (f"sha256-{A[:-1]}.sig", None),
        (f"sha256-{A.upper()}.sig", None),
        (f"x-sha256-{A}.sig", None),
        (f"sha256:{A}", None),
        ("sha256-v1.sig", None),
        ("latest", None),
    ],
)
def test_the_digest_that_a_tag_speaks_of(tag, subject):
    assert subject_of(tag) == subject


def test_signatures_are_folded_under_what_they_sign_and_orphans_are_shown():
    orphan = f"sha256-{'c' * 64}.sig"
    names = ["v1", "v2", f"sha256-{A}.sig", f"sha256-{A}", orphan, "unknown"]
    folded, shown = group_attached_tags(names, {f"sha256:{A}", f"sha256:{B}"})
    assert folded == {f"sha256:{A}": [f"sha256-{A}.sig", f"sha256-{A}"]}
    assert shown == ["v1", "v2", orphan, "unknown"]
