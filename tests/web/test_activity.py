"""Activity: what happened, newest first, for those who may see it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from registry_ui.access import Role
from registry_ui.audit import Actor
from registry_ui.models import AuditEntry, ContainerImage, Place, Project, Push, Tag
from registry_ui.pagination import PER_PAGE
from registry_ui.projects import service as projects
from tests.support.html import Page
from tests.web.support import event_of

NOW = datetime.now(UTC).replace(microsecond=0)
#: An hour of today and, whenever the tests run, one of the day before.
TODAY = NOW - timedelta(seconds=5)
YESTERDAY = datetime(NOW.year, NOW.month, NOW.day, 12, tzinfo=UTC) - timedelta(days=1)


@pytest.fixture
def acme(site):
    """A group with a public and a private project, and people in it."""
    site.user("admin", admin=True)
    site.users("stranger", "guest", "maintainer", "alice")
    site.project("acme/open", "public")
    site.project("acme/veiled")
    site.member("acme/veiled", "guest", "guest")
    site.member("acme", "maintainer", "maintainer")
    return site


def push(site, repository, tag, by="alice", at=TODAY):
    site.deliver(event_of("push", repository, tag, by=by, at=at))


def lines(site, url, who="maintainer"):
    """What the page lists, as it is read, without the times."""
    answer = site.browser(who).get(url)
    assert answer.status_code == 200, url
    page = Page(answer.text)
    found = [e for e in page.all("ul") if "happened" in e.attrs.get("class", "")]
    whats = [e for ul in found for e in ul.all("span") if e.attrs.get("class") == "what"]
    return [what.text for what in whats]


def headings(site, url, who="maintainer"):
    return [h.text for h in Page(site.browser(who).get(url).text).all("h2")]


def test_pushes_pulls_removals_and_changes_are_told_newest_first_under_their_days(acme):
    push(acme, "acme/open/web", "v1", at=YESTERDAY)
    acme.deliver(event_of("pull", "acme/open/web", "v1", at=YESTERDAY))
    acme.deliver(event_of("pull", "acme/open/web", "v1", at=YESTERDAY))
    push(acme, "acme/open/web", "v2")
    acme.removal("acme/open", by="maintainer")
    acme.change(AuditEntry, {"at": YESTERDAY - timedelta(days=3)}, subject="acme/open")
    acme.change(Place, {"created_at": YESTERDAY - timedelta(days=3)}, path="acme/open")
    url = "/acme/open/-/activity"
    found = lines(acme, url)
    assert found[0] == "maintainer removed acme/open/gone Report"
    assert found[1].startswith("alice pushed acme/open/web:v2")
    assert found[2].startswith("alice pushed acme/open/web:v1")
    assert found[3] == "2 pulls of acme/open/web"
    assert found[4].startswith("-/test created the project acme/open")
    assert headings(acme, url)[1:3] == ["Today", "Yesterday"]


@pytest.mark.parametrize(
    ("state", "done", "words"),
    [
        ("planned", 0, None),
        ("cancelled", 0, None),
        ("waiting", 0, "alice is waiting to remove acme/open/gone Report"),
        ("waiting", 3, "alice is waiting to remove acme/open/gone Report"),
        ("running", 3, "alice is removing acme/open/gone Report"),
        ("done", 5, "alice removed acme/open/gone Report"),
        ("failed", 3, "alice could not remove all of acme/open/gone Report"),
        ("cancelled", 3, "alice started to remove acme/open/gone (canceled) Report"),
    ],
)
def test_a_removal_is_told_with_its_outcome_once_it_has_begun(acme, state, done, words):
    """A plan, a dry run and what was discarded before its first step are nobody's activity."""
    acme.removal("acme/open", by="alice", state=state, done=done, total=5)
    expected = [words] if words else []
    for place in ("acme/open", "acme"):
        assert lines(acme, f"/{place}/-/activity?kind=removal") == expected
    answer = acme.browser("stranger").get("/-/users/alice/activity")
    assert answer.status_code == (200 if words else 404)


def test_the_figures_of_each_day_are_in_a_table(acme):
    push(acme, "acme/open/web", "v1", at=YESTERDAY)
    push(acme, "acme/veiled", "v1", at=YESTERDAY)
    for _ in range(3):
        acme.deliver(event_of("pull", "acme/open/web", "v1", at=YESTERDAY))
    rows = Page(acme.browser().get("/acme/-/activity").text).table("Pushes and pulls by day")
    assert len(rows) == 30
    assert rows[1] == {"Day": "Yesterday", "Pushes": "1", "Pulls": "3"}
    assert {row["Pushes"] for row in rows[2:]} == {"0"}
    rows = Page(acme.browser("guest").get("/acme/-/activity").text).table("Pushes and pulls")
    assert rows[1]["Pushes"] == "2"


