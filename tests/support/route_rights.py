"""Who may do what by every address: the table of rights, once more, from outside.

In the tables: ``ok`` it is done, ``in`` sign in first, ``--`` there is nothing (404),
``no`` not allowed (403), ``rg`` allowed, but the registry is down (502).
"""

from __future__ import annotations

from collections.abc import Sequence

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
GET  /-/trash                 in -- no no no ok ok ok
GET  /-/retention             in -- no no no ok ok ok
GET  /-/retention/matches     in -- no no no ok ok ok
GET  /-/retention/{policy}    in -- no no no ok ok ok
POST /-/retention/{policy}    in -- no no no ok ok ok
POST /-/retention/{policy}/dry-run in -- no no no ok ok ok
POST /-/retention/{policy}/switch in -- no no no ok ok ok
POST /-/retention/999999/delete in -- no no no -- -- --
POST /-/trash/1/restore       in -- no no no -- -- --
POST /-/trash/1/remove        in -- no no no -- -- --
GET  /-/bin                   in -- no no no ok ok ok
GET  /-/bin/1/restore         in -- no no no ok ok ok
POST /-/bin/1/restore         in -- no no no ok ok ok
POST /-/bin/1/remove          in -- no no no ok ok ok
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
GET  /-/trash                 in no no no no -- -- --
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
    words = {200: "ok", 302: "ok", 308: "ok", 404: "--", 403: "no", 502: "rg", 409: "ok", 422: "ok"}
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


def outcomes(
    site: Site, method: str, path: str, rest: str, people: Sequence[str] = PEOPLE
) -> list[str]:
    """Return what each of these people gets by an address."""
    found = []
    for who in people:
        browser = site.browser(None if who == "anonymous" else who)
        data = {**form(path, rest, who), "digest": digest("a")}
        url = f"/{path}{rest}"
        answer = browser.get(url) if method == "GET" else browser.post(url, data)
        found.append(outcome(answer))
    return found


def add_deploy_tokens(world):
    """Make a deploy token of each place; return their numbers by path."""
    paths = ["acme", *(f"acme/{visibility}" for visibility in VISIBILITIES), "veiled/private"]
    for path in paths:
        world.deploy_token(path, "read_registry", name=f"of {path}")
    made = {token.name: token.id for token in world.rows(DeployToken)}
    return {path: made[f"of {path}"] for path in paths}


def add_retention_policies(world):
    """Make a policy for each place that deletes nothing yet; return their numbers by path."""
    paths = ["acme", *(f"acme/{visibility}" for visibility in VISIBILITIES), "veiled/private"]
    numbers = {}
    with world.session() as session:
        for path in paths:
            place = session.query(Place).filter_by(path=path).one()
            row = RetentionPolicy(place_id=place.id, older_than_days=100, created_by="x")
            session.add(row)
            session.flush()
            numbers[path] = row.id
        session.commit()
    return numbers


def add_protection_rules(world):
    """Make a protection rule in each project; return their numbers by path."""
    paths = [*(f"acme/{visibility}" for visibility in VISIBILITIES), "veiled/private"]
    for path in paths:
        world.rule(path, "v*")
    return dict(zip(paths, (rule.id for rule in world.rows(ProtectionRule)), strict=True))
