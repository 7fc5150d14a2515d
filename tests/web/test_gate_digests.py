"""The gate and deletions by digest, signatures of releases, and blobs."""

from __future__ import annotations

import pytest

from registry_ui.audit import OWN_SUBJECT
from registry_ui.db.session import writing
from registry_ui.models import ProtectionRule, TagClaim
from registry_ui.operations.write_freeze import freeze_writes
from tests.support.gate_requests import (
    APP,
    TROUBLES,
    ask,
    assert_passes,
    assert_refused,
    holds,
)
from tests.unit.hostile_registry import Answer
from tests.web.graph import Graph
from tests.web.support import digest


def test_a_digest_is_deleted_unless_a_tag_goes_with_it_that_must_stay(gated_site, registry):
    holds(registry, {"v1": "a", "main": "b", "latest": "c"})
    assert_refused(ask(gated_site, "DELETE", digest("a")), "tag v1 is immutable in acme/app")
    assert_passes(ask(gated_site, "DELETE", digest("b")))
    assert_passes(ask(gated_site, "DELETE", digest("c"), "maintainer"))
    gated_site.change(ProtectionRule, {"minimum_role": 50}, tag_pattern="latest")
    words = "tag latest is protected in acme/app: delete needs Owner"
    assert_refused(ask(gated_site, "DELETE", digest("c"), "maintainer"), words)
    assert_passes(ask(gated_site, "DELETE", digest("d")))


def test_what_the_index_believes_of_a_tag_is_asked_again(gated_site, registry):
    gated_site.image(APP, "v1", "v2", digests="ab")
    holds(registry, {"v1": "c", "v2": "b"})
    assert_passes(ask(gated_site, "DELETE", digest("a")))
    assert [a.path for a in registry.asked if a.method == "HEAD"] == [f"/v2/{APP}/manifests/v1"]
    assert ask(gated_site, "DELETE", digest("b")).status_code == 403


@pytest.mark.both_databases
def test_what_moves_is_asked_even_where_the_index_believes_something_else(gated_site, registry):
    gated_site.image(APP, "latest", digests="a")  # and the event of the next push was lost
    holds(registry, {"latest": "b"})
    gated_site.change(ProtectionRule, {"minimum_role": 50}, tag_pattern="latest")
    words = "tag latest is protected in acme/app: delete needs Owner"
    assert_refused(ask(gated_site, "DELETE", digest("b")), words)
    assert_passes(ask(gated_site, "DELETE", digest("a")))


def test_no_part_of_a_tag_that_must_stay_is_deleted_at_whatever_depth(gated_site, registry):
    graph = Graph()
    registry.answer = graph
    parts = [graph.image(f"part {n}") for n in range(70)]  # more than a page shows
    inner, other = graph.index(*parts), graph.image("other")
    graph.tag(APP, v1=graph.index(inner), main=other)
    for part in (inner, parts[0], parts[-1]):
        assert_refused(ask(gated_site, "DELETE", part), "tag v1 is immutable in acme/app")
    assert_passes(ask(gated_site, "DELETE", other))


def test_where_what_a_tag_needs_can_not_be_read_nothing_passes(gated_site, registry):
    graph = Graph()
    top = graph.index(graph.image("part"))
    graph.tag(APP, v1=top, main=graph.image("other"))

    def answer(asked):
        return Answer(500) if asked.path.endswith(top) else graph(asked)

    registry.answer = answer
    words = "the registry does not tell the gate whether the tag exists: try again"
    assert_refused(ask(gated_site, "DELETE", graph.tags[APP]["main"]), words, 503)


@pytest.fixture
def signed(gated_site, registry):
    """A release v1 of two platforms, and main; all of them are signed."""
    graph = Graph()
    registry.answer = graph
    platform = graph.image("platform")
    graph.digests = {"v1": graph.index(platform), "platform": platform, "main": graph.image("m")}
    graph.tag(APP, v1=graph.digests["v1"], main=graph.digests["main"])
    for name, digest_of_it in graph.digests.items():
        tag = digest_of_it.replace(":", "-") + ".sig"
        graph.tag(APP, **{tag: graph.image(f"signature of {name}")})
    return graph


