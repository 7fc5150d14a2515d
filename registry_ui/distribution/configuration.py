"""The registry's own configuration, as text. The same text suits Distribution 2.8 and 3.x."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import indent

#: Blobs are told apart from manifests by this type (PROTOCOLS 3.2). The list is a
#: key of the endpoint in 2.8 and 3.x alike; ``ignore.actions`` alone does nothing in 2.8.
BLOB_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class TokenAuth:
    """How the registry checks bearer tokens: where clients get them, who signs, with which key."""

    realm: str
    service: str
    issuer: str
    certificate: Path


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """All that differs between two registries of ours.

    Attributes:
        address: ``host:port`` to listen on.
        data: directory of the images.
        http_secret: signs the state of uploads; stable, so that they survive a restart.
        events_url, registry_token: where notifications go and what authorises them.
    """

    address: str
    data: Path
    http_secret: str = field(repr=False)
    auth: TokenAuth
    events_url: str
    registry_token: str = field(repr=False)


def registry_config(settings: RegistrySettings) -> str:
    """Return a whole ``config.yml``.

    The log level is ``warn`` because at ``info`` the registry prints the header with the
    registry token at start (PROTOCOLS 3.3).
    """
    return "\n".join(
        (
            "version: 0.1",
            "log:",
            "  level: warn",
            "  accesslog:",
            "    disabled: true",
            "storage:",
            "  filesystem:",
            f"    rootdirectory: {_quoted(settings.data)}",
            "  delete:",
            "    enabled: true",
            "http:",
            f"  addr: {_quoted(settings.address)}",
            f"  secret: {_quoted(settings.http_secret)}",
            "  draintimeout: 5s",
            auth_snippet(settings.auth)
            + notifications_snippet(settings.events_url, settings.registry_token),
        )
    )


#: What the registry needs for deletion; it is off by default.
DELETION_SNIPPET = "storage:\n  delete:\n    enabled: true\n"


def auth_snippet(auth: TokenAuth) -> str:
    """Return the ``auth`` section: clients are sent to our token endpoint.

    ``signingalgorithms`` is pinned for 3.x, whose default list is long; 2.8 ignores it.
    """
    return (
        "auth:\n"
        "  token:\n"
        f"    realm: {_quoted(auth.realm)}\n"
        f"    service: {_quoted(auth.service)}\n"
        f"    issuer: {_quoted(auth.issuer)}\n"
        f"    rootcertbundle: {_quoted(auth.certificate)}\n"
        "    signingalgorithms: [ES256]\n"
    )


def notifications_snippet(events_url: str, token: str) -> str:
    """Return the ``notifications`` section that an administrator adds to a registry.

    Args:
        events_url: where the registry posts its events.
        token: the registry token, sent with each of them.
    """
    endpoint = (
        "- name: registry_ui\n"
        f"  url: {_quoted(events_url)}\n"
        "  headers:\n"
        f"    Authorization: [{_quoted('Bearer ' + token)}]\n"
        "  timeout: 5s\n"
        "  threshold: 3\n"
        "  backoff: 1s\n"
        f"  ignoredmediatypes: [{BLOB_TYPE}]\n"
    )
    return "notifications:\n  endpoints:\n" + indent(endpoint, "    ")


def _quoted(value: str | Path) -> str:
    """Return a YAML scalar: a JSON string is one, whatever characters it has."""
    return json.dumps(str(value), ensure_ascii=False)
