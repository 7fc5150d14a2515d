"""Pages and pushes that change the same tag in the index at a time.

Locked in different orders, PostgreSQL cancels one of them, and a page answers 503.
"""

from __future__ import annotations

import threading

import pytest

from registry_ui.events import apply
from registry_ui.models import ContainerImage, RegistryEvent, Tag
from tests.support.database_locks import wait_until_locked
from tests.web.support import event_of

pytestmark = pytest.mark.both_databases

IMAGE = "acme/app/web"
LIST = "/acme/app/-/images/web"


@pytest.fixture
def site(served, graph):
    """A site whose index has the tag 1.0, and whose registry also has the tag 2.0."""
    served.user("admin", admin=True)
    served.project("acme/app")
    graph.tag(IMAGE, **{"1.0": graph.image("first")})
    assert push(served, graph, "1.0").status_code == 202
    graph.tag(IMAGE, **{"2.0": graph.image("second")})
    return served


def push(site, graph, tag):
    """Deliver the event of a push to the site, which applies it at once."""
    return site.deliver(event_of("push", IMAGE, tag, digest=graph.tags[IMAGE][tag]))


def statuses(site):
    return [event.status for event in site.rows(RegistryEvent)]


@pytest.fixture
def meanwhile(site, monkeypatch):
    """Return a function that runs an action while the next push has locked the image.

    The push goes on when the action waits for a lock of the database, or has ended. The
    function that is returned waits for the action and returns its result.
    """
    update_tag = apply._update_tag

    def arrange(action):
        results = []
        thread = threading.Thread(target=lambda: results.append(action()))

        def paused(*args):
            if thread.ident is None:
                thread.start()
                wait_until_locked(thread)
            update_tag(*args)

        monkeypatch.setattr(apply, "_update_tag", paused)

        def result():
            thread.join(60)
            assert results, "the action did not end"
            return results[0]

        return result

    return arrange


@pytest.mark.parametrize("address", ["/-/rows", "", "/-/tags/2.0"])
def test_a_page_finds_a_tag_while_its_push_is_applied(site, graph, meanwhile, address):
    browser = site.browser("admin")
    answer = meanwhile(lambda: browser.get(LIST + address))
    push(site, graph, "2.0")
    assert answer().status_code == 200
    assert statuses(site) == ["applied"] * 2
    assert site.row(ContainerImage).tag_count == 2
    assert site.row(Tag, name="2.0").pushed_at is not None


def test_a_tag_page_that_finds_a_new_tag_counts_it(site):
    assert site.browser("admin").get(f"{LIST}/-/tags/2.0").status_code == 200
    assert site.row(ContainerImage).tag_count == 2


def test_a_tag_page_that_finds_no_tag_any_more_does_not_count_it(site, graph):
    del graph.tags[IMAGE]["1.0"]
    assert site.browser("admin").get(f"{LIST}/-/tags/1.0").status_code == 404
    assert site.row(ContainerImage).tag_count == 0
