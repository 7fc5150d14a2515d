"""Every page, at three widths, light and dark: neither the browser nor axe complains.

Axe looks at each page that shows any markup for the first time; at the colors of that markup, in
both themes. A page of the same markup with other words, such as that of a namespace beside that of
a project, would tell it nothing new, and it takes longer than all the rest.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from registry_ui.audit import Actor
from registry_ui.copies.plan import ORDER, CopyPlan, CopyRequest, PlannedCopy
from registry_ui.copies.service import save_plan
from registry_ui.db.session import db, writing
from registry_ui.demo import samples
from registry_ui.demo.artifacts import artifact, attestation, signature, signature_tag
from registry_ui.demo.images import Step, image, index
from registry_ui.models import (
    ContainerImage,
    Copy,
    CopyLine,
    GarbageCollection,
    Move,
    MovedRepository,
    Project,
    ProtectionViolation,
    utc_now,
)
from registry_ui.moves.planner import MovePlan
from registry_ui.names import RepositoryName
from tests.support.accessibility import color_violations, markup, small_targets, violations
from tests.support.browser import Window, window
from tests.support.live import tiny
from tests.support.stack import ADMIN
from tests.web.support import PASSWORD

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(900),
    pytest.mark.parametrize("storage", ["postgresql"], indirect=True),
]

ONE = image([Step("CMD one")])
AMD, ARM = tiny("amd"), tiny("arm", platform="linux/arm64/v8")
#: As long as names may be, without a place to break.
LONG = "a" * 60


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
    client.push(f"{project}/chart", samples.shop_chart())
    client.push(f"{project}/files", {"1.0": artifact({f"{LONG}.txt": b"x", "b.txt": b"y"})})
    client.push(f"{project}/{LONG}/{LONG}", {"1.0": ONE})
    client.push(f"{project}/many", {f"1.{minor}": ONE for minor in range(60)})
    stack.client(ADMIN).push("unassigned/app", {"1.0": ONE})
    stack.wait_for_tags(project, "many", {"1.59"})
    stack.fill.namespace(f"{project.partition('/')[0]}/empty")
    stack.fill.project(f"{project.partition('/')[0]}/nothing/{LONG}")
    fill_credentials(stack, project)
    fill_protection(stack, project)
    fill_collections(stack)
    return project


def fill_collections(stack) -> None:
    """Tell of a dry run, of one that failed, and of one that waits; no worker takes it yet."""
    now = utc_now()
    ended = {"requested_by": ADMIN, "finished_at": now}
    said = "\n".join(f"blob eligible for deletion: {ONE.digest}" for _ in range(40))
    counts = {"blobs": 40, "freed": 123_456_789, "unmeasured": 2, "output": said}
    held = {"lease_until": now + timedelta(days=1), "lease_owner": "nobody"}
    with stack.fill.session() as session:
        session.add(GarbageCollection(dry_run=True, state="done", **ended, **counts))
        session.flush()
        session.add(
            GarbageCollection(dry_run=False, state="failed", problem=f"{LONG} broke.", **ended)
        )
        session.flush()
        quiet = {"quiet_at": now + timedelta(minutes=6), "slot": 1}
        session.add(
            GarbageCollection(dry_run=False, state="draining", requested_by=LONG, **quiet, **held)
        )
        session.commit()


def fill_protection(stack, project: str) -> None:
    """Make rules of every kind, in long patterns too, and a violation."""
    stack.fill.rule(project, "1.*")
    stack.fill.rule(project, "latest", "maintainer", "")
    stack.fill.rule(project, "t" * 128, "owner", f"{LONG}/{LONG}/**")
    app = stack.fill.row(ContainerImage, path=f"{project}/app")
    with stack.fill.session() as session:
        more = {"repository": app.path, "tag": "t" * 128, "change": "overwritten", "actor": LONG}
        session.add(ProtectionViolation(place_id=app.project_id, **more))
        session.commit()


def fill_credentials(stack, project: str) -> None:
    """Make tokens of every kind, a docker session, and refusals, in long names too."""
    fill = stack.fill
    fill.access_token(
        ADMIN, "read_registry", "api", name=LONG, restriction=f"{project}/{LONG}/{LONG}"
    )
    fill.deploy_token(project.partition("/")[0], "read_registry", name="above")
    username, secret = fill.deploy_token(project, "read_registry", "write_registry", name=LONG)
    auth = (ADMIN, PASSWORD)
    assert fill.ask_token(auth=auth, offline_token="true", client_id="docker").status_code == 200
    scopes = (f"repository:{project}/{LONG}/{LONG}:delete", f"repository:{LONG}/{LONG}:pull")
    for credentials in (auth, (username, secret), None):
        assert fill.ask_token(*scopes, auth=credentials).status_code == 200
    fill.app.extensions["decision_log"].flush()


def pages(project: str) -> dict[str, str]:
    """Every page of the site, by what it is."""
    return {
        **pages_to_find_images(project),
        **pages_of_places(project),
        **pages_of_policies_and_use(project),
        **pages_of_images_and_tags(project),
        **pages_of_bulk_work(project),
        **admin_pages(),
    }


def pages_to_find_images(project: str) -> dict[str, str]:
    """The home page, the searches, and the comparisons."""
    old, long = f"/-/compare?from={project}/app:1.0", f"{project}/{LONG}/{LONG}:1.0"
    return {
        "home": "/",
        "search": "/?q=shop",
        "search without result": "/?q=nothing-like-this",
        "what can be searched": "/-/search",
        "search everywhere": "/-/search?q=1.",
        "search everywhere for long names": f"/-/search?q={LONG[:20]}",
        "search everywhere without result": f"/-/search?q={LONG}-nothing",
        "search for tags": f"/-/search?q={'t' * 20}&kind=tags",
        "what can be compared": "/-/compare",
        "what a tag is compared with": old,
        "compared": f"/-/compare?from={project}/backend:2.4.1&to={project}/frontend:5.0.0",
        "compared, of platforms": f"/-/compare?from={project}/app:both&to={project}/app:1.0",
        "compared, long": f"/-/compare?from={project}/app:{'t' * 128}&to={long}",
        "compared, identical": f"{old}&to={project}/app:latest",
    }


def pages_of_places(project: str) -> dict[str, str]:
    """The pages of a user, of a namespace, and of a project."""
    root = project.partition("/")[0]
    return {
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
    }


def pages_of_policies_and_use(project: str) -> dict[str, str]:
    """The rules of a project, and what was done and is stored in it."""
    root = project.partition("/")[0]
    return {
        "protection": f"/{project}/-/protection",
        "no protection": f"/{root}/nothing/{LONG}/-/protection",
        "access log": f"/{project}/-/decisions",
        "access log of a namespace": f"/{root}/-/decisions?refused=1",
        "activity": f"/{project}/-/activity",
        "activity of a namespace": f"/{root}/-/activity?kind=push",
        "no activity": f"/{root}/nothing/{LONG}/-/activity?kind=push",
        "activity of a person": f"/-/users/{ADMIN}/activity",
        "storage": f"/{project}/-/storage",
        "storage of a namespace": f"/{root}/-/storage",
        "storage of an image": f"/{project}/-/storage?image={project}/app",
        "no storage": f"/{root}/nothing/{LONG}/-/storage",
        "delete project": f"/{project}/-/delete",
    }


def pages_of_images_and_tags(project: str) -> dict[str, str]:
    """Every view of images and tags."""
    app = f"/{project}/-/images/app"
    return {
        "image": app,
        "folder": f"/{project}/-/images/{LONG}",
        "filtered folder": f"/{project}/-/images/{LONG}?q=nothing*",
        "filtered project": f"/{project}?q={LONG}&sort=size&order=desc",
        "filtered image": f"/{project}/-/images/many?q=1.4*&sort=pulls",
        "paged image": f"/{project}/-/images/many?page=2&sort=pushed&order=desc",
        "tag": f"{app}/-/tags/1.0",
        "tag of an index": f"{app}/-/tags/both",
        "attestation": f"{app}/-/tags/both?platform={attestation(AMD).digest}",
        "SBOM": f"{app}/-/tags/both/-/sbom",
        "SBOM without result": f"{app}/-/tags/both/-/sbom?q=nothing-like-this",
        "no SBOM": f"{app}/-/tags/1.0/-/sbom",
        "chart": f"/{project}/-/images/chart/-/tags/0.3.0_build.7",
        "files": f"/{project}/-/images/files/-/tags/1.0",
        "history of a tag": f"{app}/-/tags/1.0?history=all",
        "long tag": f"{app}/-/tags/{'t' * 128}",
        "schema 2 tag": f"/{project}/-/images/backend/-/tags/2.4.1",
        "annotated tag": f"/{project}/-/images/frontend/-/tags/5.0.0",
        "long image": f"/{project}/-/images/{LONG}/{LONG}/-/tags/1.0",
        "delete tag": f"{app}/-/tags/1.0/-/delete",
        "delete image": f"{app}/-/delete",
    }


def pages_of_bulk_work(project: str) -> dict[str, str]:
    """Retention, and the forms that delete, copy, and move."""
    root = project.partition("/")[0]
    app = f"/{project}/-/images/app"
    return {
        "retention": f"/{project}/-/retention",
        "retention of a namespace": f"/{root}/-/retention",
        "trash": f"/{project}/-/trash",
        "delete tags": f"{app}/-/delete-tags?chosen=1.0&chosen={'t' * 128}",
        "delete tags that match": f"{app}/-/delete-tags?all=1&q={'t' * 128}",
        "delete tags by pattern": f"{app}/-/delete-tags",
        "copy a tag": f"{app}/-/copy?chosen={'t' * 128}",
        "copy tags": f"{app}/-/copy?chosen=1.0&chosen={'t' * 128}",
        "copy an image": f"{app}/-/copy?all=1",
        "move a project": f"/{project}/-/move",
        "move a namespace": f"/{root}/-/move?target={LONG}",
        "move an image": f"{app}/-/move",
    }


def admin_pages() -> dict[str, str]:
    """The pages of administrators."""
    return {
        "admin": "/-/admin",
        "registry token": "/-/admin/registry-token",
        "users": "/-/admin/users",
        "unassigned": "/-/admin/unassigned",
        "adopt": "/-/admin/unassigned/adopt",
        "copy an unassigned repository": "/-/admin/unassigned/copy/unassigned/app",
        "events": "/-/admin/events",
        "access log of all": "/-/admin/decisions",
        "audit": "/-/admin/audit",
        "garbage collection": "/-/admin/garbage-collection",
        "garbage collection, to be begun": "/-/admin/garbage-collection/begin",
        "garbage collection, dry run": "/-/admin/garbage-collection/1",
        "garbage collection, failed": "/-/admin/garbage-collection/2",
        "garbage collection, under way": "/-/admin/garbage-collection/3",
    }


def copies(stack, project: str) -> dict[str, str]:
    """A plan with everything that one can say, and a report, in long names too."""
    source, target = f"{project}/app", f"{project}/{LONG}/{LONG}"
    with stack.fill.app.app_context():
        query = select(ContainerImage).where(ContainerImage.path == source)
        image = db.session.scalars(query).one()
        owner = db.session.get_one(Project, image.project_id)
        wish = CopyRequest("tags", image.path, owner.path, owner, RepositoryName(target), {})
        plan = CopyPlan("tags", source, target, size=5000, new_size=300, new_image=True)
        digests = (ONE.digest, AMD.digest)
        plan.name(
            [
                PlannedCopy(f"{state}-{'t' * 100}", "t" * 128, digests[0], state, digests[1])
                for state in ORDER
            ]
        )
        plan.name_referrers([signature_tag(ONE)])
        planned, reported = (save_plan(Actor(ADMIN), wish, plan).id for _ in range(2))
        with writing() as session:
            session.get_one(Copy, reported).state = "done"
            for number, outcome in enumerate(("copied", "kept", "refused")):
                reference = f"{target}:{'t' * 128}"
                session.add(
                    CopyLine(work_id=reported, number=number, reference=reference, outcome=outcome)
                )
    address = f"/{project}/-/copies"
    return {"plan of a copy": f"{address}/{planned}", "report of a copy": f"{address}/{reported}"}


def moves(stack, project: str) -> dict[str, str]:
    """A plan with everything that one can say, and a move in every state, in long names too."""
    root, target = project.partition("/")[0], f"{LONG}/{LONG}"
    found = {}
    for state in ("planned", "copying", "fenced", "failed", "undoing", "grace", "retiring", "done"):
        names = {"source": project, "target": target, "requested_by": ADMIN}
        number = stack.fill.move(project, state, parts=3, **names)
        found[f"move, {state}"] = f"/{project}/-/moves/{number}"
        values = {"problem": f"{LONG}/{LONG} is in use in the registry."}
        if state == "planned":
            plan = MovePlan("project", project, target, [(f"{project}/{LONG}", f"{target}/x", 3)])
            plan.changes = [
                {"username": "somebody", "before": "Owner", "after": ""},
                {"username": LONG, "before": "", "after": "Guest"},
            ]
            plan.visibility = ("private", "public")
            plan.notes = [f"Deploy tokens of {root} that hold here no more: 3."]
            values = {"preview": plan.preview()}
        # Its lease keeps the worker of the stack away.
        values["lease_until"] = utc_now() + timedelta(days=1)
        stack.fill.change(Move, values, id=number)
        if state == "grace":
            kept = {"state": "kept", "detail": "t" * 128}
            stack.fill.change(MovedRepository, kept, move_id=number, number=0)
            stack.fill.old_path(f"{root}/{LONG}/old", project, number)
            stack.fill.old_path(f"{root}/{LONG}/app", f"{project}/app", number, exact=True)
    return found


def test_every_page_fits_is_open_to_all_and_leaves_the_browser_quiet(stack, browser, project):
    complaints, seen = [], set()
    # Without motion: colours that are still on their way to the other theme have no contrast.
    with window(browser, stack.config.public_url, reduced_motion="reduce") as made:
        for name, address in {
            "sign in": "/-/sign-in",
            "home": "/",
            "public": f"/{project}",
        }.items():
            complaints += look(made, seen, f"{name} of a visitor", address)
        made.be(stack, ADMIN)
        every = pages(project) | copies(stack, project) | moves(stack, project)
        for name, address in every.items():
            complaints += look(made, seen, name, address)
        assert made.problems == []
        complaints += look(made, seen, "not found", "/nothing/like/this", status=404)
    assert complaints == []


def look(
    made: Window, seen: set[str], name: str, address: str, status: int = 200
) -> list[tuple[str, str]]:
    """Open a page and all that folds on it; return what is wrong at any width, in any theme.

    Add its markup to what was seen before.
    """
    page = made.page
    assert made.go(address) == status, name
    page.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
    if page.locator("details[hx-get]").count():
        page.wait_for_load_state("networkidle")  # the tags of the tree
    found = []
    if page.get_by_role("heading", level=1).count() != 1 or not page.title():
        found.append((name, "not one h1, or no title"))
    new = markup(page) - seen
    seen |= new
    for width in (768, 360, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        wrong = small_targets(page) + page.evaluate(TOO_WIDE)
        # What axe sees depends little on the width.
        if new and width == 360:
            page.emulate_media(color_scheme="dark")
            wrong += color_violations(page, new)
            page.emulate_media(color_scheme="light")
        if new and width == 1280:
            wrong += violations(page, colors=False) + color_violations(page, new)
        found += [(f"{name} at {width}", what) for what in wrong]
    return found


#: What sticks out of the page, if one has to scroll sideways to see it.
TOO_WIDE = """() => {
  const root = document.documentElement;
  if (root.scrollWidth <= root.clientWidth) return [];
  return [...document.body.querySelectorAll("*")]
    .filter((e) => e.getBoundingClientRect().right > root.clientWidth + 1)
    .slice(0, 4)
    .map((e) => `too wide: ${e.tagName} ${e.className} ${e.textContent.trim().slice(0, 40)}`)
    .concat(`${root.scrollWidth} > ${root.clientWidth}`);
}"""
