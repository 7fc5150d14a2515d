"""Every page, narrow and wide, light and dark: the browser complains of nothing."""

from __future__ import annotations

import pytest

from registry_ui.demo import samples
from registry_ui.demo.artifacts import attestation, signature, signature_tag
from registry_ui.demo.images import Step, image, index
from tests.support.browser import Window, chromium, window
from tests.support.live import tiny
from tests.support.stack import ADMIN
from tests.web.support import PASSWORD

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(240),
    pytest.mark.parametrize("storage", ["postgresql"], indirect=True),
]

ONE = image([Step("CMD one")])
AMD, ARM = tiny("amd"), tiny("arm", platform="linux/arm64/v8")
#: As long as names may be, without a place to break.
LONG = "a" * 60


@pytest.fixture(scope="module")
def browser():
    with chromium() as made:
        yield made


@pytest.fixture(scope="module")
def project(stack):
    """A public project with everything that a page can show, in long names too."""
    project = stack.place("public")
    client = stack.client(stack.developer(project))
    both = index([AMD, ARM, attestation(AMD), attestation(ARM)])
    client.push(f"{project}/app", {"1.0": ONE, "latest": ONE, "both": both, "t" * 128: both})
    client.push(f"{project}/app", {signature_tag(ONE): signature(ONE, "example.test/app")})
    client.push(f"{project}/backend", samples.backend_tags())
    client.push(f"{project}/frontend", samples.frontend())
    client.push(f"{project}/{LONG}/{LONG}", {"1.0": ONE})
    client.push(f"{project}/many", {f"1.{minor}": ONE for minor in range(60)})
    stack.client(ADMIN).push("unassigned/app", {"1.0": ONE})
    stack.wait_for_tags(project, "many", {"1.59"})
    stack.fill.namespace(f"{project.partition('/')[0]}/empty")
    stack.fill.project(f"{project.partition('/')[0]}/nothing/{LONG}")
    fill_credentials(stack, project)
    return project


def fill_credentials(stack, project: str) -> None:
    """Make tokens of every kind, a docker session, and refusals, in long names too."""
    fill = stack.fill
    fill.access_token(ADMIN, "read_registry", "api", name=LONG, reach=f"{project}/{LONG}/{LONG}")
    fill.deploy_token(project.partition("/")[0], "read_registry", name="above")
    username, secret = fill.deploy_token(project, "read_registry", "write_registry", name=LONG)
    auth = (ADMIN, PASSWORD)
    assert fill.ask_token(auth=auth, offline_token="true", client_id="docker").status_code == 200
    scopes = (f"repository:{project}/{LONG}/{LONG}:delete", f"repository:{LONG}/{LONG}:pull")
    for credentials in (auth, (username, secret), None):
        assert fill.ask_token(*scopes, auth=credentials).status_code == 200
    fill.app.extensions["journal"].flush()


