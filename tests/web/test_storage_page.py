"""Storage: what takes the room, each layer once, for those who may see it."""

from __future__ import annotations

import random

import pytest
from sqlalchemy import insert

from registry_ui.distribution.manifest import MAX_SIZE, read_manifest
from registry_ui.distribution.references import index_entries_of
from registry_ui.manifests.blobs import MAX_COUNTED, record_contents
from registry_ui.models import ContainerImage, Manifest, Project, RepositoryManifest, Tag
from registry_ui.storage_usage.survey import UsageScan, summarize_usage
from tests.support.html import Page
from tests.web.graph import OCI, OCI_CONFIG, OCI_INDEX, Graph, sha256
from tests.web.support import event_of

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def layer(name: str, size: int, media_type: str = LAYER) -> dict[str, object]:
    return {"mediaType": media_type, "digest": sha256(name.encode()), "size": size}


class Shelf:
    """Puts images into the index with what the store knows of them."""

    def __init__(self, site):
        self.site = site

    def image(self, path, tag, *layers, config=None):
        """Add a tag of an image manifest with these layers; return its digest."""
        document = {"schemaVersion": 2, "layers": list(layers)}
        if config is not None:
            document["config"] = {**layer(*config), "mediaType": OCI_CONFIG}
        return self.manifest(path, tag, OCI, document)

    def index(self, path, tag, *children):
        """Add a tag of an index of these digests."""
        listed = [{"mediaType": OCI, "digest": child, "size": 1} for child in children]
        return self.manifest(path, tag, OCI_INDEX, {"schemaVersion": 2, "manifests": listed})

    def manifest(self, path, tag, media_type, document):
        graph = Graph()
        digest = graph.store(media_type, document)
        body = graph.manifests[digest][1]
        facts = read_manifest(media_type, body)
        with self.site.session() as session:
            if session.get(Manifest, digest) is None:
                values = {"media_type": media_type, "kind": facts.kind, "body": b""}
                session.add(Manifest(digest=digest, facts=facts.to_json(), **values))
                session.flush()
                record_contents(
                    session, {digest: facts}, {digest: index_entries_of(media_type, body)}
                )
            image = self._image(session, path)
            if tag:
                session.add(Tag(image_id=image.id, name=tag, digest=digest))
            else:
                session.add(RepositoryManifest(image_id=image.id, digest=digest))
            session.commit()
        return digest

    def _image(self, session, path):
        image = session.query(ContainerImage).filter_by(path=path).one_or_none()
        if image is None:
            projects = session.query(Project).all()
            (owner,) = [p for p in projects if f"{path}/".startswith(f"{p.path}/")]
            image = ContainerImage(project_id=owner.id, name=path[len(owner.path) + 1 :], path=path)
            session.add(image)
            session.flush()
        return image

    def footprint(self, by="image", path=None):
        with self.site.session() as session:
            ids = {project.id for project in session.query(Project)}
            scope = Project.id.in_(ids) if path is None else ContainerImage.path == path
            return summarize_usage(session, UsageScan(session, scope), by=by, open_projects=ids)


@pytest.fixture
def acme(site):
    site.user("admin", admin=True)
    site.users("stranger", "guest", "developer")
    site.project("acme/app", "public")
    site.project("acme/veiled")
    site.member("acme/veiled", "guest", "guest")
    site.member("acme", "developer", "developer")
    return site


@pytest.fixture
def shelf(acme):
    return Shelf(acme)


def sizes(parts):
    return {part.tag or part.repository: (part.size, part.alone) for part in parts.rows}


BASE = layer("base", 1000)


def test_a_layer_counts_once_however_many_images_have_it(shelf):
    shelf.image("acme/app/a", "v1", BASE, layer("a", 10))
    shelf.image("acme/app/a", "v2", BASE, layer("a2", 20), BASE)
    shelf.image("acme/veiled/b", "v1", BASE, layer("b", 300), config=("config", 7))
    found = shelf.footprint("project")
    assert (found.size, found.tags, found.analyzed, found.images) == (1337, 3, 3, 2)
    assert sizes(found.largest) == {"acme/veiled/b": (1307, 307), "acme/app/a": (1030, 30)}
    assert sizes(found.projects) == {"acme/veiled": (1307, 307), "acme/app": (1030, 30)}
    assert found.projects.shared == found.largest.shared == 1000


def test_by_tag_a_removal_of_one_of_two_equal_tags_frees_nothing(shelf):
    shelf.image("acme/app/a", "v1", BASE, layer("a", 10))
    shelf.image("acme/app/a", "latest", BASE, layer("a", 10))
    shelf.image("acme/app/a", "v2", BASE, layer("a2", 20))
    found = shelf.footprint("tag", "acme/app/a")
    assert sizes(found.largest) == {"v1": (1010, 0), "latest": (1010, 0), "v2": (1020, 20)}


