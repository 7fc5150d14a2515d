"""Patterns of images and tags: one language, anchored, checked, and never slow."""

from __future__ import annotations

import re
import time
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_ui.names import COMPONENT, TAG
from registry_ui.patterns import glob
from registry_ui.patterns.glob import (
    IMAGES,
    TAGS,
    Glob,
    MatchCounter,
    PatternInvalid,
    RegularExpression,
)

ROOT = Path(__file__).parents[2]

MATCHES = [
    ("v1", "v1", True),
    ("v1", "v1.2", False),
    ("v1", "xv1", False),
    ("v*", "v", True),
    ("v*", "v1.2", True),
    ("v*", "V1", False),
    ("v?", "v1", True),
    ("v?", "v", False),
    ("v?", "v10", False),
    ("team?web", "team/web", False),
    ("*-rc*", "1.0-rc1", True),
    ("*-rc*", "1.0", False),
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
    ("v*, latest", "v1", True),
    ("v*,latest", "latest", True),
    ("v*\nlatest\r\n", "latest", True),
    ("a,b", "a,b", False),
    (" v1 ,, ", "v1", True),
    (" v1 ,, ", "", False),
]


@pytest.mark.parametrize(("pattern", "text", "matches"), MATCHES)
def test_a_pattern_matches_a_whole_name_or_not(pattern, text, matches):
    assert Glob(pattern).matches(text) is matches


@given(st.text("ab/*?,", max_size=10), st.text("ab/", max_size=10))
def test_a_list_matches_what_one_of_its_patterns_matches_as_a_regular_expression(pattern, text):
    signs = {"*": "[^/]*", "?": "[^/]"}
    items = [item for item in pattern.split(",") if item] or [""]
    expected = any(
        re.fullmatch(
            "".join(signs.get(p) or (".*" if p[0] == "*" else re.escape(p)) for p in parts), text
        )
        for parts in (re.findall(r"\*+|[^*]", item) for item in items)
    )
    assert Glob(pattern).matches(text) is bool(expected)


SLOW = ["*a" * 60 + "*b", "**a" * 60, "*" * 255, ", ".join(["?" * 120] * 8), "*?" * 100 + "b"]


def test_no_pattern_is_slow():
    started = time.thread_time()  # What others compute meanwhile does not count.
    for pattern in SLOW:
        Glob(pattern).matches("a" * 255)
    assert time.thread_time() - started < 1


REFUSED_TAGS = [
    ("{v*,keep}", "“{” can't be part of a tag. Separate alternatives by commas: v*, latest."),
    ("v[0-9]", "“[” can't be part of a tag. Separate"),
    ("v1 v2", "A space can't be part of a tag."),
    ("team/v1", "“/” can't be part of a tag."),
    ("v+", "“+” can't be part of a tag."),
    ("é", "“é” can't be part of a tag."),
    ("v\x00", "U+0000 can't be part of a tag."),
    ("\ud800", "U+D800 can't be part of a tag."),
    ("v*, ok, -x", "“-x” can't match: a tag is never written like that."),
    (".x*", "“.x*” can't match"),
    ("x" * 129, "A tag has at most 128 characters."),
    ("x, " * 400, "A pattern has at most 1,000 characters."),
    ("", "Enter a pattern, for example v*, latest."),
    (" , \n", "Enter a pattern"),
]
REFUSED_IMAGES = [
    ("Team/*", "“T” can't be part of an image name. Image names are lowercase."),
    ("web:1", "“:” can't be part of an image name."),
    ("/web", "“/web” can't match: an image name is never written like that."),
    ("web/", "“web/” can't match"),
    ("web, a//b", "“a//b” can't match"),
    ("a/**/", "“a/**/” can't match"),
    ("a._b", "“a._b” can't match"),
    ("a___b", "“a___b” can't match"),
    ("x" * 256, "An image name has at most 255 characters."),
]


