"""Copies that people ask for: planned, carried out, told; on every major version."""

from __future__ import annotations

import threading

import pytest

from registry_ui.catalog import tag_claims
from registry_ui.demo.artifacts import signature_tag
from registry_ui.demo.images import index
from registry_ui.models import AuditEntry, Push, TagClaim, TagHistoryEntry
from registry_ui.names import RepositoryName, TagName
from registry_ui.token_auth.verifier import VerifiedToken
from tests.support.live import tiny
from tests.support.market import AMD, BOTH, LIVE, PROOF, TAGS

# The web tests ask the same of both storage pairs; one of them does for the registry's part.
pytestmark = [
    pytest.mark.contract,
    pytest.mark.parametrize("storage", ["postgresql"], indirect=True),
]


def test_an_image_is_copied_with_all_platforms_and_signatures_digest_by_digest(market):
    plan = market.plan()
    assert market.site.pusher.tags(market.target) == []
    assert plan.state == "planned"
    assert {tag["state"] for tag in plan.preview["tags"]} == {"new"}
    assert plan.preview["referrers"] == [signature_tag(BOTH)]
    assert plan.preview["new_size"] == plan.preview["size"] > 0
    done = market.confirm(plan)
    assert done.state == "done"
    assert set(market.outcomes(done).values()) == {"copied"}
    assert market.site.live(market.target) == LIVE
    for manifest in TAGS.values():
        for part in manifest.walk():
            assert market.site.pusher.pull(market.target, part.digest) == part.data
    assert market.site.live(market.source) == LIVE


def test_the_index_knows_the_copied_tags_at_once(market):
    plan = market.plan("1.0")
    market.confirm(plan)
    assert market.site.index(market.target) == {
        "1.0": BOTH.digest,
        signature_tag(BOTH): PROOF.digest,
    }
    moment = market.site.rows(TagHistoryEntry, tag="1.0", action="copied")[0]
    assert (moment.actor, moment.digest) == ("alice", BOTH.digest)
    assert moment.source == f"{market.source}:1.0"
    (push,) = market.site.rows(Push)
    assert (push.actor, push.tag, push.source) == ("alice", "1.0", f"{market.source}:1.0")
    entries = [entry.action for entry in market.site.rows(AuditEntry, actor="alice")]
    assert [a for a in entries if "copy" in a] == ["copy", "tag.copy", "tag.copy", "copy.done"]


def test_a_second_copy_finds_everything_there_and_the_plan_says_so(market):
    market.confirm(market.plan())
    again = market.plan()
    assert again.preview["counts"] == {"same": 5}
    assert again.preview["new_size"] == 0
    client = market.site.app.extensions["registry"]
    put = client.put_manifest
    written = []
    with market.site.patched("put_manifest", lambda *what: written.append(what) or put(*what)):
        done = market.confirm(again)
    assert written == []
    assert set(market.outcomes(done).values()) == {"there already"}
    assert len(market.site.rows(Push)) == 5


def test_a_tag_is_promoted_under_another_name_in_the_same_image(market):
    market.site.user("dev")
    market.site.member(market.site.shop, "dev", "developer")
    where = {"project": market.site.shop, "image": "web", "tag": "2.0", "by": "dev"}
    plan = market.plan("1.0", **where)
    address = f"/{market.site.shop}/-/copies/{plan.id}/confirm"
    assert market.site.browser("dev").post(address).status_code == 302
    assert market.site.live(market.source) == {**LIVE, "2.0": BOTH.digest}
    page = market.plan("1.0", **{**where, "tag": "1.0"}, status=422)
    assert "the tag itself" in page.text


def test_whoever_may_only_pull_can_not_promote_there(market):
    page = market.plan("1.0", project=market.site.shop, image="web", tag="2.0", status=422)
    assert "push needs Developer" in page.text


def test_overwriting_needs_the_tick_and_is_named_in_the_plan(market):
    market.site.push(market.target, {"plain": tiny("theirs"), "1.0": BOTH})
    plan = market.plan("plain", "1.0", "chart")
    assert plan.preview["counts"] == {"overwrites": 1, "new": 1, "same": 1}
    page = market.site.page(f"/{market.stall}/-/copies/{plan.id}", "alice")
    assert "would be overwritten" in page.text
    done = market.confirm(plan)
    assert market.outcomes(done) == {"plain": "kept", "1.0": "there already", "chart": "copied"}
    assert market.site.live(market.target)["plain"] == tiny("theirs").digest
    done = market.confirm(market.plan("plain"), overwrite="1")
    assert market.outcomes(done) == {"plain": "copied"}
    assert market.site.live(market.target)["plain"] == tiny("plain").digest


def test_a_rule_at_the_target_refuses_in_the_plan_and_again_when_it_is_done(market):
    market.site.push(market.target, {"1.0": tiny("theirs")})
    market.site.rule(market.stall, "1.*")
    market.site.rule(market.stall, "lat*", "maintainer")
    plan = market.plan("1.0", "latest", "plain")
    why = {tag["tag"]: tag["why"] for tag in plan.preview["tags"]}
    assert why["1.0"] == f"tag 1.0 is immutable in {market.target}"
    assert "needs Maintainer" in why["latest"]
    market.site.rule(market.stall, "pla*", "maintainer")
    done = market.confirm(plan, overwrite="1")
    assert market.outcomes(done) == {"plain": "kept"}
    assert "protected" in market.details(done)
    assert market.site.live(market.target) == {"1.0": tiny("theirs").digest}


