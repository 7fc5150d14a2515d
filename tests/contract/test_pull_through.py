"""A registry that is a pull-through cache is indexed by its pulls, and its upstream left alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from registry_ui.catalog import pull_through
from registry_ui.catalog.pull_through import is_cache
from registry_ui.demo.push import RegistryClient
from registry_ui.jobs.reconciliation import catch_up, reconcile_all, reconcile_wanted
from registry_ui.models import REGISTRY_IS_CACHE, ContainerImage, Heartbeat, Tag
from registry_ui.models import UnassignedRepository as Unassigned
from tests.contract.conftest import app_of
from tests.support import registry as registries
from tests.support.html import Page
from tests.support.live import LiveSite, tiny
from tests.support.processes import until
from tests.support.upstream import running_upstream
from tests.web.support import event_of

TAGS = [f"1.{n}" for n in range(40)]
APP = "library/app"
ONE, TWO = tiny("one"), tiny("two")


@pytest.fixture(params=registries.VERSIONS)
def upstream(request, tmp_path):
    """A registry with an image of 40 tags, and the requests that reach it."""
    home = tmp_path / "upstream"
    home.mkdir()
    with running_upstream(request.param, home) as made:
        made.version = request.param
        RegistryClient(made.push_url).push(APP, dict.fromkeys(TAGS, ONE))
        made.requests.clear()
        yield made


@pytest.fixture
def site(make_app, base_config, tmp_path, upstream):
    """A site before a cache of it, with a project for the image; the worker has looked once."""
    cache = registries.new_registry(
        upstream.version, tmp_path / "cache", base_config, upstream=upstream.url
    )
    cache.start()
    made = LiveSite(app_of(make_app, cache), cache)
    made.user("admin", admin=True)
    made.project("library/app", "public")
    with made.app.app_context():
        reconcile_all()
    yield made
    cache.stop()


def pull(site, tag, name=APP, manifest=ONE):
    """Pull as a client does, and let the index hear of it as the cache reports it."""
    assert site.pusher.digest(name, tag) == manifest.digest
    event = event_of("pull", name, tag, digest=manifest.digest, by="someone")
    assert site.deliver(event).status_code == 202
    # The cache stores the configuration that we read by a request of its own, beside ours.
    until(lambda: is_stored(site, manifest.json["config"]["digest"]), what="the cache stores it")


def is_stored(site, digest):
    algorithm, _, encoded = digest.partition(":")
    blobs = site.registry.home / "data/docker/registry/v2/blobs" / algorithm / encoded[:2]
    return (blobs / encoded / "data").exists()


def test_a_cache_is_detected_and_nothing_is_stored_for_that(site, upstream):
    assert site.rows(Heartbeat, name=REGISTRY_IS_CACHE)
    with site.app.app_context():
        assert is_cache()
    assert upstream.manifests == []
    assert "registry-ui-probe" not in "".join(map(str, site.registry.home.rglob("*")))


def test_a_registry_of_its_own_is_none_and_keeps_nothing_of_the_question(make_app, own_registry):
    app = app_of(make_app, own_registry)
    before = set(own_registry.home.rglob("*"))
    with app.app_context():
        pull_through.detect()
        assert not is_cache()
    assert set(own_registry.home.rglob("*")) == before


def test_a_cache_that_becomes_a_registry_of_its_own_is_detected_too(site, upstream):
    site.registry.stop()
    site.registry.upstream = ""
    site.registry.start()
    with site.app.app_context():
        reconcile_all()
        assert not is_cache()


@pytest.mark.both_databases
def test_no_check_asks_the_upstream_about_its_tags(site, upstream):
    for tag in TAGS[:3]:
        pull(site, tag)
    assert upstream.manifests
    upstream.requests.clear()
    with site.app.app_context():
        reconcile_all(digests=True)
        reconcile_all(digests=False)
        reconcile_wanted()
        catch_up()
    site.reconcile(APP)
    assert upstream.requests == []
    assert site.index(APP) == dict.fromkeys(TAGS[:3], ONE.digest)


def test_a_pulled_image_appears_with_its_facts_and_its_pulls(site, upstream):
    assert site.rows(ContainerImage) == []
    pull(site, "1.5")
    tag = site.row(Tag)
    assert (tag.name, tag.digest, tag.pull_count, tag.pushed_at) == ("1.5", ONE.digest, 1, None)
    assert site.row(ContainerImage).tag_count == 1
    upstream.requests.clear()
    page = site.page("/library/app/-/images", "admin")
    assert "pull-through cache" in page.text
    assert "1.5" in page.text
    assert "1.6" not in page.text
    page = site.page("/library/app/-/tags/1.5", "admin")
    assert ONE.digest in page.text
    assert upstream.requests == []


@pytest.mark.both_databases
def test_a_tag_that_stands_for_something_else_upstream_does_so_here_once_it_is_pulled(
    site, upstream
):
    pull(site, "1.1")
    RegistryClient(upstream.push_url).push(APP, {"1.1": TWO})
    pull(site, "1.1", manifest=TWO)
    assert site.index(APP) == {"1.1": TWO.digest}


def test_a_pulled_repository_that_no_project_owns_is_unassigned_and_adopted_without_asking(
    site, upstream
):
    RegistryClient(upstream.push_url).push("quay.io/org/tool", {"1": ONE})
    pull(site, "1", "quay.io/org/tool")
    assert [row.path for row in site.rows(Unassigned)] == ["quay.io/org/tool"]
    site.project("quay.io/org")
    upstream.requests.clear()
    with site.app.app_context():
        reconcile_all()
    assert site.rows(Unassigned) == []
    assert upstream.requests == []
    pull(site, "1", "quay.io/org/tool")
    assert site.index("quay.io/org/tool") == {"1": ONE.digest}


@pytest.mark.both_databases
def test_pages_offer_neither_push_nor_deletion_and_say_why(site):
    empty = site.page("/library/app", "admin")
    assert "This registry is a pull-through cache" in empty.text
    assert "Nothing was pulled here yet" in empty.text
    pull(site, "1.0")
    addresses = ("", "/-/images", "/-/images/-/rows", "/-/images/-/rows/1.0", "/-/tags/1.0")
    for address in addresses:
        page = site.page(f"/library/app{address}", "admin")
        assert "How to push" not in page.text
        assert not [a for a in page.all("a") if a.attrs.get("href", "").endswith("/-/delete")]
    overview = site.page("/-/admin", "admin")
    assert "Pull-through cache yes: indexed by pulls, and read-only" in overview.text


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("/library/app/-/tags/1.0/-/delete", "nothing can be deleted from it"),
        ("/library/app/-/images/-/delete", "nothing can be deleted from it"),
        ("/library/app/-/delete", "nothing can be deleted from it"),
    ],
)
def test_a_deletion_is_refused_in_words_that_fit(site, upstream, address, words):
    pull(site, "1.0")
    upstream.requests.clear()
    answer = site.browser("admin").get(address)
    assert answer.status_code == 502
    assert f"This registry is a pull-through cache: {words}" in Page(answer.text).text
    assert upstream.requests == []


@pytest.mark.parametrize("deed", ["copy", "move"])
def test_a_copy_and_a_move_are_refused_in_words_that_fit(site, upstream, deed):
    pull(site, "1.0")
    site.project("other/app")
    upstream.requests.clear()
    browser = site.browser("admin")
    if deed == "move":
        answer = browser.post("/library/app/-/images/-/move", {"target": "other/app/x"})
    else:
        data = {"chosen": "1.0", "project": "other/app", "image": "x", "tag": "1.0"}
        answer = browser.post("/library/app/-/images/-/copy", data)
    assert answer.status_code == 502
    text = Page(answer.text).text
    assert "This registry is a pull-through cache: nothing can be pushed to it" in text
    assert upstream.requests == []


@pytest.mark.parametrize(("setting", "expected"), [("yes", True), ("no", False)])
def test_the_setting_decides_without_a_question(site, upstream, setting, expected):
    settings = replace(site.config, registry_is_cache=setting)
    site.app.config["SETTINGS"] = settings
    with site.app.app_context():
        pull_through.detect()
        assert is_cache() is expected
