"""What a page view asks of the registry is limited, and nothing is asked in vain again.

Whoever may push decides what an index lists, and anybody may look at a public image.
"""

from __future__ import annotations

import pytest

from registry_ui import page_call_budget as call_budget
from registry_ui.demo.images import OCI, Manifest, Step, encode, image, index
from tests.support.live import LiveSite, tiny
from tests.support.oddities import layer_blob

pytestmark = [
    pytest.mark.contract,
    # 3.x refuses some of these pushes.
    pytest.mark.parametrize("live_registry", ["2.8"], indirect=True),
]

#: As many as are shown of an index.
MANY = 64


def child(name: str) -> Manifest:
    return image([Step(f"CMD {name}")], platform=f"linux/{name}")


def layers_called_manifests() -> Manifest:
    """An index of layers to which it gives the type of manifests: 2.8 answers 500 for each."""
    blobs = tuple(layer_blob(str(n)) for n in range(MANY))
    entries = [{**blob.descriptor(), "mediaType": OCI.manifest} for blob in blobs]
    body = {"schemaVersion": 2, "mediaType": OCI.index, "manifests": entries}
    return Manifest(OCI.index, encode(body), blobs=blobs)


@pytest.fixture
def calls(shop: LiveSite, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every request to the registry."""
    made: list[str] = []
    wire = shop.app.extensions["registry"]._transport
    exchange = wire._exchange_once

    def counted(method, target, headers, body):
        answer = exchange(method, target, headers, body)
        made.append(f"{method} {target}")
        return answer

    monkeypatch.setattr(wire, "_exchange_once", counted)
    return made


def missing_children(shop: LiveSite, path: str) -> Manifest:
    """Push an index, and delete its children."""
    made = index([child(f"p{n}") for n in range(MANY)])
    shop.push(path, {"odd": made})
    for part in made.children:
        shop.pusher.delete(path, part.digest)
    return made


def missing_configs(shop: LiveSite, path: str) -> Manifest:
    """Push an index, and delete the configs of its children."""
    made = index([child(f"c{n}") for n in range(MANY)])
    shop.push(path, {"odd": made})
    for part in made.children:
        (config,) = part.blobs
        shop.pusher._call("DELETE", f"{path}/blobs/{config.digest}", path, 202)
    return made


def odd_children(shop: LiveSite, path: str) -> Manifest:
    """Push an index with which the registry fails."""
    made = layers_called_manifests()
    shop.push(path, {"odd": made})
    return made


CRAFTED = pytest.mark.parametrize("craft", [missing_children, missing_configs, odd_children])


@CRAFTED
@pytest.mark.parametrize("page", ["app/-/tags/odd", "app", "app/-/tags/odd?platform={}"])
def test_a_second_view_of_a_crafted_image_asks_for_next_to_nothing(shop, calls, craft, page):
    path = f"{shop.shop}/app"
    made = craft(shop, path)
    shop.reconcile(path)
    digest = (made.children or made.blobs)[-1].digest
    address = f"/{shop.shop}/-/images/{page.format(digest)}"
    calls.clear()
    shop.page(address)
    assert len(calls) <= call_budget.MAX_CALLS
    calls.clear()
    shop.page(address)
    assert len(calls) <= 3, calls


def test_a_list_of_crafted_images_stays_under_the_budget_and_stops(shop, calls):
    path = f"{shop.shop}/app"
    for number in range(10):
        made = index([child(f"x{number}-{n}") for n in range(40)])
        shop.push(path, {f"v{number}": made})
        for part in made.children:
            shop.pusher.delete(path, part.digest)
    shop.reconcile(path)
    counts = []
    for _ in range(3):
        calls.clear()
        shop.page(f"/{shop.shop}/-/images/app")
        counts.append(len(calls))
    assert max(counts) <= call_budget.MAX_CALLS
    assert counts[-1] <= 3, counts


def test_the_page_says_what_is_missing_and_what_was_not_read(shop, monkeypatch):
    path = f"{shop.shop}/app"
    missing_children(shop, path)
    shop.reconcile(path)
    address = f"/{shop.shop}/-/images/app/-/tags/odd"
    text = shop.page(address).text
    assert "missing from the registry: sha256:" in text
    assert "and 61 more" in text
    monkeypatch.setattr(call_budget, "MAX_CALLS", 10)
    shop.app.extensions["unreadable_objects"].__init__()
    assert "not read yet: sha256:" in shop.page(address).text


def test_what_is_pushed_again_is_read_when_a_while_is_over(shop, monkeypatch):
    path, (one, two) = f"{shop.shop}/app", (tiny("one"), tiny("two", platform="linux/arm64"))
    shop.push(path, {"both": index([one, two])})
    shop.pusher.delete(path, two.digest)
    shop.reconcile(path)
    address = f"/{shop.shop}/-/images/app/-/tags/both"
    assert "missing from the registry" in shop.page(address).text
    shop.push(path, {"two": two})
    assert "missing from the registry" in shop.page(address).text
    monkeypatch.setattr(call_budget.time, "monotonic", lambda: 10.0**9)
    assert "missing from the registry" not in shop.page(address).text


def test_a_removal_asks_for_itself_what_a_page_could_not_read(shop):
    """An index is pushed whole again: what it needs stays, whatever pages remember."""
    path, (one, two) = f"{shop.shop}/app", (tiny("one"), tiny("two", platform="linux/arm64"))
    both = index([one, two])
    shop.push(path, {"both": both, "two": two, "one": one})
    shop.pusher.delete(path, two.digest)
    shop.reconcile(path)
    shop.page(f"/{shop.shop}/-/images/app/-/tags/both")
    shop.push_and_tell(path, {"two": two})
    answer = shop.browser("maintainer")
    address = f"/{shop.shop}/-/images/app/-/tags/two/-/delete"
    hidden = shop.page(address).hidden
    assert answer.post(address, hidden).status_code == 302
    assert shop.pusher.digest(path, two.digest) == two.digest
