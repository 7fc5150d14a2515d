"""Takes the client's address from trusted proxies, if it is an address.

Some proxies pass on what the client itself sent. Text of any length would not fit where
addresses are stored, and each made-up one would count as another network.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any

#: Some proxies add the port: "192.0.2.1:443", "[2001:db8::1]:443".
_WITH_PORT = re.compile(r"\[([^\]]+)\](?::\d+)?|([\d.]+):\d+")


class ClientAddress:
    """Passes requests on with a valid address, that of the proxy if need be.

    It stands right behind werkzeug's ProxyFix.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        original = environ.get("werkzeug.proxy_fix.orig", {}).get("REMOTE_ADDR") or ""
        address = parse_address(environ.get("REMOTE_ADDR") or "")
        environ["REMOTE_ADDR"] = original if address is None else address
        answer: Iterable[bytes] = self._app(environ, start_response)
        return answer


def parse_address(text: str) -> str | None:
    """Return the address in a text, without port and zone; None if there is none."""
    if match := _WITH_PORT.fullmatch(text.strip()):
        text = match[1] or match[2]
    try:
        return str(ip_address(text.strip().partition("%")[0]))
    except ValueError:
        return None
