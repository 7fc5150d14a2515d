"""What the collectors of 2.8 and 3.x say, and what others might."""

from __future__ import annotations

import pytest

from registry_ui.garbage_collection import output_parser
from registry_ui.garbage_collection.output_parser import CollectorOutput

A, B = ("sha256:" + letter * 64 for letter in "ab")
MARKING = [
    "a/b",
    f"a/b: marking manifest {A} ",
    f"a/b: marking blob {A}",
    "",
]
SUM = "1 blobs marked, 2 blobs and 0 manifests eligible for deletion"
ELIGIBLE = [f"blob eligible for deletion: {A}", f"blob eligible for deletion: {B}"]
LINKS = [f"a/b: layer link eligible for deletion: {A}"]
DELETING = 'level=info msg="Deleting blob: /docker/registry/v2/blobs/sha256/aa"'


def read(*lines):
    made = CollectorOutput()
    for line in lines:
        made.read(line + "\n")
    return made


def test_the_manifest_at_which_it_ended_is_known_by_repository_and_digest():
    ended = (
        f"failed to mark: filesystem: failed to retrieve manifest for digest {B}: unexpected end"
    )
    assert read(*MARKING, ended).unreadable == f"a/b@{B}"
    assert read(*MARKING, SUM).unreadable == ""


@pytest.mark.parametrize("more", [[], LINKS, [DELETING]], ids=["2.8", "3.x", "3.x at info"])
def test_the_blobs_that_nothing_needs_are_counted_and_named(more):
    found = read(*MARKING, SUM, *ELIGIBLE, *more)
    assert (found.marked, found.blobs, found.digests) == (1, 2, {A, B})
    assert found.text.splitlines() == ["a/b", SUM, *ELIGIBLE, *more]


def test_a_blob_of_our_own_is_not_counted():
    found = read(SUM, *ELIGIBLE)
    found.exclude_blob(A)
    found.exclude_blob("sha256:" + "c" * 64)
    assert (found.blobs, found.digests) == (1, {B})
    assert found.text.splitlines()[-1].startswith("[registry_ui] One of these blobs is a probe")
    assert found.text.endswith(A)


def test_a_collector_without_a_sum_is_counted_by_its_list():
    assert read(*MARKING, *ELIGIBLE).blobs == 2
    assert read().blobs == 0


def test_of_more_than_are_kept_the_number_is_known(monkeypatch):
    monkeypatch.setattr(output_parser, "MAX_DIGESTS", 1)
    found = read(SUM, *ELIGIBLE)
    assert (found.blobs, found.digests) == (2, {A})


def test_a_name_can_not_pass_for_a_line_of_the_collector():
    found = read(f"a/b: {SUM}", f"x blob eligible for deletion: {A}", f"{ELIGIBLE[0]}x")
    assert (found.blobs, found.digests) == (0, set())


def test_much_is_kept_with_its_beginning_and_its_end_and_no_line_whole():
    found = read(*(f"{number} " + "x" * 1000 for number in range(1000)), "\x00end")
    lines = found.text.splitlines()
    assert len(lines) == output_parser.MAX_FIRST_LINES + 1 + output_parser.MAX_LAST_LINES
    assert lines[output_parser.MAX_FIRST_LINES] == "… 701 lines are left out …"
    assert max(map(len, lines)) == output_parser.MAX_LINE_LENGTH
    assert lines[-1] == "end"