def test_an_index_takes_what_its_platforms_take(shelf):
    amd = shelf.image("acme/app/a", "", BASE, layer("amd", 10))
    arm = shelf.image("acme/app/a", "", BASE, layer("arm", 20))
    inner = shelf.index("acme/app/a", "", arm)
    shelf.index("acme/app/a", "v1", amd, inner)
    found = shelf.footprint("tag", "acme/app/a")
    assert sizes(found.largest) == {"v1": (1030, 1030)}
    assert found.analyzed == 1


def test_an_index_of_seventy_platforms_is_known_once_all_of_them_are(shelf):
    platforms = [shelf.image("acme/app/a", "", layer(f"{n}", 1)) for n in range(69)]
    other = shelf.image("acme/veiled/b", "", layer("69", 1))
    shelf.index("acme/app/a", "v1", *platforms, other)
    found = shelf.footprint("tag", "acme/app/a")
    assert (found.size, found.analyzed) == (69, 0)
    shelf.image("acme/app/a", "", layer("69", 1))
    found = shelf.footprint("tag", "acme/app/a")
    assert (found.size, found.analyzed) == (70, 1)


@pytest.mark.parametrize(("count", "known"), [(MAX_COUNTED, 1), (MAX_COUNTED + 1, 0)])
def test_an_index_of_more_platforms_than_are_counted_is_not_called_known(shelf, count, known):
    same = shelf.image("acme/app/a", "", BASE)
    others = [shelf.index("acme/app/a", "", same, *[same] * n) for n in range(count - 1)]
    shelf.index("acme/app/a", "v1", same, *others)
    assert shelf.footprint("tag", "acme/app/a").analyzed == known


def test_what_an_index_names_without_that_the_image_has_it_is_unknown_and_counts_nothing(shelf):
    """Anyone may write an index that names somebody else's digest."""
    secret = shelf.image("acme/veiled", "v1", layer("secret", 4321))
    shelf.index("acme/app/evil", "v1", secret)
    found = shelf.footprint(path="acme/app/evil")
    assert (found.size, found.tags, found.analyzed) == (0, 1, 0)
    assert found.layers == []


def test_layers_that_lie_elsewhere_take_no_room_here(shelf):
    foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    elsewhere = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
    shelf.image("acme/app", "v1", layer("a", 10), layer("b", 500, foreign))
    shelf.image("acme/app", "v2", layer("c", 20), layer("d", 500, elsewhere))
    assert shelf.footprint().size == 30


@pytest.mark.parametrize("size", [-1, 2**63, 2**64, 1.5, "1", None, True, [], MAX_SIZE + 1])
def test_sizes_that_cannot_be_true_count_nothing(shelf, size):
    shelf.image("acme/app", "v1", {**layer("a", 0), "size": size}, layer("b", 10))
    assert shelf.footprint().size == 10


def test_sizes_as_large_as_may_be_add_up(acme, shelf):
    shelf.image("acme/app", "v1", *(layer(f"l{n}", MAX_SIZE) for n in range(500)))
    assert shelf.footprint().size == 500 * MAX_SIZE
    assert acme.browser().get("/acme/app/-/storage").status_code == 200


def test_two_manifests_that_disagree_on_a_size_still_add_up(shelf):
    shelf.image("acme/app/a", "v1", layer("same", 10))
    shelf.image("acme/app/b", "v1", layer("same", 9000))
    found = shelf.footprint()
    assert {part.size for part in found.largest.rows} == {found.size}
    assert found.largest.shared == found.size


@pytest.mark.parametrize("seed", range(5))
def test_random_graphs_add_up_as_counted_by_hand(shelf, seed):
    """The whole is what each has alone and what is shared; nothing twice, nothing lost."""
    chance = random.Random(seed)
    stock = [layer(f"layer {n}", chance.randrange(1, 10_000)) for n in range(30)]
    needs: dict[str, set[str]] = {}
    for number in range(12):
        path = f"acme/{chance.choice(('app', 'veiled'))}/i{number}"
        for tag in range(chance.randrange(1, 4)):
            picked = chance.sample(stock, chance.randrange(1, 8))
            needs.setdefault(path, set()).update(str(one["digest"]) for one in picked)
            if chance.random() < 0.5:
                shelf.image(path, f"t{tag}", *picked)
                continue
            half = len(picked) // 2
            children = [picked[:half], picked[half:]]
            digests = [shelf.image(path, "", *part) for part in children if part]
            shelf.index(path, f"t{tag}", *digests)
    size = {str(one["digest"]): int(str(one["size"])) for one in stock}
    found = shelf.footprint("project")
    assert found.analyzed == found.tags
    assert found.size == sum(size[digest] for digest in set().union(*needs.values()))
    for part in found.largest.rows:
        mine, others = needs[part.repository], [n for p, n in needs.items() if p != part.repository]
        assert part.size == sum(map(size.__getitem__, mine))
        assert part.alone == sum(map(size.__getitem__, mine.difference(*others)))
    for parts in (found.largest, found.projects):
        assert sum(piece[1] for piece in parts.pieces) == found.size


