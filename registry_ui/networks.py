"""Which network an address counts as. Pure."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network, ip_address

#: Length of the prefix that one IPv6 subscriber gets at least: its owner has 2^64 addresses.
IPV6_PREFIX = 64
MAX_LENGTH = 64


@lru_cache(maxsize=1024)
def network_of(address: str) -> str:
    """Return the network that an address counts as: IPv4 as it is, IPv6 by its /64.

    What is no address (a Unix socket, a broken proxy) counts as itself, cut to its length.
    """
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address[:MAX_LENGTH].replace("\x00", "")
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((int(parsed), IPV6_PREFIX), strict=False))