def test_an_empty_page_says_so(acme):
    assert "Nothing happened here yet" in acme.browser().get("/acme/open/-/activity").text


# -- who sees what -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "sees"),
    [(None, False), ("stranger", False), ("guest", True), ("maintainer", True), ("admin", True)],
)
def test_a_namespace_tells_of_visible_projects_only(acme, who, sees):
    push(acme, "acme/open", "v1")
    push(acme, "acme/veiled/secret", "v1")
    acme.deliver(event_of("pull", "acme/veiled/secret", "v1"))
    acme.removal("acme/veiled")
    text = acme.browser(who).get("/acme/-/activity").text
    assert "acme/open" in text
    assert ("veiled" in text) is sees


@pytest.mark.parametrize(
    ("who", "sees"), [(None, False), ("stranger", False), ("maintainer", True), ("admin", True)]
)
def test_changes_are_for_maintainers(acme, who, sees):
    acme.member("acme/open", "alice", "developer")
    for url in ("/acme/open/-/activity", "/acme/open/-/activity?kind=change", "/acme/-/activity"):
        assert ("added a member" in acme.browser(who).get(url).text) is sees, (url, who)


def test_a_change_reads_as_a_sentence(acme):
    acme.browser("admin").post("/-/new/project", {"parent": "acme", "name": "new"})
    acme.browser("admin").post("/acme/new/-/members", {"username": "alice", "role": "guest"})
    text = Page(acme.browser("admin").get("/acme/new/-/activity").text).text
    assert "admin created the project acme/new" in text
    assert "admin added a member to acme/new" in text


def test_a_guest_of_a_project_does_not_read_its_changes(acme):
    acme.member("acme/veiled", "alice", "developer")
    assert "added a member" not in acme.browser("guest").get("/acme/veiled/-/activity").text


def test_what_was_done_to_an_earlier_project_of_that_name_is_not_told(acme):
    push(acme, "acme/veiled", "v1")
    acme.member("acme/veiled", "alice", "developer")
    with acme.session() as session:
        session.query(Tag).delete()
        session.query(ContainerImage).delete()
        session.delete(session.query(Project).filter_by(path="acme/veiled").one())
        session.commit()
    acme.project("acme/veiled", "public")
    assert lines(acme, "/acme/veiled/-/activity") == [
        "-/test created the project acme/veiled visibility: public"
    ]


# -- filters and pages --------------------------------------------------------------


def test_the_url_filters_by_kind_image_and_person(acme):
    push(acme, "acme/open/web", "v1", by="alice")
    push(acme, "acme/open/web/api", "v1", by="guest")
    push(acme, "acme/open/website", "v1", by="alice")
    acme.deliver(event_of("pull", "acme/open/web", "v1"))
    acme.removal("acme/open", by="alice")
    url = "/acme/open/-/activity"
    assert len(lines(acme, f"{url}?kind=push")) == 3
    assert lines(acme, f"{url}?kind=pull") == ["1 pull of acme/open/web"]
    assert lines(acme, f"{url}?kind=removal") == ["alice removed acme/open/gone Report"]
    host = acme.app.config["SETTINGS"].registry_host
    for image in ("web", "acme/open/web", f"{host}/acme/open/web:v1", "/web/"):
        found = lines(acme, f"{url}?image={image}&kind=push")
        assert sorted(line.split()[2].partition(":")[0] for line in found) == [
            "acme/open/web",
            "acme/open/web/api",
        ], image
    assert [line.split()[0] for line in lines(acme, f"{url}?by=guest")] == ["guest"]
    assert len(lines(acme, f"{url}?by=alice")) == 3
    assert lines(acme, f"{url}?image=gone") == ["alice removed acme/open/gone Report"]
    assert len(lines(acme, "/acme/-/activity?image=open/web&kind=push")) == 2
    assert "Nothing like that" in acme.browser().get(f"{url}?by=nobody").text


