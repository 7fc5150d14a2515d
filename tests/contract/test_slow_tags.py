"""Tags that the registry is slow to read: named and kept, and the rest goes on."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from registry_ui.copies.plan import CopyRequest
from registry_ui.copies.planner import plan_copy
from registry_ui.db.session import db
from registry_ui.distribution.errors import RegistryFault, RegistryTimeout
from registry_ui.errors import RegistryUnreachable
from registry_ui.gate.tag_states import RegistryNotAnswering, read_state
from registry_ui.models import ContainerImage, Project, Removal, Tag
from registry_ui.names import RepositoryName, TagName
from registry_ui.removals import service as removals
from registry_ui.removals.plan import RemovalOptions, RemovalPlan
from registry_ui.removals.planner import (
    plan_image,
    plan_namespace,
    plan_project,
    plan_tag,
    plan_tags,
)
from registry_ui.retention import service as retention
from registry_ui.retention.rules import Rules
from tests.support.damage import damage_tag
from tests.support.live import LiveSite, tiny
from tests.support.slow import SlowAnswers, manifests
from tests.web.support import ACTOR

pytestmark = pytest.mark.contract

#: The timeout of a call in seconds. Nothing here takes that long; slow calls fail at once.
USUAL = 5.0
ONE, TWO, SLOW = tiny("one"), tiny("two"), tiny("slow")
DIGESTS = {"1.0": ONE.digest, "2.0": TWO.digest, "slow": SLOW.digest}


@pytest.fixture
def shop(make_app, live_registry):
    """A site with one project, and the usual timeout."""
    app = make_app(
        registry_url=live_registry.url,
        registry_host=f"localhost:{live_registry.port}",
        registry_timeout=USUAL,
    )
    made = LiveSite(app, live_registry)
    made.open_shop()
    yield made
    live_registry.forget(made.root)


@pytest.fixture
def image(shop) -> str:
    """An image with three tags, of which one will be slow."""
    path = f"{shop.shop}/app"
    shop.push_and_tell(path, {"1.0": ONE, "2.0": TWO, "slow": SLOW})
    return path


@pytest.fixture
def other(shop) -> str:
    """An image of the same project with two tags."""
    path = f"{shop.shop}/other"
    shop.push_and_tell(path, {"1.0": ONE, "2.0": TWO})
    return path


@pytest.fixture
def slow(shop, image, monkeypatch) -> SlowAnswers:
    """The registry never answers for one tag, and answers everything else."""
    return SlowAnswers(shop, monkeypatch, manifests(f"{image}:slow"))


def plan(site: LiveSite, make: Any, *arguments: Any, **more: Any) -> RemovalPlan:
    """Return a plan of ``catalog.deletion`` for an image by its path, or for the project."""
    with site.app.app_context():
        if arguments:
            query = select(ContainerImage).where(ContainerImage.path == arguments[0])
        else:
            query = select(Project).where(Project.path == site.shop)
        subject = db.session.scalars(query).one()
        return make(subject, *arguments[1:], **more)


def one_by_one(site: LiveSite, image: str, *tags: str) -> Removal:
    """Remove tags of an image permanently, by a plan that names each."""
    with site.app.app_context():
        row = db.session.scalars(select(ContainerImage).where(ContainerImage.path == image)).one()
        made = plan_tags("tags", image, [(row, tags)])
        project = db.session.scalars(select(Project).where(Project.path == site.shop)).one()
        started = removals.start(ACTOR, made, project).id
    return site.run(started, patience=0)


def policy_plan(site: LiveSite, **rules: Any) -> RemovalPlan:
    with site.app.app_context():
        place = db.session.scalars(select(Project).where(Project.path == site.shop)).one()
        return retention.plan_of(place, Rules(**rules))


def is_untouched(site: LiveSite, image: str) -> bool:
    """Whether the slow tag is as it was in the index, not marked, and in the registry."""
    row = site.row(Tag, name="slow")
    stands = site.pusher.digest(image, "slow")
    return (row.digest, row.damage, stands) == (SLOW.digest, None, SLOW.digest)


# -- reading ---------------------------------------------------------------------


def test_slow_tags_are_read_one_after_the_other_with_more_time(shop, monkeypatch):
    """Eight at a time can be the reason why they are slow."""
    path, names = f"{shop.shop}/app", [f"v{n}" for n in range(10)]
    shop.push(path, {name: tiny(name) for name in names[1:]} | {names[0]: ONE})
    slow = [f"{path}:{name}" for name in names[:2]]
    answers = SlowAnswers(shop, monkeypatch, manifests(*slow), needs=USUAL + 1)
    outcome = shop.reconcile(path)
    assert (outcome.error, outcome.added, outcome.unanswered) == (None, 10, [])
    assert answers.together == 1
    assert shop.index(path) == {name: tiny(name).digest for name in names} | {"v0": ONE.digest}


def test_a_check_names_the_slow_tag_and_compares_the_others(shop, image, slow):
    shop.push(image, {"2.0": ONE, "3.0": TWO})
    outcome = shop.reconcile(image)
    assert (outcome.error, outcome.added, outcome.changed, outcome.removed) == (None, 1, 1, 0)
    assert (outcome.unanswered, outcome.damaged) == (["slow"], 0)
    assert is_untouched(shop, image)
    assert shop.index(image) == {**DIGESTS, "2.0": ONE.digest, "3.0": TWO.digest}


def test_the_command_names_the_slow_tag_and_succeeds(shop, image, slow):
    done = shop.app.test_cli_runner().invoke(args=["reconcile", image])
    assert (done.exit_code, "the registry does not answer for slow now" in done.output) == (0, True)


def test_the_page_says_for_which_tag_there_was_no_answer(shop, image, slow):
    browser = shop.browser("maintainer")
    address = f"/{shop.shop}/-/images/app"
    browser.post(f"{address}/-/reconcile", {})
    assert "The registry does not answer for slow now." in browser.get(address).text
    assert is_untouched(shop, image)


def test_if_the_list_of_tags_gets_no_answer_either_nothing_changes(shop, image, monkeypatch):
    shop.push(image, {"2.0": ONE})
    SlowAnswers(shop, monkeypatch, lambda _method, url: image in url)
    assert "no answer in time" in shop.reconcile(image).error
    assert shop.index(image) == DIGESTS


# -- plans -----------------------------------------------------------------------


def test_another_tag_goes_and_all_manifests_stay(shop, image, slow):
    made = plan(shop, plan_tag, image, TagName("1.0"))
    assert made.unread == [f"{image}:slow"]
    assert [step.kind for step in made.steps] == ["tag"]
    assert "The registry does not answer for these tags now" in " ".join(made.notes)
    done = one_by_one(shop, image, "1.0")
    assert (done.state, set(shop.pusher.tags(image))) == ("done", {"2.0", "slow"})
    assert shop.pusher.digest(image, ONE.digest) == ONE.digest
    assert is_untouched(shop, image)


def test_the_slow_tag_itself_is_named_and_stays(shop, image, slow):
    with pytest.raises(RegistryUnreachable, match="does not answer for slow now"):
        plan(shop, plan_tag, image, TagName("slow"))
    done = one_by_one(shop, image, "1.0", "slow")
    assert [line["reference"] for line in shop.report(done.id)] == [f"{image}:1.0"]
    assert is_untouched(shop, image)


@pytest.mark.parametrize("make", [plan_image, plan_project])
def test_an_image_is_planned_without_its_slow_tag(shop, image, other, slow, make):
    made = plan(shop, make, *([image] if make is plan_image else []))
    assert made.unread == [f"{image}:slow"]
    tags = [(step.repository, step.tag or None) for step in made.steps]
    assert tags[:2] == [(image, "1.0"), (image, "2.0")]
    assert (image, "slow") not in tags


def test_a_policy_names_the_slow_tag_and_removes_the_others(shop, image, other, slow):
    made = policy_plan(shop, images="**", keep_last=1)
    assert made.unread == [f"{image}:slow"]
    assert {step.repository for step in made.steps} == {image, other}
    assert "slow" not in {step.tag or None for step in made.steps}


def test_a_policy_names_an_image_that_can_not_be_listed(shop, image, other, monkeypatch):
    SlowAnswers(shop, monkeypatch, lambda _method, url: url.endswith(f"{image}/tags/list"))
    made = policy_plan(shop, images="**", keep_last=1)
    assert made.unread == [image]
    assert f"The tags of {image} can't be listed" in " ".join(made.notes)
    assert {step.repository for step in made.steps} == {other}


def test_a_namespace_is_planned_without_an_image_that_can_not_be_listed(
    shop, image, other, monkeypatch
):
    SlowAnswers(shop, monkeypatch, lambda _method, url: url.endswith(f"{image}/tags/list"))
    with shop.app.app_context():
        made = plan_namespace(shop.root)
    assert made.unread == [image]
    assert [step.repository for step in made.steps if step.kind == "image"] == [other]


def test_a_storage_that_hangs_is_no_slow_image(shop, monkeypatch):
    """The registry answers, but no list: the fourth timeout ends the plan."""
    for number in range(6):
        shop.push_and_tell(f"{shop.shop}/app{number}", {"1.0": ONE, "2.0": TWO})
    lists = SlowAnswers(shop, monkeypatch, lambda _method, url: url.endswith("/tags/list"))
    with pytest.raises(RegistryUnreachable):
        policy_plan(shop, images="**", keep_last=1)
    assert len(lists.calls) == 4


def test_a_copy_names_the_slow_tag_and_copies_the_others(shop, image, slow):
    with shop.app.app_context():
        project = db.session.scalars(select(Project).where(Project.path == shop.shop)).one()
        tags = {tag: tag for tag in DIGESTS}
        made = plan_copy(
            CopyRequest(
                "tags", image, shop.shop, project, RepositoryName(f"{shop.shop}/copy"), tags
            ),
            None,
        )
    assert made.unread == [f"{image}:slow"]
    assert [copied.source_tag for copied in made.tags] == ["1.0", "2.0"]


# -- removals --------------------------------------------------------------------


def test_a_tag_that_becomes_slow_after_the_plan_stops_no_other(shop, image, monkeypatch):
    with shop.app.app_context():
        row = db.session.scalars(select(ContainerImage).where(ContainerImage.path == image)).one()
        options = RemovalOptions(trash_days=7)
        made = plan_tags("tags", image, [(row, DIGESTS.keys())], options)
        project = db.session.scalars(select(Project).where(Project.path == shop.shop)).one()
        started = removals.start(ACTOR, made, project).id
    SlowAnswers(shop, monkeypatch, manifests(f"{image}:1.0"))
    done = shop.run(started, patience=0)
    lines = {line["reference"]: line for line in shop.report(done.id)}
    assert done.state == "failed"
    assert lines[f"{image}:1.0"]["outcome"] == "failed"
    assert "answers other requests, but not this one" in lines[f"{image}:1.0"]["detail"]
    assert shop.index(image) == {"1.0": ONE.digest}
    assert shop.pusher.digest(image, "1.0") == ONE.digest


def test_an_image_loses_its_tags_but_no_manifest_beside_a_tag_that_became_slow(
    shop, image, monkeypatch
):
    started = shop.start(plan_image, image)
    SlowAnswers(shop, monkeypatch, manifests(f"{image}:slow"))
    done = shop.run(started, patience=0)
    assert done.state == "failed"
    (detail,) = (line["detail"] for line in shop.report(done.id))
    assert "1.0, 2.0 deleted" in detail
    assert "slow can't be read now" in detail
    assert shop.pusher.tags(image) == ["slow"]
    for digest in DIGESTS.values():
        assert shop.pusher.digest(image, digest) == digest
    assert is_untouched(shop, image)


def test_a_damaged_tag_that_was_pushed_again_and_is_slow_is_not_overwritten(
    shop, image, monkeypatch
):
    damage_tag(shop.registry, image, "1.0", "empty link")
    started = shop.start(plan_tag, image, TagName("1.0"))
    shop.push(image, {"1.0": TWO})
    SlowAnswers(shop, monkeypatch, manifests(f"{image}:1.0"))
    done = shop.run(started, patience=0)
    line = next(line for line in shop.report(done.id) if "can't be read now" in line["detail"])
    assert (line["outcome"], "can't be read now" in line["detail"]) == ("kept", True)
    assert shop.pusher.digest(image, "1.0") == TWO.digest


# -- the gate --------------------------------------------------------------------


def test_the_gate_takes_a_tag_that_gets_no_answer_for_no_absent_one(shop, image):
    """The registry fails with the tag once, and does not answer from then on."""
    problems = iter([RegistryFault("the registry answered 500 UNKNOWN")])

    def head(*_arguments):
        raise next(problems, RegistryTimeout("no answer in time"))

    with shop.patched("head", head), shop.app.app_context(), pytest.raises(RegistryNotAnswering):
        read_state(RepositoryName(image), TagName("slow"))
