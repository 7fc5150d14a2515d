"""Who may do what by every address: the table of rights, once more, from outside.

In the tables: ``ok`` it is done, ``in`` sign in first, ``--`` there is nothing (404),
``no`` not allowed (403), ``rg`` allowed, but the registry is down (502).
"""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from werkzeug.test import TestResponse

from registry_ui.models import DeployToken, Place, ProtectionRule, RetentionPolicy
from tests.web.support import PEOPLE, VISIBILITIES, Site, digest

PROJECT = """
                              an st gu re de ma ow ad   a private project
GET  /                        -- -- ok ok ok ok ok ok
GET  /-/images                -- -- ok ok ok ok ok ok
GET  /-/images/web            -- -- ok ok ok ok ok ok
GET  /-/images/web/api        -- -- ok ok ok ok ok ok
GET  /-/images/-/rows         -- -- ok ok ok ok ok ok
GET  /-/images/web/api/-/rows -- -- ok ok ok ok ok ok
GET  /-/images/-/rows/v1      -- -- ok ok ok ok ok ok
GET  /-/images/web/api/-/rows/v1 -- -- ok ok ok ok ok ok
GET  /-/tags/v1               -- -- ok ok ok ok ok ok
GET  /-/images/web/api/-/tags/v1 -- -- ok ok ok ok ok ok
GET  /-/tags/v1/-/manifest    -- -- no rg rg rg rg rg
GET  /-/tags/v1/-/config      -- -- no rg rg rg rg rg
GET  /-/tags/v1/-/sbom        -- -- no ok ok ok ok ok
GET  /-/images/web/api/-/tags/v1/-/manifest -- -- no rg rg rg rg rg
GET  /-/images/web/api/-/tags/v1/-/config -- -- no rg rg rg rg rg
GET  /-/images/web/api/-/tags/v1/-/sbom -- -- no ok ok ok ok ok
GET  /-/activity              -- -- ok ok ok ok ok ok
GET  /-/storage               -- -- ok ok ok ok ok ok
GET  /-/members               in -- ok ok ok ok ok ok
GET  /-/settings              in -- no no no ok ok ok
GET  /-/deploy-tokens         in -- no no no ok ok ok
GET  /-/protection            in -- no no no ok ok ok
GET  /-/protection/matches    in -- no no no ok ok ok
GET  /-/decisions             in -- no no no ok ok ok
GET  /-/delete                in -- no no no no rg rg
GET  /-/tags/v1/-/delete      in -- no no no rg rg rg
GET  /-/images/-/delete       in -- no no no rg rg rg
GET  /-/images/web/api/-/delete in -- no no no rg rg rg
GET  /-/images/web/api/-/tags/v1/-/delete in -- no no no rg rg rg
GET  /-/images/-/delete-tags  in -- no no no ok ok ok
GET  /-/images/web/api/-/delete-tags in -- no no no ok ok ok
GET  /-/images/-/delete-tags/matches in -- no no no ok ok ok
GET  /-/images/web/api/-/delete-tags/matches in -- no no no ok ok ok
GET  /-/bin                   in -- no no no ok ok ok
GET  /-/retention             in -- no no no ok ok ok
GET  /-/retention/matches     in -- no no no ok ok ok
GET  /-/retention/{policy}    in -- no no no ok ok ok
POST /-/retention/{policy}    in -- no no no ok ok ok
POST /-/retention/{policy}/dry-run in -- no no no ok ok ok
POST /-/retention/{policy}/switch in -- no no no ok ok ok
POST /-/retention/999999/delete in -- no no no -- -- --
POST /-/bin/1/restore         in -- no no no -- -- --
POST /-/bin/1/remove          in -- no no no -- -- --
GET  /-/removals/{removal}    in -- no no no ok ok ok
POST /-/removals/{removal}/confirm in -- no no no ok ok ok
POST /-/removals/{removal}/cancel in -- no no no ok ok ok
GET  /-/images/-/copy         in -- no ok ok ok ok ok
GET  /-/images/web/api/-/copy in -- no ok ok ok ok ok
POST /-/images/-/copy         in -- no ok ok ok ok ok
POST /-/images/web/api/-/copy in -- no ok ok ok ok ok
GET  /-/copies/{copy}         in -- no no ok ok ok ok
POST /-/copies/{copy}/confirm in -- no no ok ok ok ok
POST /-/copies/{copy}/cancel  in -- no no ok ok ok ok
GET  /-/move                  in -- no no no no ok ok
POST /-/move                  in -- no no no no ok ok
GET  /-/images/-/move         in -- no no no ok ok ok
GET  /-/images/web/api/-/move in -- no no no ok ok ok
POST /-/images/-/move         in -- no no no ok ok ok
POST /-/images/web/api/-/move in -- no no no ok ok ok
GET  /-/moves/{move}          in -- no no no ok ok ok
POST /-/moves/{move}/confirm  in -- no no no no ok ok
POST /-/moves/{move}/retry    in -- no no no no ok ok
POST /-/moves/{move}/cancel   in -- no no no ok ok ok
POST /-/moves/{move}/retire   in -- no no no ok ok ok
POST /-/moves/{move}/keep     in -- no no no ok ok ok
POST /-/images/-/delete-tags  in -- no no no rg rg rg
POST /-/images/web/api/-/delete-tags in -- no no no rg rg rg
POST /-/settings              in -- no no no ok ok ok
POST /-/deploy-tokens         in -- no no no ok ok ok
POST /-/deploy-tokens/{token}/revoke in -- no no no ok ok ok
POST /-/protection            in -- no no no ok ok ok
POST /-/protection/{rule}/delete in -- no no no ok -- --
POST /-/members               in -- no no no no ok ok
POST /-/members/guest         in -- no no no no ok ok
POST /-/delete                in -- no no no no rg rg
POST /-/tags/v1/-/delete      in -- no no no rg rg rg
POST /-/images/-/delete       in -- no no no rg rg rg
POST /-/images/web/api/-/delete in -- no no no rg rg rg
POST /-/images/web/api/-/tags/v1/-/delete in -- no no no rg rg rg
POST /-/storage/read          in -- no no ok ok ok ok
POST /-/images/-/reconcile    in -- no no ok ok ok ok
POST /-/images/web/api/-/reconcile in -- no no ok ok ok ok
"""

