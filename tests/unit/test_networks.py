"""Which network an address counts as."""

from __future__ import annotations

import pytest

from registry_ui.networks import block_of, network_of


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("", ""),
        ("unix:", "unix:"),
        ("x" * 500, "x" * 64),
        ("a\x00b", "ab"),
    ],
)
def test_ipv4_counts_as_it_is_and_ipv6_by_its_64(address, network):
    assert network_of(address) == network


@pytest.mark.parametrize(
    ("address", "block"),
    [
        ("192.0.2.1", "192.0.2.0/24"),
        ("::ffff:192.0.2.1", "192.0.2.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ("fe80::1%eth0", "fe80::/48"),
        ("", ""),
        ("x" * 500, "x" * 64),
    ],
)
def test_a_block_is_what_one_customer_of_a_provider_has(address, block):
    assert block_of(address) == block