@pytest.mark.parametrize(
    ("choice", "kind"), [("immutable", "immutable"), ("maintainer", "protected")]
)
def test_a_rule_at_the_target_holds_for_what_is_attached_too(market, choice, kind):
    """A signature beside a tag that is there already says as much as a new tag."""
    site, name = market.site, signature_tag(BOTH)
    listed = name.removesuffix(".sig")
    site.push_and_index(market.source, {listed: index([PROOF])})
    site.push(market.target, {"1.0": BOTH, listed: index([AMD])})
    site.rule(market.stall, "sha256-*", choice)
    done = market.confirm(market.plan("1.0"))
    new = {} if choice == "maintainer" else {name: PROOF.digest}
    assert site.live(market.target) == {"1.0": BOTH.digest, listed: index([AMD]).digest} | new
    assert f"not copied along is {listed}: tag {listed} is {kind}" in market.details(done)


def test_a_source_tag_that_was_pushed_since_the_plan_is_left_alone(market):
    plan = market.plan("plain", "1.0")
    market.site.push(market.source, {"plain": tiny("newer")})
    done = market.confirm(plan)
    assert market.outcomes(done) == {"plain": "kept", "1.0": "copied"}
    assert "since the plan" in market.details(done)
    assert "plain" not in market.site.live(market.target)


def test_a_target_tag_that_was_pushed_since_the_plan_is_never_overwritten(market):
    plan = market.plan("plain", "1.0")
    market.site.push(market.target, {"plain": tiny("theirs")})
    done = market.confirm(plan, overwrite="1")
    assert market.outcomes(done)["plain"] == "kept"
    assert market.site.live(market.target)["plain"] == tiny("theirs").digest


def test_a_push_to_the_target_while_its_layers_are_mounted_wins(market):
    plan = market.plan("plain")
    client = market.site.app.extensions["registry"]
    put = client.put_manifest

    def push_first(repository, reference, *what):
        if ":" in str(reference):
            market.site.push(market.target, {"plain": tiny("theirs")})
        return put(repository, reference, *what)

    with market.site.patched("put_manifest", push_first):
        done = market.confirm(plan)
    assert market.outcomes(done) == {"plain": "kept"}
    assert market.site.live(market.target)["plain"] == tiny("theirs").digest


def test_a_new_immutable_tag_that_somebody_is_pushing_is_theirs(market):
    market.site.rule(market.stall, "**")
    plan = market.plan("plain", "1.0")
    name = RepositoryName(market.target)
    with market.site.app.app_context():
        claimant = VerifiedToken("somebody", "their token", {})
        assert tag_claims.acquire(name, TagName("plain"), claimant) is None
    done = market.confirm(plan)
    assert market.outcomes(done)["plain"] == "kept"
    assert "pushing the tag" in market.details(done)
    assert "plain" not in market.site.live(market.target)
    assert market.outcomes(done)["1.0"] == "copied"


def test_while_a_new_immutable_tag_is_copied_the_gate_lets_nobody_else_push_it(market):
    market.site.rule(market.stall, "**")
    plan, refused = market.plan("plain"), []
    client, somebody = (
        market.site.app.extensions["registry"],
        VerifiedToken("somebody", "token", {}),
    )
    put = client.put_manifest

    def push_too(repository, reference, *what):
        if str(reference) == "plain":
            refused.append(tag_claims.acquire(repository, reference, somebody))
        return put(repository, reference, *what)

    with market.site.patched("put_manifest", push_too):
        done = market.confirm(plan)
    assert refused == ["tag plain is being pushed by someone else: try again in 15 seconds"]
    assert market.outcomes(done) == {"plain": "copied"}
    assert market.site.rows(TagClaim) == []


def test_with_the_claim_of_a_worker_that_died_the_next_one_goes_on(market):
    market.site.rule(market.stall, "**")
    plan = market.plan("plain")
    mine = tag_claims.own_identity(f"copy {plan.id}")
    with market.site.app.app_context():
        assert tag_claims.acquire(RepositoryName(market.target), TagName("plain"), mine) is None
    assert market.outcomes(market.confirm(plan)) == {"plain": "copied"}
    assert market.site.rows(TagClaim) == []


def test_what_is_attached_follows_only_where_the_rules_of_the_target_let_it(market):
    signed, listed = signature_tag(BOTH), BOTH.digest.replace(":", "-")
    market.site.push(market.source, {listed: index([tiny("our referrer")])})
    market.site.push(market.target, {listed: index([tiny("their referrer")])})
    market.site.push(market.target, {signed: tiny("their signature")})
    theirs = market.site.live(market.target)
    market.site.rule(market.stall, "sha256-*")
    done = market.confirm(market.plan("1.0"))
    assert market.outcomes(done) == {"1.0": "copied"}
    assert market.site.live(market.target) == {**theirs, "1.0": BOTH.digest}
    assert f"not copied along is {listed}: tag {listed} is immutable" in market.details(done)


def test_pushes_of_the_source_meanwhile_lose_nothing(market):
    """Somebody pushes a tag again and again: what is copied was at the source, and is whole."""
    stop = threading.Event()
    versions = [tiny(f"v{n}") for n in range(40)]

    def push() -> None:
        for manifest in versions:
            if stop.is_set():
                return
            market.site.push(market.source, {"moving": manifest})

    market.site.push_and_index(market.source, {"moving": tiny("first")})
    pushing = threading.Thread(target=push)
    pushing.start()
    try:
        for _ in range(4):
            market.confirm(market.plan("moving"), overwrite="1")
    finally:
        stop.set()
        pushing.join()
    found = market.site.live(market.target).get("moving")
    known = {manifest.digest for manifest in [*versions, tiny("first")]}
    assert found is None or found in known