NAMESPACE = """
                              an st gu re de ma ow ad   a group with something public in it
GET  /                        ok ok ok ok ok ok ok ok
GET  /-/activity              ok ok ok ok ok ok ok ok
GET  /-/storage               ok ok ok ok ok ok ok ok
GET  /-/members               in -- ok ok ok ok ok ok
GET  /-/settings              in no no no no ok ok ok
GET  /-/deploy-tokens         in no no no no ok ok ok
GET  /-/decisions             in no no no no ok ok ok
GET  /-/delete                in no no no no no rg rg
GET  /-/move                  in no no no no no ok ok
POST /-/move                  in no no no no no ok ok
GET  /-/protection            in no no no no -- -- --
GET  /-/retention             in no no no no ok ok ok
GET  /-/retention/matches     in no no no no ok ok ok
GET  /-/retention/{policy}    in no no no no ok ok ok
POST /-/retention/{policy}    in no no no no ok ok ok
POST /-/retention/{policy}/dry-run in no no no no ok ok ok
POST /-/retention/{policy}/switch in no no no no ok ok ok
GET  /-/bin                   in no no no no -- -- --
GET  /-/images                -- -- -- -- -- -- -- --
GET  /-/tags/v1               -- -- -- -- -- -- -- --
POST /-/storage/read          in no no no ok ok ok ok
POST /-/settings              in no no no no ok ok ok
POST /-/deploy-tokens         in no no no no ok ok ok
POST /-/deploy-tokens/{token}/revoke in no no no no ok ok ok
POST /-/members               in -- no no no no ok ok
POST /-/members/guest         in no no no no no ok ok
"""

HIDDEN = """
                              an st gu re de ma ow ad   a group of others, all of it private
GET  /                        -- -- -- -- -- -- -- ok
GET  /-/activity              -- -- -- -- -- -- -- ok
GET  /-/storage               -- -- -- -- -- -- -- ok
GET  /-/members               in -- -- -- -- -- -- ok
GET  /-/settings              in -- -- -- -- -- -- ok
GET  /-/deploy-tokens         in -- -- -- -- -- -- ok
GET  /-/decisions             in -- -- -- -- -- -- ok
GET  /-/delete                in -- -- -- -- -- -- rg
GET  /-/retention             in -- -- -- -- -- -- ok
GET  /-/retention/matches     in -- -- -- -- -- -- ok
POST /-/storage/read          in -- -- -- -- -- -- ok
POST /-/settings              in -- -- -- -- -- -- ok
POST /-/deploy-tokens         in -- -- -- -- -- -- ok
POST /-/members               in -- -- -- -- -- -- ok
POST /-/delete                in -- -- -- -- -- -- rg
"""


