"""Who may do what by every address: what the tables of tests/support/route_rights.py say."""

from __future__ import annotations

import pytest

from tests.support.route_rights import (
    HIDDEN,
    NAMESPACE,
    PROJECT,
    form,
    outcome,
    outcomes,
    rows,
)
from tests.web.support import PEOPLE, VISIBILITIES, digest


@pytest.fixture(scope="module")
def removals(world):
    """The number of a removal in each project, which somebody else asked for."""
    paths = [f"acme/{visibility}" for visibility in VISIBILITIES]
    return {path: world.removal(path, by="somebody") for path in paths}


@pytest.fixture(scope="module")
def copies(world):
    """The number of a copy within each project, which somebody else asked for."""
    paths = [f"acme/{visibility}" for visibility in VISIBILITIES]
    return {path: world.copying(path, path) for path in paths}


@pytest.fixture(scope="module")
def moves(world):
    """The number of a move of each project that is over."""
    return {path: world.move(path) for path in (f"acme/{v}" for v in VISIBILITIES)}


#: Those for whom it matters whether a project is private, and one of the others.
OUTSIDERS = ("anonymous", "stranger", "guest", "reporter")


def assert_table(site, table, path, adapt=lambda _rest, cells: cells, people=PEOPLE, **values):
    wrong = []
    for method, rest, cells in rows(table):
        expected = adapt(rest, cells)[: len(people)]
        found = outcomes(site, method, path, rest.format(**values), people)
        if found != expected:
            wrong.append(f"{method} {path}{rest}: {found}, not {expected}")
    assert not wrong, "\n".join(wrong)


def is_content(rest):
    return rest.endswith(("/-/manifest", "/-/config", "/-/sbom"))


def is_for_pullers(rest):
    """Copying needs an account, and to pull: everyone with one pulls what is not private."""
    return rest.endswith("/-/copy")


def internal(rest, cells):
    """Any signed-in user sees it as a Guest does, and pulls; who the members are is for members."""
    if is_for_pullers(rest):
        return [cells[0], *[cells[3]] * 7]
    if is_content(rest):
        return [cells[0], *[cells[3]] * 7]
    return [cells[0], "--" if rest == "/-/members" else cells[2], *cells[2:]]


def public(rest, cells):
    """Visitors see it too, and pull."""
    if is_content(rest):
        return [cells[3]] * 8
    if is_for_pullers(rest):
        return internal(rest, cells)
    return ["ok" if cells[0] == "--" else cells[0], *internal(rest, cells)[1:]]


@pytest.fixture(scope="module")
def stored(removals, copies, moves, tokens, policies, protection_rules):
    """The numbers of everything that a project has, by its path."""
    kinds = {"removal": removals, "copy": copies, "token": tokens, "policy": policies}
    kinds |= {"rule": protection_rules, "move": moves}
    return lambda path: {kind: numbers[path] for kind, numbers in kinds.items()}


@pytest.mark.parametrize(
    ("adapt", "people"),
    [
        pytest.param(None, PEOPLE, id="private"),
        pytest.param(internal, OUTSIDERS, id="internal, outsiders"),
        pytest.param(public, OUTSIDERS, id="public, outsiders"),
        pytest.param(internal, PEOPLE, id="internal", marks=pytest.mark.thorough),
        pytest.param(public, PEOPLE, id="public", marks=pytest.mark.thorough),
    ],
)
def test_who_may_do_what_in_a_project(world, stored, adapt, people):
    path = f"acme/{adapt.__name__ if adapt else 'private'}"
    adapt = adapt or (lambda _rest, cells: cells)
    assert_table(world, PROJECT, path, adapt, people, **stored(path))


def test_who_may_do_what_in_a_namespace(world, tokens, policies):
    assert_table(world, NAMESPACE, "acme", token=tokens["acme"], policy=policies["acme"])


def test_a_namespace_in_which_nobody_may_see_anything_is_not_there(world):
    assert_table(world, HIDDEN, "veiled")


@pytest.mark.parametrize(
    "people",
    [("anonymous", "guest", "admin"), pytest.param(PEOPLE, marks=pytest.mark.thorough)],
    ids=["some", "all"],
)
def test_what_is_not_there_is_nothing_to_anybody(world, people):
    every = {(method, rest) for table in (PROJECT, NAMESPACE) for method, rest, _ in rows(table)}
    for method, rest in sorted(every):
        for path in ("acme/none", "acme/private/web/api"):
            address = rest.format(removal=1, copy=1, move=1, token=1, policy=1, rule=1)
            found = outcomes(world, method, path, address, people)
            if (method, path, rest) == ("GET", "acme/private/web/api", ""):
                # The whole name of an image leads whoever sees the project to its page.
                assert found == outcomes(world, "GET", "acme/private", "", people)
                continue
            assert set(found[1:]) == {"--"}, (method, path, rest)
            assert found[0] in {"in", "--"}, (method, path, rest)


