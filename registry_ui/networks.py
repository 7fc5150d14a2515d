"""Which network an address counts as. Pure."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

#: Length of the prefix that one IPv6 subscriber gets at least: its owner has 2^64 addresses.
IPV6_PREFIX = 64
MAX_LENGTH = 64
#: Lengths of the prefixes of an address block: what one customer of a provider usually gets.
IPV4_BLOCK, IPV6_BLOCK = 24, 48


@lru_cache(maxsize=1024)
def network_of(address: str) -> str:
    """Return the network that an address counts as: IPv4 as it is, IPv6 by its /64.

    What is no address (a Unix socket, a broken proxy) counts as itself, cut to its length.
    """
    parsed = _parse(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((int(parsed), IPV6_PREFIX), strict=False))
    return str(parsed)


@lru_cache(maxsize=1024)
def block_of(address: str) -> str:
    """Return the address block that an address belongs to: IPv4 by its /24, IPv6 by its /48.

    Many networks can belong to one customer. So a block tells strangers from many networks
    apart from strangers of many providers.
    """
    parsed = _parse(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((int(parsed), IPV6_BLOCK), strict=False))
    if isinstance(parsed, IPv4Address):
        return str(IPv4Network((int(parsed), IPV4_BLOCK), strict=False))
    return parsed


def _parse(address: str) -> IPv4Address | IPv6Address | str:
    """Parse an address; return text that is not an address cut to its length."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address[:MAX_LENGTH].replace("\x00", "")
    return getattr(parsed, "ipv4_mapped", None) or parsed
