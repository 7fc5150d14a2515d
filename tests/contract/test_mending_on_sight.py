"""Opening a page asks the registry; what it says goes into the index, and trouble is said."""

from __future__ import annotations

import pytest

from registry_ui.demo.images import index
from registry_ui.models import ContainerImage
from tests.support.html import Page, rows_of_tags
from tests.support.live import tiny

pytestmark = pytest.mark.contract

ONE, TWO = tiny("one"), tiny("two")
BOTH = index([tiny("amd"), tiny("arm", platform="linux/arm64")])


# -- mending ---------------------------------------------------------------------


def test_a_tag_that_nobody_told_of_is_on_the_page_and_then_in_the_index(shop):
    image = f"{shop.shop}/app"
    shop.push_and_index(image, {"1.0": ONE})
    shop.push(image, {"2.0": TWO})
    assert set(rows_of_tags(shop.page(f"/{shop.shop}/-/images/app"))) == {"1.0", "2.0"}
    assert set(shop.index(image)) == {"1.0", "2.0"}
    assert shop.row(ContainerImage).tag_count == 2


@pytest.mark.parametrize("address", ["", "/-/rows"], ids=["image", "tree"])
def test_a_tag_that_is_gone_is_not_on_the_page_and_then_not_in_the_index(shop, address):
    image = f"{shop.shop}/app"
    shop.push_and_index(image, {"1.0": ONE, "2.0": TWO})
    shop.pusher.delete(image, TWO.digest)
    assert set(rows_of_tags(shop.page(f"/{shop.shop}/-/images/app{address}"))) == {"1.0"}
    assert set(shop.index(image)) == {"1.0"}


def test_a_tag_that_moved_shows_what_it_is_now(shop):
    image = f"{shop.shop}/app"
    shop.push_and_tell(image, {"1.0": ONE})
    shop.push(image, {"1.0": BOTH})
    page = shop.page(f"/{shop.shop}/-/images/app/-/tags/1.0")
    assert page.facts["Digest"].startswith(BOTH.digest)
    assert shop.index(image) == {"1.0": BOTH.digest}


def test_a_tag_that_only_the_registry_knows_can_be_opened(shop):
    image = f"{shop.shop}/app"
    shop.push_and_index(image, {"1.0": ONE})
    shop.push(image, {"2.0": TWO})
    page = shop.page(f"/{shop.shop}/-/images/app/-/tags/2.0")
    assert page.facts["Digest"].startswith(TWO.digest)
    assert shop.index(image)["2.0"] == TWO.digest


def test_a_tag_that_is_gone_is_not_found_and_then_not_in_the_index(shop):
    image = f"{shop.shop}/app"
    shop.push_and_index(image, {"1.0": ONE, "2.0": TWO})
    shop.pusher.delete(image, TWO.digest)
    answer = shop.browser("maintainer").get(f"/{shop.shop}/-/images/app/-/tags/2.0")
    assert answer.status_code == 404
    assert set(shop.index(image)) == {"1.0"}


def test_opening_an_image_that_was_emptied_leads_to_no_error(shop):
    image = f"{shop.shop}/app"
    shop.push_and_index(image, {"1.0": ONE})
    shop.pusher.delete(image, ONE.digest)
    page = shop.page(f"/{shop.shop}/-/images/app")
    assert "1.0" not in page.text.split()
    assert shop.index(image) is None
    assert shop.browser("maintainer").get(f"/{shop.shop}/-/images/app").status_code == 404


# -- trouble ---------------------------------------------------------------------


@pytest.fixture
def down(own_site):
    """A site whose index knows an image, and whose registry has just gone."""
    own_site.push_and_tell(f"{own_site.shop}/app", {"1.0": ONE, "both": BOTH})
    own_site.reconcile(f"{own_site.shop}/app")
    own_site.registry.stop()
    return own_site


def test_with_the_registry_down_an_image_shows_what_was_known_and_says_so(down):
    for address in ("", "/-/rows"):
        page = down.page(f"/{down.shop}/-/images/app{address}")
        found = rows_of_tags(page)
        assert set(found) == {"1.0", "both"}
        assert "linux/arm64" in found["both"]["Platforms and size"]
        assert "can't be reached" in page.text
        assert "Retry" in page.links
    assert down.index(f"{down.shop}/app") == {"1.0": ONE.digest, "both": BOTH.digest}


def test_with_the_registry_down_a_tag_shows_what_was_known_and_says_so(down):
    page = down.page(f"/{down.shop}/-/images/app/-/tags/1.0")
    assert page.facts["Digest"].startswith(ONE.digest)
    assert "can't be reached" in page.text
    assert "Retry" in page.links
    assert down.index(f"{down.shop}/app")["1.0"] == ONE.digest


def test_with_the_registry_down_projects_open_without_a_word_of_it(down):
    page = down.page(f"/{down.shop}")
    assert f"/{down.shop}/-/images/app" in page.links.values()
    assert "can't be reached" not in page.text


def test_with_the_registry_down_an_unknown_tag_is_not_found(down):
    browser = down.browser("maintainer")
    assert browser.get(f"/{down.shop}/-/images/app/-/tags/9.9").status_code == 404


def test_with_the_registry_down_check_now_says_that_nothing_was_changed(down):
    browser = down.browser("maintainer")
    answer = browser.post(f"/{down.shop}/-/images/app/-/reconcile", follow_redirects=True)
    assert "Nothing was changed." in Page(answer.text).text
    assert down.index(f"{down.shop}/app") == {"1.0": ONE.digest, "both": BOTH.digest}


def test_when_the_registry_is_back_the_warning_goes(down):
    down.registry.start()
    page = down.page(f"/{down.shop}/-/images/app")
    assert "can't be reached" not in page.text
    assert "Retry" not in page.links


def test_not_ready_while_the_registry_is_down_and_ready_again_after(down):
    client = down.app.test_client()
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["registry"]) == (503, False)
    down.registry.start()
    assert client.get("/readyz").json["registry"] is True
