"""Networks and address blocks by which client addresses are grouped. No I/O."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

#: Prefix length of the smallest network that an IPv6 subscriber gets: 2^64 addresses.
IPV6_PREFIX = 64
MAX_LENGTH = 64
#: Prefix lengths of the address block that a customer of a provider usually gets.
IPV4_BLOCK, IPV6_BLOCK = 24, 48


@lru_cache(maxsize=1024)
def network_of(address: str) -> str:
    """Return the network that counts as one client: an IPv4 address itself, or an IPv6 /64.

    Text that is not an address (from a Unix socket or a broken proxy) is returned as it is, cut to
    MAX_LENGTH characters.
    """
    parsed = _parse(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((int(parsed), IPV6_PREFIX), strict=False))
    return str(parsed)


@lru_cache(maxsize=1024)
def block_of(address: str) -> str:
    """Return the address block that an address belongs to: an IPv4 /24, or an IPv6 /48.

    One customer can have many networks. The block shows whether many networks belong to many
    customers or to just one. Text that is not an address is returned, cut to MAX_LENGTH characters.
    """
    parsed = _parse(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((int(parsed), IPV6_BLOCK), strict=False))
    if isinstance(parsed, IPv4Address):
        return str(IPv4Network((int(parsed), IPV4_BLOCK), strict=False))
    return parsed


def _parse(address: str) -> IPv4Address | IPv6Address | str:
    """Parse an address; return text that is not an address, cut to MAX_LENGTH characters."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address[:MAX_LENGTH].replace("\x00", "")
    return getattr(parsed, "ipv4_mapped", None) or parsed
