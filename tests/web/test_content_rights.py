"""Seeing a tag is one right, reading its content another: that is what pulling gives."""

from __future__ import annotations

import pytest

from tests.web.graph import Graph
from tests.web.support import ROLES

SECRETS = {"Env": ["PASSWORD=in-the-environment"], "Labels": {"label": "in-a-label"}}
CONTENT = ["in-the-environment", "in-a-label", "in-the-history"]
PAGES = ["/acme/app", "/acme/app/-/images", "/acme/app/-/images/-/rows", "/acme/app/-/tags/v1"]


@pytest.fixture
def site(served, registry):
    """The same secret in acme/app, where there is a user of each role, and in other/app."""
    graph = served.graph = registry.answer = Graph()
    history = [{"created_by": "RUN in-the-history"}]
    graph.tag("acme/app", v1=graph.image("one", config=SECRETS, history=history))
    graph.tag("other/app", v1=graph.image("two", config=SECRETS, history=history))
    served.users(*ROLES)
    served.user("admin", admin=True)
    for path in ("acme/app", "other/app"):
        served.project(path)
    for role in ROLES:
        served.member("acme", role, role)
    served.app.test_cli_runner().invoke(args=["reconcile"])
    return served


def test_the_content_of_an_image_is_for_those_who_may_pull(site):
    for who in (*ROLES, "admin"):
        texts = "".join(site.browser(who).get(url).text for url in PAGES)
        assert "v1" in texts
        assert [words in texts for words in CONTENT] == [who != "guest"] * len(CONTENT), who


def test_who_may_see_and_not_pull_is_told_why_there_is_so_little(site):
    words = "lets you see this tag, but not pull it"
    for who in (*ROLES, "admin"):
        text = site.browser(who).get("/acme/app/-/tags/v1").text
        assert (words in text) is (who == "guest"), who


def test_the_digest_of_another_projects_manifest_opens_nothing(site):
    """An index may name any digest; its children are shown as far as this repository has them."""
    hidden = site.graph.tags["other/app"]["v1"]
    site.graph.tag("acme/app", v1=site.graph.index(hidden, annotations={"a": "b"}))
    removed = site.graph.manifests.pop(hidden)
    browser = site.browser("developer")
    for url in (*PAGES, f"/acme/app/-/tags/v1?platform={hidden}"):
        text = browser.get(url).text
        assert not [words for words in CONTENT if words in text], url
    site.graph.manifests[hidden] = removed
    assert CONTENT[0] in site.browser("admin").get("/other/app/-/tags/v1").text
    site.graph.manifests.pop(hidden)
    text = browser.get(f"/acme/app/-/tags/v1?platform={hidden}").text
    assert not [words for words in CONTENT if words in text], "now that the store knows it"


def test_a_platform_that_the_index_does_not_have_is_ignored(site):
    one = site.graph.image("arm", architecture="arm64")
    site.graph.tag("acme/app", v1=site.graph.index(one))
    browser = site.browser("developer")
    for platform in ("", "x", "sha256:" + "0" * 64, "../..", "\0", "a" * 5000):
        answer = browser.get("/acme/app/-/tags/v1", query_string={"platform": platform})
        assert answer.status_code == 200
        assert one[7:19] in answer.text
