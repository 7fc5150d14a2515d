"""Patterns of images and tags: globs, anchored, and never slow."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_ui.access.patterns import Pattern, PatternInvalid, image_pattern, tag_pattern

COVERED = [
    ("v1", "v1", True),
    ("v1", "v1.2", False),
    ("v1", "xv1", False),
    ("v*", "v", True),
    ("v*", "v1.2", True),
    ("v*", "V1", False),
    ("*-rc*", "1.0-rc1", True),
    ("*-rc*", "1.0", False),
    ("*.*.*", "1.2.3", True),
    ("*.*.*", "1.2", False),
    ("v1.2", "v1x2", False),
    ("*", "", True),
    ("*", "web", True),
    ("*", "team/web", False),
    ("**", "", True),
    ("**", "team/web/api", True),
    ("team/*", "team/web", True),
    ("team/*", "team/web/api", False),
    ("team/*", "team", False),
    ("team/**", "team/web/api", True),
    ("**/api", "team/web/api", True),
    ("**/api", "api", False),
    ("***", "a/b", True),
    ("", "", True),
    ("", "web", False),
]


@pytest.mark.parametrize(("pattern", "text", "covered"), COVERED)
def test_a_pattern_covers_a_whole_text_or_not(pattern, text, covered):
    assert Pattern(pattern).covers(text) is covered


@given(st.text("ab/*", max_size=8), st.text("ab/", max_size=10))
def test_it_says_what_the_same_pattern_as_a_regular_expression_says(pattern, text):
    parts = re.findall(r"\*+|[^*]", pattern)
    as_regex = "".join(
        re.escape(p) if p[0] != "*" else "[^/]*" if len(p) == 1 else ".*" for p in parts
    )
    assert Pattern(pattern).covers(text) is bool(re.fullmatch(as_regex, text))


def test_no_pattern_is_slow():
    started = time.perf_counter()
    for pattern in ("*a" * 60 + "*b", "**a" * 60, "*" * 255):
        Pattern(pattern).covers("a" * 255)
    assert time.perf_counter() - started < 0.2


@pytest.mark.parametrize("text", ["", "v 1", "a/b", "v\n", "(v)", "v+", "v[12]", "x" * 129, "é"])
def test_what_no_tag_can_be_is_no_pattern_of_tags(text):
    with pytest.raises(PatternInvalid):
        tag_pattern(text)


@pytest.mark.parametrize("text", ["/web", "web/", "Web", "web:1", "a b", "x" * 256, "we?b"])
def test_what_no_name_can_be_is_no_pattern_of_images(text):
    with pytest.raises(PatternInvalid):
        image_pattern(text)


def test_the_empty_pattern_is_the_root_image_alone():
    assert image_pattern("").covers("")
    assert not image_pattern("").covers("web")
