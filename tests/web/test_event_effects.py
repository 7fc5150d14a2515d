"""What events change in the index, in whatever order they come (PROTOCOLS 3.2)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from registry_ui.audit import OWN_SUBJECT
from registry_ui.endpoints import registry_events
from registry_ui.models import ContainerImage, RegistryEvent, Tag, UnassignedRepository
from tests.support.html import Page
from tests.web.support import OCI_INDEX, digest, event_of

NOW = datetime.now(UTC).replace(microsecond=0)
MINUTE = timedelta(minutes=1)
MANIFEST_TYPES = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
]


@pytest.fixture
def acme(site):
    site.project("acme/app")
    site.project("acme/sub/tool")
    return site


def last(site):
    return site.rows(RegistryEvent)[-1]


# -- pushes ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("repository", "name"),
    [
        ("acme/app", ""),
        ("acme/app/web", "web"),
        ("acme/app/a/b/c/d/e", "a/b/c/d/e"),
        ("acme/app/acme/app", "acme/app"),
        ("acme/app/app-evil", "app-evil"),
    ],
)
def test_a_push_makes_the_image_of_the_project_that_owns_the_name(acme, repository, name):
    acme.deliver(event_of("push", repository, "v1", digest=digest("b"), by="alice", at=NOW))
    image = acme.row(ContainerImage)
    assert (image.path, image.name, image.tag_count) == (repository, name, 1)
    assert (image.last_push_at, image.last_pushed_by) == (NOW, "alice")
    tag = acme.row(Tag)
    assert (tag.name, tag.digest, tag.pushed_at, tag.pushed_by) == ("v1", digest("b"), NOW, "alice")
    assert last(acme).status == "applied"


@pytest.mark.parametrize(
    "repository",
    ["acme", "acme/ap", "acme/app-evil", "acme/apps/x", "acme/sub", "app", "x/acme/app"],
)
def test_a_push_that_no_project_owns_is_unassigned(acme, repository):
    acme.deliver(event_of("push", repository, "v1", by="admin", at=NOW))
    assert acme.rows(ContainerImage) == []
    row = acme.row(UnassignedRepository)
    assert (row.path, row.last_push_at, row.pushed_by) == (repository, NOW, "admin")
    assert last(acme).status == "applied"
    assert "unassigned" in last(acme).reason


def test_a_later_push_to_an_unassigned_name_wins_whenever_it_comes(acme):
    acme.deliver(event_of("push", "x/y", "v2", by="late", at=NOW))
    acme.deliver(event_of("push", "x/y", "v1", by="early", at=NOW - MINUTE))
    row = acme.row(UnassignedRepository)
    assert (row.last_push_at, row.pushed_by) == (NOW, "late")


@pytest.mark.parametrize("media_type", MANIFEST_TYPES)
def test_every_type_of_manifest_makes_a_tag(acme, media_type):
    acme.deliver(event_of("push", "acme/app", "v1", type=media_type))
    assert acme.row(Tag).name == "v1"


@pytest.mark.parametrize("media_type", ["application/octet-stream", "", "application/vnd.x+json"])
def test_the_push_of_a_blob_makes_nothing(acme, media_type):
    acme.deliver(event_of("push", "acme/app", type=media_type))
    assert acme.rows(ContainerImage) == []
    assert last(acme).status == "dropped"


def test_a_push_by_digest_is_a_push_of_the_image_but_makes_no_tag(acme):
    acme.deliver(event_of("push", "acme/app", digest=digest("c"), by="alice", at=NOW))
    image = acme.row(ContainerImage)
    assert (image.last_push_at, image.tag_count) == (NOW, 0)
    assert acme.rows(Tag) == []


def test_a_tag_that_is_pushed_again_moves(acme):
    acme.deliver(event_of("push", "acme/app", "v1", digest=digest("a"), by="a", at=NOW - MINUTE))
    acme.deliver(event_of("push", "acme/app", "v1", digest=digest("b"), by="b", at=NOW))
    tag = acme.row(Tag)
    assert (tag.digest, tag.pushed_at, tag.pushed_by) == (digest("b"), NOW, "b")
    assert acme.row(ContainerImage).tag_count == 1


@pytest.mark.parametrize("together", [True, False])
def test_pushes_out_of_order_leave_what_was_pushed_last(acme, together):
    events = [
        event_of("push", "acme/app", "v1", digest=digest("b"), by="late", at=NOW),
        event_of("push", "acme/app", "v1", digest=digest("a"), by="early", at=NOW - MINUTE),
    ]
    if together:
        acme.deliver(*events)
    else:
        acme.deliver(events[0])
        acme.deliver(events[1])
    tag, image = acme.row(Tag), acme.row(ContainerImage)
    assert (tag.digest, tag.pushed_at, tag.pushed_by) == (digest("b"), NOW, "late")
    assert (image.last_push_at, image.last_pushed_by) == (NOW, "late")


def test_a_clock_ahead_of_ours_does_not_make_a_tag_immovable(acme):
    future = NOW + timedelta(days=400)
    acme.deliver(event_of("push", "acme/app", "v1", digest=digest("a"), at=future))
    assert acme.row(Tag).pushed_at <= datetime.now(UTC)
    acme.deliver(event_of("push", "acme/app", "v1", digest=digest("b"), at=future))
    assert acme.row(Tag).digest == digest("b")
    assert acme.row(ContainerImage).last_push_at <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05.123456789Z", datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)),
        ("2026-01-02T03:04:05.1+05:30", datetime(2026, 1, 1, 21, 34, 5, 100000, tzinfo=UTC)),
        ("2026-01-02T03:04:05-11:00", datetime(2026, 1, 2, 14, 4, 5, tzinfo=UTC)),
    ],
)
def test_timestamps_have_any_zone_and_any_fraction(acme, text, moment):
    acme.deliver(event_of("push", "acme/app", "v1", at=text))
    assert acme.row(Tag).pushed_at == moment


def test_tags_that_differ_in_case_are_two(acme):
    acme.deliver(event_of("push", "acme/app", "v1"), event_of("push", "acme/app", "V1"))
    assert sorted(tag.name for tag in acme.rows(Tag)) == ["V1", "v1"]


def test_without_an_actor_nobody_is_named(acme):
    acme.deliver(event_of("push", "acme/app", "v1"))
    assert acme.row(Tag).pushed_by is None


def test_fields_that_3x_sends_empty_are_as_absent(acme):
    event = event_of("push", "acme/app", "v1", digest=digest("b"))
    event["target"] |= {"fromRepository": "", "annotations": None, "urls": [], "data": ""}
    event["actor"] = {"name": ""}
    pushed_by_digest = event_of("push", "acme/app/x", digest=digest("c"))
    pushed_by_digest["target"]["tag"] = ""
    acme.deliver(event)
    acme.deliver(pushed_by_digest)
    (tag,) = acme.rows(Tag)
    assert (tag.digest, tag.pushed_by) == (digest("b"), None)


def test_our_own_pushes_are_not_indexed(acme):
    acme.deliver(event_of("push", "acme/app", "v1", by=OWN_SUBJECT))
    assert acme.rows(ContainerImage) == []
    assert last(acme).status == "dropped"


def test_a_mount_of_a_blob_makes_nothing(acme):
    acme.deliver(event_of("mount", "acme/app", type="application/octet-stream"))
    assert acme.rows(ContainerImage) == []


def test_what_the_url_of_an_event_says_is_not_asked(acme):
    event = event_of("push", "acme/app", "v1")
    event["target"]["url"] = "http://evil.example/v2/other/repo/manifests/x"
    event["request"] |= {"host": "evil.example", "addr": "203.0.113.9", "useragent": "<script>"}
    acme.deliver(event)
    assert acme.row(ContainerImage).path == "acme/app"


# -- pulls -----------------------------------------------------------------------


@pytest.fixture
def pushed(acme):
    """acme/app with latest and 1.0 on one digest, and 0.9 on another."""
    acme.image("acme/app", "latest", "1.0", "0.9", digests="aab")
    return acme


def pulls(site):
    tags = {tag.name: tag.pull_count for tag in site.rows(Tag)}
    return site.row(ContainerImage).pull_count, tags


def test_a_pull_by_tag_counts_for_the_tag_and_the_image(pushed):
    pushed.deliver(event_of("pull", "acme/app", "1.0", at=NOW, by="alice"))
    assert pulls(pushed) == (1, {"latest": 0, "1.0": 1, "0.9": 0})
    assert pushed.row(Tag, name="1.0").last_pulled_at == NOW
    assert pushed.row(ContainerImage).last_pulled_at == NOW


def test_a_pull_by_digest_counts_for_the_tag_where_only_one_stands_for_it(pushed):
    pushed.deliver(event_of("pull", "acme/app", digest=digest("b")))
    assert pulls(pushed) == (1, {"latest": 0, "1.0": 0, "0.9": 1})


def test_a_pull_by_digest_counts_for_the_image_alone_where_several_tags_stand_for_it(pushed):
    pushed.deliver(event_of("pull", "acme/app", digest=digest("a")))
    assert pulls(pushed) == (1, {"latest": 0, "1.0": 0, "0.9": 0})


def test_the_platform_of_an_index_is_not_counted_again(pushed):
    pushed.deliver(
        event_of("pull", "acme/app", "1.0", type=OCI_INDEX),
        event_of("pull", "acme/app", digest=digest("f")),
    )
    assert pulls(pushed) == (1, {"latest": 0, "1.0": 1, "0.9": 0})


@pytest.mark.parametrize(
    "look",
    [
        event_of("pull", "acme/app", "1.0", method="HEAD"),
        event_of("pull", "acme/app", "1.0", method=""),
        event_of("pull", "acme/app", "1.0", type="application/octet-stream"),
        event_of("pull", "acme/app", "1.0", by=OWN_SUBJECT),
        event_of("pull", "acme/app", "unknown"),
        event_of("pull", "acme/other", "1.0"),
    ],
    ids=["HEAD", "no method", "a blob", "our own", "an unknown tag", "an unknown image"],
)
def test_what_is_no_pull_of_an_image_is_not_counted(pushed, look):
    pushed.deliver(look)
    assert pulls(pushed) == (0, {"latest": 0, "1.0": 0, "0.9": 0})


def test_a_pull_that_is_delivered_again_is_not_counted_again(pushed):
    event = event_of("pull", "acme/app", "1.0", id="same")
    pushed.deliver(event)
    pushed.deliver(event)
    assert pulls(pushed)[0] == 1


def test_an_earlier_pull_that_comes_late_does_not_turn_back_the_clock(pushed):
    pushed.deliver(event_of("pull", "acme/app", "1.0", at=NOW))
    pushed.deliver(event_of("pull", "acme/app", "1.0", at=NOW - MINUTE))
    assert pulls(pushed)[0] == 2
    assert pushed.row(Tag, name="1.0").last_pulled_at == NOW


def test_pulls_never_change_who_pushed_and_when(pushed):
    before = pushed.row(Tag, name="1.0")
    pushed.deliver(event_of("pull", "acme/app", "1.0", by="puller"))
    after = pushed.row(Tag, name="1.0")
    assert (after.pushed_at, after.pushed_by) == (before.pushed_at, before.pushed_by)


# -- deletions ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "told",
    [
        event_of("delete", "acme/app", digest=digest("a")),
        event_of("delete", "acme/app", "latest", digest=""),
        event_of("delete", "acme/app", digest=""),
        event_of("delete", "acme/app", digest=digest("a"), by=OWN_SUBJECT),
    ],
    ids=["by digest", "by tag", "the repository", "by ourselves"],
)
def test_a_deletion_is_a_hint_and_with_the_registry_down_removes_nothing(pushed, told):
    pushed.deliver(told)
    assert len(pushed.rows(Tag)) == 3
    image = pushed.row(ContainerImage)
    assert image.reconcile_requested_at
    assert image.reconcile_error
    assert image.tag_count == 3
    assert last(pushed).status == "applied"


@pytest.mark.both_databases
def test_the_deletion_of_what_the_index_does_not_have_is_dropped(pushed):
    pushed.deliver(event_of("delete", "acme/other", digest=digest("a")))
    assert last(pushed).status == "dropped"
    assert pushed.row(ContainerImage).reconcile_requested_at is None


# -- the queue -----------------------------------------------------------------------


def test_signatures_are_told_from_tags_that_are_only_called_alike(acme):
    hexes = "a" * 64
    signatures = [f"sha256-{hexes}{end}" for end in ("", ".sig", ".att", ".sbom")]
    signatures.append(f"sha512-{hexes}{hexes}.sig")
    others = ["sha256-release", f"SHA256-{hexes}.sig", f"sha256-{hexes}.other"]
    others += [f"sha256-{hexes.upper()}.sig", f"sha256-{hexes}a", f"x-sha256-{hexes}"]
    acme.user("reader", admin=True)
    seen = set()
    for number, tag in enumerate([*signatures, *others]):
        acme.deliver(event_of("push", "acme/app", tag, at=NOW + timedelta(seconds=number)))
        page = Page(acme.browser("reader").get("/").text)
        seen |= {link.rpartition("/")[2] for link in page.links.values() if "/-/tags/" in link}
    assert acme.row(ContainerImage).tag_count == len(others)
    assert seen == set(others)


def test_events_that_waited_are_applied_in_the_end(acme, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(registry_events, "enqueue", lambda *_job: None)
        acme.deliver(*(event_of("push", "acme/app", f"v{n}") for n in range(3)))
    assert acme.rows(Tag) == []
    acme.deliver(event_of("push", "acme/app", "v3"))
    assert len(acme.rows(Tag)) == 4