@pytest.mark.parametrize(
    ("text", "message", "grammar"),
    [(*row, TAGS) for row in REFUSED_TAGS] + [(*row, IMAGES) for row in REFUSED_IMAGES],
)
def test_a_pattern_that_can_match_nothing_is_refused_by_name(text, message, grammar):
    with pytest.raises(PatternInvalid, match=re.escape(message)):
        Glob.parse(text, grammar)


@pytest.mark.parametrize(
    "text", ["KEEP", "v*", "?", "*", "_x", "1.2-*", "*-", "?" * 128, "x" * 128, "**"]
)
def test_what_a_tag_can_be_is_a_pattern_of_tags(text):
    assert str(Glob.parse(text, TAGS)) == text


@pytest.mark.parametrize("text", ["", "**", "a__b", "a--b", "a.b/*", "*/a", "**-x", "?/?", "*_*"])
def test_what_a_name_can_be_is_a_pattern_of_images(text):
    assert str(Glob.parse(text, IMAGES)) == text


WORDS = ["", *("".join(word) for n in range(1, 7) for word in product("a._-/", repeat=n))]
#: Every image name and every tag of up to six of these characters: each pattern below of four
#: that matches any matches one of them.
NAMES = {
    IMAGES: [w for w in WORDS if not w or re.fullmatch(rf"{COMPONENT}(?:/{COMPONENT})*", w)],
    TAGS: [w for w in WORDS if re.fullmatch(TAG, w)],
}


@pytest.mark.parametrize("grammar", [IMAGES, TAGS], ids=["images", "tags"])
@given(text=st.text("a._-/*?", min_size=1, max_size=4))
def test_exactly_the_patterns_that_match_no_name_are_refused(grammar, text):
    try:
        found = Glob.parse(text, grammar)
    except PatternInvalid:
        assert not any(map(Glob(text).matches, NAMES[grammar]))
    else:
        assert any(map(found.matches, NAMES[grammar]))


def test_a_list_is_kept_in_its_canonical_form():
    assert str(Glob.parse("v*,latest,\n v* \n", TAGS)) == "v*, latest"


def test_a_counter_knows_which_patterns_of_a_list_match_nothing():
    counter = MatchCounter(Glob("v*, KEEP, latest"))
    counter.add(["v1", "v2"])
    counter.add(["latest", "keep"])
    assert (counter.count, counter.unmatched) == (3, ["KEEP"])


def test_a_regular_expression_is_another_type_without_lists():
    expression = RegularExpression.parse("v[0-9]{1,2}|latest")
    assert [t for t in ("v1", "v12", "v123", "latest", "xlatest") if expression.matches(t)] == [
        "v1",
        "v12",
        "latest",
    ]
    assert expression.items == ("v[0-9]{1,2}|latest",)
    for wrong in ("(", "(?=x)", r"(a)\1", "x" * 1001, "\ud800", "(a{900}){900}"):
        with pytest.raises(PatternInvalid):
            RegularExpression.parse(wrong)


def test_a_list_is_measured_as_it_is_stored():
    typed = ",".join(f"{n:03}" for n in range(240))
    assert len(typed) < glob.MAX_PATTERN < len(typed.replace(",", ", "))
    with pytest.raises(PatternInvalid, match="at most 1,000 characters"):
        Glob.parse(typed, TAGS)


def test_the_kind_of_a_pattern_is_one_of_two():
    assert isinstance(glob.parse("regex", "v.*", TAGS), RegularExpression)
    assert isinstance(glob.parse("glob", "v*", TAGS), Glob)
    with pytest.raises(PatternInvalid, match="of the kind glob or regex"):
        glob.parse("perl", "v*", TAGS)


def test_the_forms_and_the_documentation_have_the_same_table():
    form = (ROOT / "templates" / "_patterns.html").read_text()
    documentation = (ROOT / "docs" / "users.md").read_text().replace("`", "")
    rows = re.findall(r"\('(.+?)', '(.+?)', '(.+?)'\),", form)
    assert len(rows) == 5
    for sign, meaning, example in rows:
        assert f"| {sign} | {meaning} | {example} |" in documentation
