"""Texts that ``make run`` prints when all processes answer."""

from __future__ import annotations

from config import Config

from .application import Prepared
from .registry import token_auth


def summary(config: Config, prepared: Prepared, registry: str | None) -> str:
    """Return a text with the site's address, how to sign in, and commands to push a first image.

    Args:
        config: the settings of this run.
        prepared: the result of preparing the database.
        registry: description of the registry that this run started; None for an external one.
    """
    host = config.registry_host
    image = f"{host}/{prepared.project}/app:1.0"
    lines = [
        f"docker login {host} -u {prepared.administrator}",
        "docker pull busybox     # or take any image that you have",
        f"docker tag busybox {image}",
        f"docker push {image}",
    ]
    if not prepared.project_exists:
        lines.insert(0, f".venv/bin/flask project create {prepared.project}")
    command, gate = "make run", ""
    if config.gate:
        gate = "\n  Gate       asked by the proxy before a tag changes"
        command = "make run-gate" if registry else command
    commands = "\n".join(f"  {line}" for line in lines)
    return f"""
  Address    {config.public_url}
  Sign in    {_sign_in_hint(prepared)}
  Registry   {host} ({registry or "not started here"}){gate}
  Logs       {config.var / "log"}

Push a first image:

{commands}

Ctrl-C stops all; `{command}` goes on with the same data.
"""


def _sign_in_hint(prepared: Prepared) -> str:
    name = prepared.administrator
    if prepared.password:
        return f"{name}, password {prepared.password} (shown only now)"
    return f"{name} (forgotten? .venv/bin/flask user password {name} sets a new password)"


def other_registry(trouble: str, config: Config, snippet: str) -> str:
    """Return instructions for connecting an external registry to this site.

    Args:
        trouble: the reason that the registry can't be used yet.
        config: the settings of this run.
        snippet: the YAML to add to the registry's configuration.
    """
    return f"""
Note: {trouble}.
Copy {token_auth(config).certificate} to its machine, add this to its
configuration with the place of the copy as rootcertbundle, and restart it:

{snippet}"""
