"""What people type to find names: a part, or a pattern for the whole."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_ui.catalog.matching import matcher

NAMES = ["v1.0", "v1.10", "V1.2-rc", "v2.0", "latest", "v1", "x-v1.0"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", NAMES),
        ("v1.0", ["v1.0", "x-v1.0"]),
        ("RC", ["V1.2-rc"]),
        ("v1.*", ["v1.0", "v1.10", "V1.2-rc"]),
        ("v?.0", ["v1.0", "v2.0"]),
        ("*v1.0", ["v1.0", "x-v1.0"]),
        ("v1?", []),
        ("*", NAMES),
        ("[v]1*", []),
        ("v1.[0-9]*", []),
        ("(v1|v2)", []),
        ("v1.0$", []),
        ("v1.0\\*", []),
        ("nothing", []),
    ],
)
def test_a_part_of_a_name_or_a_pattern_for_the_whole_finds_it(text, found):
    assert [name for name in NAMES if matcher(text)(name)] == found


@given(st.text("av.*?[]!\\", max_size=8), st.text("av.[]!\\", max_size=8))
def test_two_characters_alone_mean_something(text, name):
    expected = re.escape(text).replace(r"\*", ".*").replace(r"\?", ".")
    if "*" not in text and "?" not in text:
        expected = f".*{expected}.*"
    assert matcher(text)(name) is (re.fullmatch(expected, name, re.DOTALL) is not None)


@pytest.mark.parametrize("text", ["*a" * 60 + "b", "*?" * 60 + "b", "*a?" * 40 + "b"])
def test_no_pattern_is_slow(text):
    matches = matcher(text)
    start = time.monotonic()
    assert [matches("a" * 127) for _ in range(100)] == [False] * 100
    assert time.monotonic() - start < 5
