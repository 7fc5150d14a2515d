"""Claims of new immutable tags: of two pushes at the same moment, one wins."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from registry_ui.jobs.pruning import prune
from registry_ui.models import TagClaim, utc_now
from tests.support.gate_requests import APP, ask, assert_passes, assert_refused, bearer, holds
from tests.unit.hostile_registry import always
from tests.web.support import event_of

pytestmark = pytest.mark.both_databases

SOON = "your last push of tag v1 may not have ended: try again in 5 seconds"
LATE = "the last push of tag v1 did not finish: try again in 15 seconds"


def let_pass(site, seconds):
    """Let so many seconds pass for the claim of v1."""
    until = site.row(TagClaim, tag="v1").until - timedelta(seconds=seconds)
    site.change(TagClaim, {"until": until}, tag="v1")


def test_of_two_pushes_of_a_new_tag_one_wins(gated_site):
    first, second = bearer(gated_site, "dev"), bearer(gated_site, "dev")
    assert_passes(ask(gated_site, "PUT", "v1", token=first))
    words = "tag v1 is being pushed by someone else: try again in 15 seconds"
    assert_refused(ask(gated_site, "PUT", "v1", token=second), words)
    assert_passes(ask(gated_site, "PUT", "v2", token=second))
    assert_passes(ask(gated_site, "PUT", "v1", repository=f"{APP}/web"))


def test_of_many_pushes_with_one_token_one_wins(gated_site):
    """The gate sees no content, so it can't tell a retry from another image."""
    token = bearer(gated_site, "dev")

    def push(_number):
        return ask(gated_site, "PUT", "v1", token=token)

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(push, range(12)))
    refused = [answer for answer in answers if answer.status_code != 204]
    assert len(refused) == 11
    for answer in refused:
        assert_refused(answer, SOON)


def test_a_push_whose_answer_was_lost_is_repeated_once_after_some_seconds(gated_site):
    token = bearer(gated_site, "dev")
    assert_passes(ask(gated_site, "PUT", "v1", token=token))
    let_pass(gated_site, 4.5)
    assert_refused(ask(gated_site, "PUT", "v1", token=token), SOON)
    let_pass(gated_site, 0.6)
    assert_passes(ask(gated_site, "PUT", "v1", token=token))
    assert_refused(ask(gated_site, "PUT", "v1", token=token), LATE)
    let_end(gated_site)
    assert_passes(ask(gated_site, "PUT", "v1", token=token))


def test_a_retry_that_is_refused_leaves_the_claim_to_the_first_push(gated_site, registry):
    token = bearer(gated_site, "dev")
    assert_passes(ask(gated_site, "PUT", "v1", token=token))
    let_pass(gated_site, 6)
    registry.answer = always(500)
    assert ask(gated_site, "PUT", "v1", token=token).status_code == 503
    holds(registry, {})
    assert ask(gated_site, "PUT", "v1", "maintainer").status_code == 403


def test_a_claim_lasts_for_seconds(gated_site):
    assert_passes(ask(gated_site, "PUT", "v1"))
    (claim,) = gated_site.rows(TagClaim)
    assert timedelta(seconds=10) < claim.until - utc_now() <= timedelta(seconds=15)
    let_end(gated_site)
    assert_passes(ask(gated_site, "PUT", "v1", "maintainer"))
    (claim,) = gated_site.rows(TagClaim)
    assert claim.subject == "maintainer"


def let_end(site, seconds=0.0):
    """Let the claim of v1 have ended that long ago."""
    site.change(TagClaim, {"until": utc_now() - timedelta(seconds=seconds)}, tag="v1")


def test_asking_again_does_not_prolong_a_claim(gated_site):
    token = bearer(gated_site, "dev")
    assert_passes(ask(gated_site, "PUT", "v1", token=token))
    let_pass(gated_site, 8)
    until = gated_site.row(TagClaim).until
    assert_passes(ask(gated_site, "PUT", "v1", token=token))
    assert gated_site.row(TagClaim).until < until
    # What little is left of it would end before another push is written.
    assert_refused(ask(gated_site, "PUT", "v1", token=token), LATE)


