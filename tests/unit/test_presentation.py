"""What templates call."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from flask import Flask

from registry_ui.formatting import (
    DASH,
    ago,
    format_detail,
    is_web_link,
    number,
    percent,
    pluralize,
    relative,
    short_digest,
    short_tag,
    size,
)
from registry_ui.http.query_args import current_address, query_with
from registry_ui.web import templating
from registry_ui.web.addresses import (
    Crumb,
    asset,
    breadcrumb_trail,
    image_url,
    reference_url,
)
from registry_ui.web.charts import proportional_bar
from registry_ui.web.form_options import Option, parent_options, place_options
from registry_ui.web.templating import collapse_folders, excerpt

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
HEX = "0123456789abcdef" * 4
HOSTILE = "\"'><script>alert(1)</script><b onmouseover=alert(1)>{{ 7 * 7 }}"
RULES = {
    "projects.home": ["/"],
    "projects.show": ["/<path:path>"],
    "registry.image": ["/<path:path>/-/images", "/<path:path>/-/images/<path:name>"],
    "registry.tag_rows": [
        "/<path:path>/-/images/-/rows",
        "/<path:path>/-/images/<path:name>/-/rows",
    ],
    "registry.tag": [
        "/<path:path>/-/tags/<tag>",
        "/<path:path>/-/images/<path:name>/-/tags/<tag>",
    ],
}


def answer(**_parts: str) -> str:
    return ""


@pytest.fixture(scope="module")
def pages() -> Flask:
    """An application with the addresses that pages link to, and nothing else."""
    app = Flask("pages")
    templating.init_app(app)
    for endpoint, rules in RULES.items():
        for rule in rules:
            app.add_url_rule(rule, endpoint, answer)
    return app


# --- words and figures ---


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, DASH),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (12_345_678, "12.3 MB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (5 * 10**9, "5.0 GB"),
        (10**18, "1000.0 PB"),
    ],
)
def test_size_is_decimal_and_short(value: int | None, text: str) -> None:
    assert size(value) == text


def test_numbers_keep_their_thousands_apart() -> None:
    assert (number(1234567), number(0), number(None)) == ("1,234,567", "0", DASH)


def test_nouns_follow_their_number() -> None:
    assert pluralize(1, "tag") == "1 tag"
    assert pluralize(0, "tag") == "0 tags"
    assert pluralize(1200, "repository", "repositories") == "1,200 repositories"


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (None, DASH),
        (0, "0.0%"),
        (0.0001, "< 0.1%"),
        (0.2317, "23.2%"),
        (0.9999, "> 99.9%"),
        (1, "100.0%"),
    ],
)
def test_a_share_never_rounds_to_nothing_or_all(share: float | None, text: str) -> None:
    assert percent(share) == text


def test_a_short_digest_has_twelve_digits() -> None:
    assert short_digest(f"sha256:{HEX}") == "0123456789ab"
    assert short_digest(None) == DASH


def test_only_digest_tags_are_cut() -> None:
    assert short_tag(f"sha256-{HEX}.sig") == "sha256-0123456789ab….sig"
    assert short_tag("sha256-old") == "sha256-old"
    assert short_tag("1.4.2") == "1.4.2"


@pytest.mark.parametrize(
    ("distance", "words"),
    [
        (timedelta(seconds=59), "just now"),
        (timedelta(seconds=-20), "just now"),
        (timedelta(minutes=1), "1 min ago"),
        (timedelta(minutes=59, seconds=59), "59 min ago"),
        (timedelta(hours=23, minutes=59), "23 h ago"),
        (timedelta(days=1), "1 day ago"),
        (timedelta(days=29), "29 days ago"),
        (timedelta(days=30), "1 month ago"),
        (timedelta(days=364), "12 months ago"),
        (timedelta(days=800), "2 years ago"),
        (timedelta(hours=-5), "in 5 h"),
        (timedelta(days=-3), "in 3 days"),
        (timedelta(seconds=1, days=-7), "in 7 days"),
    ],
)
def test_relative_times(distance: timedelta, words: str) -> None:
    assert relative(NOW - distance, NOW) == words


def test_ago_carries_the_exact_moment() -> None:
    moment = datetime(2020, 2, 3, 4, 5, 6, 789, tzinfo=UTC)
    text = ago(moment)
    assert 'datetime="2020-02-03T04:05:06Z"' in text
    assert 'title="2020-02-03 04:05:06 UTC"' in text
    assert text.endswith("years ago</time>")
    assert ago(moment.replace(tzinfo=None)) == text


@pytest.mark.parametrize("year", [1, 1970, 1980])
def test_dates_of_reproducible_builds_are_not_recorded(year: int) -> None:
    assert "not recorded" in ago(datetime(year, 1, 1, tzinfo=UTC))


def test_ago_without_a_moment_says_what_is_missing_and_escapes_it() -> None:
    assert "never" in ago(None, "never")
    assert "<script>" not in ago(None, HOSTILE)


@pytest.mark.parametrize(
    "value", ["http://example.com", "https://example.com/a?b=c#d", "https://[::1]:8080/"]
)
def test_web_addresses_become_links(value: str) -> None:
    assert is_web_link(value)


@pytest.mark.parametrize(
    "value",
    [
        "javascript:alert(1)",
        "JAVASCRIPT:alert(1)",
        "data:text/html,x",
        "//example.com",
        "ftp://example.com",
        "https://",
        "https:///path",
        " https://example.com",
        "https://example.com/a b",
        "https://example.com/\nx",
        "https://example.com/\u202ex",
        'https://example.com/"x',
        "https://[bad",
        "https://example.com/" + "a" * 2048,
        "",
        None,
        7,
    ],
)
def test_nothing_else_becomes_a_link(value: object) -> None:
    assert not is_web_link(value)


def test_details_of_the_audit_read_as_words() -> None:
    assert format_detail({"tags": 3, "role": "owner"}) == "tags: 3, role: owner"
    assert format_detail({"scopes": ["a", "b"]}) == "scopes: a b"
    assert format_detail({"is_admin": False, "dry_run": True}) == "is admin: no, dry run: yes"
    assert (format_detail({}), format_detail(None), format_detail("x")) == (DASH, DASH, "x")


def test_what_a_form_came_with_is_among_its_choices() -> None:
    assert place_options(["a", "b"], "b") == [Option("a", "a"), Option("b", "b")]
    assert place_options(["a"], "gone") == [Option("gone", "gone"), Option("a", "a")]
    assert place_options(["", "a"], "", top="At the top") == [
        Option("", "At the top"),
        Option("a", "a"),
    ]
    assert place_options(None, None) == []


def test_only_administrators_can_put_a_project_at_the_top() -> None:
    assert parent_options(["a"], None, is_admin=False) == [Option("a", "a")]
    assert parent_options(["a"], None, is_admin=True)[-1] == Option("", "None: at the top")


def test_an_excerpt_says_how_many_items_are_left_out() -> None:
    assert (excerpt("abc", 2).shown, excerpt("abc", 2).remaining) == (["a", "b"], 1)
    assert (excerpt("ab", 2).shown, excerpt("ab", 2).remaining) == (["a", "b"], 0)
    assert (excerpt(None, 2).shown, excerpt(None, 2).remaining) == ([], 0)


# --- addresses ---


def test_the_address_reads_like_the_reference(pages: Flask) -> None:
    with pages.test_request_context():
        assert image_url("g/p") == "/g/p/-/images"
        assert image_url("g/p", "a/b") == "/g/p/-/images/a/b"
        assert image_url("g/p", "", "registry.tag", tag="v1") == "/g/p/-/tags/v1"
        assert image_url("g/p", "a/b", "registry.tag", tag="v1") == "/g/p/-/images/a/b/-/tags/v1"


@pytest.mark.parametrize(
    ("reference", "address"),
    [
        ("g/p:v1", "/g/p/-/tags/v1"),
        ("g/p/a/b:v1", "/g/p/-/images/a/b/-/tags/v1"),
        ("g/p/a", None),
        (f"g/p/a@sha256:{HEX}", None),
        ("g/pq:v1", None),
        ("other:v1", None),
    ],
)
def test_references_lead_to_tags_of_the_project(
    pages: Flask, reference: str, address: str | None
) -> None:
    with pages.test_request_context():
        assert reference_url("g/p", reference) == address


def test_every_segment_of_the_breadcrumb_leads_somewhere(pages: Flask) -> None:
    with pages.test_request_context():
        found = breadcrumb_trail([("g", "g"), ("p", "g/p")], "g/p", "a/b", "v1")
    assert found == [
        Crumb("g", "/g"),
        Crumb("p", "/g/p"),
        Crumb("a", "/g/p/-/images/a"),
        Crumb("b", "/g/p/-/images/a/b"),
        Crumb("v1", "/g/p/-/images/a/b/-/tags/v1"),
    ]


def test_the_breadcrumb_never_misses_the_project(pages: Flask) -> None:
    with pages.test_request_context():
        assert breadcrumb_trail([("g", "g")], "g/p") == [Crumb("g", "/g"), Crumb("p", "/g/p")]
        assert breadcrumb_trail(None, "g/p", "", "v1")[-1] == Crumb("v1", "/g/p/-/tags/v1")


def test_a_change_of_the_query_keeps_the_rest() -> None:
    pairs = [("q", "a b"), ("sort", "size"), ("page", "3"), ("empty", "")]
    assert query_with(pairs, {"sort": "name", "page": None}) == "q=a+b&sort=name"
    assert query_with([], {"page": 2}) == "page=2"


def test_here_changes_only_the_query(pages: Flask) -> None:
    with pages.test_request_context("/g/p/-/images?q=x&page=2"):
        assert current_address(page=3) == "/g/p/-/images?q=x&page=3"
        assert current_address(q=None, page=None) == "/g/p/-/images"


def test_here_never_leads_to_another_host(pages: Flask) -> None:
    with pages.test_request_context(environ_overrides={"PATH_INFO": '//evil.example/"x?'}):
        assert current_address() == "/evil.example/%22x%3F"


def test_assets_change_their_address_with_their_content(tmp_path: Path) -> None:
    app = Flask("assets", static_folder=str(tmp_path), static_url_path="/static")
    file = tmp_path / "a.css"
    file.write_text("one")
    with app.test_request_context():
        first = asset("a.css")
        assert first.startswith("/static/a.css?v=")
        assert asset("a.css") == first
        file.write_text("two")
        os.utime(file, ns=(1, 1))
        assert asset("a.css") != first


# --- shapes ---


def test_a_bar_is_proportional_and_full() -> None:
    first, second, third = proportional_bar([0.5, 0.25, 0.25])
    assert (first.x, first.width) == (0, 500)
    assert (second.x, second.width) == (500, 250)
    assert third.x + third.width == pytest.approx(1000)


def test_a_bar_keeps_the_smallest_visible() -> None:
    found = proportional_bar([1.0, 0.0, None, *[1e-9] * 120])
    assert len(found) == 123
    assert min(segment.width for segment in found) > 1
    assert found[-1].x + found[-1].width == pytest.approx(1000, abs=1)


def test_a_bar_of_nothing_is_none() -> None:
    assert proportional_bar([]) == []
    assert proportional_bar([None, 0]) == []


def folder(segment: str, *folders: object, image: object = None) -> SimpleNamespace:
    return SimpleNamespace(segment=segment, folders=list(folders), image=image)


def test_lone_folders_share_a_line() -> None:
    leaf = folder("c", image="an image")
    tree = folder("a", folder("b", leaf))
    assert [part.segment for part in collapse_folders(tree)] == ["a", "b"]


def test_a_line_ends_where_there_is_something_to_see() -> None:
    fork = folder("a", folder("b"), folder("c"))
    assert collapse_folders(fork) == [fork]
    image = folder("a", folder("b"), image="an image")
    assert collapse_folders(image) == [image]
