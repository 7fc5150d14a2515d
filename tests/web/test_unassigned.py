"""What is in the registry but in no project: how an administrator adopts it."""

from __future__ import annotations

import pytest

from tests.support.html import Page
from tests.support.unassigned import leave

COPY = "/-/admin/unassigned/copy"


@pytest.mark.parametrize(
    ("path", "offered"),
    [
        ("acme/other", "/-/new/project?parent=acme&name=other"),
        ("acme/other/deep/er", "/-/new/project?parent=acme&name=other"),
        ("legacy/app", "/-/new/namespace?name=legacy"),
        ("alice/tool", "/-/new/project?parent=alice&name=tool"),
        ("nginx", "/-/new/project?parent=&name=nginx"),
        ("library/nginx", "/-/new/namespace?name=library"),
        ("quay.io/org/app", "/-/new/namespace?name=quay.io"),
        ("api", None),
        ("v2/app", None),
        ("acme", None),
        ("alice", None),
    ],
)
def test_each_repository_has_the_next_step(populated_site, path, offered):
    leave(populated_site, path)
    page = Page(populated_site.browser("admin").get("/-/admin/unassigned").text)
    links = [a.attrs["href"] for a in page.all("a")]
    steps = [link for link in links if link.startswith(("/-/new/", COPY))]
    assert steps == [offered or f"{COPY}/{path}"]
    assert ("no project can own this name" in page.text) is (offered is None)


@pytest.mark.parametrize("path", ["acme/app", "acme/app/deep/er"])
def test_a_repository_that_was_adopted_a_moment_ago_names_its_project(populated_site, path):
    leave(populated_site, path)
    page = Page(populated_site.browser("admin").get("/-/admin/unassigned").text)
    assert "is being added to acme/app" in page.text
    assert "no project can own this name" not in page.text


def test_the_step_opens_a_form_that_is_filled_in(populated_site):
    page = populated_site.browser("admin").get("/-/new/project?parent=acme&name=other").text
    assert 'value="other"' in page
    page = populated_site.browser("admin").get("/-/new/namespace?name=legacy").text
    assert 'value="legacy"' in page


def test_the_form_of_a_copy_names_projects_and_the_list_links_the_latest_copy(populated_site):
    leave(populated_site, "acme", "alice")
    form = populated_site.browser("admin").get(f"{COPY}/acme").text
    assert 'Copy <span class="mono">acme</span> below a project' in form
    assert '<option value="acme/app">' in form
    populated_site.copying("acme", "acme/app")
    latest = populated_site.copying("acme", "acme/app")
    page = Page(populated_site.browser("admin").get("/-/admin/unassigned").text)
    assert "copied to acme/app/copied" in page.text
    links = [a.attrs["href"] for a in page.all("a") if "/-/copies/" in a.attrs["href"]]
    assert links == [f"/acme/app/-/copies/{latest}"]


def test_a_namespace_that_is_not_there_is_named(populated_site):
    answer = populated_site.browser("admin").post(
        "/-/new/project", {"parent": "nowhere", "name": "app"}
    )
    assert answer.status_code == 422
    assert "There is no namespace “nowhere”. Create it first." in answer.text


def test_an_administrator_is_told_on_the_first_page_and_nobody_else(populated_site):
    leave(populated_site, "nobody", "legacy/app")
    words = "2 repositories of the registry in no project."
    assert words in populated_site.browser("admin").get("/").text
    assert words not in populated_site.browser("alice").get("/").text
    assert words not in populated_site.browser().get("/").text
