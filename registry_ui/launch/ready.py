"""Readiness checks of the processes that the launcher started."""

from __future__ import annotations

import requests

from config import Config

REQUEST_TIMEOUT = 5.0


def unready(config: Config, *, own_registry: bool) -> list[str]:
    """Return a message for each process that is not ready yet; an empty list if all are ready.

    Args:
        config: the settings of this run.
        own_registry: whether this run started the registry. An external registry is not checked,
            because its administrator can still have to connect it to this site.
    """
    troubles = [trouble] if own_registry and (trouble := registry_trouble(config)) else []
    if own_registry and config.gate and (trouble := _find_gate_trouble(config)):
        troubles.append(trouble)
    return troubles + _find_pages_troubles(config, own_registry=own_registry)


def registry_trouble(config: Config) -> str | None:
    """Return the reason why this site can't use the registry, or None if it can."""
    url = f"{config.registry_url}/v2/"
    try:
        response = _get(url)
    except requests.RequestException:
        return f"the registry does not answer at {url}"
    if f'realm="{config.realm}"' in response.headers.get("WWW-Authenticate", ""):
        return None
    return f"the registry at {config.registry_url} does not send its clients here to sign in"


def _find_gate_trouble(config: Config) -> str | None:
    url = f"http://localhost:{config.registry_port}/v2/"
    try:
        response = _get(url)
    except requests.RequestException:
        return f"the gate does not answer at {url}"
    return None if response.status_code == 401 else f"the gate does not let {url} through"


def _find_pages_troubles(config: Config, *, own_registry: bool) -> list[str]:
    url = f"http://localhost:{config.port}/readyz"
    try:
        parts = _get(url).json()
    except (requests.RequestException, ValueError):
        return [f"the pages do not answer at {url}"]
    if not own_registry:
        parts.pop("registry", None)
    return [f"the {name} is not ready, says {url}" for name, ok in parts.items() if ok is False]


def _get(url: str) -> requests.Response:
    """Send a GET request and return the response, without following redirects.

    Proxies of the environment are ignored, because the address is usually on this machine.
    """
    with requests.Session() as session:
        session.trust_env = False
        return session.get(url, timeout=REQUEST_TIMEOUT, allow_redirects=False)