def test_after_a_claim_that_kept_others_waiting_for_nothing_they_go_first(gated_site):
    """However many names somebody has, they do not hold up a release by asking alone."""
    words = "your last push of tag v1 did not finish, and others wait: try in a minute"
    assert_passes(ask(gated_site, "PUT", "v1", "dev"))
    assert ask(gated_site, "PUT", "v1", "owner").status_code == 403
    let_end(gated_site)
    assert_refused(ask(gated_site, "PUT", "v1", "dev"), words)
    assert_passes(ask(gated_site, "PUT", "v1", "maintainer"))
    assert ask(gated_site, "PUT", "v1", "owner").status_code == 403
    let_end(gated_site)
    for who in ("dev", "maintainer"):
        assert_refused(ask(gated_site, "PUT", "v1", who), words)
    assert_passes(ask(gated_site, "PUT", "v1", "owner"))


def test_a_push_that_failed_is_repeated_at_once_if_nobody_else_waits(gated_site):
    assert_passes(ask(gated_site, "PUT", "v1"))
    assert ask(gated_site, "PUT", "v1").status_code == 403  # another push of the same user
    let_end(gated_site)
    assert_passes(ask(gated_site, "PUT", "v1"))


def test_others_go_first_for_a_minute_only(gated_site):
    assert_passes(ask(gated_site, "PUT", "v1"))
    assert ask(gated_site, "PUT", "v1", "owner").status_code == 403
    let_end(gated_site, 61)
    assert_passes(ask(gated_site, "PUT", "v1"))


def test_a_push_that_ended_makes_nobody_wait(gated_site):
    assert_passes(ask(gated_site, "PUT", "v1"))
    assert ask(gated_site, "PUT", "v1", "owner").status_code == 403
    gated_site.deliver(event_of("push", APP, "v1", by="dev"))
    let_end(gated_site)
    assert_passes(ask(gated_site, "PUT", "v1"))  # it was deleted since


def test_nobody_claims_more_tags_than_they_could_be_pushing(gated_site):
    for number in range(50):
        assert_passes(ask(gated_site, "PUT", f"v{number}"))
    words = "too many of your pushes are unfinished: try again in 15 seconds"
    assert_refused(ask(gated_site, "PUT", "v50"), words)
    assert_passes(ask(gated_site, "PUT", "v50", "maintainer"))
    gated_site.deliver(event_of("push", APP, "v1", by="dev"))
    gated_site.change(TagClaim, {"until": utc_now() - timedelta(seconds=1)}, tag="v1")
    assert_passes(ask(gated_site, "PUT", "v51"))


def test_a_refused_push_holds_no_claim(gated_site, registry):
    holds(registry, {"v1": "a"})
    assert ask(gated_site, "PUT", "v1").status_code == 403
    assert gated_site.rows(TagClaim) == []


def test_the_event_of_the_push_ends_the_claim_a_moment_later(gated_site):
    assert_passes(ask(gated_site, "PUT", "v1"))
    gated_site.deliver(event_of("push", APP, "v1", by="dev"))
    (claim,) = gated_site.rows(TagClaim)
    # The registry tells of a push before the tag can be read.
    assert timedelta() < claim.until - utc_now() <= timedelta(seconds=3)


def test_claims_that_ended_are_forgotten_by_night(gated_site):
    assert_passes(ask(gated_site, "PUT", "v1"))
    assert_passes(ask(gated_site, "PUT", "v2"))
    gated_site.change(TagClaim, {"until": utc_now() - timedelta(seconds=1)}, tag="v1")
    with gated_site.app.app_context():
        prune()
    assert [claim.tag for claim in gated_site.rows(TagClaim)] == ["v2"]
