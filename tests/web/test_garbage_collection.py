"""Garbage collection by page, by command and by API; the collector is a script of the test."""

from __future__ import annotations

import re
import shlex
import signal
import sys
from datetime import timedelta

import pytest

from registry_ui.audit import WORKER
from registry_ui.db.session import writing
from registry_ui.distribution.manifest import Descriptor, ManifestFacts
from registry_ui.distribution.references import IndexEntries
from registry_ui.errors import Conflict
from registry_ui.garbage_collection import process, runner
from registry_ui.garbage_collection import service as garbage_collection
from registry_ui.garbage_collection.process import is_gone
from registry_ui.jobs.tasks import resume
from registry_ui.manifests.blobs import record_contents
from registry_ui.models import GarbageCollection, Manifest, WriteFreeze, utc_now
from registry_ui.operations import write_freeze
from tests.support.garbage_collection import begin, run
from tests.support.html import Page
from tests.web.support import ACTOR, PASSWORD, Site, basic, digest

PAGE = "/-/admin/garbage-collection"
API = "/api/v4/registry/garbage-collections"
LAYER = "application/vnd.oci.image.layer.v1.tar"
BLOBS = [digest("a"), digest("b")]
SAYS = [
    "acme/app",
    f"acme/app: marking manifest {digest('c')} ",
    f"acme/app: marking blob {digest('d')}",
    "",
    "4 blobs marked, 2 blobs and 0 manifests eligible for deletion",
    *(f"blob eligible for deletion: {blob}" for blob in BLOBS),
    "<script>alert(1)</script>",
]


def script(path, *, lines=SAYS, status=0) -> tuple[str, ...]:
    """Write a collector that says these lines and notes how it was called."""
    path.write_text(
        "import sys\n"
        f"open({str(path.with_suffix('.called'))!r}, 'a').write(' '.join(sys.argv[1:]) + '\\n')\n"
        f"print({chr(10).join(lines)!r})\n"
        f"sys.exit({status})\n"
    )
    return (sys.executable, str(path), "garbage-collect", "config.yml")


@pytest.fixture
def collector(tmp_path):
    """The collector's script."""
    return tmp_path / "collector.py"


@pytest.fixture
def site(make_app, tmp_path, collector, monkeypatch):
    """A site with an administrator and a project; the last token ends at once."""
    monkeypatch.setattr(write_freeze, "GRACE", timedelta(0))
    made = Site(make_app(var=tmp_path, token_lifetime=0, gc_command=script(collector)))
    made.user("admin", admin=True)
    made.users("maintainer", "reporter")
    made.project("acme/app", "public")
    made.member("acme", "maintainer", "maintainer")
    made.member("acme", "reporter", "reporter")
    return made


@pytest.fixture
def admin(site):
    return site.browser("admin")


def called(collector) -> list[str]:
    file = collector.with_suffix(".called")
    return file.read_text().splitlines() if file.exists() else []


def test_what_a_collector_has_left_running_ends_before_anybody_pushes(site, collector, tmp_path):
    left = "subprocess.Popen(['sleep', '600'], stdout=-3, stderr=-3, close_fds=False)"
    collector.write_text(f"import subprocess\n{left}\n{collector.read_text()}")
    assert run(site, begin(site)).state == "done"
    assert is_gone(tmp_path / "collector.lock")


def test_a_process_group_that_is_gone_gets_no_second_signal(tmp_path, monkeypatch):
    """Its number may be that of somebody else's processes by then."""
    signaled = []

    def no_such_group(_group, number):
        signaled.append(number)
        raise ProcessLookupError

    monkeypatch.setattr(process.os, "killpg", no_such_group)
    command = script(tmp_path / "collector.py")
    collector = process.Collector(command, tmp_path / "lock")
    collector._process.wait(60)
    for _ in range(3):
        collector._signal(signal.SIGTERM)
    assert signaled == [signal.SIGTERM]


# -- by page ---------------------------------------------------------------------


