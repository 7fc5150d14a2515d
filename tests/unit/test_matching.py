"""What people type to filter a list: parts of names, or patterns for whole names."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_ui.patterns.glob import Glob
from registry_ui.patterns.search import matcher

NAMES = ["v1.0", "v1.10", "V1.2-rc", "v2.0", "latest", "v1", "x-v1.0"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", NAMES),
        (" , ", NAMES),
        ("v1.0", ["v1.0", "x-v1.0"]),
        ("RC", ["V1.2-rc"]),
        ("v1.*", ["v1.0", "v1.10"]),
        ("V1.*", ["V1.2-rc"]),
        ("v?.0", ["v1.0", "v2.0"]),
        ("*v1.0", ["v1.0", "x-v1.0"]),
        ("v1?", []),
        ("*", NAMES),
        ("v2.*, latest", ["v2.0", "latest"]),
        ("rc, lat", ["V1.2-rc", "latest"]),
        ("[v]1*", []),
        ("(v1|v2)", []),
        ("v1.0$", []),
        ("v1.0\\*", []),
        ("nothing", []),
    ],
)
def test_a_part_of_a_name_or_a_pattern_for_the_whole_finds_it(text, found):
    assert [name for name in NAMES if matcher(text)(name)] == found


def test_stars_of_a_filter_stop_at_slashes_as_everywhere():
    names = ["api", "team/api", "team/web/api"]
    assert [name for name in names if matcher("*/api")(name)] == ["team/api"]
    assert [name for name in names if matcher("**/api")(name)] == ["team/api", "team/web/api"]


@given(st.text("av.*?[]!\\/", max_size=8), st.text("av.[]!\\/", max_size=8))
def test_a_filter_with_a_wildcard_says_what_the_same_pattern_of_a_rule_says(text, name):
    if "*" in text or "?" in text:
        assert matcher(text)(name) is Glob(text).matches(name)
    else:
        assert matcher(text)(name) is (text in name)


@pytest.mark.parametrize("text", ["*a" * 60 + "b", "*?" * 60 + "b", "*a?" * 40 + "b"])
def test_no_pattern_is_slow(text):
    matches = matcher(text)
    start = time.thread_time()  # What others compute meanwhile does not count.
    assert [matches("a" * 127) for _ in range(100)] == [False] * 100
    assert time.thread_time() - start < 5
