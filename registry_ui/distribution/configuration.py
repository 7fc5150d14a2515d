"""Generate the registry's YAML configuration, for Distribution 2.8 and 3.x."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import indent

#: Media type of blobs in notifications, which distinguishes them from manifests (PROTOCOLS 3.2).
#: The generated configuration excludes blobs by the endpoint's key ``ignoredmediatypes``, which 2.8
#: and 3.x support. The key ``ignore.actions`` alone has no effect in 2.8.
BLOB_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class TokenAuth:
    """Settings with which the registry verifies bearer tokens.

    Attributes:
        realm: URL of the token endpoint, to which the registry sends clients.
        service: audience (``aud``) that tokens must have.
        issuer: issuer (``iss``) that tokens must have.
        certificate: file with the certificate of the key that signs tokens.
    """

    realm: str
    service: str
    issuer: str
    certificate: Path


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """The values that vary between generated registry configurations.

    Attributes:
        address: ``host:port`` on which the registry listens.
        data: directory in which the registry stores images.
        http_secret: secret with which the registry signs the state of uploads. It must not change,
            so that unfinished uploads survive a restart.
        auth: settings for bearer tokens.
        events_url: URL to which the registry posts notifications.
        registry_token: secret with which the registry authenticates its notifications.
    """

    address: str
    data: Path
    http_secret: str = field(repr=False)
    auth: TokenAuth
    events_url: str
    registry_token: str = field(repr=False)


def registry_config(settings: RegistrySettings) -> str:
    """Return a complete ``config.yml`` for the registry.

    The log level is ``warn`` because at ``info`` the registry logs the header with the registry
    token when it starts (PROTOCOLS 3.3).
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
            f"    rootdirectory: {_quote(settings.data)}",
            "  delete:",
            "    enabled: true",
            "http:",
            f"  addr: {_quote(settings.address)}",
            f"  secret: {_quote(settings.http_secret)}",
            "  draintimeout: 5s",
            auth_snippet(settings.auth)
            + notifications_snippet(settings.events_url, settings.registry_token),
        )
    )


#: Configuration that enables deletion, which is off by default in the registry.
DELETION_SNIPPET = "storage:\n  delete:\n    enabled: true\n"


def auth_snippet(auth: TokenAuth) -> str:
    """Return the ``auth`` section, which sends clients to our token endpoint.

    ``signingalgorithms`` allows a single algorithm, because 3.x allows many by default. 2.8
    ignores this key.
    """
    return (
        "auth:\n"
        "  token:\n"
        f"    realm: {_quote(auth.realm)}\n"
        f"    service: {_quote(auth.service)}\n"
        f"    issuer: {_quote(auth.issuer)}\n"
        f"    rootcertbundle: {_quote(auth.certificate)}\n"
        "    signingalgorithms: [ES256]\n"
    )


def notifications_snippet(events_url: str, token: str) -> str:
    """Return the ``notifications`` section that an administrator adds to a registry.

    Args:
        events_url: URL to which the registry posts its events.
        token: the registry token, which the registry sends with each request.
    """
    endpoint = (
        "- name: registry_ui\n"
        f"  url: {_quote(events_url)}\n"
        "  headers:\n"
        f"    Authorization: [{_quote('Bearer ' + token)}]\n"
        "  timeout: 5s\n"
        "  threshold: 3\n"
        "  backoff: 1s\n"
        f"  ignoredmediatypes: [{BLOB_TYPE}]\n"
    )
    return "notifications:\n  endpoints:\n" + indent(endpoint, "    ")


def _quote(value: str | Path) -> str:
    """Return a value as a JSON string, which is also a valid YAML scalar."""
    return json.dumps(str(value), ensure_ascii=False)