def rows(table):
    """Yield (method, what follows the path, the eight outcomes) of each line."""
    for line in table.strip().splitlines()[1:]:
        method, rest, *outcomes = line.split()
        assert len(outcomes) == len(PEOPLE), line
        yield method, rest.removesuffix("/") if rest == "/" else rest, outcomes


def outcome(answer: TestResponse) -> str:
    if answer.status_code == 302 and "/-/sign-in" in answer.headers["Location"]:
        return "in"
    words = {200: "ok", 302: "ok", 404: "--", 403: "no", 502: "rg", 409: "ok", 422: "ok"}
    return words.get(answer.status_code, str(answer.status_code))


def form(path: str, rest: str, who: str) -> dict[str, str]:
    """What a form of this address sends when everything in it is right."""
    known = {
        "/-/settings": {"description": "", "visibility": path.rpartition("/")[2]},
        "/-/deploy-tokens": {"name": f"of {who}", "scopes": "read_registry"},
        "/-/protection": {"tags": f"of-{who}", "images": "**", "choice": "immutable"},
        "/-/members": {"username": f"new-{who}", "role": "guest"},
    }
    if rest in known:
        return known[rest]
    if "/-/retention" in rest:
        return {"older_than_days": "100"}
    if rest.endswith("/delete-tags"):
        return {"pattern": "v*"}
    if rest.startswith("/-/members/"):
        return {"role": "guest"}
    return {"confirm": path + rest.partition("/-/images/")[2].removesuffix("/-/delete")}


def outcomes(site: Site, method: str, path: str, rest: str) -> list[str]:
    found = []
    for who in PEOPLE:
        browser = site.browser(None if who == "anonymous" else who)
        data = {**form(path, rest, who), "digest": digest("a")}
        url = f"/{path}{rest}"
        answer = browser.get(url) if method == "GET" else browser.post(url, data)
        found.append(outcome(answer))
    return found


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


@pytest.fixture(scope="module")
def policies(world):
    """The number of a retention policy of each project, by which nothing is old enough to go."""
    found = {}
    with world.session() as session:
        for path in ("acme", *(f"acme/{visibility}" for visibility in VISIBILITIES)):
            place = session.query(Place).filter_by(path=path).one()
            row = RetentionPolicy(place_id=place.id, older_than_days=100, created_by="x")
            session.add(row)
            session.flush()
            found[path] = row.id
        session.commit()
    return found


@pytest.fixture(scope="module")
def tokens(world):
    """The number of a deploy token of each place."""
    paths = ["acme", *(f"acme/{visibility}" for visibility in VISIBILITIES), "veiled/private"]
    for path in paths:
        world.deploy_token(path, "read_registry", name=f"of {path}")
    made = {token.name: token.id for token in world.rows(DeployToken)}
    return {path: made[f"of {path}"] for path in paths}


@pytest.fixture(scope="module")
def protection_rules(world):
    """The number of a protection rule in each project."""
    paths = [*(f"acme/{visibility}" for visibility in VISIBILITIES), "veiled/private"]
    for path in paths:
        world.rule(path, "v*")
    return dict(zip(paths, (rule.id for rule in world.rows(ProtectionRule)), strict=True))


def assert_table(site, table, path, adapt=lambda _rest, cells: cells, **values):
    wrong = []
    for method, rest, cells in rows(table):
        expected = adapt(rest, cells)
        found = outcomes(site, method, path, rest.format(**values))
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


@pytest.mark.parametrize("adapt", [None, internal, public], ids=VISIBILITIES)
def test_who_may_do_what_in_a_project(world, stored, adapt):
    path = f"acme/{adapt.__name__ if adapt else 'private'}"
    adapt = adapt or (lambda _rest, cells: cells)
    assert_table(world, PROJECT, path, adapt, **stored(path))


def test_who_may_do_what_in_a_namespace(world, tokens, policies):
    assert_table(world, NAMESPACE, "acme", token=tokens["acme"], policy=policies["acme"])