def test_a_dry_run_says_what_would_be_freed_and_stops_nothing(site, admin, collector):
    answer = admin.post(PAGE, {"dry_run": "1"}, follow_redirects=True)
    page = Page(answer.text)
    assert "2 blobs would be freed. Their size is unknown." in page.text
    assert called(collector) == ["garbage-collect config.yml --dry-run"]
    assert "&lt;script&gt;alert(1)" in answer.text
    assert "<script>alert" not in answer.text
    assert "marking" not in answer.text
    assert [action for _, action, _ in site.audit() if "freeze" in action] == []


def test_a_collection_is_confirmed_first_and_every_step_is_in_the_audit(site, admin, collector):
    page = Page(admin.get(f"{PAGE}/begin").text)
    assert "Pushes and deletions are refused, in every project" in page.text
    assert called(collector) == []
    answer = admin.post(PAGE, follow_redirects=True)
    assert "2 blobs" in answer.text
    assert called(collector) == ["garbage-collect config.yml"]
    steps = [(actor, action) for actor, action, subject in site.audit() if "garbage" in subject]
    assert steps == [
        ("admin", "collection.run.start"),
        (WORKER.name, "write_freeze.begin"),
        (WORKER.name, "collection.collector.run"),
        ("admin", "write_freeze.lift"),
        ("admin", "collection.run.done"),
    ]
    assert site.rows(WriteFreeze) == []
    overview = Page(admin.get(PAGE).text).text
    assert "Collection 1" in overview


def test_what_the_index_knows_is_measured(site, admin):
    with site.session() as session:
        layer = Descriptor(BLOBS[0], LAYER, 12_000_000)
        session.add(Manifest(digest=digest("e"), media_type="x", kind="image", body=b"{}"))
        session.add(Manifest(digest=BLOBS[1], media_type="x", kind="image", body=b"x" * 500))
        session.flush()
        facts = ManifestFacts("image", "x", layers=(layer,))
        record_contents(session, {digest("e"): facts}, {digest("e"): IndexEntries()})
        session.commit()
    text = Page(admin.post(PAGE, {"dry_run": "1"}, follow_redirects=True).text).text
    assert "2 blobs, 12.0 MB would be freed" in text
    assert site.row(GarbageCollection).freed == 12_000_500


def test_a_collector_that_fails_is_shown_with_its_words_and_the_freeze_is_lifted(
    site, admin, collector
):
    script(collector, lines=["it can't read the storage"], status=3)
    text = Page(admin.post(PAGE, follow_redirects=True).text).text
    assert "The collector exited with status 3." in text
    assert "Pushes and deletions work again." in text
    assert "it can't read the storage" in text
    assert (site.row(GarbageCollection).state, site.rows(WriteFreeze)) == ("failed", [])


def test_what_can_not_be_run_is_said(make_app, tmp_path, monkeypatch):
    monkeypatch.setattr(write_freeze, "GRACE", timedelta(0))
    site = Site(make_app(var=tmp_path, token_lifetime=0, gc_command=("/nowhere/registry",)))
    with site.app.app_context():
        row = run(site, garbage_collection.begin(ACTOR, dry_run=False).id)
    assert row.state == "failed"
    assert "/nowhere/registry can't be run: No such file or directory" in row.output


def test_an_error_of_ours_lifts_the_freeze_too(site, monkeypatch):
    monkeypatch.setattr(runner, "_measure_blobs", lambda *_: 1 / 0)
    row = run(site, begin(site))
    assert (row.state, row.problem) == ("failed", runner.UNEXPECTED_ERROR)
    assert site.rows(WriteFreeze) == []


@pytest.fixture
def impatient(monkeypatch):
    """Nobody waits for an earlier collector without saying so."""
    monkeypatch.setattr(runner, "LOCK_TIMEOUT", -1.0)
    monkeypatch.setattr(runner, "POLL_INTERVAL", 0.0)


