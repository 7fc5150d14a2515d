"""Images to compare, and the page that compares them."""

from __future__ import annotations

import json

from tests.support.html import Page
from tests.web.graph import OCI, Graph, sha256
from tests.web.support import ROLES

URL = "/-/compare"


def blob(name, size):
    return {
        "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
        "digest": sha256(name.encode()),
        "size": size,
    }


def image(graph, *layers, annotations=None, platform="amd64", **config):
    """An image of layers ``(name, size)``; config: Env, Cmd and so on. Returns its digest."""
    bare = graph.image(
        str(layers),
        architecture=platform,
        config=config,
        history=[{"created_by": f"RUN {name}"} for name, _ in layers],
    )
    body = json.loads(graph.manifests.pop(bare)[1])
    more = {"layers": [blob(*layer) for layer in layers], "annotations": annotations or {}}
    return graph.store(OCI, body | more)


def fill_two_projects(site, registry):
    """Make acme/app and other/tool with images, and a user of each role; return the site."""
    graph = site.graph = registry.answer = Graph()
    one = image(graph, ("base", 1000), ("old", 500), Env=["A=1", "B=2"], Cmd=["one"])
    two = image(
        graph,
        ("base", 1000),
        ("new", 700_000),
        Env=["A=1", "C=3"],
        Cmd=["two"],
        ExposedPorts={"80/tcp": {}},
    )
    graph.tag("acme/app", **{"1.0": one, "2.0": two, "again": one})
    graph.tag("other/tool", **{"1.0": image(graph, ("tool", 5))})
    site.users("stranger", *ROLES)
    site.user("admin", admin=True)
    for path in ("acme/app", "other/tool"):
        site.project(path)
    for role in ROLES:
        site.member("acme", role, role)
    site.app.test_cli_runner().invoke(args=["reconcile"])
    return site


def compare(site, old, new, who="admin", status=200, **more):
    query = {"from": old, "to": new, **more}
    answer = site.browser(who).get(URL, query_string=query)
    assert answer.status_code == status, answer.text
    return Page(answer.text)
