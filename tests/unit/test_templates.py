"""What must hold for every template and static file."""

from __future__ import annotations

import gzip
import hashlib
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest
from flask import Flask, render_template

from config import ROOT
from registry_ui.tags.rows import PlatformSize
from registry_ui.web import templating

HOSTILE = "\"'><script>alert(1)</script><b onmouseover=alert(1)>{{ 7 * 7 }}"
TEMPLATES = sorted((ROOT / "templates").glob("*.html"))


class Inline(HTMLParser):
    """Collects what the content security policy would refuse."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        if tag == "style" or (tag == "script" and "src" not in names):
            self.found.append(tag)
        self.found += [name for name in names if name == "style" or re.fullmatch(r"on\w+", name)]
        self.found += [v for v in names.values() if v and v.strip().startswith("javascript:")]


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_template_holds_anything_inline(template: Path) -> None:
    parser = Inline()
    parser.feed(template.read_text())
    assert parser.found == []


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_template_trusts_its_text(template: Path) -> None:
    text = template.read_text()
    assert not re.search(r"\|\s*safe\b|\bautoescape\b|\bMarkup\b", text)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_every_form_that_posts_carries_the_token(template: Path) -> None:
    forms = re.findall(r'<form[^>]*method="post".*?</form>', template.read_text(), re.DOTALL)
    assert all("{{ csrf() }}" in form for form in forms)


def test_the_sprite_holds_just_the_icons_in_use() -> None:
    text = "".join(template.read_text() for template in TEMPLATES)
    symbols = re.findall(r'<symbol id="([\w-]+)"', (ROOT / "static/icons.svg").read_text())
    assert set(re.findall(r"icon\([\"']([\w-]+)[\"']", text)) <= set(symbols)
    text += "".join(module.read_text() for module in (ROOT / "registry_ui" / "web").glob("*.py"))
    assert set(symbols) <= set(re.findall(r"[\"']([\w-]+)[\"']", text))


def test_vendored_files_are_those_that_are_listed() -> None:
    vendor = ROOT / "static" / "vendor"
    listed = dict(
        re.findall(
            r"^\| (\S+) \|.*\| ([0-9a-f]{64}) \|$", (vendor / "VENDOR.md").read_text(), re.MULTILINE
        )
    )
    present = {file.name for file in vendor.iterdir() if file.suffix in {".js", ".css"}}
    assert set(listed) == present
    for name, digest in listed.items():
        assert hashlib.sha256((vendor / name).read_bytes()).hexdigest() == digest


def test_what_every_page_loads_is_light() -> None:
    files = ["vendor/pico.min.css", "vendor/htmx.min.js", "app.css", "app.js", "icons.svg"]
    weight = sum(len(gzip.compress((ROOT / "static" / file).read_bytes())) for file in files)
    assert weight < 50_000


def test_no_template_asks_for_more_than_our_one_stylesheet_and_one_script() -> None:
    text = "".join(template.read_text() for template in TEMPLATES)
    names = set(re.findall(r"asset\(['\"]([^'\"]+\.(?:css|js))['\"]\)", text))
    assert names == {"app.css", "app.js", "vendor/pico.min.css", "vendor/htmx.min.js"}


def app_with_registry_routes() -> Flask:
    """Make an application that renders the templates and has the addresses of images and tags."""
    app = Flask(
        "pages",
        template_folder=str(ROOT / "templates"),
        static_folder=str(ROOT / "static"),
    )
    templating.init_app(app)
    for rule, endpoint in {
        "/<path:path>/-/images/<path:name>": "registry.image",
        "/<path:path>/-/images/<path:name>/-/rows": "registry.tag_rows",
        "/<path:path>/-/images/<path:name>/-/rows/<tag>": "registry.one_row",
        "/<path:path>/-/images/<path:name>/-/tags/<tag>": "registry.tag",
    }.items():
        app.add_url_rule(rule, endpoint)
    return app


def test_hostile_text_stays_text() -> None:
    app = app_with_registry_routes()
    row = SimpleNamespace(
        name="v1",
        kind=HOSTILE,
        platforms=[PlatformSize(HOSTILE, None)],
        size=None,
        built_at=None,
        pushed_at=datetime(2026, 1, 2, tzinfo=UTC),
        pushed_by=HOSTILE,
        pull_count=0,
        last_pulled_at=None,
        same_as=["v2"],
        signed=True,
        folded=[],
        problem=HOSTILE,
        pull_command=HOSTILE,
    )
    with app.test_request_context():
        text = render_template(
            "_tag_rows.html",
            project=SimpleNamespace(path="g/p"),
            image=SimpleNamespace(name="a", path="g/p/a"),
            rows=[row],
            error=HOSTILE,
            more=3,
        )
    assert "&lt;script&gt;" in text
    parser = Inline()
    parser.feed(text)
    assert parser.found == []
    assert "<b " not in text
    assert "3 more tags" in text
    assert 'href="/g/p/-/images/a/-/tags/v2"' in text