def signature(graph, name, suffix=".sig"):
    return graph.digests[name].replace(":", "-") + suffix


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize("name", ["v1", "platform"])
def test_signatures_of_an_immutable_tag_stay_as_they_are(gated_site, signed, method, name):
    tag = signature(signed, name)
    words = f"tag {tag} belongs to v1, which is immutable in {APP}"
    assert_refused(ask(gated_site, method, tag, "owner"), words)
    assert_refused(ask(gated_site, "DELETE", signed.tags[APP][tag], "owner"), words)


def test_the_first_signature_of_an_immutable_tag_is_pushed(gated_site, signed):
    for suffix in (".att", ".sbom", ""):
        assert_passes(ask(gated_site, "PUT", signature(signed, "v1", suffix)))


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_signatures_of_other_tags_are_as_free_as_those(gated_site, signed, method):
    tag = signature(signed, "main")
    assert_passes(ask(gated_site, method, tag))
    assert_passes(ask(gated_site, "DELETE", signed.tags[APP][tag]))


@pytest.mark.parametrize("tags", ["v*", "*"])
def test_a_rule_can_let_signatures_be_added_and_never_deleted(gated_site, signed, tags):
    rule = {"open_to_signatures": True, "tag_pattern": tags}
    gated_site.change(ProtectionRule, rule, tag_pattern="v*")
    tag = signature(signed, "v1")
    assert_passes(ask(gated_site, "PUT", tag))
    assert ask(gated_site, "DELETE", tag).status_code == 403
    assert ask(gated_site, "DELETE", signed.tags[APP][tag]).status_code == 403
    assert_refused(ask(gated_site, "PUT", "v1"), "tag v1 is immutable in acme/app")
    first = signature(signed, "v1", "")  # a list of referrers: two are attached in a row
    for _ in range(2):
        assert_passes(ask(gated_site, "PUT", first))
    assert gated_site.rows(TagClaim) == []


def test_signatures_stay_if_the_registry_does_not_say_what_they_are_of(
    gated_site, registry, signed
):
    registry.answer = lambda asked: (
        Answer(500) if asked.path.endswith(signed.digests["v1"]) else signed(asked)
    )
    for name in ("platform", "main"):
        assert ask(gated_site, "PUT", signature(signed, name)).status_code == 503


def delete_blob(site, who="maintainer", repository=APP):
    """Ask whether a blob may be deleted."""
    address = f"/v2/{repository}/blobs/{digest('a')}"
    return ask(site, "DELETE", "", who, repository, **{"X-Original-URI": address})


def test_a_blob_is_not_deleted_while_a_tag_may_need_it(gated_site, registry):
    words = " has tags that may need this blob: garbage collection deletes unused blobs"
    holds(registry, {"main": "a"})
    for who in ("maintainer", "owner", "admin"):
        assert_refused(delete_blob(gated_site, who), APP + words)
        assert_refused(delete_blob(gated_site, "admin", "nobody/owns/it"), "nobody/owns/it" + words)
    # One that was deleted and can be restored needs its layers too.
    holds(registry, {"_bin.0123456789abcdef": "a"})
    assert_refused(delete_blob(gated_site), APP + words)
    holds(registry, {})
    assert_passes(delete_blob(gated_site))
    assert_passes(delete_blob(gated_site, OWN_SUBJECT))


def test_a_blob_is_deleted_by_whom_a_manifest_is(gated_site, registry):
    assert_refused(
        delete_blob(gated_site, "dev"), "you no longer have permission to delete in acme/app"
    )
    with gated_site.app.app_context(), writing() as session:
        freeze_writes(session, APP, "move")
    assert "writes to acme/app are stopped" in delete_blob(gated_site).headers["X-Gate-Message"]


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
def test_a_blob_stays_if_the_registry_does_not_list_its_tags(gated_site, registry, trouble):
    registry.answer = trouble
    assert delete_blob(gated_site).status_code == 503
