"""Search everywhere: what is found, by whom, and where a whole reference leads."""

from __future__ import annotations

from unittest import mock

import pytest
from sqlalchemy import insert

from registry_ui.models import AccessToken, ContainerImage, Namespace, Place, Project, Tag
from registry_ui.search import finder
from tests.support.html import Page
from tests.support.search_api import API, search
from tests.web.support import PASSWORD, ROLES, VISIBILITIES, basic, digest

URL = "/-/search"
HOSTILE = "<script>alert(1)</script>\"'><b>"


def page_of(site, q, who="admin", **more):
    answer = site.browser(who).get(URL, query_string={"q": q, **more})
    assert answer.status_code == 200, answer.headers.get("Location", answer.text)
    return Page(answer.text)


def led(site, q, who="admin"):
    """Where a search leads; None where it shows what was found."""
    return site.browser(who).get(URL, query_string={"q": q}).headers.get("Location")


# -- who finds what --------------------------------------------------------------


def of(*visibilities):
    paths = [f"acme/{v}" for v in sorted(visibilities)]
    return {
        "namespaces": ["acme"] if paths else [],
        "projects": paths,
        "images": sorted([*paths, *(f"{path}/web/api" for path in paths)]),
    }


@pytest.mark.parametrize(
    ("who", "seen"),
    [
        (None, ["public"]),
        ("stranger", ["public", "internal"]),
        *((role, VISIBILITIES) for role in (*ROLES, "admin")),
    ],
)
def test_everyone_finds_what_they_may_see_and_nothing_else(world, who, seen):
    assert {k: sorted(v) for k, v in search(world, "acme", who).items() if k != "tags"} == of(*seen)
    tags = [f"acme/{v}{name}" for v in sorted(seen) for name in (":v1", "/web/api:v1")]
    veiled = ["veiled/private:v1", "veiled/private/web/api:v1"] if who == "admin" else []
    assert sorted(search(world, "v1", who)["tags"]) == sorted(tags + veiled)
    by_digest = search(world, "bbbbbbb", who)["tags"]
    assert [ref for ref in by_digest if ref.startswith("acme")] == [
        f"acme/{v}/web/api:v2" for v in sorted(seen)
    ]
    if who != "admin":
        assert not any(search(world, "veiled", who).values())
        assert not any(search(world, "veiled/private:v1", who).values())


def test_the_page_finds_what_the_api_finds(world):
    for who in (None, "stranger", "guest", "admin"):
        names = search(world, "web", who)
        links = page_of(world, "web", who).links
        assert {text for text in links if text.endswith("web/api")} == set(names["images"]), who


def test_a_token_finds_what_lies_within_its_reach(world):
    secret = world.access_token("owner", "read_registry", name="a", restriction="acme/internal")
    assert search(world, "acme", "owner", secret=secret)["projects"] == ["acme/internal"]
    assert search(world, "v2", "owner", secret=secret)["tags"] == ["acme/internal/web/api:v2"]
    more = {"restriction": "acme/private/web/api", "restriction_exact": True}
    secret = world.access_token("owner", "read_registry", name="b", **more)
    everything = search(world, "acme", "owner", secret=secret)
    assert everything["images"] == ["acme/private/web/api"]
    assert everything["projects"] == []
    assert search(world, "v1", "owner", secret=secret)["tags"] == ["acme/private/web/api:v1"]
    secret = world.access_token("owner", "delete_registry", name="c")
    world.change(AccessToken, {"restriction_path": "veiled"}, name="c")
    assert not any(search(world, "private", "owner", secret=secret).values())


def test_a_deploy_token_finds_its_own_place_and_what_is_public(world):
    name, secret = world.deploy_token("acme/private", "read_registry", name="search")
    assert search(world, "acme/", name, secret=secret)["projects"] == [
        "acme/private",
        "acme/public",
    ]


def test_nobody_is_led_to_what_they_may_not_see(world):
    for q in ("veiled", "veiled/private", "veiled/private:v1", f"veiled/private@{digest('a')}"):
        for who in (None, "stranger", "owner"):
            assert led(world, q, who) is None
            text = page_of(world, q, who).text
            absent = page_of(world, "x" + q, who).text
            assert text.replace(q, "Q") == absent.replace("x" + q, "Q"), (q, who)


# -- where it leads --------------------------------------------------------------


@pytest.mark.both_databases
@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("acme/public", "/acme/public"),
        ("acme/public/web/api", "/acme/public/-/images/web/api"),
        ("acme/public:v1", "/acme/public/-/tags/v1"),
        ("HOST/acme/public/web/api:v2", "/acme/public/-/images/web/api/-/tags/v2"),
        ("docker pull HOST/acme/public/web/api:v2", "/acme/public/-/images/web/api/-/tags/v2"),
        (f"HOST/acme/public/web/api@{digest('b')}", "/acme/public/-/images/web/api/-/tags/v2"),
        ("acme/public/web/api:v9", None),
        ("acme/public/web", None),
        ("acme", None),
        ("public", None),
        (digest("b"), None),
    ],
)
def test_one_thing_that_is_meant_is_opened_at_once(world, text, address):
    host = world.app.config["SETTINGS"].registry_host
    assert led(world, text.replace("HOST", host)) == address