@pytest.mark.usefixtures("impatient")
def test_an_earlier_collector_that_lives_for_long_keeps_the_freeze(site, admin, monkeypatch):
    """Its worker hung, and another goes on: it may still delete what would be pushed now."""
    seen = []

    def is_gone(_lock):
        row = site.row(GarbageCollection)
        if row.write_freeze_id is None:
            return True
        seen.append((len(site.rows(WriteFreeze)), Page(admin.get(f"{PAGE}/{row.id}").text).text))
        return len(seen) > 3

    monkeypatch.setattr(runner, "is_gone", is_gone)
    row = run(site, begin(site))
    assert [freezes for freezes, _ in seen] == [1] * 5  # four before it, one after it
    assert "an earlier collector started still runs" in seen[1][1]
    assert (row.state, row.problem, site.rows(WriteFreeze)) == ("done", "", [])


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("dry_run", [False, True])
def test_behind_something_that_never_ends_no_freeze_begins(site, monkeypatch, dry_run):
    monkeypatch.setattr(runner, "is_gone", lambda _lock: False)
    row = run(site, begin(site, dry_run=dry_run))
    assert row.state == "failed"
    assert "an earlier collector started still runs" in row.problem
    assert [action for _, action, _ in site.audit() if "freeze" in action] == []


def test_a_removal_that_never_lets_go_ends_it(site, monkeypatch):
    monkeypatch.setattr(runner, "WRITERS_TIMEOUT", timedelta(0))
    monkeypatch.setattr(write_freeze, "writers_until", lambda _session: write_freeze.utc_now())
    row = run(site, begin(site))
    assert (row.state, site.rows(WriteFreeze)) == ("failed", [])
    assert "did not stop" in row.problem


def test_much_output_is_cut_to_its_beginning_and_end(site, admin, collector):
    script(collector, lines=[f"line {number} {'x' * 5000}" for number in range(10_000)])
    admin.post(PAGE, {"dry_run": "1"})
    output = site.row(GarbageCollection).output
    assert len(output) < 200_000
    assert output.startswith("line 0 ")
    assert "line 9999 " in output
    assert re.search(r"… \d+ lines are left out …", output)


def test_a_second_collection_is_refused_while_one_is_under_way(site, admin):
    begin(site, dry_run=True)
    with pytest.raises(Conflict):
        begin(site)
    assert admin.post(PAGE).status_code == 409
    assert "A dry run is under way" in Page(admin.get(PAGE).text).text
    assert len(site.rows(GarbageCollection)) == 1


def test_one_that_waits_is_found_by_the_schedule(site):
    begin(site)
    with site.app.app_context():
        resume()
    assert site.row(GarbageCollection).state == "done"


def test_cancelled_before_a_worker_has_it(site, admin):
    number = begin(site)
    page = Page(admin.get(f"{PAGE}/{number}").text)
    assert "Waiting for the worker" in page.text
    answer = admin.post(f"{PAGE}/{number}/cancel", follow_redirects=True)
    assert "Canceled." in Page(answer.text).text
    assert admin.post(f"{PAGE}/{number}/cancel").status_code == 409
    assert admin.post(f"{PAGE}/{number + 1}/cancel").status_code == 404
    assert run(site, number).state == "cancelled"


def test_without_a_command_the_page_says_what_to_set(make_app):
    site = Site(make_app())
    site.user("admin", admin=True)
    admin = site.browser("admin")
    assert "REGISTRY_UI_GC_COMMAND" in admin.get(PAGE).text
    answer = admin.post(PAGE)
    assert answer.status_code == 409
    assert site.rows(GarbageCollection) == []


# -- who is told -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "told"), [("maintainer", True), ("admin", True), ("reporter", False), (None, False)]
)
@pytest.mark.parametrize("path", ["/acme/app", "/acme/app/-/activity"])
def test_whoever_may_push_is_told_on_the_pages_of_a_project(site, who, told, path):
    words = "Pushes and deletions are stopped here since"
    browser = site.browser(who)
    assert words not in browser.get(path).text
    with site.app.app_context(), writing() as session:
        write_freeze.freeze_writes(session, write_freeze.EVERYWHERE, "collection")
    assert (words in browser.get(path).text) is told


