"""The address that a trusted proxy passes on is one, or the proxy's own counts."""

from __future__ import annotations

import pytest

from registry_ui.http.client_address import parse_address
from registry_ui.models import AuditEntry, FailedSignIn
from tests.web.support import Site, basic

PROXY = "192.0.2.200"


@pytest.fixture
def proxied(make_app):
    """A site behind one trusted proxy."""
    site = Site(make_app(trusted_proxies=1))
    site.user("alice")
    return site


def guess(site, forwarded):
    headers = {**basic("alice", "wrong"), "X-Forwarded-For": forwarded}
    environ, client = {"REMOTE_ADDR": PROXY}, site.app.test_client()
    return client.get("/jwt/auth?service=registry", headers=headers, environ_base=environ)


@pytest.mark.parametrize(
    ("forwarded", "counted"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("198.51.100.7:4711", "198.51.100.7"),
        ("203.0.113.1, 198.51.100.7", "198.51.100.7"),
        ("2001:db8::1", "2001:db8::/64"),
        ("[2001:db8::1]:4711", "2001:db8::/64"),
        ("x" * 5000, PROXY),
        ("unknown", PROXY),
        ("<script>", PROXY),
        ("", PROXY),
    ],
)
def test_made_up_addresses_are_neither_stored_nor_networks_of_their_own(
    proxied, forwarded, counted
):
    assert guess(proxied, forwarded).status_code == 401
    assert proxied.row(FailedSignIn).address == counted
    stored = {row.address for row in proxied.rows(AuditEntry, action="user.sign_in_failed")}
    assert len(stored) == 1
    assert parse_address(stored.pop()) is not None


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        (" 192.0.2.1 ", "192.0.2.1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%eth0]", "fe80::1"),
        ("1.2.3", None),
        ("[1.2.3.4", None),
        ("", None),
    ],
)
def test_an_address_is_read_without_port_and_zone(text, address):
    assert parse_address(text) == address
