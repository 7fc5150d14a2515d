"""Tags that sign or describe a digest: under which tag they stand, and what of orphans."""

from __future__ import annotations

from datetime import timedelta

import pytest

from registry_ui.distribution.manifest import read_manifest
from registry_ui.jobs import tasks
from registry_ui.models import RetentionPolicy, Tag, utc_now
from registry_ui.removals import signature_steps, unreferenced
from tests.support.html import Page
from tests.support.removals import IMAGE, PAGE, adopt, open_project
from tests.web.graph import OCI, OCI_CONFIG
from tests.web.support import event_of

OLD = timedelta(days=60)


def proof(digest, suffix=".sig"):
    return digest.replace(":", "-") + suffix


@pytest.fixture
def site(served, graph):
    """acme/app/web: v1 on an index of two platforms, main on an image that was another before.

    The index, a platform and what main was earlier are signed; one signature is left of what
    is gone.
    """
    open_project(served)
    served.amd, served.arm = graph.image("amd"), graph.image("arm")
    served.index = graph.index(served.amd, served.arm)
    served.earlier, main = graph.image("earlier"), graph.image("main")
    served.gone = "sha256:" + "9" * 64
    graph.tag(IMAGE, v1=served.index, main=main)
    for digest in (served.index, served.amd, served.earlier, served.gone):
        graph.tag(IMAGE, **{proof(digest): graph.image(f"proof of {digest}")})
    for digest in (served.earlier, main):
        served.deliver(event_of("push", IMAGE, "main", digest=digest))
    adopt(served)
    served.owner.get(PAGE)  # has the store learn the platforms
    served.change(Tag, {"pushed_at": utc_now() - OLD, "age_from": None})
    return served


def rows(site):
    page = Page(site.owner.get(PAGE).text)
    cells = [row.all("th")[0] for row in page.all("tbody")[0].all("tr")]
    return {cell.first("a").text: cell for cell in cells}


def folded(cell):
    return {a.attrs["title"] for details in cell.all("details") for a in details.all("a")}


def test_signatures_stand_under_the_tag_that_reaches_what_they_sign(site):
    found = rows(site)
    assert set(found) == {"v1", "main", proof(site.gone)}
    assert folded(found["v1"]) == {proof(site.index), proof(site.amd)}
    assert folded(found["main"]) == {proof(site.earlier)}


def test_the_signature_of_an_earlier_digest_does_not_mark_the_image_as_signed(site):
    found = rows(site)
    badges = {name: [b.text for b in cell.all("span")] for name, cell in found.items()}
    assert "signature" in badges["v1"]
    assert "signature" not in badges["main"]
    assert "image is gone" in badges[proof(site.gone)]
    assert "image is gone" not in badges["v1"]


def test_a_platform_alone_that_is_signed_marks_its_tag(site, graph):
    del graph.tags[IMAGE][proof(site.index)]
    adopt(site)
    assert "signature" in [badge.text for badge in rows(site)["v1"].all("span")]


@pytest.mark.both_databases
def test_what_is_left_of_deleted_images_can_be_removed_at_once(site, graph):
    page = Page(site.owner.get(PAGE).text)
    address = page.links["Delete what is left of deleted images…"]
    (choice,) = [
        i
        for i in Page(site.owner.get(address).text).all("input")
        if i.attrs.get("name") == "orphans"
    ]
    assert "checked" in choice.attrs
    plan = site.owner.post(f"{PAGE}/-/delete-tags", {"orphans": "1"}).headers["Location"]
    site.owner.post(f"{plan}/confirm")
    left = {"v1", "main", *map(proof, (site.index, site.amd, site.earlier))}
    assert set(graph.tags[IMAGE]) == left
    assert "left of deleted images" not in site.owner.get(PAGE).text
    assert site.owner.post(f"{PAGE}/-/delete-tags", {"orphans": "1"}).status_code == 422


@pytest.fixture
def policy(site):
    """A policy that keeps v1 and main, and nothing else that is old."""
    form = {"older_than_days": "30", "keep_matching": "v1|main", "pattern_kind": "regex"}
    answer = site.owner.post("/acme/app/-/retention", {**form, "images": ".*"})
    assert answer.status_code == 302, answer.text
    number = site.row(RetentionPolicy).id
    site.owner.post(f"/acme/app/-/retention/{number}/switch", {"on": "1"})

    def run():
        site.change(RetentionPolicy, {"last_run_at": None})
        with site.app.app_context():
            tasks.run_retention()

    return run


def test_policies_remove_old_orphans_and_no_other_signatures(site, graph, policy):
    site.change(Tag, {"pushed_at": utc_now()}, name=proof(site.gone))
    before = dict(graph.tags[IMAGE])
    policy()
    assert graph.tags[IMAGE] == before
    site.change(Tag, {"pushed_at": utc_now() - OLD}, name=proof(site.gone))
    policy()
    assert graph.tags[IMAGE] == {t: d for t, d in before.items() if t != proof(site.gone)}


