"""What a person does in a browser: issue 2, "headless Chromium"."""

from __future__ import annotations

import re

import pytest
import requests
from playwright.sync_api import expect

from registry_ui.demo.images import Step, image
from registry_ui.names import is_trash_tag
from tests.support.browser import window
from tests.support.page_actions import (
    add_member,
    announced,
    deliver,
    make_namespace_and_project,
    tree_node,
)
from tests.support.stack import ADMIN

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(240),
    pytest.mark.parametrize("storage", ["postgresql"], indirect=True),
]

ONE, TWO = image([Step("CMD one")]), image([Step("CMD two")])


@pytest.fixture
def filled(stack):
    """A project with a deep image of three tags, two of them on one digest; and its maintainer."""
    project = stack.place()
    user = f"{stack.developer(project)}-maintainer"
    stack.fill.user(user)
    stack.fill.member(project, user, "maintainer")
    client = stack.client(stack.developer(project))
    for tag, manifest in {"1.0": ONE, "latest": ONE, "2.0": TWO}.items():
        client.put(f"{project}/python/web/api", tag, manifest)
    client.put(project, "root", TWO)
    stack.wait_for_tags(project, "python/web/api", {"1.0", "latest", "2.0"})
    stack.wait_for_tags(project, "", {"root"})
    return project, user


# -- signing in ------------------------------------------------------------------


def test_a_wrong_password_is_said_and_the_right_one_leads_on(stack, visitor):
    user = stack.developer(stack.place())
    page = visitor.page
    visitor.go("/-/profile")
    assert visitor.path.startswith("/-/sign-in")
    page.get_by_label("User name").fill(user)
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    visitor.says("The user name or the password is wrong.")
    expect(page.get_by_label("User name")).to_have_value(user)
    visitor.problems.clear()  # the console notes the 401
    page.get_by_label("Password").fill("correct horse battery")
    page.get_by_role("main").get_by_role("button", name="Sign in").click()
    expect(visitor.heading("Access tokens").first).to_be_visible()
    assert visitor.path == "/-/profile"


def test_signing_out_ends_it(stack, visitor):
    visitor.sign_in(stack.developer(stack.place()))
    visitor.button("Sign out").click()
    expect(visitor.link("Sign in").first).to_be_visible()
    visitor.go("/-/profile")
    assert visitor.path.startswith("/-/sign-in")


# -- browsing --------------------------------------------------------------------


