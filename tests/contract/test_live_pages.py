"""What the pages show of a real registry: rows of an image, one tag in full, the tree."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from registry_ui.demo import samples
from registry_ui.demo.artifacts import attestation, chart, signature, signature_tag
from registry_ui.demo.images import DOCKER, OCI, Manifest, Step, image, index, layer
from registry_ui.jobs import tasks
from registry_ui.models import ContainerImage
from registry_ui.removals.plan import RemovalOptions
from registry_ui.removals.planner import plan_tags
from tests.support.html import Page
from tests.support.html import rows_of_tags as rows
from tests.support.live import tiny
from tests.web.support import event_of

pytestmark = pytest.mark.contract

ONE, TWO = tiny("one"), tiny("two", family=DOCKER)
AMD, ARM = tiny("amd"), tiny("arm", platform="linux/arm64")
BOTH = index([AMD, ARM, attestation(AMD), attestation(ARM, artifact=True)])
CHART = chart(
    {"apiVersion": "v2", "name": "shop", "version": "0.3.0+build.7"}, {"values.yaml": "a: 1\n"}
)
SIGNATURE = signature_tag(ONE)


# -- an image's rows -------------------------------------------------------------


@pytest.fixture
def varied(shop):
    """An image with everything that an image can hold."""
    tags = {"1.0": ONE, "latest": ONE, "docker": TWO, "both": BOTH, "0.3.0_build.7": CHART}
    tags[SIGNATURE] = signature(ONE, "example.test/app")
    shop.push_and_tell(f"{shop.shop}/app", tags)
    return shop


def test_the_rows_say_what_each_tag_is(varied):
    found = rows(varied.page(f"/{varied.shop}/-/images/app"))
    assert set(found) == {"1.0", "latest", "docker", "both", "0.3.0_build.7"}
    assert "same image as latest" in found["1.0"]["Tag"]
    assert "same image as 1.0" in found["latest"]["Tag"]
    for tag in ("1.0", "latest"):
        assert "signature" in found[tag]["Tag"]
        assert "1 attached" in found[tag]["Tag"]
    assert "signature" not in found["docker"]["Tag"]
    assert "chart" in found["0.3.0_build.7"]["Tag"]
    assert {"by pusher"} == {row["Pushed"][-9:] for row in found.values()}


def test_the_rows_say_which_tags_have_an_sbom_wherever_it_is_kept(shop):
    """Buildx puts it into the index, cosign beside it, others into an index of referrers."""
    spdx = attestation(TWO)
    referrers = index([spdx])
    shop.push_and_tell(
        f"{shop.shop}/app",
        {
            "buildx": index([AMD, attestation(AMD)]),
            "cosign": ONE,
            f"sha256-{ONE.digest[7:]}.att": spdx,
            "referrers": TWO,
            f"sha256-{TWO.digest[7:]}": referrers,
            "none": ARM,
        },
    )
    found = rows(shop.page(f"/{shop.shop}/-/images/app"))
    marked = {tag for tag, row in found.items() if "SBOM" in row["Tag"]}
    assert marked == {"buildx", "cosign", "referrers"}
    assert "signature" not in " ".join(row["Tag"] for row in found.values())


NO_TAGS = "This image has no tags."
IN_TRASH = "Deleted tags are in the trash."


@pytest.mark.parametrize("rows_address", ["", "/-/rows"])
def test_an_image_whose_tags_were_deleted_in_the_registry_does_not_lead_to_the_trash(
    shop, rows_address
):
    shop.push_and_tell(f"{shop.shop}/app", {"1.0": ONE})
    shop.pusher.delete(f"{shop.shop}/app", ONE.digest)
    page = shop.page(f"/{shop.shop}/-/images/app{rows_address}")
    assert NO_TAGS in page.text
    assert IN_TRASH not in page.text


@pytest.mark.both_databases
@pytest.mark.parametrize("rows_address", ["", "/-/rows"])
def test_an_image_without_tags_leads_to_the_trash_if_deleted_tags_of_it_are_there(
    shop, rows_address
):
    path = f"{shop.shop}/app"
    options = RemovalOptions(trash_days=7)
    shop.push_and_tell(path, {"1.0": ONE, "2.0": TWO})
    shop.run(shop.start(lambda app: plan_tags("tags", app.path, [(app, ["1.0"])], options), path))
    shop.pusher.delete(path, TWO.digest)
    page = shop.page(f"/{shop.shop}/-/images/app{rows_address}")
    assert f"{NO_TAGS} {IN_TRASH}" in page.text
    assert page.links["trash"] == f"/{shop.shop}/-/trash"
    assert "app:1.0" in shop.page(page.links["trash"]).text


def test_an_image_that_was_pushed_only_by_digest_has_no_tags_and_nothing_in_the_trash(
    shop, monkeypatch
):
    monkeypatch.setattr(tasks, "enqueue", lambda *_job: None)  # Not compared with the registry yet.
    path = f"{shop.shop}/app"
    shop.push(path, {ONE.digest: ONE})
    shop.deliver(event_of("push", path, digest=ONE.digest))
    page = shop.page(f"/{shop.shop}/-/images/app")
    assert NO_TAGS in page.text
    assert IN_TRASH not in page.text


def test_the_size_of_an_image_is_what_a_pull_brings(varied):
    found = rows(varied.page(f"/{varied.shop}/-/images/app"))
    assert found["1.0"]["Platforms and size"] == f"{sum(len(b.data) for b in ONE.blobs)} B"


def test_an_index_shows_its_platforms_and_no_attestations(varied):
    both = rows(varied.page(f"/{varied.shop}/-/images/app"))["both"]["Platforms and size"]
    assert "linux/amd64" in both
    assert "linux/arm64" in both
    assert "unknown" not in both


def test_each_tag_has_the_command_that_pulls_it(varied):
    host = f"localhost:{varied.registry.port}"
    found = rows(varied.page(f"/{varied.shop}/-/images/app"))
    repository = f"{host}/{varied.shop}/app"
    assert f"docker pull {repository}:both" in found["both"]["Pull command"]
    helm = f"helm pull oci://{repository} --version 0.3.0+build.7"
    assert helm in found["0.3.0_build.7"]["Pull command"]


def test_the_tree_gets_the_twenty_newest_versions_and_the_number_of_the_rest(shop):
    tags = {f"1.{minor}": ONE for minor in range(25)}
    shop.push_and_index(f"{shop.shop}/app", tags)
    page = shop.page(f"/{shop.shop}/-/images/app/-/rows")
    assert list(rows(page)) == [f"1.{minor}" for minor in reversed(range(5, 25))]
    assert "5 more tags" in page.text
    assert page.all("html") == []


def test_the_project_page_shows_images_of_every_depth_with_their_number_of_tags(shop):
    counts = {"": 1, "app": 2, "a/b/c/d": 3}
    for name, count in counts.items():
        repository = f"{shop.shop}/{name}".rstrip("/")
        shop.push_and_index(repository, {f"1.{n}": ONE for n in range(count)})
    page = shop.page(f"/{shop.shop}")
    addresses = set(page.links.values())
    for name in ("", "/app", "/a/b/c/d"):
        assert f"/{shop.shop}/-/images{name}" in addresses
    assert "3 images" in page.text
    assert "6 tags" in page.text


def test_three_hundred_tags_are_paged_and_each_is_on_one_page(shop):
    versions = [f"1.{minor}.{patch}" for minor in range(75) for patch in range(4)]
    shop.push_and_index(f"{shop.shop}/agent", {v: (ONE, TWO)[v.endswith("3")] for v in versions})
    seen: list[str] = []
    for number in range(1, 7):
        page = shop.page(f"/{shop.shop}/-/images/agent?page={number}")
        seen += rows(page)
        assert len(rows(page)) == 50
    assert sorted(seen) == sorted(versions)
    # By version, not by letter: 1.9 and 1.10 are neighbours.
    assert abs(seen.index("1.9.0") - seen.index("1.10.0")) == 4
    found = rows(shop.page(f"/{shop.shop}/-/images/agent?q=1.33."))
    assert sorted(found) == ["1.33.0", "1.33.1", "1.33.2", "1.33.3"]
    assert shop.row(ContainerImage).tag_count == 300


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_rows_are_sorted_by_size_over_all_pages(shop, order):
    big = [image([layer({"data": bytes(n * 1000)}), Step(f"n {n}")]) for n in (1, 900, 300)]
    shop.push_and_tell(f"{shop.shop}/app", dict(zip("abc", big, strict=True)))
    page = shop.page(f"/{shop.shop}/-/images/app?sort=size&order={order}")
    assert list(rows(page)) == (["a", "c", "b"] if order == "asc" else ["b", "c", "a"])


# -- one tag ---------------------------------------------------------------------

TAGS: dict[str, tuple[str, Manifest]] = {
    "schema 2, with history": ("2.4.1", samples.backend()),
    "OCI, with annotations": ("5.0.0", samples.frontend()["5.0.0"]),
    "small": ("1.0", samples.storefront()["1.0"]),
    "helm chart": next(iter(samples.shop_chart().items())),
    "signature": next(iter(samples.backend_signature().items())),
    "index, attested": next(iter(samples.base().items())),
}


@pytest.mark.parametrize("sample", TAGS)
def test_the_page_of_a_tag_shows_the_manifest_as_it_was_pushed(shop, sample):
    tag, manifest = TAGS[sample]
    shop.push_and_tell(f"{shop.shop}/app", {tag: manifest})
    page = shop.page(f"/{shop.shop}/-/images/app/-/tags/{tag}")
    assert page.facts["Digest"].startswith(manifest.digest)
    assert page.facts["Media type"] == manifest.media_type
    raw = [region.text for region in page.all("pre")]
    shown = manifest.children[0] if manifest.children else manifest
    assert " ".join(shown.data.decode().split()) in raw
    assert "Retry" not in page.links


def test_layers_come_with_the_step_that_made_them_and_add_up(shop):
    manifest = samples.backend()
    shop.push_and_tell(f"{shop.shop}/app", {"2.4.1": manifest})
    page = shop.page(f"/{shop.shop}/-/images/app/-/tags/2.4.1")
    found = page.table("Layers")
    assert [row["Made by"] for row in found] == [each.created_by for each in manifest.layers]
    blobs = [blob.digest.partition(":")[2][:12] for blob in manifest.blobs[1:]]
    assert [row["Digest"].split()[0] for row in found] == blobs
    assert sum(float(row["Share"].strip("<% ")) for row in found) == pytest.approx(100, abs=0.5)
    steps = [line["created_by"] for line in manifest.config["history"]]
    listed = page.text
    assert [step for step in steps if step not in listed] == []


def test_the_configuration_shows_how_it_runs(shop):
    shop.push_and_tell(f"{shop.shop}/app", samples.backend_tags())
    page = shop.page(f"/{shop.shop}/-/images/app/-/tags/2.4.1")
    runtime = samples.backend().config["config"]
    environment = {row["Variable"]: row["Value"] for row in page.table("Environment")}
    assert environment == dict(entry.split("=", 1) for entry in runtime["Env"])
    assert environment["GREETING"] == "grüß Gott & <b>hello</b>"
    labels = {row["Label"].split()[-1]: row["Value"] for row in page.table("Labels")}
    assert labels == runtime["Labels"]
    assert page.facts["User"] == "app"
    assert page.facts["Working directory"] == "/srv/backend"
    assert page.facts["Ports"] == "8000/tcp"
    assert page.facts["Entrypoint"] == "start.sh"


def test_annotations_are_shown_and_web_addresses_among_them_are_links(shop):
    shop.push_and_tell(f"{shop.shop}/app", samples.frontend())
    page = shop.page(f"/{shop.shop}/-/images/app/-/tags/5.0.0")
    found = {row["Annotation"].split()[-1]: row["Value"] for row in page.table("Annotations")}
    assert found == samples.frontend()["5.0.0"].json["annotations"]
    (link,) = [a for a in page.all("a") if a.text == "https://shop.example.test"]
    assert {"noopener", "nofollow"} <= set(link.attrs["rel"].split())


def test_each_platform_of_an_index_can_be_chosen(shop):
    shop.push_and_tell(f"{shop.shop}/app", {"1.0": BOTH})
    address = f"/{shop.shop}/-/images/app/-/tags/1.0"
    for child, name in ((AMD, "amd64"), (ARM, "arm64")):
        page = shop.page(f"{address}?platform={child.digest}")
        assert page.facts["Platform"] == f"linux/{name}"
        assert page.facts["Digest"].startswith(BOTH.digest)
    assert shop.page(address).facts["Platform"] == "linux/amd64"
    assert shop.page(f"{address}?platform=nonsense").facts["Platform"] == "linux/amd64"
    platforms = shop.page(address).section("Platforms")
    assert "2 attestations" in platforms
    assert "unknown/unknown" not in platforms


def test_an_index_whose_child_is_missing_says_so_and_shows_the_rest(shop):
    shop.push(f"{shop.shop}/app", {"1.0": BOTH})
    shop.pusher.delete(f"{shop.shop}/app", ARM.digest)
    shop.reconcile(f"{shop.shop}/app")
    page = shop.page(f"/{shop.shop}/-/images/app/-/tags/1.0")
    assert f"missing from the registry: {ARM.digest[:19]}…" in page.text
    assert page.facts["Platform"] == "linux/amd64"
    missing = shop.page(f"/{shop.shop}/-/images/app/-/tags/1.0?platform={ARM.digest}")
    shown = {caption.text.partition(",")[0] for caption in missing.all("caption")}
    assert shown <= {"Parameters of the build"}  # its attestation is still there


def test_a_tag_names_its_siblings_and_what_is_attached_to_it(varied):
    page = varied.page(f"/{varied.shop}/-/images/app/-/tags/1.0")
    assert page.facts["Same image as"] == "latest"
    attached = f"/{varied.shop}/-/images/app/-/tags/{SIGNATURE}"
    assert attached in page.links.values()
    assert varied.page(attached).facts["Media type"] == OCI.manifest


def test_a_tag_of_the_root_image_has_a_page(shop):
    shop.push_and_tell(shop.shop, {"1.0": ONE})
    page = shop.page(f"/{shop.shop}/-/tags/1.0")
    assert page.facts["Digest"].startswith(ONE.digest)
    assert f"docker pull localhost:{shop.registry.port}/{shop.shop}:1.0" in page.text


def test_the_raw_config_is_there_to_read(shop):
    shop.push_and_tell(f"{shop.shop}/app", {"1.0": ONE})
    page = shop.page(f"/{shop.shop}/-/images/app/-/tags/1.0")
    (document,) = [r.text for r in page.all("pre") if r.attrs["aria-label"] == "Config"]
    assert json.loads(document) == json.loads(ONE.blobs[0].data)


@pytest.mark.both_databases
@pytest.mark.parametrize("name", ["app", ""])
def test_deleting_the_last_tag_of_the_last_image_leads_to_the_project_and_its_trash(shop, name):
    path = f"{shop.shop}/{name}".rstrip("/")
    page = shop.page(f"/{shop.shop}")
    assert "Nothing was pushed here yet" in page.text
    shop.push_and_tell(path, {"1.0": ONE})
    image = f"/{shop.shop}/-/images/{name}" if name else f"/{shop.shop}"
    address = f"{image}/-/tags/1.0/-/delete"
    browser = shop.browser("maintainer")
    shop.app.config["SETTINGS"] = replace(shop.config, trash_days=7)
    hidden = Page(browser.get(address).text).hidden
    answer = browser.post(address, hidden, follow_redirects=True)
    assert answer.status_code == 200
    assert answer.request.path == f"/{shop.shop}"
    page = Page(answer.text)
    assert f"{path}:1.0: deleted; you can restore it from the trash." in page.text
    assert f"No images now {IN_TRASH}" in page.text
    assert f"{path}:1.0" in shop.page(page.links["trash"]).text