@pytest.mark.parametrize("why", ["untagged", "error"])
def test_the_signature_of_what_may_still_be_pulled_by_digest_stays(site, graph, policy, why):
    untagged = graph.image("untagged")
    graph.tag(IMAGE, **{proof(untagged): graph.image("its proof")})
    adopt(site)
    site.change(Tag, {"pushed_at": utc_now() - OLD, "age_from": None})
    if why == "error":
        graph.manifests.pop(untagged)
        graph.before = lambda asked: _fail(asked, untagged)
    policy()
    assert proof(untagged) in graph.tags[IMAGE]
    assert proof(site.gone) not in graph.tags[IMAGE]


def _fail(asked, digest):
    if asked.path.endswith(digest):
        raise ConnectionError


@pytest.mark.parametrize("where", ["artifactType", "config"])
def test_notation_signatures_are_signatures(where):
    notation = "application/vnd.cncf.notary.signature"
    config = notation if where == "config" else OCI_CONFIG
    pointer = f'{{"mediaType":"{config}","digest":"sha256:{"a" * 64}","size":2}}'
    declared = f'"artifactType":"{notation}",' if where == "artifactType" else ""
    body = f'{{"schemaVersion":2,{declared}"config":{pointer},"layers":[]}}'
    assert read_manifest(OCI, body.encode()).kind == "signature"


@pytest.mark.parametrize("back", ["manifest", "tag", "index", "unknown", "damaged tag"])
def test_what_is_left_of_an_image_stays_where_the_image_may_be_back(site, graph, back):
    lost = graph.image("lost")
    body = graph.manifests.pop(lost)
    graph.tag(IMAGE, **{proof(lost): graph.image("its proof")})
    adopt(site)
    plan = site.owner.post(f"{PAGE}/-/delete-tags", {"orphans": "1"}).headers["Location"]
    if back == "unknown":
        graph.before = lambda asked: _fail(asked, lost)
    elif back == "damaged tag":
        graph.tag(IMAGE, damaged="sha256:" + "8" * 64)
    else:
        graph.manifests[lost] = body
    if back == "tag":
        graph.tag(IMAGE, again=lost)
    elif back == "index":
        graph.tag(IMAGE, again=graph.index(graph.index(lost)))
    site.owner.post(f"{plan}/confirm")
    assert proof(lost) in graph.tags[IMAGE]
    # Nothing is known of what a damaged tag needs; the other orphan goes otherwise.
    assert (proof(site.gone) in graph.tags[IMAGE]) == (back == "damaged tag")
    report = site.owner.get(plan).text
    assert {"tag": "again needs it", "index": "again needs it"}.get(back, "kept") in report


def test_a_signature_that_is_asked_for_goes_while_its_image_stays(site, graph):
    plan = site.owner.post(f"{PAGE}/-/delete-tags", {"chosen": proof(site.index)}).headers[
        "Location"
    ]
    site.owner.post(f"{plan}/confirm")
    assert proof(site.index) not in graph.tags[IMAGE]
    assert "v1" in graph.tags[IMAGE]


def test_the_signatures_of_a_tag_that_moved_meanwhile_and_stays_stay_at_any_remove(site, graph):
    signature = graph.tags[IMAGE][proof(site.index)]
    graph.tag(IMAGE, **{proof(signature): graph.image("signed twice")})
    adopt(site)
    asked = {"chosen": "v1", "attached": "1"}
    plan = site.owner.post(f"{PAGE}/-/delete-tags", asked).headers["Location"]
    graph.tag(IMAGE, v1=graph.index(site.index))
    site.owner.post(f"{plan}/confirm")
    assert {"v1", proof(site.index), proof(site.amd), proof(signature)} <= set(graph.tags[IMAGE])


def test_many_signatures_cost_one_look_at_the_tags(site, graph):
    asked = {"chosen": "v1", "attached": "1", "for_good": "1"}
    plan = site.owner.post(f"{PAGE}/-/delete-tags", asked).headers["Location"]
    looks = []
    graph.before = lambda asked: (
        looks.append(asked) if asked.path.endswith("/manifests/main") else None
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(signature_steps, "MIN_CHECK_LIFETIME", 600.0)
        patched.setattr(unreferenced, "MIN_CHECK_LIFETIME", 600.0)
        site.owner.post(f"{plan}/confirm")
    assert set(graph.tags[IMAGE]) == {"main", proof(site.earlier), proof(site.gone)}
    assert 0 < len(looks) <= 3  # before the signatures, before the manifests and after them