def pages(project: str) -> dict[str, str]:
    """Every page of the site, by what it is."""
    root = project.partition("/")[0]
    app = f"/{project}/-/images/app"
    return {
        "home": "/",
        "search": "/?q=shop",
        "search without result": "/?q=nothing-like-this",
        "profile": "/-/profile",
        "decisions": "/-/decisions",
        "no decisions": "/-/decisions?repository=nothing/like/this",
        "access check": f"/-/access-check?repository={project}/{LONG}/{LONG}",
        "access check of a visitor": f"/-/access-check?user=&repository={LONG}/{LONG}",
        "roles": "/-/help/roles",
        "new namespace": "/-/new/namespace",
        "new project": f"/-/new/project?parent={root}",
        "namespace": f"/{root}",
        "empty namespace": f"/{root}/empty",
        "delete namespace": f"/{root}/empty/-/delete",
        "project": f"/{project}",
        "empty project": f"/{root}/nothing/{LONG}",
        "members": f"/{project}/-/members",
        "settings": f"/{project}/-/settings",
        "deploy tokens": f"/{project}/-/deploy-tokens",
        "deploy tokens of a namespace": f"/{root}/-/deploy-tokens",
        "no deploy tokens": f"/{root}/nothing/{LONG}/-/deploy-tokens",
        "access log": f"/{project}/-/decisions",
        "access log of a namespace": f"/{root}/-/decisions?refused=1",
        "delete project": f"/{project}/-/delete",
        "image": app,
        "folder": f"/{project}/-/images/{LONG}",
        "paged image": f"/{project}/-/images/many?page=2&sort=pushed&order=desc",
        "tag": f"{app}/-/tags/1.0",
        "tag of an index": f"{app}/-/tags/both",
        "long tag": f"{app}/-/tags/{'t' * 128}",
        "schema 2 tag": f"/{project}/-/images/backend/-/tags/2.4.1",
        "annotated tag": f"/{project}/-/images/frontend/-/tags/5.0.0",
        "long image": f"/{project}/-/images/{LONG}/{LONG}/-/tags/1.0",
        "delete tag": f"{app}/-/tags/1.0/-/delete",
        "delete image": f"{app}/-/delete",
        "retention": f"/{project}/-/retention",
        "retention of a namespace": f"/{root}/-/retention",
        "bin": f"/{project}/-/bin",
        "delete tags": f"{app}/-/delete-tags?chosen=1.0&chosen={'t' * 128}",
        "delete tags that match": f"{app}/-/delete-tags?all=1&q={'t' * 128}",
        "delete tags by pattern": f"{app}/-/delete-tags",
        "admin": "/-/admin",
        "registry token": "/-/admin/registry-token",
        "users": "/-/admin/users",
        "unassigned": "/-/admin/unassigned",
        "events": "/-/admin/events",
        "access log of all": "/-/admin/decisions",
        "audit": "/-/admin/audit",
    }


@pytest.mark.parametrize("width", [360, 1280])
def test_every_page_fits_names_its_controls_and_leaves_the_browser_quiet(
    stack, browser, project, width
):
    size = {"width": width, "height": 800}
    complaints = []
    with window(browser, stack.config.public_url, viewport=size) as made:
        for name, address in {
            "sign in": "/-/sign-in",
            "home": "/",
            "public": f"/{project}",
        }.items():
            complaints += look(made, f"{name} of a visitor", address)
        made.sign_in(ADMIN)
        for name, address in pages(project).items():
            complaints += look(made, name, address)
        assert made.problems == []
        complaints += look(made, "not found", "/nothing/like/this", status=404)
    assert complaints == []


def look(made: Window, name: str, address: str, status: int = 200) -> list[tuple[str, str, str]]:
    """Open a page and all that folds on it, in both themes; return what is wrong with it."""
    page = made.page
    page.emulate_media(color_scheme="light")
    assert made.go(address) == status, name
    page.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
    if page.locator("details[hx-get]").count():
        page.wait_for_load_state("networkidle")  # the tags of the tree
    found = [(name, "without a name", element) for element in page.evaluate(NAMELESS)]
    landmarks = ("main", "banner", "contentinfo")
    found += [(name, "count", r) for r in landmarks if page.get_by_role(r).count() != 1]
    if page.get_by_role("heading", level=1).count() != 1 or not page.title():
        found.append((name, "count", "h1 or title"))
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        found += [(name, f"too wide, {theme}", element) for element in page.evaluate(TOO_WIDE)]
    return found


#: What sticks out of the page, if one has to scroll sideways to see it.
TOO_WIDE = """() => {
  const root = document.documentElement;
  if (root.scrollWidth <= root.clientWidth) return [];
  return [...document.body.querySelectorAll("*")]
    .filter((e) => e.getBoundingClientRect().right > root.clientWidth + 1)
    .slice(0, 4)
    .map((e) => `${e.tagName} ${e.className} ${e.textContent.trim().slice(0, 40)}`)
    .concat(`${root.scrollWidth} > ${root.clientWidth}`);
}"""
#: Controls that a screen reader could not call anything.
NAMELESS = """() => [...document.querySelectorAll("button, a, input, select, summary")]
  .filter((e) => e.type !== "hidden")
  .filter((e) => !(e.textContent.trim() || e.getAttribute("aria-label") || e.title ||
                   (e.labels && e.labels.length)))
  .map((e) => e.outerHTML.slice(0, 100))"""
