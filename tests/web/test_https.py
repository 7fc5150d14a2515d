"""What a site behind https adds: its cookie is this host's alone, and browsers come by https."""

from __future__ import annotations

import pytest

from registry_ui.accounts import sessions
from registry_ui.db.session import db, writing
from registry_ui.models import User
from tests.web.support import Site

PUBLIC = "https://ui.example"
HSTS = "Strict-Transport-Security"


@pytest.fixture
def secure(make_app):
    """A site that is reached by https, with the user ann."""
    site = Site(make_app(public_url=PUBLIC))
    site.user("ann")
    return site


def signed_in(site):
    """What the cookie of a session of ann holds, signed as by the application."""
    with site.app.app_context():
        with writing() as session:
            user = session.query(User).filter_by(username="ann").one()
            key = sessions.begin(session, user).get_id()
        db.session.remove()
    return {"_user_id": key, "_fresh": True}


def cookie_of(site, data):
    return site.app.session_interface.get_signing_serializer(site.app).dumps(data)


def visit(site, **cookies):
    """Open a page for the signed-in only, with these cookies."""
    client = site.app.test_client()
    for name, value in cookies.items():
        client.set_cookie(name.replace("host_", "__Host-"), value, domain="ui.example")
    return client.get("/-/profile", base_url=PUBLIC)


def set_cookies(answer):
    """The cookies that an answer sets, by name."""
    lines = answer.headers.getlist("Set-Cookie")
    return {line.partition("=")[0]: line.partition("=")[2] for line in lines}


@pytest.mark.parametrize("url", ["/-/sign-in", "/healthz", "/jwt/auth", "/none"])
def test_browsers_are_told_to_come_by_https(make_app, url):
    assert make_app(public_url=PUBLIC).test_client().get(url).headers[HSTS] == "max-age=31536000"
    assert HSTS not in make_app().test_client().get(url).headers


def test_browsers_come_by_https_as_long_as_the_setting_says(make_app):
    for seconds, expected in ((300, "max-age=300"), (0, "max-age=0")):
        client = make_app(public_url=PUBLIC, hsts_seconds=seconds).test_client()
        assert client.get("/-/sign-in").headers.get(HSTS) == expected


def test_no_other_host_can_set_the_cookie(secure):
    answer = secure.app.test_client().get("/-/sign-in", base_url=PUBLIC)
    ((name, rest),) = set_cookies(answer).items()
    assert name == "__Host-registry_ui"
    parts = [part.strip() for part in rest.split(";")[1:]]
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(parts)
    assert not any(part.startswith("Domain") for part in parts)


def test_nobody_is_signed_out_by_the_new_name(secure):
    answer = visit(secure, registry_ui=cookie_of(secure, signed_in(secure)))
    assert answer.status_code == 200
    renamed = set_cookies(answer)
    assert renamed.keys() == {"registry_ui", "__Host-registry_ui"}
    assert renamed["registry_ui"].startswith(";")
    value = renamed["__Host-registry_ui"].partition(";")[0]
    assert visit(secure, host_registry_ui=value).status_code == 200


def test_a_session_of_the_new_name_is_none_under_the_old_one(secure):
    """Another host of the domain could set that, to have people work in its own account."""
    old = cookie_of(secure, signed_in(secure))
    value = set_cookies(visit(secure, registry_ui=old))["__Host-registry_ui"].partition(";")[0]
    assert visit(secure, registry_ui=value).status_code == 302
    assert visit(secure, registry_ui="x" + old).status_code == 302
    other = cookie_of(secure, signed_in(secure))
    assert visit(secure, registry_ui=other, host_registry_ui="nonsense").status_code == 302


def test_without_https_all_is_as_it_was(site):
    answer = site.app.test_client().get("/-/sign-in")
    assert set_cookies(answer).keys() == {"registry_ui"}
