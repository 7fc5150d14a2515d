"""What real clients send when they pull, and that no policy removes what they use."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from registry_ui.db.session import writing
from registry_ui.demo.images import OCI, Manifest, encode, index
from registry_ui.demo.push import ACCEPT
from registry_ui.models import ContainerImage, Place, Tag, utc_now
from registry_ui.retention.rules import Rules
from registry_ui.retention.service import plan_of
from tests.support.clients import Ctr, DockerClient, Skopeo, works
from tests.support.live import tiny

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(240),
    pytest.mark.parametrize("storage", ["sqlite"], indirect=True),
]

OLD = timedelta(days=60)
RULES = Rules(older_than_days=30, keep_pulled_days=7)
TAGS = {"1.0", "latest", "0.9"}


@pytest.fixture
def project(stack):
    """A project with 1.0 and latest on one index, and 0.9 on an image; all of them old."""
    path = stack.place()
    client = stack.client(stack.developer(path))
    platforms = [tiny(f"{path} {arch}", platform=f"linux/{arch}") for arch in ("amd64", "arm64")]
    for tag in ("1.0", "latest"):
        client.put(f"{path}/app", tag, index(platforms))
    client.put(f"{path}/app", "0.9", tiny(f"{path} 0.9"))
    stack.wait_for_tags(path, "app", TAGS)
    make_old(stack, path)
    return path


def image_id(stack, project):
    return stack.fill.row(ContainerImage, path=f"{project}/app").id


def make_old(stack, project):
    """Have every tag pushed long ago, and never pulled."""
    # The index has a tag as soon as a page found it. The event of its push dates it anew.
    image = image_id(stack, project)
    stack.until(lambda: all(tag.pushed_by for tag in stack.fill.rows(Tag, image_id=image)))
    changed = {"pushed_at": utc_now() - OLD, "age_from": None, "last_pulled_at": None}
    which = Tag.image_id == image
    # One statement that begins as a writer: the worker writes to the same database.
    with stack.app.app_context(), writing() as session:
        session.execute(update(Tag).where(which).values(changed))


def used(stack, project):
    """The tags that have a last pull."""
    rows = stack.fill.rows(Tag, image_id=image_id(stack, project))
    return {tag.name for tag in rows if tag.last_pulled_at}


def doomed(stack, project):
    """The tags that a policy removes: 30 days old, and not pulled within seven."""
    with stack.app.app_context(), stack.fill.session() as session:
        place = session.scalars(select(Place).where(Place.path == project)).one()
        return {step.tag for step in plan_of(place, RULES).steps if step.kind == "tag"}


def signed_in(stack, shop, kind, project):
    client = kind(shop, stack.config.registry_host)
    user = stack.developer(project)
    works(client.login(user, stack.fill.access_token(user, "read_registry")))
    return client, f"{stack.config.registry_host}/{project}/app"


@pytest.mark.parametrize("kind", [Ctr, DockerClient, Skopeo], ids=lambda kind: kind.name)
def test_what_a_client_pulled_seconds_ago_is_kept(stack, shop, project, kind):
    assert doomed(stack, project) == TAGS
    client, repository = signed_in(stack, shop, kind, project)
    works(client.pull(f"{repository}:latest"))
    # By tag, by the digest of the index, or by that of a platform: it is use of both tags.
    stack.until(lambda: used(stack, project) == {"latest", "1.0"})
    assert doomed(stack, project) <= {"0.9"}
    # Until the worker has read the manifest of 0.9, the pull may have been one of it, too.
    stack.until(lambda: doomed(stack, project) == {"0.9"})


@pytest.mark.parametrize("kind", [Ctr, DockerClient], ids=lambda kind: kind.name)
def test_what_a_client_has_already_and_only_checks_is_kept(stack, shop, project, kind):
    client, repository = signed_in(stack, shop, kind, project)
    works(client.pull(f"{repository}:latest"))
    stack.until(lambda: used(stack, project) == {"latest", "1.0"})
    make_old(stack, project)
    # The same digest under another tag: a HEAD is all that the registry gets to see.
    command = client.remote("content", "fetch") if kind is Ctr else ["pull"]
    works(client.run(*command, f"{repository}:1.0"))
    stack.until(lambda: "1.0" in used(stack, project))
    assert "1.0" not in doomed(stack, project)


def unusual_index(stack, project, change, size):
    """Push an index of some platforms as ``big``; ``change`` is applied to each of its entries."""
    platforms = [tiny(f"{project} {n}", platform=f"linux/arm/v{n}") for n in range(size)]
    usual = index(platforms)
    entries = [change(dict(entry)) for entry in usual.json["manifests"]]
    body = encode({**usual.json, "manifests": entries})
    client = stack.client(stack.developer(project))
    client.put(f"{project}/app", "big", Manifest(OCI.index, body, children=tuple(platforms)))
    stack.wait_for_tags(project, "app", {"big"})
    return platforms


def without_type(entry):
    del entry["mediaType"]
    return entry


def of_unknown_type(entry):
    return {**entry, "mediaType": "application/vnd.example.platform"}


def with_capital(entry):
    """Clients written in Go read this key as well."""
    return {**entry, "Digest": entry.pop("digest")}


@pytest.mark.parametrize(
    ("change", "size"),
    [(dict, 70), (without_type, 3), (of_unknown_type, 3), (with_capital, 70)],
)
def test_any_platform_of_any_index_can_be_pulled_by_its_digest(stack, project, change, size):
    """Whatever type its entry has, and however many platforms come before it."""
    pulled = unusual_index(stack, project, change, size)[-1]
    page = f"/{project}/-/images/app/-/tags/big"
    assert stack.site(stack.developer(project)).get(page).status == 200
    make_old(stack, project)
    client = stack.client(stack.developer(project))
    answer = client.get(f"{project}/app/manifests/{pulled.digest}", Accept=ACCEPT)
    assert answer.status_code == 200
    stack.until(lambda: used(stack, project) == {"big"}, seconds=30)
    assert doomed(stack, project) == TAGS


def test_skopeo_finds_a_platform_whose_entry_has_no_media_type(stack, shop, project):
    platform = tiny(f"{project} typeless", platform="linux/amd64")
    entry = without_type(platform.descriptor())
    body = encode({"schemaVersion": 2, "mediaType": OCI.index, "manifests": [entry]})
    client = stack.client(stack.developer(project))
    client.put(f"{project}/app", "typeless", Manifest(OCI.index, body, children=(platform,)))
    stack.wait_for_tags(project, "app", {"typeless"})
    make_old(stack, project)
    skopeo, repository = signed_in(stack, shop, Skopeo, project)
    works(skopeo.pull(f"{repository}@{platform.digest}"))
    stack.until(lambda: used(stack, project) == {"typeless"}, seconds=30)
