"""Indexes that list blobs, as BuildKit's registry cache does in its older form.

Distribution 2.8 takes them, answers 500 to whoever asks for such a blob as a manifest, and 202 to
whoever deletes it as one: then the blob is unlinked, and images that have it as a layer break.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import select

from registry_ui import formatting
from registry_ui.copies.copier import Copier
from registry_ui.db.session import writing
from registry_ui.demo.images import OCI, Blob, Manifest, Step, encode, image, index, layer
from registry_ui.models import Manifest as StoredManifest
from registry_ui.models import Project, Removal
from registry_ui.names import RepositoryName, TagName
from registry_ui.removals.planner import plan_image, plan_project, plan_tag
from tests.contract.mover import Mover
from tests.support.live import LiveSite, tiny
from tests.support.market import Market
from tests.support.oddities import build_cache, index_of_blobs, layer_blob

pytestmark = [
    pytest.mark.contract,
    # 3.x refuses the push.
    pytest.mark.parametrize("live_registry", ["2.8"], indirect=True),
]

ONE, TWO = tiny("one"), tiny("two")
BOTH = index([tiny("amd"), tiny("arm", platform="linux/arm64")])
CACHE = build_cache("web")
#: A layer that an image needs, and that a cache lists.
SHARED = layer({"shared": "layer"})
IMAGE = image([SHARED, Step("CMD shared")])
SHARING = build_cache("shared", Blob(OCI.layer, SHARED.data))


def entry_of(blob: Blob, **changes: object) -> dict[str, object]:
    """Return an entry of an index that says something else of a blob."""
    found = {**blob.descriptor(), **changes}
    return {key: value for key, value in found.items() if value is not None}


def deceiving(**changes: object) -> Manifest:
    """Return an index whose only entry is a blob that it gives another type."""
    blob = layer_blob(f"deceiving {changes}")
    entries = [entry_of(blob, **changes)]
    body = {"schemaVersion": 2, "mediaType": OCI.index, "manifests": entries}
    return Manifest(OCI.index, encode(body), blobs=(blob,))


#: Indexes with which 2.8 answers 500, or would be made to unlink a layer.
ODD = {
    "a build cache": CACHE,
    "other blobs": index_of_blobs(layer_blob("a"), layer_blob("b")),
    "a layer called a manifest": deceiving(mediaType=OCI.manifest),
    "a layer without a type": deceiving(mediaType=None),
    "a layer in an annotation": Manifest(
        OCI.index,
        encode({**BOTH.json, "annotations": {"layer": layer_blob("annotation").digest}}),
        blobs=(layer_blob("annotation"),),
        children=BOTH.children,
    ),
    "platforms and blobs": Manifest(
        OCI.index,
        encode({**BOTH.json, "manifests": [*BOTH.json["manifests"], layer_blob("c").descriptor()]}),
        blobs=(layer_blob("c"),),
        children=BOTH.children,
    ),
}
EVERY_ODD_ONE = pytest.mark.parametrize("odd", ODD.values(), ids=ODD)


def assert_blobs_are_there(site: LiveSite, repository: str, *manifests: Manifest) -> None:
    """No blob of these was unlinked."""
    for blob in (blob for manifest in manifests for blob in manifest.blobs):
        url = f"{repository}/blobs/{blob.digest}"
        assert site.pusher._call("GET", url, repository, 200).content == blob.data


def counted(site: LiveSite, repository: str) -> list[str]:
    """Return the list to which every manifest that is asked for by digest is added."""
    asked: list[str] = []
    client = site.app.extensions["registry"]
    manifest = client.manifest

    def ask(name, reference):
        asked.append(str(reference))
        return manifest(name, reference)

    client.manifest = ask
    return asked


# -- what the pages say ------------------------------------------------------------


def test_the_page_shows_a_build_cache_and_asks_for_none_of_its_blobs(shop):
    path = f"{shop.shop}/app"
    shop.push_and_tell(path, {"cache": CACHE})
    asked = counted(shop, path)
    page = shop.page(f"/{shop.shop}/-/images/app/-/tags/cache")
    assert "build cache" in page.text
    assert "multi-platform" not in page.text
    assert "could not be read" not in page.text
    assert "docker buildx build --cache-from" in page.text
    assert [row["Digest"] for row in page.table("Blobs")]
    assert len(page.table("Blobs")) == len(CACHE.blobs)
    assert set(asked) <= {CACHE.digest, "cache"}
    row = next(r for r in shop.page(f"/{shop.shop}/-/images/app").table("Tags"))
    assert "build cache" in row["Tag"]


def test_the_blobs_of_a_build_cache_count_as_storage(shop):
    shop.push_and_tell(f"{shop.shop}/app", {"cache": CACHE, "1.0": ONE})
    sizes = {blob.digest: len(blob.data) for part in (CACHE, ONE) for blob in part.blobs}
    text = shop.page(f"/{shop.shop}/-/storage").text
    assert "2 of 2 tags" in text or "Of 2 tags the contents of 2 are known" in text
    assert formatting.size(sum(sizes.values())) in text
    row = shop.page(f"/{shop.shop}/-/images/app").table("Tags")[0]
    assert formatting.size(sum(len(blob.data) for blob in CACHE.blobs)) in str(row)


def test_platforms_stay_platforms_beside_blobs(shop):
    shop.push_and_tell(f"{shop.shop}/app", {"1.0": ODD["platforms and blobs"]})
    page = shop.page(f"/{shop.shop}/-/images/app/-/tags/1.0")
    assert "linux/arm64" in page.section("Platforms")
    assert len(page.table("Blobs")) == 1


# -- removal -----------------------------------------------------------------------


@EVERY_ODD_ONE
def test_an_image_with_it_is_deleted_and_no_blob_is_unlinked(shop, odd):
    path = f"{shop.shop}/app"
    shop.push_and_tell(path, {"odd": odd, "1.0": ONE, "both": BOTH})
    done = shop.run(shop.start(plan_image, path))
    assert (done.state, shop.report(done.id)[0]["outcome"]) == ("done", "deleted")
    assert shop.live(path) == {}
    assert shop.pusher.digest(path, ONE.digest) is None
    assert shop.pusher.digest(path, BOTH.children[0].digest) is None
    assert_blobs_are_there(shop, path, odd)


def test_a_project_with_a_build_cache_is_deleted(shop):
    shop.push_and_tell(f"{shop.shop}/app", {"cache": CACHE, "1.0": ONE})
    done = shop.run(shop.start(plan_project))
    assert done.state == "done", shop.report(done.id)
    assert shop.rows(Project) == []
    assert_blobs_are_there(shop, f"{shop.shop}/app", CACHE)


@EVERY_ODD_ONE
def test_another_tag_goes_with_its_manifests_and_it_stays_whole(shop, odd):
    path = f"{shop.shop}/app"
    shop.push_and_tell(path, {"odd": odd, "1.0": ONE})
    done = shop.run(shop.start(plan_tag, path, TagName("1.0")))
    assert done.state == "done", shop.report(done.id)
    assert [line["outcome"] for line in shop.report(done.id)] == ["deleted", "deleted"]
    assert shop.live(path) == {"odd": odd.digest}
    assert shop.pusher.digest(path, ONE.digest) is None
    assert_blobs_are_there(shop, path, odd)


@EVERY_ODD_ONE
def test_its_own_tag_goes_and_an_image_with_the_same_layer_stays_whole(shop, odd):
    path = f"{shop.shop}/app"
    shop.push_and_tell(path, {"odd": odd, "sharing": SHARING, "1.0": IMAGE})
    for tag in ("odd", "sharing"):
        done = shop.run(shop.start(plan_tag, path, TagName(tag)))
        assert done.state == "done", shop.report(done.id)
    assert shop.live(path) == {"1.0": IMAGE.digest}
    assert shop.pusher.digest(path, odd.digest) is None
    assert_blobs_are_there(shop, path, odd, SHARING, IMAGE)


def test_a_plan_from_before_that_names_a_layer_as_a_manifest_does_not_unlink_it(shop):
    path = f"{shop.shop}/app"
    shop.push_and_tell(path, {"sharing": SHARING, "1.0": IMAGE})
    started = shop.start(plan_tag, path, TagName("sharing"))
    with shop.app.app_context(), writing() as session:
        removal = session.get_one(Removal, started)
        last = removal.plan[-1]
        assert last.digests == [SHARING.digest]
        digests = [SHARING.digest, *(blob.digest for blob in SHARING.blobs)]
        removal.plan = [*removal.plan[:-1], replace(last, digests=digests)]
    assert shop.run(started).state == "done"
    assert shop.pusher.digest(path, SHARING.digest) is None
    assert_blobs_are_there(shop, path, SHARING, IMAGE)


def test_a_layer_that_is_a_manifest_elsewhere_is_not_deleted_as_one(shop):
    """The store is shared by all repositories: here its bytes are a layer."""
    path = f"{shop.shop}/app"
    shop.push_and_tell(f"{shop.shop}/other", {"1.0": ONE})
    disguised = Blob(OCI.manifest, ONE.data)
    needing = Manifest(
        OCI.manifest,
        encode({**TWO.json, "layers": [{**disguised.descriptor(), "mediaType": OCI.layer}]}),
        blobs=(*TWO.blobs, disguised),
    )
    shop.push_and_tell(path, {"odd": index_of_blobs(disguised), "needing": needing})
    done = shop.run(shop.start(plan_tag, path, TagName("odd")))
    assert done.state == "done", shop.report(done.id)
    assert_blobs_are_there(shop, path, needing)


# -- copies and moves --------------------------------------------------------------


@EVERY_ODD_ONE
def test_a_copy_mounts_its_blobs_and_has_the_same_digest(site, odd):
    source, target = f"{site.root}/a/web", f"{site.root}/b/web"
    site.push(source, {"odd": odd})
    with site.app.app_context():
        copier = Copier(RepositoryName(source), RepositoryName(target), lambda: None)
        brought = copier.copy_manifest(odd.digest)
        copier.tag(TagName("odd"), brought.top)
    assert brought.missing == ()
    assert site.live(target) == {"odd": odd.digest}
    if odd is not ODD["a layer in an annotation"]:  # that is none of its parts
        assert_blobs_are_there(site, target, odd)


def test_an_entry_of_the_wrong_type_that_is_a_manifest_is_copied_as_one(site):
    source, target = f"{site.root}/a/web", f"{site.root}/b/web"
    body = {"manifests": [{**ONE.descriptor(), "mediaType": OCI.layer}], "schemaVersion": 2}
    odd = Manifest(OCI.index, encode(body), children=(ONE,))
    site.push(source, {"odd": odd})
    with site.app.app_context():
        copier = Copier(RepositoryName(source), RepositoryName(target), lambda: None)
        brought = copier.copy_manifest(odd.digest)
    assert set(brought.manifests) == {odd.digest, ONE.digest}
    assert site.pusher.digest(target, ONE.digest) == ONE.digest


def test_all_tags_are_copied_with_it(shop):
    market = Market(shop)
    tags = {"cache": CACHE, "1.0": ONE, "both": BOTH}
    shop.push_and_tell(market.source, tags)
    done = market.confirm(market.plan())
    assert market.outcomes(done) == dict.fromkeys(tags, "copied")
    assert shop.live(market.target) == {tag: made.digest for tag, made in tags.items()}
    assert_blobs_are_there(shop, market.target, CACHE)


def test_a_project_with_a_build_cache_is_moved(mover: Mover):
    mover.fill()
    path = f"{mover.shop}/web"
    mover.push_and_tell(path, {"cache": CACHE})
    mover.moved(mover.market)
    assert mover.live(f"{mover.market}/web")["cache"] == CACHE.digest
    assert_blobs_are_there(mover, f"{mover.market}/web", CACHE)


# -- what the store knew before ----------------------------------------------------


def test_facts_that_were_read_the_old_way_are_read_again(shop):
    path = f"{shop.shop}/app"
    shop.push_and_tell(path, {"cache": CACHE})
    with shop.app.app_context(), writing() as session:
        row = session.scalars(
            select(StoredManifest).where(StoredManifest.digest == CACHE.digest)
        ).one()
        children = [dict(layer) for layer in row.facts["layers"]]
        old = {k: v for k, v in row.facts.items() if not k.endswith("_total")}
        row.facts = {**old, "kind": "index", "layers": [], "children": children}
        row.kind, row.size, row.facts_version = "index", None, 0
    shop.resume()
    page = shop.page(f"/{shop.shop}/-/images/app/-/tags/cache")
    assert "build cache" in page.text
    assert "multi-platform" not in page.text