PLACES_OF_OTHERS = ["/-/images/none", "/-/images/we", "/-/images/web/api/x", "/-/images/v1"]
PLACES_OF_OTHERS += ["/-/images/web/-/rows", "/-/images/none/-/rows", "/-/images/none/-/tags/v1"]
PLACES_OF_OTHERS += ["/-/tags/none/-/manifest", "/-/tags/none/-/sbom"]
PLACES_OF_OTHERS += [
    "/-/images/web/-/tags/v1",
    "/-/tags/none",
    "/-/removals/999999",
    "/-/copies/9999",
    "/-/moves/9999",
]


@pytest.mark.parametrize("rest", PLACES_OF_OTHERS)
def test_what_a_project_does_not_have_is_not_found_by_its_owner_either(world, rest):
    assert world.browser("owner").get(f"/acme/private{rest}").status_code == 404


def test_a_removal_is_found_in_its_own_project_only(world, removals):
    number = removals["acme/private"]
    for other in ("acme/public", "acme/internal", "veiled/private"):
        answer = world.browser("admin").get(f"/{other}/-/removals/{number}")
        assert answer.status_code == 404, other


def test_a_removal_outlives_its_project_for_who_asked_and_administrators(world):
    number = world.removal(None, by="reporter", path="acme/gone")
    found = outcomes(world, "GET", "acme/gone", f"/-/removals/{number}")
    assert found == ["in", "--", "--", "ok", "--", "--", "--", "ok"]


def test_a_copy_is_found_in_the_project_that_it_copies_to_only(world, copies):
    number = copies["acme/private"]
    for other in ("acme/public", "acme/internal", "veiled/private"):
        answer = world.browser("admin").get(f"/{other}/-/copies/{number}")
        assert answer.status_code == 404, other


def test_a_copy_from_where_one_may_not_look_is_for_who_asked_and_administrators(world):
    number = world.copying("veiled/private", "acme/private", by="developer")
    found = outcomes(world, "GET", "acme/private", f"/-/copies/{number}")
    assert found == ["in", "--", "no", "no", "ok", "--", "--", "ok"]


def test_a_copy_outlives_its_project_for_who_asked_and_administrators(world):
    number = world.copying("acme/private", None, by="reporter", path="acme/gone")
    found = outcomes(world, "GET", "acme/gone", f"/-/copies/{number}")
    assert found == ["in", "--", "--", "ok", "--", "--", "--", "ok"]


@pytest.mark.parametrize("who", ["stranger", "guest"])
def test_nothing_is_changed_by_those_who_may_not(world, tokens, who):
    before = world.dump()
    for method, rest, cells in rows(PROJECT):
        if method == "POST" and cells[PEOPLE.index(who)] != "ok":
            data = {**form("acme/private", rest, who), "digest": digest("a")}
            numbers = {"removal": 1, "policy": 1, "rule": 1, "token": tokens["acme/private"]}
            numbers |= {"copy": 1, "move": 1}
            url = f"/acme/private{rest.format(**numbers)}"
            world.browser(who).post(url, data)
    assert world.dump() == before


@pytest.mark.parametrize("who", PEOPLE)
def test_lists_hold_what_may_be_seen_and_nothing_else(world, who):
    browser = world.browser(None if who == "anonymous" else who)
    seen = {
        "acme/public": True,
        "acme/internal": who != "anonymous",
        "acme/private": who not in {"anonymous", "stranger"},
        "veiled/private": who == "admin",
    }
    for url in ("/?show=all", "/?show=all&q=a"):
        text = browser.get(url).text
        assert {path: path in text for path in seen} == seen, url
    assert ("veiled" in browser.get("/?show=all").text) is (who == "admin")
    in_acme = {path: shown for path, shown in seen.items() if path.startswith("acme/")}
    text = browser.get("/acme").text
    assert {path: path in text for path in in_acme} == in_acme
    found = {row["path"] for row in api(world, who, "/api/v4/projects").json["projects"]}
    assert found == {path for path, shown in seen.items() if shown}


# -- the API ---------------------------------------------------------------------------

API = """
                              an st gu re de ma ow ad
GET  /veiled/private          -- -- -- -- -- -- -- ok
GET  /acme/private            -- -- ok ok ok ok ok ok
GET  /acme/internal           -- ok ok ok ok ok ok ok
GET  /acme/public             ok ok ok ok ok ok ok ok
GET  /acme                    -- -- -- -- -- -- -- --
GET  /acme/none               -- -- -- -- -- -- -- --
"""


def api(site, who, url):
    """Ask the API with an access token of that user, made for this call."""
    headers = {}
    if who != "anonymous":
        secret = site.access_token(who, "read_registry")
        headers = {"Authorization": f"Bearer {secret}"}
    return site.app.test_client().get(url, headers=headers)


def test_the_api_shows_what_the_pages_show(world):
    for _, path, cells in rows(API):
        for below in ("", "/-/images", "/-/tags", "/-/images/web/api/-/tags"):
            url = f"/api/v4/projects{path}{below}"
            answers = [api(world, who, url) for who in PEOPLE]
            assert [outcome(answer) for answer in answers] == cells, url
            nothing = {a.data for a in answers if a.status_code == 404}
            assert len(nothing) <= 1
            assert all(answer.is_json for answer in answers)
