"""Digests that are typed or searched for: of tags, platforms, earlier builds, configurations."""

from __future__ import annotations

import pytest

from registry_ui.db.session import writing
from registry_ui.distribution.manifest import Descriptor, ManifestFacts
from registry_ui.distribution.references import IndexEntries
from registry_ui.manifests.blobs import record_contents
from registry_ui.models import Manifest, Project
from tests.support.html import Page
from tests.support.search_api import search
from tests.web.support import OCI_INDEX, OCI_MANIFEST, digest, event_of

IMAGE = "acme/app/web"
TAG = "/acme/app/-/images/web/-/tags"
MULTI, AMD, NEW, EARLIER = digest("a"), digest("b"), digest("c"), digest("d")
CONFIG, PLATFORM_CONFIG = digest("e"), digest("f")


def put(site, name, facts):
    """Store facts of a manifest, as if it had been read."""
    config = facts.config.digest if facts.config else None
    row = {"media_type": facts.media_type, "kind": facts.kind, "body": b"{}"}
    with site.session(), writing() as session:
        session.add(Manifest(digest=name, facts=facts.to_json(), config_digest=config, **row))
        session.flush()
        children = tuple(child.digest for child in facts.children)
        record_contents(session, {name: facts}, {name: IndexEntries(children, children)})


@pytest.fixture
def acme(site):
    """web:multi is an index that lists a platform; web:v1 was another image earlier."""
    site.user("admin", admin=True)
    site.users("alice", "stranger")
    for path in ("acme/app", "acme/veiled"):
        site.project(path)
        repository = f"{path}/web"
        site.deliver(
            event_of("push", repository, "multi", digest=MULTI, type=OCI_INDEX),
            event_of("push", repository, "v1", digest=EARLIER, at="2026-01-01T00:00:00Z"),
            event_of("push", repository, "v1", digest=NEW),
            event_of("push", repository, "v0.9", digest=NEW),
        )
    site.member("acme/app", "alice", "guest")
    child = Descriptor(AMD, OCI_MANIFEST, 1, platform="linux/amd64")
    put(site, MULTI, ManifestFacts("index", OCI_INDEX, children=(child,)))
    for name, config in ((AMD, PLATFORM_CONFIG), (NEW, CONFIG)):
        put(site, name, ManifestFacts("image", OCI_MANIFEST, config=Descriptor(config, "", 1)))
    return site


@pytest.mark.parametrize(
    ("name", "page"),
    [
        (MULTI, f"{TAG}/multi"),
        (AMD, f"{TAG}/multi?platform={AMD}"),
        (NEW, f"{TAG}/v1"),
        (EARLIER, f"{TAG}/v1?history=all#moments"),
    ],
    ids=["a tag", "a platform", "two tags", "an earlier one"],
)
@pytest.mark.parametrize("tag", ["", ":v0.9"])
def test_a_reference_with_a_digest_leads_to_a_tag_that_reaches_it(acme, name, page, tag):
    answer = acme.browser("alice").get(f"/{IMAGE}{tag}@{name}")
    assert answer.status_code == 302
    assert answer.headers["Location"].replace("%3A", ":") == page


def test_a_platform_that_the_page_does_not_list_is_not_taken_for_the_first(acme):
    """Of an index of many platforms, the page lists only some."""
    other = digest("9")
    browser = acme.browser("alice")
    words = f"{other[:19]}… is not among the platforms shown here"
    assert words in Page(browser.get(f"{TAG}/multi?platform={other}").text).text
    assert words not in Page(browser.get(f"{TAG}/multi?platform={AMD}").text).text


@pytest.mark.parametrize(
    "typed",
    [
        f"/{IMAGE}@{digest('9')}",
        f"/acme/veiled/web@{MULTI}",
        f"/acme/veiled/web@{digest('9')}",
        f"/acme/nothing/web@{MULTI}",
        f"/{IMAGE}@sha256:abc",
    ],
)
def test_what_is_hidden_and_what_is_not_there_look_the_same(acme, typed):
    for who in ("alice", "stranger", None):
        answer = acme.browser(who).get(typed)
        assert answer.status_code == 404
        assert Page(answer.text).text == Page(acme.browser(who).get("/nobody/has/this").text).text


def test_hidden_and_absent_digests_cost_the_same_statements(acme):
    browser = acme.browser("stranger")
    counts = []
    for typed in (f"/acme/veiled/web@{MULTI}", f"/acme/nothing/web@{MULTI}"):
        browser.get(typed)
        with acme.statements() as statements:
            browser.get(typed)
        counts.append(len(statements))
    assert counts[0] == counts[1]


@pytest.mark.parametrize(
    ("name", "tags"),
    [
        (MULTI, ["multi"]),
        (AMD, ["multi"]),
        (NEW, ["v0.9", "v1"]),
        (EARLIER, ["v1"]),
        (CONFIG, ["v0.9", "v1"]),
        (PLATFORM_CONFIG, ["multi"]),
    ],
    ids=["a tag", "a platform", "two tags", "an earlier one", "an image ID", "that of a platform"],
)
@pytest.mark.parametrize("length", [7, 12, 64])
@pytest.mark.parametrize("prefix", ["", "sha256:"])
def test_search_finds_every_digest_that_a_tag_reaches(acme, name, tags, length, prefix):
    text = prefix + name.removeprefix("sha256:")[:length]
    assert sorted(search(acme, text, "alice")["tags"]) == [f"{IMAGE}:{tag}" for tag in tags]
    assert search(acme, text, "stranger")["tags"] == []


def test_six_digits_are_too_few(acme):
    assert search(acme, "bbbbbb", "alice")["tags"] == []


# -- text in any script --------------------------------------------------------------


@pytest.mark.parametrize("q", ["größe", "GRÖße", "ЖУРНАЛ", "журнал"])
def test_descriptions_are_found_in_either_case_in_any_script(acme, q):
    acme.change(Project, {"description": "Größe und Журнал"}, path="acme/app")
    assert search(acme, q, "alice")["projects"] == ["acme/app"]
    listed = Page(acme.browser("alice").get("/", query_string={"q": q}).text)
    assert "acme/app" in listed.text
