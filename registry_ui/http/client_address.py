"""WSGI middleware that accepts a client address from a trusted proxy only if it is valid.

Some proxies pass on an address header that the client itself sent. Arbitrary text would not fit
the database columns for addresses, and a client could invent addresses to evade limits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any

#: Matches an address with a port, as some proxies send it: "192.0.2.1:443", "[2001:db8::1]:443".
_WITH_PORT = re.compile(r"\[([^\]]+)\](?::\d+)?|([\d.]+):\d+")


class ClientAddress:
    """WSGI middleware that replaces an invalid client address with the address of the proxy.

    Werkzeug's ProxyFix must directly wrap this middleware, because ProxyFix records the address of
    the proxy, which is used instead.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Correct the client address of one WSGI request, and pass the request on."""
        original = environ.get("werkzeug.proxy_fix.orig", {}).get("REMOTE_ADDR") or ""
        address = parse_address(environ.get("REMOTE_ADDR") or "")
        environ["REMOTE_ADDR"] = original if address is None else address
        answer: Iterable[bytes] = self._app(environ, start_response)
        return answer


def parse_address(text: str) -> str | None:
    """Return a text as an IP address without port and IPv6 zone; None if it is not an address."""
    if match := _WITH_PORT.fullmatch(text.strip()):
        text = match[1] or match[2]
    try:
        return str(ip_address(text.strip().partition("%")[0]))
    except ValueError:
        return None