def test_the_tree_opens_to_tags_that_come_live_and_lead_to_the_tag(stack, filled, visitor):
    project, user = filled
    visitor.be(stack, user)
    visitor.go("/")
    visitor.link(project).click()
    page = visitor.page
    expect(visitor.link("2.0")).to_have_count(0)
    with page.expect_response(lambda answer: answer.url.endswith("/-/rows")) as fetched:
        tree_node(page, "python/web/api").click()
    assert fetched.value.status == 200
    table = page.get_by_role("table", name=f"Tags of {project}/python/web/api")
    expect(table.get_by_role("row")).to_have_count(4)
    expect(table.get_by_role("rowheader", name=re.compile("^1.0"))).to_contain_text("latest")
    table.get_by_role("link", name="2.0", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("2.0")
    visitor.says(TWO.digest)
    assert visitor.path == f"/{project}/-/images/python/web/api/-/tags/2.0"


def test_the_tree_shows_a_tag_that_was_pushed_after_the_page_was_opened(stack, filled, visitor):
    project, user = filled
    visitor.be(stack, user)
    visitor.go(f"/{project}")
    stack.client(stack.developer(project)).put(f"{project}/python/web/api", "later", ONE)
    tree_node(visitor.page, "python/web/api").click()
    expect(visitor.link("later").first).to_be_visible()


def test_the_tree_says_when_the_registry_is_down_and_tries_again(stack, filled, visitor):
    project, user = filled
    visitor.be(stack, user)
    visitor.go(f"/{project}")
    page = visitor.page
    stack.stop("registry")
    try:
        tree_node(page, "the root image").click()
        retry = visitor.link("Retry")
        expect(retry).to_be_visible()
        visitor.says("can't be reached")
        expect(visitor.link("root")).to_be_visible()  # as last known
    finally:
        stack.start("registry")
    retry.click()
    expect(visitor.link("Retry")).to_have_count(0)
    expect(visitor.link("root")).to_be_visible()


def test_sorting_and_searching_tags_live_in_the_address(stack, filled, visitor):
    project, user = filled
    visitor.be(stack, user)
    visitor.go(f"/{project}/-/images/python/web/api")
    page = visitor.page
    names = page.get_by_role("table", name="Tags of").get_by_role("rowheader")
    expect(names.get_by_role("link").first).to_have_text("latest")
    page.get_by_role("columnheader", name="Tag").get_by_role("link").click()
    expect(names.get_by_role("link").first).to_have_text("2.0")
    page.get_by_label("Search tags").fill("1.")
    page.get_by_role("main").get_by_role("button", name="Search").click()
    expect(names).to_have_count(1)
    assert "q=1." in visitor.path
    assert "order=desc" in visitor.path


def test_everything_is_reached_with_the_keyboard_alone(filled, stack, visitor):
    project, user = filled
    visitor.go("/-/sign-in")
    page = visitor.page
    page.keyboard.type(user)  # the field has the focus already
    visitor.tab_to("Password")
    page.keyboard.type("correct horse battery")
    page.keyboard.press("Enter")
    expect(visitor.button("Sign out")).to_be_visible()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    visitor.tab_to(project)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("shop")
    visitor.tab_to("Tags of python/web/api")
    page.keyboard.press("Enter")
    expect(visitor.link("1.0").first).to_be_visible()
    visitor.tab_to("1.0")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("1.0")
    visitor.tab_to("Copy the pull command")
    page.keyboard.press("Enter")
    announced(page, "Copied")


def test_the_copy_button_copies_the_command_and_announces_it(browser, stack, filled):
    project, user = filled
    base = stack.config.public_url
    with window(browser, base, permissions=["clipboard-read", "clipboard-write"]) as made:
        made.be(stack, user)
        made.go(f"/{project}/-/images/python/web/api/-/tags/1.0")
        made.button("Copy the pull command").click()
        announced(made.page, "Copied")
        host = stack.config.registry_host
        copied = made.page.evaluate("navigator.clipboard.readText()")
        assert copied == f"docker pull {host}/{project}/python/web/api:1.0"
        assert made.problems == []


def test_the_theme_is_chosen_and_kept(browser, stack):
    with window(browser, stack.config.public_url, color_scheme="light") as made:
        made.go("/")
        page = made.page

        def background() -> str:
            return page.evaluate("getComputedStyle(document.body).backgroundColor")

        light = background()
        made.button("Theme: system").click()
        made.button("Theme: light").click()
        expect(made.button("Theme: dark")).to_be_visible()
        dark = background()
        assert dark != light
        made.go("/-/help/roles")
        assert background() == dark
        assert made.problems == []


# -- deleting --------------------------------------------------------------------


def test_a_tag_is_deleted_after_a_preview_and_its_sibling_stays(stack, filled, visitor):
    project, user = filled
    visitor.be(stack, user)
    visitor.go(f"/{project}/-/images/python/web/api/-/tags/latest")
    visitor.link("Delete tag").click()
    visitor.says(f"{project}/python/web/api:latest")
    visitor.says("What stays")
    assert set(stack.tags(project, "python/web/api")) == {"1.0", "latest", "2.0"}
    visitor.button("Delete tag").click()
    expect(visitor.page.get_by_role("status").first).to_contain_text("deleted")
    assert visitor.path == f"/{project}/-/images/python/web/api"
    expect(visitor.link("latest")).to_have_count(0)
    expect(visitor.link("1.0")).to_be_visible()
    client = stack.client(stack.developer(project))
    left = client.tags(f"{project}/python/web/api")
    assert sorted(tag for tag in left if not is_trash_tag(tag)) == ["1.0", "2.0"]


def test_a_deletion_can_be_left_without_harm(stack, filled, visitor):
    project, user = filled
    visitor.be(stack, user)
    visitor.go(f"/{project}/-/images/python/web/api/-/tags/latest/-/delete")
    visitor.link("Keep it").click()
    visitor.says(ONE.digest)
    assert "latest" in stack.tags(project, "python/web/api")


def test_an_image_is_deleted_by_the_worker_while_the_page_shows_how_far_it_is(
    stack, filled, visitor
):
    project, user = filled
    visitor.be(stack, user)
    visitor.go(f"/{project}/-/images/python/web/api")
    visitor.link("Delete image").click()
    visitor.page.get_by_label("to confirm").fill(f"{project}/python/web/api")
    stack.kill("worker")
    try:
        visitor.button("Delete image").click()
        visitor.says("Waiting")
    finally:
        stack.start("worker")
    visitor.says("Done")  # without a reload
    visitor.link("Back to the project").click()
    expect(visitor.link("api")).to_have_count(0)
    assert stack.tags(project, "python/web/api") == {}


# -- making ----------------------------------------------------------------------


def test_namespace_project_and_member_are_made_and_the_empty_project_teaches(stack, visitor):
    user = stack.developer(stack.place())
    visitor.be(stack, user)
    project = make_namespace_and_project(visitor, f"{user}-made")
    host = stack.config.registry_host
    visitor.says(f"docker login {host} -u {user}")
    visitor.says(f"docker push {host}/{project}/")
    stack.fill.user(f"{user}-friend")
    add_member(visitor, f"{user}-friend", "Reporter")
    friend = stack.client(f"{user}-friend", "read_registry")
    stack.client(user).put(f"{project}/app", "1.0", ONE)
    assert friend.tags(f"{project}/app") == ["1.0"]
    stack.wait_for_tags(project, "app", {"1.0"})
    visitor.go(f"/{project}")
    expect(visitor.link("app")).to_be_visible()


def test_a_name_that_is_taken_is_refused_with_what_was_typed(stack, visitor):
    project = stack.place()
    visitor.be(stack, ADMIN)
    visitor.go("/-/new/namespace")
    visitor.page.get_by_label("Name", exact=True).fill(project.partition("/")[0])
    visitor.page.get_by_label("Description").fill("kept words")
    visitor.button("Create namespace").click()
    field = visitor.page.get_by_label("Name", exact=True)
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(visitor.page.get_by_label("Description")).to_have_value("kept words")
    visitor.problems.clear()  # the console notes the 409


def test_an_access_token_is_shown_once_works_and_ends_when_revoked(stack, visitor):
    user = stack.developer(stack.place())
    visitor.be(stack, user)
    visitor.go("/")
    visitor.link(f"Profile of {user}").click()
    page = visitor.page
    page.get_by_label("Name", exact=True).fill("laptop")
    visitor.button("Create token").click()
    shown = page.get_by_role("region", name="Your new access token").locator("code").first
    secret = shown.inner_text()
    headers = {"Authorization": f"Bearer {secret}"}
    url = f"{stack.config.public_url}/api/v4/projects"
    assert requests.get(url, headers=headers, timeout=60).status_code == 200
    visitor.go("/-/profile")
    assert secret not in page.content()
    visitor.button("Revoke laptop").click()
    visitor.says("The access token was revoked.")
    assert requests.get(url, headers=headers, timeout=60).status_code == 401


# -- the registry token ----------------------------------------------------------


def test_the_registry_token_is_reset_and_the_old_one_revoked(stack, visitor):
    visitor.be(stack, ADMIN)
    visitor.go("/")
    visitor.link("Admin").click()
    visitor.link("Registry token").click()
    page = visitor.page
    expect(page.get_by_text(re.compile(r"rt_\S{40}"))).to_have_count(0)
    visitor.button("Show it").click()
    old = page.get_by_role("region", name="The registry token").locator("code").inner_text()
    visitor.button("Reset").click()
    new = page.get_by_role("region", name="The registry token").locator("code").inner_text()
    assert new != old
    expect(page.get_by_label("Snippet for config.yml")).to_contain_text(f"Bearer {new}")
    assert deliver(stack, old) == 202
    visitor.button("Revoke now").click()
    visitor.says("The previous registry token was revoked.")
    assert deliver(stack, old) == 401
    assert deliver(stack, new) == 202
    visitor.go("/-/admin/registry-token")
    visitor.says("in use")
    assert new not in page.content()
    stack.write_registry_files(new)
    stack.stop("registry")
    stack.start("registry")


# -- without JavaScript ----------------------------------------------------------


def test_the_main_flow_works_without_javascript(stack, scriptless_visitor):
    user = stack.developer(stack.place())
    scriptless_visitor.sign_in(user)
    project = make_namespace_and_project(scriptless_visitor, f"{user}-plain")
    stack.fill.user(f"{user}-friend")
    add_member(scriptless_visitor, f"{user}-friend", "Maintainer")
    client = stack.client(user)
    for tag in ("1.0", "latest"):
        client.put(f"{project}/deep/app", tag, ONE)
    stack.wait_for_tags(project, "deep/app", {"1.0", "latest"})
    scriptless_visitor.go(f"/{project}")
    page = scriptless_visitor.page
    tree_node(page, "deep/app").click()
    scriptless_visitor.link(f"Tags of {project}/deep/app").click()
    scriptless_visitor.link("latest").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("latest")
    scriptless_visitor.says(f"docker pull {stack.config.registry_host}/{project}/deep/app:latest")
    expect(scriptless_visitor.button("Copy the pull command")).to_have_count(0)
    scriptless_visitor.link("Delete tag").click()
    scriptless_visitor.button("Delete tag").click()
    scriptless_visitor.says("deleted")
    assert set(stack.tags(project, "deep/app")) == {"1.0"}
    scriptless_visitor.link("Delete image").click()
    page.get_by_label("to confirm").fill(f"{project}/deep/app")
    scriptless_visitor.button("Delete image").click()
    stack.until(lambda: stack.tags(project, "deep/app") == {})
    scriptless_visitor.link("Refresh").or_(scriptless_visitor.link("Back to the project")).click()
    scriptless_visitor.button("Sign out").click()
    expect(scriptless_visitor.link("Sign in").first).to_be_visible()
