"""A repository that no project can own is copied below one, by page and by command."""

from __future__ import annotations

import pytest

from registry_ui.audit import Actor
from registry_ui.copies import service as copies
from registry_ui.jobs.tasks import resume
from registry_ui.models import AuditEntry, Copy
from tests.support.html import Page
from tests.support.live import tiny
from tests.support.unassigned import leave

pytestmark = [
    pytest.mark.contract,
    pytest.mark.parametrize("storage", ["sqlite"], indirect=True),
]

URL = "/-/admin/unassigned/copy"
TAGS = {"1.0": tiny("one"), "2.0": tiny("two"), "latest": tiny("two")}


@pytest.fixture
def stray(shop):
    """A repository with the name of a namespace, which the worker has found."""
    shop.user("admin", admin=True)
    shop.push(shop.root, TAGS)
    leave(shop, shop.root)
    return shop


def plan(site, status=302, repository="", **data):
    data = {"project": site.shop, "image": "copy", "attached": "1"} | data
    answer = site.browser("admin").post(f"{URL}/{repository or site.root}", data)
    assert answer.status_code == status, answer.text
    return answer


def confirm(site, address):
    page = Page(site.browser("admin").get(address).text)
    assert site.browser("admin").post(f"{address}/confirm").status_code == 302
    with site.app.app_context():
        resume()
    return page


def test_an_administrator_copies_it_below_a_project_and_people_can_pull_it(stray):
    form = stray.page(f"{URL}/{stray.root}", "admin")
    assert f"Copy {stray.root} below a project" in form.text
    assert stray.shop in [option.attrs["value"] for option in form.all("option")]
    address = plan(stray).headers["Location"]
    page = confirm(stray, address)
    assert f"From {stray.root}" in page.text
    assert "3 tags" in page.text
    digests = {tag: manifest.digest for tag, manifest in TAGS.items()}
    assert stray.live(f"{stray.shop}/copy") == digests
    assert stray.live(stray.root) == digests
    assert stray.index(f"{stray.shop}/copy") == digests
    assert "the registry confirmed every digest" in stray.page(address, "admin").text
    listed = stray.page("/-/admin/unassigned", "admin")
    assert f"copied to {stray.shop}/copy" in listed.text
    assert address in [a.attrs["href"] for a in listed.all("a")]
    entry = stray.rows(AuditEntry, action="copy")[0]
    assert (entry.actor, entry.detail["source"]) == ("admin", stray.root)


def test_signatures_go_along_and_are_no_tags_of_their_own(stray):
    signature = "sha256-" + TAGS["1.0"].digest.removeprefix("sha256:") + ".sig"
    stray.push(stray.root, {signature: tiny("signature")})
    page = confirm(stray, plan(stray).headers["Location"])
    assert "3 tags" in page.text
    assert stray.live(f"{stray.shop}/copy").keys() == {*TAGS, signature}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"project": ""}, "Say which project"),
        ({"project": "absent/nothing"}, "There is no such project"),
        ({"image": "Web"}, "lower-case letters"),
    ],
)
def test_a_target_that_cant_be_used_is_said_beside_its_field(stray, data, words):
    answer = plan(stray, 422, **data)
    assert words in answer.text
    assert stray.rows(Copy) == []


def test_it_is_for_administrators_and_unassigned_repositories_only(stray):
    data = {"project": stray.shop, "image": "copy"}
    for browser, status in ((stray.browser("maintainer"), 404), (stray.browser(), 302)):
        assert browser.get(f"{URL}/{stray.root}").status_code == status
        assert browser.post(f"{URL}/{stray.root}", data).status_code == status
    admin = stray.browser("admin")
    for repository in ("", "No Name", "absent/app", f"{stray.shop}/app"):
        assert admin.get(f"{URL}/{repository}").status_code == 404
    leave(stray, f"{stray.shop}/app")
    assert admin.get(f"{URL}/{stray.shop}/app").status_code == 404
    assert stray.rows(Copy) == []


def test_a_plan_of_someone_who_is_no_administrator_any_more_is_not_carried_out(stray):
    stray.member(stray.shop, "admin", "owner")
    stray.user("other", admin=True)
    plan(stray)
    with stray.app.app_context():
        copies.start_planned(Actor("admin"), stray.row(Copy).id, overwrite=False)
    users = stray.browser("other")
    assert users.post("/-/admin/users/admin", {"action": "demote"}).status_code == 302
    with stray.app.app_context():
        resume()
    assert stray.live(f"{stray.shop}/copy") == {}
    assert stray.row(Copy).state == "failed"


@pytest.mark.parametrize(
    ("arguments", "copied"),
    [
        (["image", "copy", "{root}", "{shop}/x"], {"1.0", "2.0", "latest"}),
        (["image", "copy", "{root}", "{shop}/x", "--matching", "?.0"], {"1.0", "2.0"}),
        (["tag", "copy", "{root}:1.0", "{shop}/x"], {"1.0"}),
    ],
)
def test_the_command_copies_it_too(stray, arguments, copied):
    arguments = [text.format(root=stray.root, shop=stray.shop) for text in arguments]
    done = stray.app.test_cli_runner().invoke(args=[*arguments, "--yes"])
    assert done.exit_code == 0, done.output
    assert stray.live(f"{stray.shop}/x").keys() == copied


def test_a_repository_without_tags_is_said_to_have_none(stray):
    leave(stray, f"{stray.root}/gone")
    answer = plan(stray, 404, repository=f"{stray.root}/gone")
    assert "has no tags" in answer.text
    done = stray.app.test_cli_runner().invoke(
        args=["image", "copy", f"{stray.root}/gone", stray.shop, "--yes"]
    )
    assert done.exit_code == 1
    assert "has no tags" in done.stderr