def test_the_largest_layers_name_the_tags_that_need_them(acme, shelf):
    for number in range(5):
        shelf.image("acme/app/a", f"v{number}", BASE, layer(f"a{number}", number))
    shelf.image("acme/app/b", "v1", BASE, config=("config", 2000))
    page = Page(acme.browser().get("/acme/app/-/storage").text)
    first = page.table("Layers of acme/app")[0]
    assert (first["Size"], first["Images"], first["Tags"]) == ("1.0 kB", "2", "6")
    assert first["Needed by"].endswith("and 3 more")
    assert first["Layer"].startswith(sha256(b"base")[7:19])


# -- the page ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "sees"), [(None, False), ("stranger", False), ("guest", True), ("admin", True)]
)
def test_a_namespace_counts_only_what_the_visitor_sees(acme, shelf, who, sees):
    shelf.image("acme/app", "v1", layer("a", 10))
    shelf.image("acme/veiled/secret", "v1", layer("secret", 300))
    text = acme.browser(who).get("/acme/-/storage").text
    assert ("veiled" in text) is sees
    assert ("310 B" in text) is sees


def test_layers_are_for_those_who_may_pull(acme, shelf):
    shelf.image("acme/veiled/web", "v1", layer("secret", 300))
    for url in ("/acme/veiled/-/storage", "/acme/-/storage"):
        for who, sees in (("guest", False), ("developer", True)):
            text = acme.browser(who).get(url).text
            assert "acme/veiled" in text
            assert (sha256(b"secret") in text) is sees, (url, who)


def test_an_image_is_shown_by_its_tags_and_only_in_its_own_project(acme, shelf):
    shelf.image("acme/app", "root", layer("a", 10))
    shelf.image("acme/veiled/web", "v1", layer("b", 10))
    rows = Page(acme.browser().get("/acme/app/-/storage?image=acme/app").text).table("Tags of")
    assert [row["Tag"] for row in rows] == ["root"]
    for image in ("acme/veiled/web", "acme/app/none", "acme", "x", "acme/application"):
        answer = acme.browser().get(f"/acme/app/-/storage?image={image}")
        assert answer.status_code == 404, image
    assert acme.browser("admin").get("/acme/-/storage?image=acme/app").status_code == 404


def test_an_empty_page_says_so(acme):
    for url in ("/acme/app/-/storage", "/acme/-/storage"):
        assert "Nothing takes room here yet" in acme.browser().get(url).text


def test_the_page_says_of_how_many_tags_it_speaks(acme, shelf):
    shelf.image("acme/app", "v1", layer("a", 10))
    acme.image("acme/app/unread", "v1", "v2")
    text = acme.browser().get("/acme/app/-/storage").text
    assert "Of 3 tags the contents of 1 are known" in Page(text).text
    assert "Read all now" not in text
    assert "Read all now" in acme.browser("developer").get("/acme/app/-/storage").text


# -- reading the rest -----------------------------------------------------------------------


@pytest.fixture
def unread(served, registry):
    """A project of which the store knows nothing, in front of a registry that has it all."""
    graph = Graph()
    served.user("developer")
    served.project("acme/app")
    served.member("acme", "developer", "developer")
    one = graph.image("one")
    graph.tag("acme/app/web", v1=one, v2=graph.image("two"), both=graph.index(one))
    graph.tag("acme/app", v1=graph.image("three"))
    with served.session() as session:
        project = session.query(Project).one()
        for path, tags in graph.tags.items():
            name = path[len("acme/app/") :]
            image = ContainerImage(project_id=project.id, name=name, path=path)
            session.add(image)
            session.flush()
            rows = [{"image_id": image.id, "name": n, "digest": None} for n in tags]
            session.execute(insert(Tag), rows)
        session.commit()
    registry.answer = graph
    return served, graph


@pytest.mark.both_databases
def test_read_all_now_reads_what_is_unknown_and_only_that(unread, registry):
    site, _ = unread
    browser = site.browser("developer")
    answer = browser.post("/acme/app/-/storage/read")
    assert answer.headers["Location"] == "/acme/app/-/storage"
    text = Page(browser.get("/acme/app/-/storage").text).text
    assert "Of 4 tags the contents of 4 are known" in text
    registry.asked.clear()
    browser.post("/acme/app/-/storage/read")
    assert registry.asked == []


def test_what_broke_off_goes_on_and_a_registry_that_is_down_changes_nothing(unread, registry):
    site, graph = unread
    browser = site.browser("developer")
    kept = graph.tags["acme/app/web"].pop("v2")
    browser.post("/acme/-/storage/read")
    assert "contents of 3 are known" in Page(browser.get("/acme/-/storage").text).text
    graph.tags["acme/app/web"]["v2"] = kept
    browser.post("/acme/-/storage/read")
    assert "contents of 4 are known" in Page(browser.get("/acme/-/storage").text).text


@pytest.mark.both_databases
def test_a_push_is_known_at_once(unread):
    site, graph = unread
    digest = graph.image("pushed")
    graph.tag("acme/app/new", v1=digest)
    site.deliver(event_of("push", "acme/app/new", "v1", digest=digest))
    found = Shelf(site).footprint(path="acme/app/new")
    assert (found.tags, found.analyzed) == (1, 1)
    assert found.size > 0