def test_a_namespace_in_which_nobody_may_see_anything_is_not_there(world):
    assert_table(world, HIDDEN, "veiled")


@pytest.mark.parametrize("who", [None, "stranger"])
@pytest.mark.parametrize(
    "address",
    [
        "/{}",
        "/{}/-/activity",
        "/{}/-/tags/v1",
        "/{}/-/images/web/api/-/tags/v1",
        "/-/compare?from={}:v1",
        "/-/compare?from={}:v1&to={}/web/api:v1",
        "/-/search?q={}:v1",
    ],
)
def test_what_is_hidden_costs_as_much_as_what_is_absent(world, address, who):
    browser = world.browser(who)

    def cost(path):
        with world.statements() as noted:
            browser.get(address.replace("{}", path))
        return len(noted)

    for below in ("", "/private"):
        assert cost(f"veiled{below}") == cost(f"absent{below}"), below


@pytest.mark.parametrize("gone", [False, True], ids=["of the project", "of one that is gone"])
def test_every_route_of_what_is_hidden_answers_and_costs_as_that_of_what_is_absent(
    world, tokens, protection_rules, gone
):
    """By the address of the project, and by numbers that it has, for those who can see neither."""
    path, owner = "veiled/private", None if gone else "veiled/private"
    numbers = {
        "removal": world.removal(owner, path=path),
        "copy": world.copying(path, owner, path=path),
        "move": world.move(path),
        "token": tokens[path],
        "rule": protection_rules[path],
        "policy": 1,
    }
    wrong = []
    for who in (None, "stranger"):
        browser = world.browser(who)
        for method, rest, _ in rows(PROJECT):
            found = []
            for path in ("veiled/private", "absent/private"):
                address = f"/{path}{rest.format(**numbers)}"
                with world.statements() as noted:
                    answer = browser.get(address) if method == "GET" else browser.post(address)
                found.append((len(noted), answer.status_code, len(answer.data)))
            if found[0] != found[1]:
                wrong.append(f"{who}: {method} {rest}: hidden {found[0]}, absent {found[1]}")
    assert not wrong, "\n".join(wrong)


def test_what_is_not_there_is_nothing_to_anybody(world):
    every = {(method, rest) for table in (PROJECT, NAMESPACE) for method, rest, _ in rows(table)}
    for method, rest in sorted(every):
        for path in ("acme/none", "acme/private/web/api"):
            address = rest.format(removal=1, copy=1, move=1, token=1, policy=1, rule=1)
            found = outcomes(world, method, path, address)
            if (method, path, rest) == ("GET", "acme/private/web/api", ""):
                # The whole name of an image leads whoever sees the project to its page.
                assert found == outcomes(world, "GET", "acme/private", "")
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


# -- what may not be seen is as what is not there ----------------------------------------


def told(answer: TestResponse, path: str) -> tuple[object, ...]:
    """Everything that an answer says, but for the address that was asked for."""
    text = str(sorted(answer.headers.to_wsgi_list())) + answer.text
    text = re.sub(r'(name="csrf_token" value=)"[^"]*"', r"\1", text)
    text = re.sub(r"'(Content-Length|Set-Cookie)', '[^']*'", r"'\1'", text)
    return answer.status_code, text.replace(path, "PATH").replace(quote(path, safe=""), "PATH")


@pytest.mark.parametrize("who", ["anonymous", "stranger", "guest"])
def test_a_page_that_may_not_be_seen_is_byte_for_byte_one_that_is_not_there(
    world, tokens, protection_rules, who
):
    values = {"token": tokens["veiled/private"], "rule": protection_rules["veiled/private"]}
    number = world.removal("veiled/private")
    values["copy"] = world.copying("veiled/private", "veiled/private")
    values["move"] = world.move("veiled/private")
    for method, rest, _ in rows(PROJECT):
        answers = []
        for path in ("veiled/private", "absent/nothing"):
            browser = world.browser(None if who == "anonymous" else who)
            url = f"/{path}{rest.format(removal=number, policy=1, **values)}"
            data = {**form(path, rest, who), "digest": digest("a")}
            answer = browser.get(url) if method == "GET" else browser.post(url, data)
            answers.append(told(answer, path))
        assert answers[0] == answers[1], f"{method} {rest}"
        assert answers[0][0] in {302, 404}


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