def test_a_namespace_in_a_namespace_is_opened_by_its_path(site):
    site.user("admin", admin=True)
    site.project("acme/inner/app")
    assert led(site, "acme/inner") == "/acme/inner"


def test_a_digest_of_one_tag_opens_it_and_of_several_shows_them(site):
    site.user("admin", admin=True)
    site.project("acme/app")
    site.image("acme/app/web", "1.0", "2.0", "latest", digests="abb")
    assert led(site, digest("a")) == "/acme/app/-/images/web/-/tags/1.0"
    assert led(site, "aaaaaaa") == "/acme/app/-/images/web/-/tags/1.0"
    assert led(site, digest("b")) is None
    assert search(site, "sha256:bbbbbbb")["tags"] == ["acme/app/web:2.0", "acme/app/web:latest"]
    assert not any(search(site, "aaaaaa0").values())
    site.image("acme/app/aaaaaaa", "x", digests="c")
    assert led(site, "aaaaaaa") is None, "an image is called so"


# -- what is found ---------------------------------------------------------------


@pytest.fixture
def shop(site):
    site.user("admin", admin=True)
    site.project("acme/shop")
    site.project("acme/workshop")
    site.project("acme/other")
    site.change(Project, {"description": "Where the SHOP is sold, 100% of it"}, path="acme/other")
    for path in ("acme/other/shop-api", "acme/other/x/shop", "acme/workshop/tool"):
        site.image(path, "1.0", "1.0-rc1", "main-3f9a1c2", "V2", digests="abcd")
    return site


def test_the_nearest_names_come_first(shop):
    assert search(shop, "shop")["projects"] == ["acme/shop", "acme/other", "acme/workshop"]
    assert search(shop, "shop")["images"] == [
        "acme/other/x/shop",
        "acme/other/shop-api",
        "acme/workshop/tool",
    ]


def test_all_words_must_be_there(shop):
    assert search(shop, "shop tool")["images"] == ["acme/workshop/tool"]
    assert search(shop, "sold other")["projects"] == ["acme/other"]


def test_tags_are_found_by_their_beginning_then_by_a_part_in_any_case(shop):
    only = "acme/workshop/tool"
    names = [ref.partition(":")[2] for ref in search(shop, "tool:1.0")["tags"]]
    assert names == ["1.0", "1.0-rc1"]
    for text in ("tool:3f9a", "tool:MAIN", "tool:rc1", "tool:v2"):
        assert len(search(shop, text)["tags"]) == 1, text
    assert search(shop, f"{only}:1.")["tags"] == [f"{only}:1.0", f"{only}:1.0-rc1"]


def test_signatures_are_not_what_people_look_for(shop):
    image = shop.row(ContainerImage, path="acme/workshop/tool")
    with shop.session() as session:
        name = digest("a").replace(":", "-")
        session.add_all(Tag(image_id=image.id, name=n) for n in (name, f"{name}.sig"))
        session.commit()
    assert search(shop, "aaaaaaa")["tags"] == [
        f"acme/{path}:1.0" for path in ("other/shop-api", "other/x/shop", "workshop/tool")
    ]


@pytest.mark.parametrize("q", ["100%", "100% of", "0%"])
def test_signs_of_patterns_are_letters_here(shop, q):
    assert search(shop, q)["projects"] == ["acme/other"]


@pytest.mark.parametrize(
    "q", ["%", "_", "%%%", "a%p", "sho_", "\\", "[a-z]", "*", "'; --", HOSTILE]
)
def test_a_pattern_finds_nothing_that_is_not_called_so(shop, q):
    got = search(shop, q)
    expected = ["acme/other"] if q == "%" else []
    assert got == {"namespaces": [], "projects": expected, "images": [], "tags": []}


def test_what_was_typed_stays_text_and_stays_in_the_field(shop):
    page = page_of(shop, HOSTILE)
    assert f"Nothing that you may see matches “{HOSTILE}”" in page.text
    values = [i.attrs.get("value") for i in page.all("input") if i.attrs.get("name") == "q"]
    assert HOSTILE in values
    assert [s.attrs["src"].partition("?")[0] for s in page.all("script")] == ["/static/app.js"]


@pytest.mark.parametrize(
    "q", ["a\0b", "\0", "\udc80", "a" * 5000, "\N{SNOWMAN}", "a/" * 120, "x:" * 99]
)
def test_any_text_in_the_search_field_breaks_no_page(shop, q):
    for url in (URL, API):
        answer = shop.browser("admin").get(f"{url}?q=" + quoted(q))
        assert answer.status_code in {200, 422}, (url, q)


def quoted(text):
    return "".join(f"%{byte:02x}" for byte in text.encode("utf-8", "surrogatepass"))


