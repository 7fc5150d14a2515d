"""A removal keeps the signature of what was pushed again after it was planned."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from registry_ui.db.session import db
from registry_ui.demo.artifacts import signature, signature_tag
from registry_ui.demo.images import index
from registry_ui.models import ContainerImage, Namespace, Project, Tag, utc_now
from registry_ui.removals import service as removals
from registry_ui.removals.plan import RemovalOptions
from registry_ui.removals.planner import plan_tags
from registry_ui.retention import service as retention
from registry_ui.retention.rules import Rules
from tests.support.live import tiny
from tests.web.support import ACTOR

pytestmark = [pytest.mark.contract, pytest.mark.both_databases]


@pytest.fixture
def signed(shop):
    """web:1.0, signed, and 0.9."""
    shop.web = f"{shop.shop}/web"
    shop.one = tiny(f"one {shop.root}")
    shop.proof = signature_tag(shop.one)
    shop.push_and_tell(
        shop.web,
        {"1.0": shop.one, "0.9": tiny("old"), shop.proof: signature(shop.one, shop.web)},
    )
    return shop


def plan(site, *names: str, days: int = 0) -> int:
    with site.app.app_context():
        image = db.session.scalars(select(ContainerImage)).one()
        place = db.session.scalars(select(Project)).one()
        options = RemovalOptions(attached=True, trash_days=days)
        planned = plan_tags("tags", site.web, [(image, set(names))], options)
        return removals.start(ACTOR, planned, place).id


@pytest.mark.parametrize("days", [0, 7])
def test_a_tag_that_was_pushed_on_the_same_image_keeps_its_signature(signed, days):
    removal = plan(signed, "1.0", days=days)
    signed.push_and_tell(signed.web, {"stable": signed.one})
    assert signed.run(removal).state == "done"
    assert set(signed.pusher.tags(signed.web)) >= {"stable", "0.9", signed.proof}
    assert "1.0" not in signed.pusher.tags(signed.web)


def test_an_index_that_holds_the_image_keeps_the_signature_too(signed):
    removal = plan(signed, "1.0")
    both = index([signed.one, tiny("arm", platform="linux/arm64")])
    signed.push_and_tell(signed.web, {"both": both})
    signed.run(removal)
    assert set(signed.pusher.tags(signed.web)) == {"both", "0.9", signed.proof}


@pytest.mark.parametrize("days", [0, 7])
def test_the_signature_goes_with_its_image_if_nothing_was_pushed(signed, days):
    signed.run(plan(signed, "1.0", days=days))
    assert not {"1.0", signed.proof} & set(signed.pusher.tags(signed.web))


@pytest.mark.parametrize("asked", ["1.0", "the signature"])
def test_a_release_that_a_rule_keeps_keeps_its_signature(signed, asked):
    signed.rule(signed.shop, "v*")
    removal = plan(signed, signed.proof if asked == "the signature" else asked)
    signed.push_and_tell(signed.web, {"v1.0": signed.one})
    signed.run(removal)
    assert {"v1.0", signed.proof} <= set(signed.pusher.tags(signed.web))


def test_a_policy_keeps_the_signature_of_an_image_that_was_pushed_again(signed):
    signed.pusher.delete(signed.web, signed.one.digest)
    signed.reconcile(signed.web)
    old = utc_now() - timedelta(days=90)
    signed.change(Tag, {"pushed_at": old, "age_from": old})
    with signed.app.app_context():
        place = db.session.scalars(select(Namespace).where(Namespace.path == signed.root)).one()
        rules = Rules(images="**", older_than_days=30, keep_matching="0.9")
        removal = removals.start(ACTOR, retention.plan_of(place, rules), place).id
    signed.push_and_tell(signed.web, {"1.0": signed.one})
    signed.run(removal)
    assert signed.proof in signed.pusher.tags(signed.web)