@pytest.mark.parametrize("url", ["/acme/open/-/activity", "/acme/-/activity?kind=push"])
def test_older_pages_go_on_where_the_one_before_ended_whatever_happens_meanwhile(acme, url):
    """Many of the pushes are of the same moment: none is told twice, none is lost."""
    with acme.session() as session:
        project = session.query(Project).filter_by(path="acme/open").one()
        for number in range(2 * PER_PAGE + 7):
            at = YESTERDAY - timedelta(minutes=number // 40)
            values = {"name": "web", "digest": "x", "actor": "alice", "at": at}
            session.add(Push(project_id=project.id, tag=f"t{number}", **values))
        session.commit()
    seen, address = [], url
    while address:
        page = Page(acme.browser().get(address).text)
        seen += [b.text for b in page.all("b") if b.text.startswith(":t")]
        push(acme, "acme/open/web", f"new{len(seen)}")
        address = page.links.get("Older")
    assert len(seen) == len(set(seen)) == 2 * PER_PAGE + 7


@pytest.mark.parametrize(
    "query",
    [
        "before=1",
        "before=x.y.z",
        "before=-1.0.0",
        "before=1.9.1",
        "before=99999999999999999.0.99999999999999999",
        "kind=evil",
        "image=%00",
        "by=%ff",
        "image=" + "a/" * 300,
    ],
)
def test_what_makes_no_sense_in_the_url_breaks_nothing(acme, query):
    push(acme, "acme/open", "v1")
    for url in ("/acme/open/-/activity", "/acme/-/activity", "/-/users/alice/activity"):
        assert acme.browser().get(f"{url}?{query}").status_code == 200


def test_hostile_names_stay_text(acme):
    push(acme, "acme/open", "v1", by="<script>alert(1)</script>")
    text = acme.browser().get("/acme/open/-/activity").text
    assert "<script>alert" not in text
    assert "&lt;script&gt;" in text


def test_what_is_gone_has_no_link(acme):
    push(acme, "acme/open/web", "v1")
    push(acme, "acme/open/web", "v2")
    with acme.session() as session:
        session.query(Tag).filter_by(name="v1").delete()
        session.commit()
    links = Page(acme.browser().get("/acme/open/-/activity").text).links
    assert "acme/open/web:v2" in links
    assert "acme/open/web:v1" not in links


# -- people ---------------------------------------------------------------------------


def test_a_person_s_page_tells_what_they_did_where_the_reader_may_look(acme):
    push(acme, "acme/open", "v1")
    push(acme, "acme/veiled", "v1")
    push(acme, "acme/open", "v2", by="guest")
    acme.removal("acme/veiled", by="alice")
    url = "/-/users/alice/activity"
    assert [line.split()[:3] for line in lines(acme, url, None)] == [
        ["alice", "pushed", "acme/open:v1"]
    ]
    assert len(lines(acme, url, "guest")) == 3
    rows = Page(acme.browser().get(url).text).table("Pushes by day")
    assert sum(int(row["Pushes"]) for row in rows) == 1


@pytest.mark.parametrize("who", [None, "stranger", "guest", "maintainer"])
def test_who_is_known_by_nothing_looks_like_who_is_not_there(acme, who):
    acme.user("hidden")
    push(acme, "acme/veiled", "v1", by="alice")
    acme.change(Place, {"visibility": "private"}, path="acme/open")
    answers = [
        acme.browser(who).get(f"/-/users/{name}/activity") for name in ("hidden", "nobody", "admin")
    ]
    assert {answer.status_code for answer in answers} == {404}
    expected = 200 if who in {"guest", "maintainer"} else 404
    assert acme.browser(who).get("/-/users/alice/activity").status_code == expected


def test_people_know_themselves_fellow_members_and_administrators_everybody(acme):
    acme.user("lone")
    url = "/-/users/{}/activity"
    assert acme.browser("lone").get(url.format("lone")).status_code == 200
    assert acme.browser("admin").get(url.format("lone")).status_code == 200
    assert acme.browser("admin").get(url.format("nobody")).status_code == 404
    # Inherited from above, as the page of members shows it, and the other way round.
    assert acme.browser("guest").get(url.format("maintainer")).status_code == 200
    assert acme.browser("maintainer").get(url.format("guest")).status_code == 200
    assert acme.browser("guest").get(url.format("lone")).status_code == 404


@pytest.mark.both_databases
def test_changes_by_a_person_are_told_to_maintainers_of_the_place(acme):
    with acme.app.app_context():
        projects.add_member(Actor("maintainer"), "acme/veiled", "alice", Role.parse("guest"))
    url = "/-/users/maintainer/activity"
    assert len(lines(acme, url, "maintainer")) == 1
    assert len(lines(acme, url, "admin")) == 1
    assert lines(acme, url, "guest") == []