def test_a_text_that_is_too_long_is_refused_kindly(shop):
    answer = shop.browser("admin").get(URL, query_string={"q": "a" * 256})
    assert answer.status_code == 422
    assert "Search for 255 characters at most." in answer.text
    answer = shop.app.test_client().get(API, query_string={"q": "a" * 256})
    assert answer.status_code == 422
    assert answer.json["error"]["message"] == "Search for 255 characters at most."


def test_an_empty_search_teaches_what_can_be_found(shop):
    for who in (None, "admin"):
        text = page_of(shop, "", who).text
        assert "What can be found" in text
        assert "Digests" in text
    assert search(shop, "") == {"namespaces": [], "projects": [], "images": [], "tags": []}


def test_a_reference_of_another_registry_is_said_to_be_one(shop):
    assert "That is a reference of docker.io" in page_of(shop, "docker.io/library/nginx:1").text


def test_of_many_the_first_are_shown_and_the_way_to_more(shop):
    image = shop.row(ContainerImage, path="acme/workshop/tool")
    with shop.session() as session:
        rows = [{"image_id": image.id, "name": f"9.{n:03}"} for n in range(150)]
        session.execute(insert(Tag), rows)
        session.commit()
    page = page_of(shop, "9.")
    assert "10+" in page.section("Tags") or "10+" in page.text
    more = Page(shop.browser("admin").get(page.links["More tags"]).text)
    assert len([link for link in more.links if link.startswith("acme/workshop/tool:9.")]) == 100
    assert "These are the first 100" in more.text
    assert len(search(shop, "9.", n="7")["tags"]) == 7
    headers = basic("admin", PASSWORD)
    for n in ("7", "100", "99999999", "-1", "x", "9" * 5000):
        answer = shop.app.test_client().get(API, query_string={"q": "9.", "n": n}, headers=headers)
        assert answer.json["more"] == ["tags"], n
        assert len(answer.json["tags"]) <= 100


def test_a_kind_that_is_none_shows_all(shop):
    for kind in ("x", "\0", "", "tagsx"):
        assert "acme/shop" in page_of(shop, "shop", kind=kind).text


@pytest.mark.parametrize("few", [0, 1000])
def test_whoever_sees_few_images_and_whoever_sees_many_find_the_same(world, few):
    """Two ways lead to the tags: by the images that one sees, or by the tags that fit."""
    with mock.patch.object(finder, "MAX_SEARCHED_IMAGES", few):
        for who in (None, "stranger", "guest"):
            visible = [f"acme/{v}/web/api:v2" for v in ("internal", "private", "public")]
            seen = {None: visible[2:], "stranger": [visible[0], visible[2]], "guest": visible}[who]
            assert search(world, "v2", who)["tags"] == seen
            assert sorted(search(world, "V2", who)["tags"]) == seen
            assert search(world, "api:v2", who)["tags"] == seen


def test_whoever_sees_little_misses_nothing_behind_what_others_have(site):
    """As many tags of others as are looked at come first by every order."""
    site.users("member")
    site.project("aaa/secret")
    site.project("zzz/own")
    site.member("zzz/own", "member", "guest")
    site.image("zzz/own/app", "v1-mine", digests="e")
    site.image("aaa/secret/app", "v0")
    secret = site.row(ContainerImage, path="aaa/secret/app")
    with site.session() as session:
        names = (f"v1-{n:03}-mine" for n in range(60))
        rows = [{"image_id": secret.id, "name": n, "digest": digest("e")} for n in names]
        session.execute(insert(Tag), rows)
        session.commit()
    with (
        mock.patch.object(finder, "MAX_CANDIDATES", 20),
        mock.patch.object(finder, "MAX_NEWEST_TAGS", 10),
    ):
        for q in ("v1", "mine", "eeeeeee"):
            assert search(site, q, "member")["tags"] == ["zzz/own/app:v1-mine"], q


# -- what it costs ---------------------------------------------------------------


def test_a_search_costs_the_same_with_few_images_and_with_many(site):
    site.users("member")
    site.user("admin", admin=True)
    site.project("acme/app", "public")
    site.member("acme", "member", "developer")
    site.image("acme/app/web", "1.0")

    def cost():
        counts = {}
        for who in (None, "member", "admin"):
            for q in ("acme", "1.", "web:1", "acme/app/web:9", "aaaaaaa0"):
                browser = site.browser(who)
                with site.statements() as statements:
                    assert browser.get(URL, query_string={"q": q}).status_code == 200
                counts[who, q] = len(statements)
        return counts

    few = cost()
    with site.session() as session:
        acme = session.query(Namespace).filter_by(path="acme").one()
        for n in range(60):
            place = Project(path=f"acme/p{n}", parent_id=acme.id, visibility="public")
            session.add(place)
            session.flush()
            image = ContainerImage(project_id=place.id, name="web", path=f"acme/p{n}/web")
            session.add(image)
            session.flush()
            session.add(Tag(image_id=image.id, name="1.0", digest=digest("a")))
        assert session.query(Place).count() > 60
        session.commit()
    assert cost() == few
    assert max(few.values()) <= 20