# -- by command ------------------------------------------------------------------


def invoke(site, *arguments):
    return site.app.test_cli_runner().invoke(args=["collect-garbage", *arguments])


def test_the_command_waits_and_prints_what_came_of_it(site, collector):
    done = invoke(site, "--dry-run", "--wait")
    assert done.exit_code == 0
    assert "2 blobs would be freed; size unknown" in done.output
    assert called(collector) == ["garbage-collect config.yml --dry-run"]
    assert invoke(site).exit_code == 0
    assert called(collector)[1:] == ["garbage-collect config.yml"]


def test_the_command_fails_where_the_collector_does_and_where_one_is_under_way(site, collector):
    script(collector, lines=["no space"], status=1)
    done = invoke(site, "--wait")
    assert (done.exit_code, "no space" in done.output) == (1, True)
    begin(site)
    done = invoke(site)
    assert (done.exit_code, "is under way" in done.output) == (1, True)


# -- by API ----------------------------------------------------------------------


def api(site, method, path="", who="admin", **more):
    client = site.app.test_client()
    return client.open(API + path, method=method, headers=basic(who, PASSWORD), **more)


def test_the_api_begins_shows_lists_and_cancels(site):
    made = api(site, "POST", json={"dry_run": True})
    assert (made.status_code, made.json["state"], made.json["blobs"]) == (201, "done", 2)
    shown = api(site, "GET", f"/{made.json['id']}").json
    assert shown["blobs_of_unknown_size"] == 2
    assert "eligible for deletion" in shown["output"]
    number = begin(site)
    assert [row["id"] for row in api(site, "GET").json["garbage_collections"]] == [number, 1]
    cancelled = api(site, "POST", f"/{number}/cancel")
    assert (cancelled.status_code, cancelled.json["state"]) == (200, "cancelled")


@pytest.mark.parametrize("body", [None, [], {}, {"dry_run": "yes"}])
def test_a_body_that_does_not_say_which_begins_nothing(site, body):
    assert api(site, "POST", json=body).status_code == 422
    assert site.rows(GarbageCollection) == []


@pytest.mark.parametrize("who", ["maintainer", "admin by a token for reading", "nobody"])
def test_a_collection_does_not_exist_for_others_than_administrators(site, who):
    number = begin(site)
    client = site.app.test_client()
    headers = {}
    if who == "maintainer":
        headers = basic(who, PASSWORD)
    elif who != "nobody":
        token = site.access_token("admin", "read_registry")
        headers = {"Authorization": f"Bearer {token}"}
    for method, path in (("GET", ""), ("POST", ""), ("GET", f"/{number}")):
        answer = client.open(API + path, method=method, headers=headers, json={"dry_run": False})
        assert answer.status_code == 404
    assert client.post(f"{API}/{number}/cancel", headers=headers).status_code == 404
    assert site.row(GarbageCollection).state == "waiting"


def test_a_token_for_administration_will_do(site):
    token = site.access_token("admin", "api")
    headers = {"Authorization": f"Bearer {token}"}
    answer = site.app.test_client().post(API, headers=headers, json={"dry_run": True})
    assert answer.status_code == 201


def test_the_command_of_the_settings_is_shown_as_one_would_type_it(site, admin):
    assert shlex.join(site.app.config["SETTINGS"].gc_command) in admin.get(PAGE).text


def test_how_long_writes_will_be_frozen_is_judged_by_the_last_collection_and_no_dry_run(site):
    now = utc_now()
    for dry_run, minutes in ((False, 20), (True, 1)):
        begun = {"created_at": now, "collector_started_at": now, "requested_by": "root"}
        ended = {"state": "done", "finished_at": now + timedelta(minutes=minutes)}
        with site.app.app_context(), writing() as session:
            session.add(GarbageCollection(dry_run=dry_run, **begun, **ended))
    with site.app.app_context():
        rows = garbage_collection.latest()
        assert garbage_collection.forecast(rows).collector_minutes == 20
