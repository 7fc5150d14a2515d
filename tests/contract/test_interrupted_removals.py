"""A removal or a restore that is interrupted at any call: no tag is both live and in the trash."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any
from unittest import mock

import pytest
from sqlalchemy import update

from registry_ui.db.session import db
from registry_ui.distribution.errors import (
    ConnectionBroken,
    RegistryError,
    RegistryFault,
    RegistryReadOnly,
)
from registry_ui.models import Removal, TrashedTag, utc_now
from registry_ui.names import TagName, is_trash_tag
from registry_ui.operations.lease import STALL_LIMIT
from registry_ui.operations.operation_lease import OperationLease
from registry_ui.removals import runner
from registry_ui.removals.plan import RemovalOptions
from registry_ui.removals.planner import plan_tag
from tests.support.live import LiveSite, tiny
from tests.web.support import ACTOR

pytestmark = pytest.mark.contract

ONE, TWO = tiny("one"), tiny("two")


class Killed(BaseException):
    """The worker ended here."""


class FaultyWire:
    """The wire of the application's client, with a fault at one call.

    Attributes:
        at: the number of the call that fails; None for none.
        calls: number of calls so far.
    """

    def __init__(self, send: Any, fault: str, at: int | None) -> None:
        self.send, self.fault, self.at, self.calls = send, fault, at, 0

    def __call__(self, method: str, *arguments: Any, **more: Any) -> Any:
        number, self.calls = self.calls, self.calls + 1
        if self.at is None or number < self.at:
            return self.send(method, *arguments, **more)
        if self.fault == "killed before" and number == self.at:
            raise Killed
        if self.fault in {"killed after", "lost answer"} and number == self.at:
            with suppress(RegistryError):
                self.send(method, *arguments, **more)
            raise Killed if self.fault == "killed after" else ConnectionBroken("it broke")
        if self.fault == "silent from then on":
            raise ConnectionBroken("it is silent")
        if self.fault == "writes fail from then on" and method not in {"GET", "HEAD"}:
            raise RegistryFault("the registry answered 500 UNKNOWN")
        if self.fault == "read-only from then on" and method not in {"GET", "HEAD"}:
            raise RegistryReadOnly("the registry is read-only")
        return self.send(method, *arguments, **more)


FAULTS = (
    "killed before",
    "killed after",
    "lost answer",
    "silent from then on",
    "writes fail from then on",
    "read-only from then on",
)
ENDINGS = ("resumed", "canceled")
#: The faults that also run on PostgreSQL with --lean: after them most is left to be taken up again.
ON_BOTH = {"killed after", "silent from then on", "read-only from then on"}


def marks_of(fault: str) -> list[pytest.MarkDecorator]:
    """Return the marks of a fault."""
    return [pytest.mark.both_databases] if fault in ON_BOTH else []


def faults_with_endings() -> list[Any]:
    """Return each fault with both endings; with --lean, one of them each, in turn."""
    cases = []
    for number, fault in enumerate(FAULTS):
        first, second = ENDINGS[number % 2], ENDINGS[1 - number % 2]
        cases.append(pytest.param(fault, first, marks=marks_of(fault)))
        # An ending starts from the rows of the removal, whatever has interrupted it.
        cases.append(pytest.param(fault, second, marks=pytest.mark.thorough))
    return cases


def faulty(site: LiveSite, fault: str, at: int | None) -> Any:
    wire = site.app.extensions["registry"]._transport
    return mock.patch.object(wire, "send", FaultyWire(wire.send, fault, at))


def remove(
    site: LiveSite, image: str, fault: str = "", at: int | None = None, *, trash_days: int = 7
) -> int:
    """Begin to remove 1.0, by way of the trash; return the number of calls that it made."""
    started = site.start(
        partial(plan_tag, options=RemovalOptions(trash_days=trash_days)), image, TagName("1.0")
    )
    with faulty(site, fault, at) as wire, suppress(Killed):
        site.run(started, patience=0)
    return wire.calls


def end(site: LiveSite, ending: str) -> None:
    """End the removal, if it goes on."""
    (removal,) = site.rows(Removal)
    if removal.is_active and ending == "canceled":
        with site.app.app_context():
            runner.cancel(ACTOR, removal.id)
    if site.removal(removal.id).is_active:
        with site.app.app_context():
            db.session.execute(update(Removal).values(lease_until=None))
            db.session.commit()
        site.run(removal.id)
    assert not site.removal(removal.id).is_active


def state(site: LiveSite, image: str) -> tuple[str | None, int]:
    """What 1.0 stands for in the registry, and how many entries for it the trash shows."""
    return site.pusher.digest(image, "1.0"), len(site.rows(TrashedTag, leaving=False))


def start_again(site: LiveSite, image: str) -> None:
    """Take away what an attempt left behind."""
    with site.app.app_context():
        for model in (TrashedTag, Removal):
            db.session.query(model).delete()
        db.session.commit()
    for tag in filter(is_trash_tag, site.pusher.tags(image)):
        if digest := site.pusher.digest(image, tag):
            site.pusher.delete(image, digest)
    site.push_and_index(image, {"1.0": ONE, "2.0": TWO})


@pytest.mark.parametrize(("fault", "ending"), faults_with_endings())
def test_during_and_after_an_interrupted_removal_a_tag_is_live_or_in_the_trash(shop, fault, ending):
    image = f"{shop.shop}/app"
    shop.push_and_index(image, {"1.0": ONE, "2.0": TWO})
    calls = remove(shop, image)
    assert state(shop, image) == (None, 1)
    for at in range(calls):
        start_again(shop, image)
        remove(shop, image, fault, at)
        live, shown = state(shop, image)
        assert live is None or shown == 0, "the trash shows what is live"
        end(shop, ending)
        shop.reconcile(image)
        found = state(shop, image)
        assert found in {(ONE.digest, 0), (None, 1)}, (at, shop.report())
        assert shop.index(image).get("1.0") == found[0]
        # Either way its image can be pulled: nothing is lost.
        assert shop.pusher.digest(image, ONE.digest) == ONE.digest
        assert shop.pusher.digest(image, "2.0") == TWO.digest


def silent_removals(site: LiveSite, image: str) -> Iterator[Removal]:
    """Remove 1.0 without the trash, with a registry that is silent from each call on in turn."""
    site.push_and_index(image, {"1.0": ONE, "2.0": TWO})
    calls = remove(site, image, trash_days=0)
    for at in range(calls):
        start_again(site, image)
        remove(site, image, "silent from then on", at, trash_days=0)
        yield from site.rows(Removal)
        assert site.pusher.digest(image, "1.0") in {ONE.digest, None}, at


@pytest.mark.both_databases
def test_a_removal_without_the_trash_that_is_canceled_leaves_no_placeholder(shop):
    """Also if the registry does not answer yet when a worker would end the removal."""
    for removal in silent_removals(shop, f"{shop.shop}/app"):
        if removal.is_active:
            with shop.app.app_context():
                runner.cancel(ACTOR, removal.id)
            with faulty(shop, "silent from then on", 0):
                shop.run(removal.id, patience=0)
            shop.run(removal.id)
            assert shop.removal(removal.id).state == "cancelled"


@pytest.mark.both_databases
def test_a_removal_that_failed_because_of_silence_leaves_no_placeholder_behind(shop):
    """The next check of the repository undoes what the removal could not."""
    image = f"{shop.shop}/app"
    for removal in silent_removals(shop, image):
        if removal.is_active:
            shop.change(Removal, {"stalled_since": utc_now() - STALL_LIMIT}, id=removal.id)
            with faulty(shop, "silent from then on", 0):
                shop.run(removal.id, patience=0)
            assert shop.removal(removal.id).state == "failed"
        shop.reconcile(image)


@pytest.mark.both_databases
def test_a_step_that_is_repeated_hides_an_entry_again_that_it_had_taken_back(shop):
    image = f"{shop.shop}/app"
    shop.push_and_index(image, {"1.0": ONE, "2.0": TWO})
    started = shop.start(
        partial(plan_tag, options=RemovalOptions(trash_days=7)), image, TagName("1.0")
    )
    put = mock.Mock(side_effect=RegistryReadOnly("the registry is read-only"))
    killed = mock.patch.object(OperationLease, "record_outcome", side_effect=Killed)
    with shop.patched("put_manifest", put), killed, suppress(Killed):
        shop.run(started)
    assert shop.row(TrashedTag).leaving
    end(shop, "resumed")
    assert state(shop, image) == (None, 1)


@pytest.mark.both_databases
def test_a_check_leaves_alone_what_a_running_removal_works_on(shop):
    image = f"{shop.shop}/app"
    shop.push_and_index(image, {"1.0": ONE, "2.0": TWO})
    delete = shop.app.extensions["registry"].delete_manifest

    def checked(*arguments):
        runner.reconcile(arguments[0])
        return delete(*arguments)

    with shop.patched("delete_manifest", checked):
        remove(shop, image)
    assert state(shop, image) == (None, 1)
    assert [line["outcome"] for line in shop.report()] == ["in the bin"]


@pytest.mark.parametrize("fault", [pytest.param(fault, marks=marks_of(fault)) for fault in FAULTS])
def test_after_an_interrupted_restore_a_tag_is_live_or_in_the_trash(shop, fault):
    image = f"{shop.shop}/app"
    shop.push_and_index(image, {"1.0": ONE, "2.0": TWO})
    shop.app.config["SETTINGS"] = replace(shop.config, trash_days=7)
    browser = shop.browser("maintainer")
    at, calls = 0, 1
    while at < calls:
        start_again(shop, image)
        remove(shop, image)
        assert state(shop, image) == (None, 1)
        address = f"/{shop.shop}/-/trash/{shop.row(TrashedTag, leaving=False).id}/restore"
        with faulty(shop, fault, at) as wire, suppress(Killed):
            browser.post(address)
        calls = wire.calls
        shop.reconcile(image)
        assert state(shop, image) in {(ONE.digest, 0), (None, 1)}, at
        assert shop.pusher.digest(image, ONE.digest) == ONE.digest
        at += 1
