"""Configuration and start script of the registry that the launcher runs, under ``var``."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from config import PREFIX, Config
from registry_ui.distribution.configuration import (
    DELETION_SNIPPET,
    RegistrySettings,
    TokenAuth,
    auth_snippet,
    notifications_snippet,
    registry_config,
)
from registry_ui.token_auth.keyring import KeyRing

from ..files import private_directory, write_private
from .binary import Registry
from .keys import derived_secret


def write_registry_files(config: Config, registry: Registry, registry_token: str) -> None:
    """Write the configuration ``var/registry/config.yml`` and the script ``var/registry/run``.

    Both files are written at every start, so that a new registry token (the secret with which
    the registry sends its notifications) takes effect.
    """
    directory = private_directory(config.var / "registry")
    settings = RegistrySettings(
        address=f"127.0.0.1:{listening_port(config)}",
        data=private_directory(directory / "data"),
        http_secret=derived_secret(config.secret_key, "registry http secret"),
        auth=token_auth(config),
        # Use the local address of the site, because the public address can lead through a proxy.
        events_url=f"http://localhost:{config.port}{config.events_url.removeprefix(config.public_url)}",
        registry_token=registry_token,
    )
    write_private(directory / "config.yml", registry_config(settings))
    command = shlex.join((*registry.command, str(directory / "config.yml")))
    write_private(directory / "run", RUN_SCRIPT.format(command=command))


def with_collector(
    environ: Mapping[str, str], config: Config, registry: Registry
) -> dict[str, str]:
    """Return the environment with the registry's garbage collector as REGISTRY_UI_GC_COMMAND.

    A command that is already set is kept.
    """
    name = PREFIX + "GC_COMMAND"
    if environ.get(name) or not registry.collector:
        return dict(environ)
    command = (*registry.collector, str(config.var / "registry" / "config.yml"))
    return {**environ, name: shlex.join(command)}


def listening_port(config: Config) -> int:
    """Return the registry's port: the port for clients, or with the gate the one behind nginx."""
    return config.registry_backend_port if config.gate else config.registry_port


def connecting_snippet(config: Config, registry_token: str) -> str:
    """Return the YAML to add to the configuration of a registry that this run did not start."""
    snippet = auth_snippet(token_auth(config)) + DELETION_SNIPPET
    return snippet + notifications_snippet(config.events_url, registry_token)


def token_auth(config: Config) -> TokenAuth:
    """Return the settings with which a registry verifies the bearer tokens of this site."""
    return TokenAuth(
        realm=config.realm,
        service=config.token_service,
        issuer=config.token_issuer,
        certificate=KeyRing(config.token_key_file, config.token_certificate_file).trusted_file,
    )


RUN_SCRIPT = """\
#!/bin/sh
# Runs the registry. Written at each start of `make run`.
# It takes REGISTRY_* for settings of its own, and it is for its log alone: it calls
# everything an error that a client asked in vain, and so it is not shown.
unset REGISTRY_UI_VAR
export OTEL_TRACES_EXPORTER=none
exec {command} 2>&1
"""
