"""Images of Docker schema 1, which 2.8 serves with a signature that is new for every answer."""

from __future__ import annotations

import pytest

from registry_ui.models import Project
from registry_ui.names import TagName
from registry_ui.removals.plan import RemovalOptions
from registry_ui.removals.planner import plan_image, plan_project, plan_tag
from tests.contract.conftest import app_of
from tests.contract.mover import Mover
from tests.support.live import LiveSite, tiny
from tests.support.market import Market
from tests.support.oddities import schema1, stop_taking_schema1
from tests.support.pulls import digests

pytestmark = pytest.mark.contract

ONE, OLD = tiny("one"), schema1("old/app")


@pytest.fixture
def shop(make_app, old_registry) -> LiveSite:
    made = LiveSite(app_of(make_app, old_registry), old_registry)
    made.open_shop()
    return made


def test_the_page_shows_a_legacy_image_with_its_layers(shop):
    shop.push_and_tell(f"{shop.shop}/app", {"1.0": OLD})
    page = shop.page(f"/{shop.shop}/-/images/app/-/tags/1.0")
    assert "Docker schema 1, legacy" in page.text
    assert "recent clients no longer pull" in page.text
    assert "is not what its digest" not in page.text
    assert "can't be read" not in page.text
    assert [row["Size"] for row in page.table("Blobs")] == ["\u2013"] * 2
    row = shop.page(f"/{shop.shop}/-/images/app").table("Tags")[0]
    assert "Docker schema 1, legacy" in row["Tag"]


def test_one_tag_goes_and_another_one_stays(shop):
    path = f"{shop.shop}/app"
    shop.push_and_tell(path, {"1.0": OLD, "latest": OLD, "2.0": ONE})
    for tag in ("2.0", "1.0"):
        done = shop.run(shop.start(plan_tag, path, TagName(tag)))
        assert done.state == "done", shop.report(done.id)
    assert digests(shop, path) == {"latest": OLD.digest}
    assert shop.pusher.digest(path, ONE.digest) is None


def test_the_image_and_the_project_go(shop):
    for name in ("app", "other"):
        shop.push_and_tell(f"{shop.shop}/{name}", {"1.0": OLD, "2.0": ONE})
    done = shop.run(shop.start(plan_image, f"{shop.shop}/app"))
    assert done.state == "done", shop.report(done.id)
    assert digests(shop, f"{shop.shop}/app") == {}
    done = shop.run(shop.start(plan_project))
    assert done.state == "done", shop.report(done.id)
    assert shop.rows(Project) == []


def test_a_copy_has_the_same_digest_and_its_layers(shop):
    market = Market(shop)
    shop.push_and_tell(market.source, {"1.0": OLD, "2.0": ONE})
    done = market.confirm(market.plan())
    assert market.outcomes(done) == {"1.0": "copied", "2.0": "copied"}
    assert digests(shop, market.target) == {"1.0": OLD.digest, "2.0": ONE.digest}
    for blob in OLD.blobs:
        url = f"{market.target}/blobs/{blob.digest}"
        assert shop.pusher._call("GET", url, market.target, 200).content == blob.data


def test_a_registry_that_takes_none_copies_the_rest_and_says_why(shop):
    market = Market(shop)
    shop.push_and_tell(market.source, {"1.0": OLD, "2.0": ONE})
    stop_taking_schema1(shop)
    done = market.confirm(market.plan())
    assert market.outcomes(done) == {"1.0": "refused", "2.0": "copied"}
    page = shop.page(f"/{market.stall}/-/copies/{done.id}", "alice")
    assert "compatibility.schema1.enabled" in page.text


def test_where_it_can_not_be_trashed_it_stays_and_is_deleted_for_good(shop):
    path = f"{shop.shop}/app"
    shop.push_and_tell(path, {"1.0": OLD})
    stop_taking_schema1(shop)

    def trashed(image):
        return plan_tag(image, TagName("1.0"), RemovalOptions(trash_days=7))

    done = shop.run(shop.start(trashed, path))
    (line,) = shop.report(done.id)
    assert line["outcome"] == "kept"
    assert "compatibility.schema1.enabled" in line["detail"]
    assert digests(shop, path) == {"1.0": OLD.digest}
    done = shop.run(shop.start(plan_tag, path, TagName("1.0")))
    assert done.state == "done", shop.report(done.id)
    assert digests(shop, path) == {}


@pytest.fixture
def live_registry(old_registry):
    """The registry of the mover."""
    return old_registry


def test_a_project_with_schema_1_is_moved(mover: Mover):
    mover.fill()
    mover.push_and_tell(f"{mover.shop}/web", {"old": OLD})
    mover.moved(mover.market)
    assert digests(mover, f"{mover.market}/web")["old"] == OLD.digest
